"""What the programs do when the machine runs out: disks that are full or read-only, descriptors, memory."""
import json, os, sys, time

from netlab import BUILD, Lab, check, command, run_tests, test, wait_until

CONFIG = '''
server_url: http://127.0.0.1:8080
listen_addr: 127.0.0.1:8080
metrics_listen_addr: 127.0.0.1:9090
noise: {{private_key_path: {dir}/noise.key}}
database: {{type: sqlite, sqlite: {{path: {dir}/db.sqlite}}}}
derp: {{urls: [], server: {{enabled: true, private_key_path: {dir}/derp.key, stun_listen_addr: ''}}}}
policy: {{mode: database}}
dns: {{base_domain: tail.lab, override_local_dns: false, nameservers: {{global: []}}}}
unix_socket: {dir}/sock
'''
DESCRIPTORS = 40
FLOOD = 80


def program(name):
    return os.path.join(BUILD, 'src/main', name)


class Machine(Lab):
    """One host; its disks are of the size a test wants."""

    def __init__(self):
        super().__init__('limits')
        self.ns, self.mounts, self.server = self.namespace('one'), [], None

    def disk(self, name, size):
        path = os.path.join(self.folder, name)
        os.makedirs(path)
        command(['mount', '-t', 'tmpfs', '-o', f'size={size},mode=0700', 'tmpfs', path])
        self.mounts.append(path)
        return path

    def close(self):
        for p in list(self.processes):
            self.stop(p)
        for path in self.mounts:
            command(['umount', '-l', path], ok=False)
        self.mounts = []
        super().close()

    def serve(self, folder, *limits):
        self.config = f'{folder}/c.yaml'
        with open(self.config, 'w') as f:
            f.write(CONFIG.format(dir=folder))
        self.log = os.path.join(self.folder, 'server.log')
        self.server = self.start(self.ns, [*limits, program('fairlead-coordinator'), 'serve', '-c', self.config], log=self.log)
        wait_until(lambda: self.admin('health', ok=False).returncode == 0, 'the server is healthy')

    def admin(self, *args, ok=True):
        return command([program('fairlead-coordinator'), '-c', self.config, *args], ns=self.ns, ok=ok)

    def users(self):
        return [u['name'] for u in json.loads(self.admin('users', 'list', '-o', 'json').stdout or '[]')]

    def get(self, url):
        return command(['curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}', url], ns=self.ns, ok=False).stdout

    def flood(self, port):
        """Holds more connections than the program has descriptors."""
        code = (f'import socket,sys\nv=[]\nfor i in range({FLOOD}):\n  s=socket.socket(); s.settimeout(1)\n  try: s.connect(("127.0.0.1",{port}))\n'
                '  except OSError: pass\n  v.append(s)\nprint("held",flush=True)\nsys.stdin.read()')
        p = self.start(self.ns, [sys.executable, '-c', code], stdin=-1, stdout=-1)
        check(p.stdout.readline().strip() == b'held', 'connections are held')
        return p


def fill(path):
    """All that is left of the disk."""
    with open(os.path.join(path, 'filler'), 'wb', buffering=0) as f:
        for size in (4096, 1):
            try:
                while True:
                    f.write(b'x' * size)
            except OSError:
                pass


@test('a coordinator whose disk is full says so, keeps what it has, and goes on when there is room')
def full(m):
    disk = m.disk('coordinator', '2m')
    m.serve(disk)
    m.admin('users', 'create', 'before')
    fill(disk)
    refused = None
    for i in range(200):
        r = m.admin('users', 'create', f'full{i}', ok=False)
        if r.returncode:
            refused = r
            break
    check(refused, 'a change is refused at last')
    with open(m.log) as f:
        said = refused.stderr + f.read()
    check('No space left' in said or 'disk is full' in said, said[-400:])
    kept = m.users()
    check('before' in kept and f'full{i}' not in kept, f'{kept}')
    os.unlink(f'{disk}/filler')
    m.admin('users', 'create', 'after')
    m.stop(m.server)
    m.serve(disk)
    check(sorted(m.users()) == sorted(kept + ['after']), 'what was there is there after a restart')
    m.stop(m.server)


@test('a coordinator out of descriptors waits and answers again')
def descriptors(m):
    m.serve(m.disk('few', '8m'), 'prlimit', f'--nofile={DESCRIPTORS}')
    p = m.flood(8080)
    time.sleep(1)
    check(m.server.poll() is None, 'it runs')
    m.stop(p)
    wait_until(lambda: m.get('http://127.0.0.1:8080/health') == '200', 'it answers')
    m.admin('users', 'create', 'still')
    m.stop(m.server)


@test('a relay out of descriptors waits and answers again; one whose key cannot be kept says why')
def relay(m):
    disk = m.disk('relay', '64k')
    args = [program('fairlead-relay'), '--plain-listen=127.0.0.1:8081', '--listen=', '--http-listen=', '--stun=false',
            f'--key-file={disk}/relay.key']
    fill(disk)
    r = command([*args], ns=m.ns, ok=False, timeout=20)
    check(r.returncode and 'relay.key' in r.stderr and 'No space left' in r.stderr, r.stderr)
    os.unlink(f'{disk}/filler')
    server = m.start(m.ns, ['prlimit', f'--nofile={DESCRIPTORS}', *args])
    answers = lambda: m.get('http://127.0.0.1:8081/derp/probe') == '200'
    wait_until(answers, 'it serves')
    p = m.flood(8081)
    time.sleep(1)
    check(server.poll() is None, 'it runs')
    m.stop(p)
    wait_until(answers, 'it answers')
    m.stop(server)


@test('a node that cannot keep its key says why; with a full disk it starts as who it was, and its state stays whole')
def node(m):
    disk = m.disk('node', '64k')
    sock, log = os.path.join(m.folder, 'node.sock'), os.path.join(m.folder, 'node.log')
    args = [program('fairleadd'), '--tun=ts0', f'--statedir={disk}', f'--socket={sock}', '--port=0']

    def start_and_end():
        p = m.start(m.ns, args, log=log)
        wait_until(lambda: command([program('fairlead'), f'--socket={sock}', 'debug', 'prefs'], ns=m.ns, ok=False).returncode == 0, 'it answers')
        m.stop(p)

    def state():
        with open(f'{disk}/fairleadd.state') as f:
            return json.load(f)

    fill(disk)
    r = command(args, ns=m.ns, ok=False, timeout=20)
    check(r.returncode and 'fairleadd.state' in r.stderr and 'No space left' in r.stderr, r.stderr)
    os.unlink(f'{disk}/filler')
    start_and_end()
    before = state()
    check(before['_machinekey'], 'a key')
    fill(disk)
    start_and_end()
    check(state() == before, 'as it was, with a full disk')
    os.unlink(f'{disk}/filler')
    command(['mount', '-o', 'remount,ro', disk])
    r = command(args, ns=m.ns, ok=False, timeout=20)
    check(r.returncode and 'fairleadd.state' in r.stderr and 'Read-only file system' in r.stderr, r.stderr)
    check(state() == before, 'as it was, where nothing can be written')
    command(['mount', '-o', 'remount,rw', disk])
    start_and_end()
    check(state() == before, 'who it was')


@test('a node, a relay and a coordinator run with little memory')
def memory(m):
    disk = m.disk('little', '8m')
    m.serve(disk, 'prlimit', f'--data={32 << 20}')
    check(m.get('http://127.0.0.1:8080/health') == '200', 'the coordinator answers')
    m.stop(m.server)
    relay = m.start(m.ns, ['prlimit', f'--data={32 << 20}', program('fairlead-relay'), '--plain-listen=127.0.0.1:8081', '--listen=',
                           '--http-listen=', '--stun=false', f'--key-file={disk}/relay.key'])
    wait_until(lambda: m.get('http://127.0.0.1:8081/derp/probe') == '200', 'the relay answers')
    m.stop(relay)
    sock = os.path.join(m.folder, 'little.sock')
    p = m.start(m.ns, ['prlimit', f'--data={32 << 20}', program('fairleadd'), '--tun=ts1', f'--statedir={disk}', f'--socket={sock}', '--port=0'])
    wait_until(lambda: command([program('fairlead'), f'--socket={sock}', 'debug', 'prefs'], ns=m.ns, ok=False).returncode == 0, 'the node answers')
    m.stop(p)


if __name__ == '__main__':
    with Machine() as lab:
        sys.exit(run_tests(lab))
