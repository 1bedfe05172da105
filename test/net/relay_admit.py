"""Who gets into our relay: by a verifier, when the verifier is away, by a list."""
import http.server, json, re, sys, tempfile, threading

from netlab import *

LOAD = os.path.join(BUILD, 'bench/relay/derpload')
RELAY = os.path.join(BUILD, 'src/main/fairlead-relay')
PORT = 21000 + os.getpid() % 10000


class Verifier:
    """Answers as `answer` says: a status and a body; remembers what it was asked."""

    def __init__(self):
        outer = self
        self.answer, self.asked = (200, '{"Allow":true}'), []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer.asked.append(json.loads(self.rfile.read(int(self.headers['Content-Length']))))
                status, body = outer.answer
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self.server.server_port}/verify'
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Relay:
    def __init__(self, *args):
        self.dir = tempfile.mkdtemp(prefix='fl-admit-')
        self.p = subprocess.Popen([RELAY, '--key-file', f'{self.dir}/key', '--stun=no', '--listen=', '--http-listen=',
                                   '--plain-listen', f'127.0.0.1:{PORT}'] + list(args), stderr=subprocess.DEVNULL)
        wait_until(lambda: self.get('/healthz') == 'ok\n', 'the relay serves')

    def get(self, path):
        return command(['curl', '-s', '-m', '2', f'http://127.0.0.1:{PORT}{path}'], ok=False).stdout

    def count(self, name):
        return int(re.search(rf'^fairlead_relay_{re.escape(name)} (\d+)$', self.get('/metrics'), re.M).group(1))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.terminate()
        self.p.wait()
        shutil.rmtree(self.dir)


def gets_in(seed=1):
    r = subprocess.run([LOAD, '-a', f'127.0.0.1:{PORT}', '-n', '1', '-I', '-w', '0.05', '-d', '0.05', '-k', str(seed)],
                       capture_output=True, text=True, timeout=20)
    return r.returncode == 0


@test('the verifier is asked for the key and the address, and its yes is a yes')
def allowed():
    v = Verifier()
    with Relay('--verify-url', v.url) as r:
        check(gets_in(), 'refused')
        check(v.asked[0]['NodePublic'].startswith('nodekey:') and v.asked[0]['Source'] == '127.0.0.1', f'{v.asked}')
        check(gets_in() and len(v.asked) == 1, 'the answer was kept')
        check(r.count('admit_cached_total') == 1, 'and counted')
    v.close()


@test('a no, another status and an answer that is no JSON all refuse')
def refused():
    v = Verifier()
    with Relay('--verify-url', v.url) as r:
        for seed, answer in ((1, (200, '{"Allow":false}')), (2, (500, '{"Allow":true}')), (3, (200, 'yes')), (4, (200, '{}'))):
            v.answer = answer
            check(not gets_in(seed), f'{answer} let it in')
        check(r.count('closed_total{reason="denied"}') == 4, 'counted')
    v.close()


@test('while the verifier is away fail-open lets strangers in and fail-closed does not')
def away():
    with Relay('--verify-url', 'http://127.0.0.1:1/verify') as r:
        check(gets_in(), 'refused, though it fails open')
        check(r.count('admit_away_open_total') == 1, 'counted')
    with Relay('--verify-url', 'http://127.0.0.1:1/verify', '--verify-fail-open=no') as r:
        check(not gets_in(), 'let in, though it fails closed')


@test('one the verifier has let in before gets in while it is away')
def known():
    v = Verifier()
    with Relay('--verify-url', v.url, '--verify-fail-open=no', '--verify-cache', '0s') as r:
        check(gets_in(1), 'refused')
        v.close()
        check(gets_in(1), 'forgotten')
        check(not gets_in(2), 'a stranger got in')


@test('only keys on the list get in, and a reload closes those taken off it')
def listed():
    with Relay() as r:
        check(gets_in(7), 'refused')
        p = subprocess.Popen([LOAD, '-a', f'127.0.0.1:{PORT}', '-n', '1', '-I', '-w', '3', '-d', '1', '-k', '7'], stderr=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL)
        keys = wait_until(lambda: re.findall(r'^(nodekey:\S+) node ', r.get('/debug/'), re.M), 'it is listed')
        p.wait()
    path = tempfile.mktemp(prefix='fl-keys-')
    with open(path, 'w') as f:
        f.write(f'# ours\n{keys[0]}  # a laptop\n')
    with Relay('--allowed-keys', path) as r:
        check(gets_in(7) and not gets_in(8), 'the list counts')
        p = subprocess.Popen([LOAD, '-a', f'127.0.0.1:{PORT}', '-n', '1', '-I', '-w', '8', '-d', '1', '-k', '7'], stderr=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL)
        wait_until(lambda: r.count('clients') == 1, 'it is in')
        with open(path, 'w') as f:
            f.write('')
        r.p.send_signal(signal.SIGHUP)
        wait_until(lambda: r.count('clients') == 0, 'it is out')
        p.terminate()
        p.wait()
        with open(path, 'w') as f:
            f.write('not a key\n')
        r.p.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        check(not gets_in(7), 'a broken list changes nothing')
    os.unlink(path)


@test('what cannot be listened on, and a wrong setting, end it with a message')
def failing():
    bad = subprocess.run([RELAY, '--plain-lisen', 'x'], capture_output=True, text=True)
    check(bad.returncode == 2 and 'plain-lisen' in bad.stderr, bad.stderr)
    with Relay():
        d = tempfile.mkdtemp(prefix='fl-admit-')
        r = subprocess.run([RELAY, '--key-file', f'{d}/key', '--stun=no', '--plain-listen', f'127.0.0.1:{PORT}'], capture_output=True,
                           text=True, timeout=10)
        shutil.rmtree(d)
        check(r.returncode == 1 and 'cannot listen' in r.stderr, f'{r.returncode} {r.stderr}')


if __name__ == '__main__':
    sys.exit(run_tests())
