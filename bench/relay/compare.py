#!/usr/bin/env python3
"""Our relay against a real derper, in turns in one run on one machine; prints a table.

	bench/relay/compare.py BUILD_DIR [--seconds N] [--idle N] [--only NAME,...]

Relayed bytes and packets a CPU second: 20 clients, each with 24 packets on the way to its partner, so that
neither relay drops anything; CPU time is the relay's own, user and system. Memory: the growth of RSS for each
of N idle TLS clients. Overload: what arrives when three times the ceiling is offered, against the ceiling.
Fairness: 99 light clients' delay with and without one that sends as fast as it can, from another process.
"""
import argparse, json, os, re, resource, shutil, signal, subprocess, sys, tempfile, time

parser = argparse.ArgumentParser()
parser.add_argument('build')
parser.add_argument('--seconds', type=float, default=3)
parser.add_argument('--idle', type=int, default=5000)
parser.add_argument('--rounds', type=int, default=2)
parser.add_argument('--only', default='')
args = parser.parse_args()
PEERS = os.environ.get('FAIRLEAD_PEERS', '/var/cache/fairlead-peers/bin')
LOAD = os.path.join(args.build, 'bench/relay/derpload')
work = tempfile.mkdtemp(prefix='fl-relay-bench-')
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Relay:
    def __init__(self, name, tls, inside=()):
        self.name, self.tls, self.inside = name, tls, list(inside)
        self.port = {('ours', True): 14441, ('ours', False): 14440, ('derper', True): 14443, ('derper', False): 3340}[name, tls]
        d = os.path.join(work, f'{name}-{tls}')
        os.makedirs(d, exist_ok=True)
        if name == 'ours':
            cmd = [os.path.join(args.build, 'src/main/fairlead-relay'), '--key-file', f'{d}/key', '--stun=no', '--http-listen=']
            cmd += ['--self-signed', '--listen', f'127.0.0.1:{self.port}'] if tls else ['--listen=', '--plain-listen', f'127.0.0.1:{self.port}']
        elif tls:
            cmd = [f'{PEERS}/derper', '-hostname', '127.0.0.1', '-certmode', 'manual', '-certdir', d, '-a', f'127.0.0.1:{self.port}',
                   '-http-port', '-1', '-stun=false', '-c', f'{d}/key']
        else:
            cmd = [f'{PEERS}/derper', '-dev', '-http-port', '-1', '-stun=false', '-c', f'{d}/key']
        self.p = subprocess.Popen(self.inside + cmd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1.5)
        if self.p.poll() is not None:
            sys.exit(f'{name} did not start: {cmd}')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.terminate()
        self.p.wait()

    def rss(self):
        with open(f'/proc/{self.p.pid}/status') as f:
            return int(re.search(r'VmRSS:\s+(\d+)', f.read()).group(1)) * 1024

    def command(self, *more):
        return self.inside + [LOAD, '-a', f'127.0.0.1:{self.port}', '-p', str(self.p.pid)] + (['-T'] if self.tls else []) + [str(m) for m in more]

    def load(self, *more):
        r = subprocess.run(self.command(*more), capture_output=True, text=True, timeout=180)
        if r.returncode:
            sys.exit(f'{self.name}: {r.stderr}')
        return json.loads(r.stdout)


def row(what, ours, derper, ratio, want):
    print(f'| {what} | {ours} | {derper} | {ratio} | {want} |', flush=True)


def best(name, tls, *load):
    """The round with the most a CPU second: other work on the machine only takes away."""
    results = []
    for _ in range(args.rounds):
        with Relay(name, tls) as r:
            results.append(r.load('-n', 20, '-W', 24, '-d', args.seconds, *load))
    return max(results, key=lambda x: x['got'] / max(x['cpu'], 0.01))


def efficiency():
    for tls in (True, False):
        for size in (1400, 100):
            ours, derper = best('ours', tls, '-s', size), best('derper', tls, '-s', size)
            key, unit, scale = ('bytes', 'MB', 1e6) if size == 1400 else ('got', 'k packets', 1e3)
            a, b = (x[key] / max(x['cpu'], 0.01) / scale for x in (ours, derper))
            row(f"{'TLS' if tls else 'plain'}, {size}-byte packets, {unit} a CPU second", f'{a:.0f}', f'{b:.0f}', f'{a / b:.1f}x',
                '2.5x' if size == 1400 else '3x')


def memory():
    per = {}
    for name in ('ours', 'derper'):
        with Relay(name, True) as r:
            before = r.rss()
            p = subprocess.Popen(r.command('-I', '-n', args.idle, '-w', 6, '-d', 2), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            while 'are in' not in p.stderr.readline():
                if p.poll() is not None:
                    sys.exit('the idle clients did not come in')
            time.sleep(5)
            per[name] = (r.rss() - before) / args.idle
            p.wait()
    row(f'memory for each of {args.idle} idle TLS clients, KiB', f"{per['ours'] / 1024:.1f}", f"{per['derper'] / 1024:.1f}",
        f"1/{per['derper'] / per['ours']:.1f}", '1/4')


class Share:
    """A part of one processor for a process, by a control group of either version; root's."""

    def __init__(self, pid, percent, period=10000):
        old = os.path.exists('/sys/fs/cgroup/cpu/cpu.cfs_quota_us') or os.path.exists('/sys/fs/cgroup/cpu/tasks')
        self.path = f"/sys/fs/cgroup/{'cpu/' if old else ''}fl-relay-bench-{pid}"
        os.mkdir(self.path)
        limits = {'cpu.cfs_period_us': period, 'cpu.cfs_quota_us': period * percent // 100} if old else {'cpu.max': f'{period * percent // 100} {period}'}
        for name, value in {**limits, 'cgroup.procs': pid}.items():
            with open(f'{self.path}/{name}', 'w') as f:
                f.write(str(value))

    def remove(self):
        for _ in range(50):
            try:
                return os.rmdir(self.path)
            except OSError:
                time.sleep(0.1)


class Network:
    """
    A namespace whose loopback does its receiving on the last processor. Otherwise the kernel does the sender's part of TCP,
    whenever a full socket has room again, inside the relay's read, and the relay pays for a sender that would be elsewhere.
    """

    def __init__(self):
        self.name = f'fl-relay-bench-{os.getpid()}'
        self.inside = ['nsenter', f'--net=/run/netns/{self.name}']
        last = 1 << max(os.sched_getaffinity(0))
        subprocess.run(['ip', 'netns', 'add', self.name], check=True)
        subprocess.run(['ip', 'netns', 'exec', self.name, 'sh', '-c', f'ip link set lo up; echo {last:x} > /sys/class/net/lo/queues/rx-0/rps_cpus'], check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(['ip', 'netns', 'del', self.name])


def open_loop(r, rate):
    """Packets at their times, whatever the relay does, sender and receivers in processes of their own; what arrived and what was offered."""
    common = ('-n', 20, '-s', 1400, '-d', args.seconds / 2, '-k', r.p.pid)
    receive = subprocess.Popen(r.command('-P', 'recv', *common), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    sent = r.load('-P', 'send', '-r', int(rate), *common)
    got = json.loads(receive.communicate()[0])
    return got['got'] / got['seconds'], (sent['sent'] + sent['unsent']) / sent['seconds']


def overload():
    """
    The relay gets a tenth of a processor, so that generators beside it can offer three times what it carries. The ceiling
    is the most that comes through when everybody waits for the relay, or when just that is offered. Overload: packets
    come at their times, whatever the relay does; those that a full socket refuses are not sent. Twenty clients; rounds
    take turns; the median counts.
    """
    for name in ('ours', 'derper'):
        with Network() as net, Relay(name, True, net.inside) as r:
            share = Share(r.p.pid, 10)
            subprocess.run(['taskset', '-a', '-p', '-c', str(min(os.sched_getaffinity(0))), str(r.p.pid)], stdout=subprocess.DEVNULL)
            subprocess.run(['renice', '-n', '-15', '-p', str(r.p.pid)], capture_output=True)
            results = []
            for _ in range(args.rounds * 3 + 1):
                closed = r.load('-n', 20, '-W', 24, '-d', args.seconds / 2)
                ceiling = closed['got'] / closed['seconds']
                just = open_loop(r, ceiling)[0]
                got, offered = open_loop(r, 3 * ceiling)
                results.append((max(ceiling, just), got, offered))
            rate, got, offered = (median([x[i] for x in results]) for i in range(3))
            part, times, rate = got / rate, offered / rate, rate * 1400 / 1e6
            text = f'{part * 100:.0f} % of {rate:.0f} MB/s when offered {times:.1f} times that'
            row(f'{name}: goodput under overload, of the ceiling', text if name == 'ours' else '', text if name == 'derper' else '', '',
                '95 %' if name == 'ours' else '')
        share.remove()


def median(values):
    return sorted(values)[len(values) // 2]


def pinned(cpus, command):
    return ['taskset', '-c', cpus] + command


def first_of_all(priority, command):
    """Before everything else on its processor, if we may: other work on the machine is not what is measured."""
    return ['chrt', '-r', str(priority)] + command if os.geteuid() == 0 else command


def fairness():
    """
    The relay has a processor of its own, the generators share the others: what is measured is how long the relay lets
    a light client wait, not how the scheduler shares out a processor among the generators. Rounds with and without the
    greedy client take turns; the median counts.
    """
    cpus = sorted(os.sched_getaffinity(0))
    first, others = str(cpus[0]), ','.join(map(str, cpus[1:] or cpus))
    for name in ('ours', 'derper'):
        with Relay(name, True) as r:
            if name == 'ours':  # Go's threads get into each other's way on one
                subprocess.run(['taskset', '-a', '-p', '-c', first, str(r.p.pid)], stdout=subprocess.DEVNULL)
            subprocess.run(['chrt', '-a', '-r', '-p', '10', str(r.p.pid)], capture_output=True)
            light = first_of_all(10, pinned(others, r.command('-n', 99, '-s', 100, '-r', 2000, '-d', args.seconds / 3, '-w', 0.2)))
            run = lambda: json.loads(subprocess.run(light, capture_output=True, text=True, timeout=60).stdout)
            results = []
            for _ in range(args.rounds * 2 + 1):
                quiet = run()
                greedy = subprocess.Popen(first_of_all(5, pinned(others, r.command('-G', '-n', 2, '-s', 1400, '-w', 0.1, '-d', args.seconds / 3 + 0.8))),
                                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                time.sleep(0.4)
                loud = run()
                flood = json.loads(greedy.communicate()[0])
                results.append((loud['p99_us'] / quiet['p99_us'], quiet['p99_us'], loud['p99_us'],
                                100 - 100 * loud['got'] / max(loud['sent'], 1), flood['bytes'] / flood['seconds'] / 1e6, quiet['p50_us'], loud['p50_us']))
            ratio, q, l, lost, flow = (median([x[i] for x in results]) for i in range(5))
            text = f'{q} to {l} us, {ratio:.1f}x, lost {lost:.1f} %; the greedy one {flow:.0f} MB/s'
            row(f"{name}: p99 delay of 99 light clients beside a greedy one", text if name == 'ours' else '', text if name == 'derper' else '', '',
                '2x' if name == 'ours' else '')


try:
    print('| figure | ours | derper | ratio | wanted |\n|---|---|---|---|---|')
    for name, fn in (('efficiency', efficiency), ('memory', memory), ('overload', overload), ('fairness', fairness)):
        if not args.only or name in args.only.split(','):
            fn()
finally:
    shutil.rmtree(work)
