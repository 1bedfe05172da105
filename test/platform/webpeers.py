"""Programs in the background, curl, and an ACME server (pebble) with its name server. All on loopback."""
import json, os, socket, ssl, subprocess, sys, tempfile, urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'net'))
from netlab import Failure, tool, wait_until  # noqa: E402


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


def curl(*args, ok=True):
    p = subprocess.run([tool('curl'), '-sS', '--max-time', '20', '--noproxy', '*', *args], capture_output=True)
    if ok and p.returncode:
        raise Failure(f'curl {args}: {p.stderr.decode()}')
    return p.stdout


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
