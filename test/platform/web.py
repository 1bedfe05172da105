"""Our HTTP, TLS and ACME against other people's programs: curl, openssl, pebble. All on loopback."""
import json, os, socket, subprocess, sys, tempfile, time, urllib.request, ssl

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'net'))
from netlab import Failure, check, run_tests, test, tool, wait_until  # noqa: E402

DEMO = sys.argv[1]


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Program:
    """A program in the background, ended with the block."""

    def __init__(self, args, env=None):
        self.log = tempfile.TemporaryFile('w+')
        self.args, self.env = args, env

    def __enter__(self):
        self.p = subprocess.Popen(self.args, stdout=self.log, stderr=subprocess.STDOUT,
                                  env={**os.environ, **(self.env or {})})
        return self

    def text(self):
        with open(f'/proc/self/fd/{self.log.fileno()}', encoding='utf-8', errors='replace') as f:
            return f.read()

    def __exit__(self, *exc):
        self.p.terminate()
        try:
            self.p.wait(10)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()
        if exc[0]:
            sys.stderr.write(''.join('# ' + line for line in self.text().splitlines(True)[-60:]))
        self.log.close()


class Demo(Program):
    def __init__(self, name='web.test', extra=(), http=0, https=0):
        self.http, self.https = http or free_port(), https or free_port()
        super().__init__([DEMO, str(self.http), str(self.https), name, *extra])

    def __enter__(self):
        super().__enter__()
        wait_until(lambda: 'ready' in self.text(), 'the demo is ready')
        return self


def curl(*args, ok=True):
    p = subprocess.run([tool('curl'), '-sS', '--max-time', '20', '--noproxy', '*', *args], capture_output=True)
    if ok and p.returncode:
        raise Failure(f'curl {args}: {p.stderr.decode()}')
    return p.stdout


@test("curl reads a page over every version, with and without TLS")
def _():
    with Demo() as d:
        plain, tls = f'http://127.0.0.1:{d.http}/hello', f'https://127.0.0.1:{d.https}/hello'
        for args, want in ((['--http1.1', plain], b'hello over h1\n'), (['--http1.0', plain], b'hello over h1\n'),
                           (['--http2-prior-knowledge', plain], b'hello over h2\n'),
                           (['-k', '--http1.1', tls], b'hello over h1\n'), (['-k', '--http2', tls], b'hello over h2\n')):
            check(curl(*args) == want, f'curl {args}')


@test("curl sends and reads back large bodies over HTTP/1.1 and HTTP/2, chunked and with a length")
def _():
    with Demo() as d, tempfile.NamedTemporaryFile() as f:
        body = os.urandom(3 << 20)
        f.write(body)
        f.flush()
        for version in ('--http1.1', '--http2'):
            for extra in ([], ['-H', 'Transfer-Encoding: chunked'], ['-H', 'Expect: 100-continue']):
                if version == '--http2' and extra:
                    continue
                got = curl('-k', version, *extra, '--data-binary', f'@{f.name}', f'https://127.0.0.1:{d.https}/echo')
                check(got == body, f'echo with {version} {extra}: {len(got)} bytes')
            check(len(curl('-k', version, f'https://127.0.0.1:{d.https}/big')) == 8 << 20, f'big with {version}')


@test("curl makes many requests over one connection and hears of wrong methods and paths")
def _():
    with Demo() as d:
        urls = [f'https://127.0.0.1:{d.https}/hello'] * 20
        check(curl('-k', '--http1.1', *urls) == b'hello over h1\n' * 20, 'twenty in a row')
        check(curl('-k', '--http2', '--parallel', *urls) == b'hello over h2\n' * 20, 'twenty at once')
        for method, path, want in (('POST', '/hello', b'405'), ('GET', '/nowhere', b'404'), ('GET', '/../hello', b'404')):
            got = curl('-k', '-o', '/dev/null', '--path-as-is', '-w', '%{http_code}', '-X', method,
                       f'https://127.0.0.1:{d.https}{path}')
            check(got == want or path.startswith('/..'), f'{method} {path}: {got}')
        head = curl('-k', '-I', f'https://127.0.0.1:{d.https}/hello')
        check(b'content-length: 14' in head.lower(), head)


@test("openssl s_client agrees on TLS 1.2 and 1.3, and is refused below")
def _():
    with Demo() as d:
        for version, want in (('-tls1_2', True), ('-tls1_3', True), ('-tls1_1', False)):
            p = subprocess.run([tool('openssl'), 's_client', version, '-connect', f'127.0.0.1:{d.https}', '-servername',
                                'web.test', '-alpn', 'h2,http/1.1'], input=b'', capture_output=True, timeout=20)
            check((b'ALPN protocol: h2' in p.stdout) == want, f'{version}: {p.stdout[-300:]}')


class Pebble:
    """An ACME server with a name server that sends every name to 127.0.0.1."""

    def __init__(self, folder, http, tls, bad_nonces=5):
        self.folder, self.port, self.mgmt, self.dns = folder, free_port(), free_port(), free_port()
        subprocess.run([tool('openssl'), 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
                        '-keyout', f'{folder}/ca.key', '-out', f'{folder}/ca.crt', '-subj', '/CN=pebble', '-addext',
                        'subjectAltName=IP:127.0.0.1,DNS:localhost', '-days', '2'], check=True, capture_output=True)
        with open(f'{folder}/pebble.json', 'w', encoding='utf-8') as f:
            json.dump({'pebble': {'listenAddress': f'127.0.0.1:{self.port}',
                                  'managementListenAddress': f'127.0.0.1:{self.mgmt}',
                                  'certificate': f'{folder}/ca.crt', 'privateKey': f'{folder}/ca.key',
                                  'httpPort': http, 'tlsPort': tls, 'ocspResponderURL': '',
                                  'externalAccountBindingRequired': False}}, f)
        self.names = Program([tool('pebble-challtestsrv'), '-dns01', f'127.0.0.1:{self.dns}', '-http01', '', '-https01', '',
                              '-tlsalpn01', '', '-management', f'127.0.0.1:{free_port()}', '-defaultIPv6', ''])
        self.server = Program([tool('pebble'), '-config', f'{folder}/pebble.json', '-dnsserver', f'127.0.0.1:{self.dns}',
                               '-strict'], env={'PEBBLE_VA_NOSLEEP': '1', 'PEBBLE_WFE_NONCEREJECT': str(bad_nonces)})

    @property
    def url(self):
        return f'https://127.0.0.1:{self.port}/dir'

    def fetch(self, url):
        ctx = ssl.create_default_context(cafile=f'{self.folder}/ca.crt')
        with urllib.request.urlopen(url, context=ctx, timeout=10) as r:
            return r.read()

    def root(self):
        path = f'{self.folder}/root.pem'
        with open(path, 'wb') as f:
            f.write(self.fetch(f'https://127.0.0.1:{self.mgmt}/roots/0'))
        return path

    def is_up(self):
        try:
            return self.fetch(self.url)
        except OSError:
            return None

    def __enter__(self):
        self.names.__enter__()
        self.server.__enter__()
        wait_until(self.is_up, 'pebble answers', 20)
        return self

    def __exit__(self, *exc):
        self.server.__exit__(*exc)
        self.names.__exit__(*exc)


def order(challenges, bad_nonces):
    with tempfile.TemporaryDirectory() as folder:
        http, https = free_port(), free_port()
        store = f'{folder}/store'
        with Pebble(folder, http, https, bad_nonces) as ca:
            extra = (ca.url, f'{folder}/ca.crt', store, str(challenges))
            with Demo('web.test', extra, http, https) as d:
                wait_until(lambda: 'certificate\n' in d.text(), 'a certificate comes', 60)
                got = curl('--cacert', ca.root(), '--resolve', f'web.test:{https}:127.0.0.1', f'https://web.test:{https}/hello')
                check(got == b'hello over h2\n', got)
            check(os.stat(store).st_mode & 0o777 == 0o700, 'the folder is for us alone')
            for name in ('account.key', 'web.test.pem'):
                check(os.stat(f'{store}/{name}').st_mode & 0o777 == 0o600, f'{name} is for us alone')
            before = open(f'{store}/web.test.pem', 'rb').read()
            with Demo('web.test', extra, http, https) as d:
                got = curl('--cacert', ca.root(), '--resolve', f'web.test:{https}:127.0.0.1', f'https://web.test:{https}/hello')
                check(got == b'hello over h2\n', 'the stored certificate serves at once')
            check(open(f'{store}/web.test.pem', 'rb').read() == before, 'no second order for one that is fresh')


@test("pebble gives a certificate by HTTP-01, which is stored and served")
def _():
    order(1, 0)


@test("pebble gives a certificate by TLS-ALPN-01, though it rejects half the nonces")
def _():
    order(2, 50)


@test("a challenge that cannot be met fails with pebble's reason and is tried again later")
def _():
    with tempfile.TemporaryDirectory() as folder:
        http, https = free_port(), free_port()
        with Pebble(folder, free_port(), free_port()) as ca:
            with Demo('web.test', (ca.url, f'{folder}/ca.crt', f'{folder}/store', '3'), http, https) as d:
                wait_until(lambda: 'trying again in' in d.text(), 'the failure is told', 60)
                check('certificate\n' not in d.text(), 'no certificate')
                got = curl('-k', f'https://127.0.0.1:{https}/hello')
                check(got == b'hello over h2\n', 'what was there goes on')


run_tests()
