"""Our relay as a service: sockets and readiness as a service manager gives and takes them, restarts under load, its unit."""
import re, socket, ssl, sys, tempfile, threading

from netlab import *

LOAD = os.path.join(BUILD, 'bench/relay/derpload')
RELAY = os.path.join(BUILD, 'src/main/fairlead-relay')
UNITS = os.path.join(os.path.dirname(__file__), '../../dist/systemd')


class Manager:
    """What systemd does for a unit with sockets and Type=notify, by hand."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix='fl-service-')
        self.sockets = {name: socket.create_server(('127.0.0.1', 0)) for name in ('tls', 'http', 'plain')}
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(f'{self.dir}/notify')
        self.told, self.pid = [], 0

    def port(self, name):
        return self.sockets[name].getsockname()[1]

    def start(self):
        """fork and exec with the descriptors at 3 and up, as LISTEN_PID must name the program itself."""
        self.pid = os.fork()
        if self.pid == 0:
            try:
                aside = [os.dup(s.fileno()) for s in self.sockets.values()]
                aside = [os.dup2(fd, 50 + i) for i, fd in enumerate(aside)]
                for i, fd in enumerate(aside):
                    os.dup2(fd, 3 + i, inheritable=True)
                log = os.open(f'{self.dir}/log', os.O_CREAT | os.O_WRONLY | os.O_APPEND)
                os.dup2(log, 2)
                env = dict(os.environ, LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(self.sockets)), LISTEN_FDNAMES=':'.join(self.sockets),
                           NOTIFY_SOCKET=f'{self.dir}/notify')
                os.execve(RELAY, [RELAY, '--key-file', f'{self.dir}/key', '--hostname', 'relay.test', '--stun=no', '--self-signed'], env)
            finally:
                os._exit(127)
        self.wait('READY=1')

    def wait(self, line):
        """Messages until one has the line; that message."""
        self.notify.settimeout(30)
        while True:
            try:
                text = self.notify.recv(4096).decode().splitlines()
            except TimeoutError:
                with open(f'{self.dir}/log') as f:
                    raise Failure(f'not told {line}: {f.read()}')
            if line in text:
                return text

    def get(self, path='/healthz'):
        return command(['curl', '-s', '-m', '5', f'http://127.0.0.1:{self.port("plain")}{path}'], ok=False).stdout

    def end(self, sig=signal.SIGTERM):
        os.kill(self.pid, sig)
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:  # a successor is not ours to wait for
            wait_until(lambda: not os.path.exists(f'/proc/{self.pid}') or open(f'/proc/{self.pid}/stat').read().split()[2] == 'Z', 'it ended')

    def close(self):
        if self.pid:
            try:
                self.end(signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.dir)


def fetch(port):
    """One page by TLS on a connection of its own; None if anything was refused or cut."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(('127.0.0.1', port), 20) as plain, context.wrap_socket(plain) as s:
            s.sendall(b'GET /derp/probe HTTP/1.1\r\nHost: relay.test\r\n\r\n')
            return s.recv(4096)
    except OSError:
        return None


@test('sockets that were passed are served by their names, and readiness is told')
def activation(m):
    m.start()
    check(m.get() == 'ok\n', 'plain')
    check((fetch(m.port('tls')) or b'').startswith(b'HTTP/1.1 200'), 'tls')
    r = command(['curl', '-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code} %{redirect_url}', f'http://127.0.0.1:{m.port("http")}/x'])
    check(r.stdout == '302 https://relay.test/x', r.stdout)


@test('a reload is told before and after')
def reload(m):
    os.kill(m.pid, signal.SIGHUP)
    m.wait('RELOADING=1')
    m.wait('READY=1')


@test('connections made while it is away are answered when it is back')
def away(m):
    m.end()
    m.wait('STOPPING=1')
    got = []
    t = threading.Thread(target=lambda: got.append(fetch(m.port('tls'))))
    t.start()
    time.sleep(0.5)
    m.start()
    t.join(30)
    check((got[0] or b'').startswith(b'HTTP/1.1 200'), f'{got}')


@test('handed over under load, again and again, no connection is refused and the successor is told of')
def handover(m):
    load = subprocess.Popen([LOAD, '-a', f'127.0.0.1:{m.port("tls")}', '-T', '-n', '10', '-r', '2000', '-w', '0.2', '-d', '30'],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    results, stop = [], False

    def ask():
        while not stop:
            results.append(fetch(m.port('tls')))
    asking = [threading.Thread(target=ask) for _ in range(3)]
    for t in asking:
        t.start()
    try:
        for _ in range(3):
            time.sleep(0.3)
            old = m.pid
            os.kill(old, signal.SIGUSR2)
            said = m.wait('READY=1')
            m.pid = int(next(line for line in said if line.startswith('MAINPID='))[8:])
            check(m.pid != old, 'another process')
            wait_until(lambda: not os.path.exists(f'/proc/{old}') or open(f'/proc/{old}/stat').read().split()[2] == 'Z', 'the old one ended')
    finally:
        stop = True
        for t in asking:
            t.join(60)
        load.terminate()
        load.wait()
    bad = sum(not (x or b'').startswith(b'HTTP/1.1 200') for x in results)
    print(f'# {len(results)} connections')
    check(len(results) >= 3 and bad == 0, f'{bad} of {len(results)} were refused or cut')
    check(m.get() == 'ok\n', 'it serves')


@test('killed under load, what connects meanwhile waits and is served')
def killed(m):
    load = subprocess.Popen([LOAD, '-a', f'127.0.0.1:{m.port("tls")}', '-T', '-n', '10', '-w', '0.5', '-d', '30'],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: 'fairlead_relay_clients 10' in m.get('/metrics'), 'the load is in')
    m.end(signal.SIGKILL)
    got = []
    t = threading.Thread(target=lambda: got.append(fetch(m.port('tls'))))
    t.start()
    time.sleep(0.3)
    m.start()
    t.join(30)
    load.terminate()
    load.wait()
    check((got[0] or b'').startswith(b'HTTP/1.1 200'), f'{got}')


@test('the units are understood, and the service is exposed little')
def units(_):
    analyze = tool('systemd-analyze')
    with tempfile.TemporaryDirectory() as d:
        for name in ('fairlead-relay.service', 'fairlead-relay.socket', 'fairlead-relay-http.socket'):
            with open(os.path.join(UNITS, name)) as f, open(f'{d}/{name}', 'w') as out:
                # The program and the manual need not be installed.
                out.write(re.sub(r'^Documentation=.*\n', '', f.read().replace('/usr/bin/fairlead-relay', os.path.abspath(RELAY)), flags=re.M))
        r = command([analyze, 'verify', '--man=no'] + [f'{d}/{n}' for n in os.listdir(d)], ok=False)
        ours = [line for line in r.stderr.splitlines() if 'fairlead' in line]
        check(not ours, f'{ours}')
        r = command([analyze, 'security', '--offline=true', '--no-pager', f'{d}/fairlead-relay.service'], ok=False)
        m = re.search(r'exposure level[^:]*: ([\d.]+)', r.stdout)
        check(m and float(m.group(1)) <= 2.5, r.stdout[-200:] + r.stderr)
        print(f'# exposure {m.group(1)}')


if __name__ == '__main__':
    manager = Manager()
    try:
        status = run_tests(manager)
    finally:
        manager.close()
    sys.exit(status)
