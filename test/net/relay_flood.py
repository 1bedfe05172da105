"""Strangers who waste our relay's time and clients who do not read: each is bounded, and counted under its reason."""
import re, socket, sys, tempfile

from netlab import *

LOAD = os.path.join(BUILD, 'bench/relay/derpload')
RELAY = os.path.join(BUILD, 'src/main/fairlead-relay')
PLAIN, TLS = 21000 + os.getpid() % 5000, 26000 + os.getpid() % 5000


class Relay:
    def __init__(self, *args):
        self.dir = tempfile.mkdtemp(prefix='fl-flood-')
        self.p = subprocess.Popen([RELAY, '--key-file', f'{self.dir}/key', '--stun=no', '--self-signed', '--http-listen=', '--listen',
                                   f'127.0.0.1:{TLS}', '--plain-listen', f'127.0.0.1:{PLAIN}'] + list(args), stderr=subprocess.DEVNULL)
        wait_until(lambda: self.get('/healthz') == 'ok\n', 'the relay serves')

    def get(self, path):
        return command(['curl', '-s', '-m', '5', f'http://127.0.0.1:{PLAIN}{path}'], ok=False).stdout

    def count(self, name):
        m = re.search(rf'^fairlead_relay_{re.escape(name)} (\d+)$', self.get('/metrics'), re.M)
        return int(m.group(1)) if m else -1

    def rss(self):
        with open(f'/proc/{self.p.pid}/status') as f:
            return int(re.search(r'VmRSS:\s+(\d+)', f.read()).group(1)) / 1024

    def sound(self):
        check(self.get('/debug/check') == 'the books are in order\n', self.get('/debug/check'))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.terminate()
        self.p.wait()
        shutil.rmtree(self.dir)


def dial(port, data=b''):
    s = socket.create_connection(('127.0.0.1', port), 10)
    s.sendall(data)
    return s


def load(*args, port=PLAIN, **more):
    """A load generator in the background, all of whose clients are in."""
    p = subprocess.Popen([LOAD, '-a', f'127.0.0.1:{port}'] + [str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    while True:
        line = p.stderr.readline()
        if 'are in' in line:
            return p
        check(line or p.poll() is None, 'the load generator ended')


@test('who never finishes TLS, a request, a login or a frame is closed in time and counted under that')
def unfinished():
    hello = bytes.fromhex('16030100c8010000c40303') + b'x' * 40
    with Relay() as r:
        before = r.rss()
        half = load('-H', '-I', '-n', 10, '-w', 100, '-d', 1)
        held = [dial(TLS) for _ in range(10)] + [dial(TLS, hello) for _ in range(10)]
        held += [dial(PLAIN) for _ in range(10)] + [dial(PLAIN, b'GET /derp HTT') for _ in range(10)]
        held += [dial(PLAIN, b'GET /derp HTTP/1.1\r\nHost: r\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n' + extra) for extra in (b'', b'\x02\0\0\1\0only')
                 for _ in range(10)]
        for name, n, seconds in (('http_tls_timeout_total', 20, 40), ('closed_total{reason="login_timeout"}', 20, 40),
                                 ('http_http_timeout_total', 20, 60), ('closed_total{reason="unfinished"}', 10, 90)):
            # a client that trickles is no better off: one more byte now and then
            for s in held[10:20] + held[30:40]:
                try:
                    s.sendall(b'x')
                except OSError:
                    pass
            wait_until(lambda: r.count(name) >= n, f'{name} is {r.count(name)}', seconds, 0.5)
        check(r.count('clients') == 0 and r.count('clients_pending') == 0, 'somebody is left')
        check(r.rss() < before + 30, f'{before:.0f} MiB grew to {r.rss():.0f}')
        r.sound()
        for s in held:
            s.close()
        half.terminate()
        half.wait()


@test('a flood of connections is refused beyond its bounds, and over when it is over')
def connections():
    with Relay('--max-pending', '50') as r:
        held = [dial(TLS) for _ in range(300)]
        wait_until(lambda: socket_closed(held) >= 250, 'those beyond the bound are closed')
        for s in held:
            s.close()
        wait_until(lambda: r.count('http_refused_full_total') >= 250, 'they are counted')
        p = load('-T', '-I', '-n', 5, '-d', 0.1, '-w', 0.1, port=TLS)
        check(p.wait(20) == 0, 'honest clients get in afterwards')
        r.sound()
    with Relay('--accept-rate', '5', '--accept-burst', '20') as r:
        held = [dial(TLS) for _ in range(200)]
        wait_until(lambda: socket_closed(held) >= 100, 'those over the rate are closed')
        for s in held:
            s.close()
        wait_until(lambda: r.count('http_refused_rate_total') >= 100, 'they are counted', 60, 1)


def socket_closed(held):
    n = 0
    for s in held:
        s.setblocking(False)
        try:
            n += s.recv(1) == b''
        except BlockingIOError:
            pass
        except OSError:
            n += 1
    return n


@test('a reader that stops is closed for it, its queue is bounded, and others go on')
def slow():
    with Relay('--write-timeout', '3s', '--packet-memory', '8M') as r:
        light = load('-n', 4, '-r', 200, '-s', 200, '-w', 0.1, '-d', 10)
        before = r.rss()
        receiver = load('-n', 10, '-P', 'recv', '-k', 77, '-w', 1, '-d', 100)
        sender = load('-n', 10, '-P', 'send', '-k', 77, '-w', 1, '-d', 100)
        receiver.send_signal(signal.SIGSTOP)
        most = 0

        def closed():
            nonlocal most
            most = max(most, r.rss())
            return r.count('closed_total{reason="slow"}') == 5
        wait_until(closed, 'the stopped readers are closed', 60, 0.2)
        check(r.count('dropped_total{reason="queue_head",kind="data"}') > 0, 'the oldest were dropped')
        check(most < before + 60, f'{before:.0f} MiB grew to {most:.0f}')
        out = json_of(light)
        check(out['got'] >= out['sent'] * 0.9, f'light clients lost packets: {out}')
        r.sound()
        for p in receiver, sender:
            p.kill()
            p.wait()


def json_of(p):
    import json
    return json.loads(p.communicate(timeout=60)[0])


if __name__ == '__main__':
    sys.exit(run_tests())
