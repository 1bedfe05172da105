"""Our relay gets its certificate from an ACME server (pebble), by either challenge."""
import json, re, socket, ssl, sys, tempfile, urllib.request

from netlab import *

RELAY = os.path.join(BUILD, 'src/main/fairlead-relay')


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Run:
    """A program in the background for the length of a with."""

    def __init__(self, args, env=None):
        self.args, self.env = args, dict(os.environ, **(env or {}))

    def __enter__(self):
        self.log = tempfile.TemporaryFile('w+')
        self.p = subprocess.Popen(self.args, env=self.env, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        return self

    def text(self):
        self.log.seek(0)
        return self.log.read()

    def __exit__(self, *_):
        self.p.terminate()
        self.p.wait()


def fetch(url, ca):
    try:
        with urllib.request.urlopen(url, context=ssl.create_default_context(cafile=ca), timeout=5) as r:
            return r.read()
    except OSError:
        return None


def chain(port, root):
    """The verified connection's leaf name, and the names of all certificates shown."""
    out = command(['openssl', 's_client', '-connect', f'127.0.0.1:{port}', '-servername', 'relay.test', '-showcerts', '-CAfile', root,
                   '-verify_return_error'], stdin='', ok=False).stdout
    return 'Verify return code: 0' in out or 'Verification: OK' in out, re.findall(r' s:(.*)', out)


def order(http, https):
    """One of the two challenges can be met: the port of the other is one where nobody listens."""
    with tempfile.TemporaryDirectory() as d:
        port, mgmt, dns = free_port(), free_port(), free_port()
        command([tool('openssl'), 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', f'{d}/ca.key',
                 '-out', f'{d}/ca.crt', '-subj', '/CN=pebble', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'])
        ours = free_port(), free_port()
        with open(f'{d}/pebble.json', 'w') as f:
            json.dump({'pebble': {'listenAddress': f'127.0.0.1:{port}', 'managementListenAddress': f'127.0.0.1:{mgmt}',
                                  'certificate': f'{d}/ca.crt', 'privateKey': f'{d}/ca.key', 'httpPort': ours[0] if http else free_port(),
                                  'tlsPort': ours[1] if https else free_port(), 'ocspResponderURL': '', 'externalAccountBindingRequired': False}}, f)
        names = [tool('pebble-challtestsrv'), '-dns01', f'127.0.0.1:{dns}', '-http01', '', '-https01', '', '-tlsalpn01', '', '-management',
                 f'127.0.0.1:{free_port()}', '-defaultIPv6', '']
        pebble = [tool('pebble'), '-config', f'{d}/pebble.json', '-dnsserver', f'127.0.0.1:{dns}', '-strict']
        relay = [RELAY, '--key-file', f'{d}/relay.key', '--stun=no', '--hostname', 'relay.test', '--acme', f'https://127.0.0.1:{port}/dir',
                 '--acme-folder', f'{d}/acme', '--acme-challenge', 'http' if http else 'tls', '--http-listen', f'127.0.0.1:{ours[0]}', '--listen', f'127.0.0.1:{ours[1]}']
        with Run(names), Run(pebble, {'PEBBLE_VA_NOSLEEP': '1', 'PEBBLE_WFE_NONCEREJECT': '10'}):
            wait_until(lambda: fetch(f'https://127.0.0.1:{port}/dir', f'{d}/ca.crt'), 'pebble answers', 20)
            with open(f'{d}/root.pem', 'wb') as f:
                f.write(fetch(f'https://127.0.0.1:{mgmt}/roots/0', f'{d}/ca.crt'))
            with Run(relay, {'SSL_CERT_FILE': f'{d}/ca.crt'}) as r:
                wait_until(lambda: 'by ACME' in r.text() or r.p.poll() is not None, 'a certificate comes', 90, 0.2)
                good, names = chain(ours[1], f'{d}/root.pem')
                check(good, f'not verified: {names} {r.text()}')
                check('derpkey' in names[-1], f'no meta certificate: {names}')
            with Run(relay, {'SSL_CERT_FILE': f'{d}/ca.crt'}) as r:
                wait_until(lambda: 'serving' in r.text(), 'it serves again')
                good, names = chain(ours[1], f'{d}/root.pem')
                check(good and 'derpkey' in names[-1], f'the kept certificate: {names}')


@test('HTTP-01: the relay gets a certificate, serves it with its meta certificate, and keeps it')
def http01():
    order(True, False)


@test('TLS-ALPN-01: the same where port 80 cannot be reached')
def tls_alpn():
    order(False, True)


if __name__ == '__main__':
    sys.exit(run_tests())
