"""The coordinator as a service: own user, fences, kill -9, full and read-only disks, copies. On loopback, as root."""
import json, os, re, signal, socket, subprocess, sys, tempfile, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'net'))
from netlab import Skip, check, run_tests, test, wait_until  # noqa: E402

OURS = sys.argv[1]


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def get(address, path):
    with socket.create_connection(address, 10) as c:
        c.sendall(f'GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'.encode())
        return b''.join(iter(lambda: c.recv(4096), b''))


class Server:
    """A folder with a configuration, and a server in it that can be started and ended in every way."""

    def __init__(self, state='state', listen=None):
        self.folder = tempfile.mkdtemp(prefix='fl-operate-')
        os.chmod(self.folder, 0o755)
        self.state = os.path.join(self.folder, state)
        self.port = free_port()
        self.config = f'{self.folder}/config.yaml'
        self.program = None
        with open(self.config, 'w', encoding='utf-8') as f:
            f.write(f'''
server_url: http://127.0.0.1:{self.port}
listen_addr: {listen or f"127.0.0.1:{self.port}"}
metrics_listen_addr: ""
unix_socket: {self.folder}/run/sock
noise: {{ private_key_path: {self.state}/noise.key }}
database: {{ sqlite: {{ path: {self.state}/db.sqlite }} }}
policy: {{ mode: database }}
dns: {{ magic_dns: false, override_local_dns: false }}
derp: {{ urls: [], server: {{ enabled: true, private_key_path: {self.state}/derp.key, stun_listen_addr: "" }} }}
''')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        subprocess.run(['umount', '-q', self.state], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(['rm', '-rf', self.folder], check=False)

    def start(self, *args, wrap=(), up=True, **more):
        self.program = subprocess.Popen([*wrap, OURS, 'serve', '-c', self.config, *args], stderr=subprocess.PIPE, **more)
        if up:
            wait_until(lambda: self.ask('health', ok=False).returncode == 0, 'the server answers')

    def stop(self, sig=signal.SIGTERM):
        """What it said."""
        if not self.program:
            return ''
        self.program.send_signal(sig)
        said = self.program.communicate(timeout=30)[1].decode()
        self.program = None
        return said

    def ask(self, *args, ok=True):
        r = subprocess.run([OURS, '-c', self.config, *args], capture_output=True, text=True, timeout=30, check=False)
        check(not ok or r.returncode == 0, f'{args}: {r.stderr}')
        return r

    def users(self):
        return [u['name'] for u in json.loads(self.ask('users', 'list', '-o', 'json').stdout)]

    def of_process(self, field):
        status = open(f'/proc/{self.program.pid}/status', encoding='utf-8').read()
        return re.search(rf'^{field}:\s*(.*)$', status, re.M).group(1).split()


@test('with --user it is that user, holds no capability and cannot gain one, and still serves a low port')
def _():
    if os.geteuid() != 0:
        raise Skip('not root')
    with Server(listen='127.0.83.7:83') as s:
        s.start('--user', 'nobody')
        nobody = str(__import__('pwd').getpwnam('nobody').pw_uid)
        check(set(s.of_process('Uid')) == {nobody}, s.of_process('Uid'))
        for field in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
            check(int(s.of_process(field)[0], 16) == 0, field)
        check(s.of_process('NoNewPrivs') == ['1'] and s.of_process('Seccomp') == ['2'], 'fences')
        check(s.of_process('Groups') in ([], [str(__import__('grp').getgrnam('nogroup').gr_gid)]), s.of_process('Groups'))
        check(os.stat(f'/proc/{s.program.pid}/status').st_uid == 0, 'not dumpable: its files in /proc are root\'s')
        check(b'pass' in get(('127.0.83.7', 83), '/health'), 'the low port is served')
        for name in os.listdir(s.state):
            check(os.stat(f'{s.state}/{name}').st_mode & 0o77 == 0, f'{name} is for its owner alone')
        s.ask('users', 'create', 'anna')
        os.kill(s.program.pid, signal.SIGHUP)
        check(s.users() == ['anna'], 'it serves after a reload')


@test('it takes a socket that the service manager opened, and says when it is ready')
def _():
    with Server() as s, tempfile.TemporaryDirectory() as d:
        note = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        note.bind(f'{d}/notify')
        note.settimeout(30)
        passed = socket.socket()
        passed.bind(('127.0.0.1', 0))
        passed.listen(64)
        env = {**os.environ, 'LISTEN_FDS': '1', 'LISTEN_FDNAMES': 'net', 'NOTIFY_SOCKET': f'{d}/notify'}
        shell = ['sh', '-c', f'LISTEN_PID=$$; export LISTEN_PID; exec "$@" 3<&{passed.fileno()}', 'sh']
        s.start(wrap=shell, env=env, pass_fds=[passed.fileno()])
        check(note.recv(100) == b'READY=1', 'ready')
        check(b'pass' in get(passed.getsockname(), '/health'), 'the passed socket is served')
        s.stop()
        check(note.recv(100) == b'STOPPING=1', 'stopping')


@test('killed fifty times while it writes, it has every change that was answered')
def _():
    with Server() as s:
        answered, tried = [], 0
        for kill in range(50):
            s.start()
            end = threading.Timer(0.01 + kill % 10 * 0.02, lambda p=s.program: p.kill())
            end.start()
            while True:
                tried += 1
                r = s.ask('users', 'create', f'user{tried}', ok=False)
                if r.returncode:
                    break
                answered.append(f'user{tried}')
            end.join()
            s.stop(signal.SIGKILL)
        s.start()
        there = set(s.users())
        check(set(answered) <= there, f'lost: {sorted(set(answered) - there)}')
        # Of each life, what was being written when it ended may be there or not.
        check(len(there) - len(answered) <= 50, f'{len(there)} there, {len(answered)} answered')
        check(len(answered) >= 20, f'only {len(answered)} changes were made')
        s.ask('audit', 'verify')


@test('a copy made while changes go on is whole, and comes back with restore')
def _():
    with Server() as s:
        s.start()
        s.ask('users', 'create', 'anna')
        stop = threading.Event()

        def change():
            k = 0
            while not stop.is_set():
                k += 1
                s.ask('users', 'create', f'later{k}', ok=False)

        writer = threading.Thread(target=change)
        writer.start()
        try:
            s.ask('backup', f'{s.folder}/copy')
        finally:
            stop.set()
            writer.join()
        check(s.ask('restore', f'{s.folder}/copy', ok=False).returncode == 1, 'refused while a server runs')
        s.ask('users', 'create', 'berta')
        s.stop()
        for bad in (s.config, f'{s.state}/noise.key'):
            check(s.ask('restore', bad, ok=False).returncode == 1, f'{bad} is no copy')
        s.ask('restore', f'{s.folder}/copy')
        s.start()
        check('anna' in s.users() and 'berta' not in s.users(), 'as it was when it was copied')
        s.ask('audit', 'verify')
        s.ask('users', 'create', 'carla')


@test('a second server on the same database is refused')
def _():
    with Server() as s:
        s.start()
        r = s.ask('serve', ok=False)
        check(r.returncode == 1 and 'in use' in r.stderr, r.stderr)


@test('a damaged database is refused at the start, in words')
def _():
    with Server() as s:
        s.start()
        for k in range(40):
            s.ask('users', 'create', f'user{k}')
        s.stop()
        with open(f'{s.state}/db.sqlite', 'r+b') as f:
            for page in range(2, 8):
                f.seek(4096 * page)
                f.write(b'\xa5' * 512)
        s.start(up=False)
        said = s.program.communicate(timeout=30)[1].decode()
        code, s.program = s.program.returncode, None
        check(code == 1 and 'db.sqlite' in said, said)


@test('on a full disk changes are refused in words, what was there is served, and room again is enough')
def _():
    with Server() as s:
        os.mkdir(s.state)
        if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'none', s.state], check=False).returncode:
            raise Skip('cannot mount')
        s.start()
        s.ask('users', 'create', 'anna')
        filler = os.open(f'{s.state}/filler', os.O_CREAT | os.O_WRONLY)
        try:
            while True:
                os.write(filler, b'x' * 4096)
        except OSError:
            os.close(filler)
        refused = None
        for k in range(400):
            r = s.ask('users', 'create', f'user{k}', '-o', 'json', ok=False)
            if r.returncode:
                refused = r
                break
        check(refused and 'No space left' in json.loads(refused.stderr)['error'], refused and refused.stderr)
        before = s.users()
        check('anna' in before, 'what was there is served')
        check(s.ask('users', 'create', 'nobody', ok=False).returncode == 1, 'still refused')
        os.unlink(f'{s.state}/filler')
        s.ask('users', 'create', 'berta')
        s.stop(signal.SIGKILL)
        s.start()
        check(set(s.users()) == set(before) | {'berta'}, 'what was refused is not there')


@test('on a read-only disk it says so')
def _():
    with Server() as s:
        os.mkdir(s.state)
        if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=8m', 'none', s.state], check=False).returncode:
            raise Skip('cannot mount')
        s.start()
        s.ask('users', 'create', 'anna')
        s.stop()
        subprocess.run(['mount', '-o', 'remount,ro', s.state], check=True)
        s.start(up=False)
        said = s.program.communicate(timeout=30)[1].decode()
        code, s.program = s.program.returncode, None
        check(code == 1 and ('read-only' in said.lower() or 'readonly' in said.lower()), said)


run_tests()
