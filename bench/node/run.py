#!/usr/bin/env python3
"""Our node and the real one in turns, in one tailnet of namespaces.

	bench/node/run.py BUILD [part ...]      parts: speed idle relayed start paths sizes crowd; all of them without a name

Ratios within one run count, on a quiet machine. The tailnet is our coordinator with its relay.
"""
import json, os, re, shutil, subprocess, sys, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.environ['FAIRLEAD_BUILD'] = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else 'build/gcc')
sys.path.insert(0, os.path.join(ROOT, 'test/net'))
from natlab import *

SECONDS = int(os.environ.get('FAIRLEAD_BENCH_SECONDS', '4'))
ROUNDS = int(os.environ.get('FAIRLEAD_BENCH_ROUNDS', '3'))
ROWS = []


def row(what, ours, stock, unit, better):
    ROWS.append((what, ours, stock, unit, better))
    ratio = ours / stock if stock else 0
    print(f'{what:44s} {ours:10.3f} {stock:10.3f} {unit:6s} {ratio:6.2f}x   goal {better}', flush=True)


def processes(lab, name):
    """The daemon's processes in a host."""
    pids = command(['ip', 'netns', 'pids', lab.hosts[name]]).stdout.split()
    return [p for p in pids if re.match('fairleadd|tailscaled', open(f'/proc/{p}/comm').read())]


def cpu(lab, name):
    """CPU seconds so far, of all its processes."""
    ticks = 0
    for pid in processes(lab, name):
        fields = open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf('SC_CLK_TCK')


def memory(lab, name):
    """MB of its own: resident pages, with those shared with others counted in part (PSS), and RSS."""
    pss = rss = 0
    for pid in processes(lab, name):
        text = open(f'/proc/{pid}/smaps_rollup').read()
        pss += int(re.search(r'^Pss:\s+(\d+)', text, re.M).group(1))
        rss += int(re.search(r'^Rss:\s+(\d+)', text, re.M).group(1))
    return rss / 1024, pss / 1024


def join(lab, name, stock, *flags):
    lab.daemon(name, stock)
    lab.up(name, *flags)
    lab.addresses[name] = lab.ip_of(name)


def median(values):
    return sorted(values)[len(values) // 2]


def iperf(lab, a, b, flows):
    """Gbit/s that arrived, and CPU seconds a GB of both daemons together."""
    server = lab.start(lab.hosts[b], [tool('iperf3'), '-s', '-1', '-B', lab.addresses[b]])
    time.sleep(0.5)
    before = cpu(lab, a) + cpu(lab, b)
    r = command([tool('iperf3'), '-c', lab.addresses[b], '-t', str(SECONDS), '-P', str(flows), '-J'], ns=lab.hosts[a], timeout=60)
    used = cpu(lab, a) + cpu(lab, b) - before
    lab.stop(server)
    end = json.loads(r.stdout)['end']['sum_received']
    return end['bits_per_second'] / 1e9, used / (end['bytes'] / 1e9)


def ends(lab):
    """Two of each kind, with nothing but a wire between them."""
    for name in ('ours-a', 'ours-b', 'stock-a', 'stock-b'):
        lab.host(name, 'open')
        join(lab, name, name.startswith('stock'))
    for who in ('ours', 'stock'):
        wait_until(lambda: lab.ping_path(f'{who}-a', lab.addresses[f'{who}-b'], 3, '--until-direct') == 'direct', 'direct', 60)


def compare(lab, what, pairs, flows, goal):
    """A row of throughput and one of CPU time, in turns."""
    got = {who: [] for who in pairs}
    for _ in range(ROUNDS):
        for who, (a, b) in pairs.items():
            got[who].append(iperf(lab, a, b, flows))
    best = {who: [median([v[i] for v in values]) for i in (0, 1)] for who, values in got.items()}
    row(f'TCP {what}', best['ours'][0], best['stock'][0], 'Gb/s', goal[0])
    row(f'CPU a GB {what}', best['ours'][1], best['stock'][1], 's/GB', goal[1])


def speed(lab):
    for flows in (1, 4):
        compare(lab, f'straight, {flows} flow{"s" if flows > 1 else ""}', {who: (f'{who}-a', f'{who}-b') for who in ('ours', 'stock')}, flows,
                ('2.0x, 2.6x', '0.42x, 0.33x'))


def relayed(lab):
    """Through DERP (our relay for both), then through a peer relay of the same kind."""
    pairs = {who: (f'{who}-x', f'{who}-y') for who in ('ours', 'stock')}
    for who in pairs:
        for name in pairs[who]:
            lab.host(name, 'symmetric')
            join(lab, name, who == 'stock')
        lab.host(f'{who}-relay', 'open')
        join(lab, f'{who}-relay', who == 'stock')
    for a, b in pairs.values():
        wait_until(lambda: lab.pings(a, lab.addresses[b]), 'a packet passes', 30)
    compare(lab, 'by DERP', pairs, 1, ('1.0x, 2.0x', '1.0x, 0.5x'))
    for who, (a, b) in pairs.items():
        lab.ts(f'{who}-relay', 'set', '--relay-server-port=40000')
        relay = {'src': [lab.addresses[a], lab.addresses[b]], 'dst': [lab.addresses[f'{who}-relay']], 'app': {'tailscale.com/cap/relay': []}}
        lab.grants = getattr(lab, 'grants', [{'src': ['*'], 'dst': ['*'], 'ip': ['*']}]) + [relay]
    lab.policy({'grants': lab.grants})
    for a, b in pairs.values():
        wait_until(lambda: lab.ping_path(a, lab.addresses[b], 4) == 'peer-relay', f'{a} reaches {b} by the peer relay', 180, 1)
    compare(lab, 'by a peer relay', pairs, 1, ('1.0x, 2.0x', '1.0x, 0.5x'))


def idle(lab):
    time.sleep(50)  # heartbeats end 45 s after the last packet
    before = {who: cpu(lab, f'{who}-a') for who in ('ours', 'stock')}
    span = 30
    time.sleep(span)
    used = {who: (cpu(lab, f'{who}-a') - before[who]) / span * 1000 for who in before}
    row('CPU while idle, a second', used['ours'], used['stock'], 'ms', '0.2x, 0.1x')
    for i, what in enumerate(('RSS', 'PSS')):
        row(f'{what} idle, 3 peers', memory(lab, 'ours-a')[i], memory(lab, 'stock-a')[i], 'MB', '8 MB, 5 MB')


def start(lab):
    """From `up` with a key to the first answered ping, with the daemon running."""
    took = {'ours': [], 'stock': []}
    for i in range(ROUNDS):
        for who in took:
            name = f'new-{who}-{i}'
            lab.host(name, 'open')
            lab.daemon(name, who == 'stock')
            at = time.monotonic()
            up = subprocess.Popen(['ip', 'netns', 'exec', lab.hosts[name], peer('tailscale'), '--socket', f'{lab.dir}/{name}/sock', 'up',
                                   '--login-server=https://ctl.lab', f'--authkey={lab.key}', f'--hostname={name}', '--accept-dns=false'])
            wait_until(lambda: lab.pings(name, lab.addresses[f'{who}-a'], 1), 'a ping', 60, 0.01)
            took[who].append(time.monotonic() - at)
            up.wait()
            lab.stop(lab.daemons.pop(name))
    row('up to the first answered ping', median(took['ours']), median(took['stock']), 's', '1.0x, 0.5x')


def paths(lab):
    """From a fresh start of both daemons to a direct path, by pair of NATs."""
    for pair in (('open', 'symmetric'), ('portres', 'portres'), ('fullcone', 'cgnat'), ('restricted', 'symmetric'), ('fw', 'portres')):
        took = {'ours': [], 'stock': []}
        for who in took:
            names = [f'{who}-{i}{kind}' for i, kind in enumerate(pair)]
            for name, kind in zip(names, pair):
                name in lab.hosts or lab.host(name, kind)
            for _ in range(ROUNDS):
                for name in names:
                    join(lab, name, who == 'stock')
                wait_until(lambda: all(len(lab.status(n)['Peer'] or {}) > 1 for n in names), 'they know each other', 30)
                time.sleep(1)
                at = time.monotonic()
                command([peer('tailscale'), '--socket', f'{lab.dir}/{names[0]}/sock', 'ping', '--c=30', '--until-direct', lab.addresses[names[1]]],
                        ns=lab.hosts[names[0]], timeout=60, ok=False)
                took[who].append(time.monotonic() - at)
                for name in names:
                    lab.ts(name, 'logout')
                    lab.stop(lab.daemons.pop(name))
        row(f'direct path, {pair[0]} to {pair[1]}', median(took['ours']), median(took['stock']), 's', '1.0x, 0.7x')


def sizes(lab):
    total = {'ours': 0, 'stock': 0}
    with tempfile.TemporaryDirectory() as d:
        for who, files in (('ours', [os.path.join(os.environ['FAIRLEAD_BUILD'], 'src/main', f) for f in ('fairleadd', 'fairlead')]),
                           ('stock', [peer('tailscaled'), peer('tailscale')])):
            for f in files:
                command(['strip', '-o', f'{d}/x', f])
                total[who] += os.path.getsize(f'{d}/x') / 1e6
    row('binaries, stripped', total['ours'], total['stock'], 'MB', '3 MB, 1.5 MB')


CLEAR = """
import asyncio, ssl
trust = ssl.create_default_context(); trust.check_hostname = False; trust.verify_mode = ssl.CERT_NONE
async def pump(r, w):
    try:
        while data := await r.read(65536):
            w.write(data)
    except OSError:
        pass
    w.close()
async def one(r, w):
    up_r, up_w = await asyncio.open_connection('127.0.0.1', 443, ssl=trust)
    await asyncio.gather(pump(r, up_w), pump(up_r, w))
async def main():
    await (await asyncio.start_server(one, '127.0.0.1', 8080, backlog=1000)).serve_forever()
asyncio.run(main())
"""


def crowd(lab, peers=1000):
    """Memory with many peers that nobody talks to: the generator of bench/coordinator, and TLS taken off for it."""
    public = json.loads(command(['curl', '-sk', 'https://ctl.lab/key?v=131'], ns=lab.ctl).stdout)['publicKey']
    with open(f'{lab.dir}/keys', 'w') as f:
        f.write(f'{public}\n{lab.key}\n')
    clear = lab.start(lab.ctl, ['python3', '-c', CLEAR])
    wait_until(lambda: command(['curl', '-s', 'http://127.0.0.1:8080/health'], ns=lab.ctl, ok=False).returncode == 0, 'TLS is taken off', 10)
    swarm = lab.start(lab.ctl, [os.path.join(os.environ['FAIRLEAD_BUILD'], 'bench/coordinator/bench_coordinator_swarm'), '127.0.0.1:8080', str(peers), f'{lab.dir}/keys'],
                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    print('join', file=swarm.stdin, flush=True)
    check(swarm.stdout.readline(), 'the peers joined')
    for who in ('ours', 'stock'):
        wait_until(lambda: len(lab.status(f'{who}-a')['Peer']) > peers, 'all peers are known', 120, 1)
    time.sleep(60)
    for i, what in enumerate(('RSS', 'PSS')):
        row(f'{what} idle, {peers} peers', memory(lab, 'ours-a')[i], memory(lab, 'stock-a')[i], 'MB', '20 MB, 12 MB')
    for p in (swarm, clear):
        lab.stop(p)


def main():
    want = sys.argv[2:] or ['speed', 'idle', 'relayed', 'start', 'paths', 'sizes', 'crowd']
    print(f'{"":44s} {"fairlead":>10s} {"tailscaled":>10s}')
    with NatLab('bench') as lab:
        lab.addresses = {}
        lab.serve()
        ends(lab)
        for part in want:
            globals()[part](lab)


main()
