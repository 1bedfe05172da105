"""Our HTTP, TLS and ACME against other people's programs: curl, openssl, pebble. All on loopback."""
import os, subprocess, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from webpeers import Pebble, Program, curl, free_port  # noqa: E402  (also makes netlab known)
from netlab import check, run_tests, test, tool, wait_until  # noqa: E402

DEMO = sys.argv[1]


class Demo(Program):
    def __init__(self, name='web.test', extra=(), http=0, https=0):
        self.http, self.https = http or free_port(), https or free_port()
        super().__init__([DEMO, str(self.http), str(self.https), name, *extra])

    def __enter__(self):
        super().__enter__()
        wait_until(lambda: 'ready' in self.text(), 'the demo is ready')
        return self


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
