"""Namespaces, links and programs for tests with real peers, and TAP output.

A test is a function decorated with @test("sentence that is true when it passes"); run_tests() runs them
in order and prints TAP. Everything a Lab made is undone when it is closed, also after a failure.

Names are made unique by the process id, as /var/run/wireguard is shared by all namespaces.
"""
import atexit, glob, os, shutil, signal, subprocess, sys, tempfile, time, traceback

PEERS = os.environ.get('FAIRLEAD_PEERS', '/var/cache/fairlead-peers/bin')
BUILD = os.environ.get('FAIRLEAD_BUILD', 'build')


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def peer(name):
    """The path of a real peer; skips the test (or fails, with FAIRLEAD_REQUIRE_PEERS=1) if it is missing."""
    path = os.path.join(PEERS, name)
    if os.access(path, os.X_OK):
        return path
    if os.environ.get('FAIRLEAD_REQUIRE_PEERS') == '1':
        raise Failure(f'{path} is missing')
    raise Skip(f'{path} is missing')


def unpacked(name, file):
    """A program that tools/peers unpacked from a package of the distribution, and the environment it needs."""
    root = os.path.join(PEERS, 'debian', name)
    found = [p for p in glob.glob(f'{root}/**/*.so*', recursive=True)]
    return peer(f'debian/{name}/{file}'), {'LD_LIBRARY_PATH': ':'.join(sorted({os.path.dirname(p) for p in found}))}


def tool(name):
    """The path of a program of the system, as peer()."""
    path = shutil.which(name)
    if path:
        return path
    if os.environ.get('FAIRLEAD_REQUIRE_PEERS') == '1':
        raise Failure(f'{name} is not installed')
    raise Skip(f'{name} is not installed')


def check(condition, what):
    if not condition:
        raise Failure(what)


def wait_until(condition, what, seconds=30.0, step=0.05):
    """The first true value of condition(); a failure if there is none in time."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f'not within {seconds} s: {what}')
        time.sleep(step)


def command(args, ns=None, stdin=None, ok=True, timeout=30):
    """Runs a command (a list) and gives its output; a failure if it fails and ok is true."""
    if ns:
        args = ['ip', 'netns', 'exec', ns] + args
    r = subprocess.run(args, input=stdin, capture_output=True, text=True, timeout=timeout)
    if ok and r.returncode:
        raise Failure(f"{' '.join(args)}: {r.stderr.strip() or r.stdout.strip() or r.returncode}")
    return r


def said_of(pid, file):
    """A file of /proc; '' of a process that is gone by now."""
    try:
        with open(f'/proc/{pid}/{file}') as f:
            return f.read()
    except (FileNotFoundError, ProcessLookupError):
        return ''


def descendants(pid):
    """Its children and theirs, of those that are ours by name."""
    found = [c for c in said_of(pid, f'task/{pid}/children').split() if 'fairlead' in said_of(c, 'comm')]
    return [int(c) for c in found] + [g for c in found for g in descendants(c)]


def pids(ns):
    """Who runs in a namespace. A number from a file may be another's by now; these are not."""
    return [int(pid) for pid in command(['ip', 'netns', 'pids', ns], ok=False).stdout.split()]


def send(pid, signo):
    """A signal, to a process that may be gone by now."""
    try:
        os.kill(pid, signo)
    except ProcessLookupError:
        pass


def kill_together(pid):
    """Kills all parts of our daemon at one moment, so that none can tidy up after another."""
    parts = []
    while True:
        more = [p for p in [pid] + descendants(pid) if p not in parts]
        if not more:
            break
        for p in more:
            send(p, signal.SIGSTOP)
        parts += more
    for p in parts:
        send(p, signal.SIGKILL)
    # The first is the test's own child, who is waited for elsewhere.
    wait_until(lambda: not any(os.path.exists(f'/proc/{p}/exe') for p in parts[1:]), 'all parts are dead', 20)


class Lab:
    """Namespaces and what runs in them. Use as: with Lab('name') as lab: ..."""

    def __init__(self, name):
        self.tag = f'{os.getpid() % 10000}'
        self.name = name
        self.namespaces, self.processes = [], []
        self.folder = tempfile.mkdtemp(prefix=f'fl-{name}-')
        atexit.register(self.close)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def namespace(self, name):
        ns = f'fl-{self.name}-{self.tag}-{name}'
        command(['ip', 'netns', 'add', ns])
        self.namespaces.append(ns)
        self.ip(ns, 'link', 'set', 'lo', 'up')
        return ns

    def ip(self, ns, *args, ok=True):
        return command(['ip', '-n', ns] + list(args), ok=ok)

    def veth(self, a, name_a, addresses_a, b, name_b, addresses_b):
        """A wire between two namespaces."""
        command(['ip', 'link', 'add', name_a, 'netns', a, 'type', 'veth', 'peer', 'name', name_b, 'netns', b])
        for ns, name, addresses in ((a, name_a, addresses_a), (b, name_b, addresses_b)):
            for address in addresses:
                self.address(ns, name, address)
            self.ip(ns, 'link', 'set', name, 'up')

    def address(self, ns, dev, address):
        nodad = ['nodad'] if ':' in address else []
        self.ip(ns, 'address', 'add', address, 'dev', dev, *nodad)

    def start(self, ns, args, env=None, log=None, **kw):
        """A program in the background; ended with the lab."""
        out = open(log, 'w') if log else subprocess.DEVNULL
        p = subprocess.Popen(['ip', 'netns', 'exec', ns] + args, stdin=kw.pop('stdin', subprocess.DEVNULL), stdout=kw.pop('stdout', out),
                             stderr=kw.pop('stderr', out), env=dict(os.environ, **(env or {})), start_new_session=True, **kw)
        self.processes.append(p)
        return p

    def capture(self, ns, dev, expression):
        return Capture(self, ns, dev, expression)

    def stop(self, p, sig=signal.SIGTERM):
        if p.poll() is None:
            p.send_signal(sig)
            try:
                p.wait(15)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        if p in self.processes:
            self.processes.remove(p)

    def close(self):
        for p in list(self.processes):
            self.stop(p)
        for ns in self.namespaces:
            command(['ip', 'netns', 'del', ns], ok=False)
        self.namespaces = []
        shutil.rmtree(self.folder, ignore_errors=True)


class Capture:
    """Packets on an interface that match. stop() gives them as lines."""
    count = 0

    def __init__(self, lab, ns, dev, expression):
        Capture.count += 1
        self.lab, self.file = lab, os.path.join(lab.folder, f'capture{Capture.count}')
        self.err = self.file + '.err'
        with open(self.file, 'w') as out, open(self.err, 'w') as err:
            self.p = lab.start(ns, [tool('tcpdump'), '-n', '-l', '-i', dev, '--immediate-mode', expression], stdout=out, stderr=err)
        wait_until(lambda: 'listening on' in open(self.err).read(), 'tcpdump listens', 20)

    def lines(self):
        with open(self.file) as f:
            return [line for line in f.read().splitlines() if line.strip()]

    def stop(self):
        time.sleep(0.3)
        self.lab.stop(self.p, signal.SIGINT)
        return self.lines()


def self_signed(certificate, key, *names):
    """A certificate of its own for these names ("DNS:x", "IP:y"), good for some days."""
    command(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '3',
             '-subj', '/CN=' + names[0].split(':', 1)[1], '-addext', 'subjectAltName=' + ','.join(names), '-keyout', key, '-out', certificate])


def key_pair():
    private = command(['wg', 'genkey']).stdout.strip()
    return private, command(['wg', 'pubkey'], stdin=private).stdout.strip()


def preshared_key():
    return command(['wg', 'genpsk']).stdout.strip()


TESTS = []


def test(sentence):
    def add(fn):
        TESTS.append((sentence, fn))
        return fn
    return add


def run_tests(*args):
    """Runs what @test collected, each with these arguments. FAIRLEAD_TEST picks by a part of the sentence."""
    if os.geteuid() != 0:
        print('1..0 # SKIP needs root')
        return 0
    only, failed, n = os.environ.get('FAIRLEAD_TEST'), 0, 0
    for sentence, fn in TESTS:
        if only and only not in sentence:
            continue
        n += 1
        try:
            fn(*args)
            print(f'ok {n} - {sentence}')
        except Skip as why:
            print(f'ok {n} - {sentence} # SKIP {why}')
        except Exception as e:
            failed += 1
            print(f'not ok {n} - {sentence}')
            for line in (str(e) if isinstance(e, Failure) else traceback.format_exc()).splitlines():
                print(f'# {line}')
        sys.stdout.flush()
    print(f'1..{n}')
    return 1 if failed else 0
