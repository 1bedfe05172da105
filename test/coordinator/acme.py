"""The coordinator gets the certificate of its public address from an ACME server (pebble). On loopback."""
import os, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'platform'))
from webpeers import Pebble, Program, curl, free_port  # noqa: E402  (also makes netlab known)
from netlab import check, run_tests, test, wait_until  # noqa: E402

COORDINATOR = sys.argv[1]


def by(kind):
    with tempfile.TemporaryDirectory() as folder:
        http, https = free_port(), free_port()
        with Pebble(folder, http, https) as ca:
            with open(f'{folder}/config.yaml', 'w', encoding='utf-8') as f:
                f.write(f'''
server_url: https://coord.test:{https}
listen_addr: 127.0.0.1:{https}
metrics_listen_addr: ""
unix_socket: {folder}/coordinator.sock
noise: {{ private_key_path: {folder}/noise.key }}
database: {{ type: sqlite, sqlite: {{ path: {folder}/db.sqlite }} }}
prefixes: {{ v4: 100.64.0.0/10 }}
dns: {{ magic_dns: false, override_local_dns: false }}
derp: {{ server: {{ enabled: false }}, urls: [], paths: [] }}
acme_url: {ca.url}
tls_letsencrypt_hostname: coord.test
tls_letsencrypt_cache_dir: {folder}/certs
tls_letsencrypt_challenge_type: {kind}
tls_letsencrypt_listen: 127.0.0.1:{http}
''')

            def key(ok=False):
                return curl('--cacert', ca.root(), '--resolve', f'coord.test:{https}:127.0.0.1',
                            f'https://coord.test:{https}/key?v=106', ok=ok)

            with Program([COORDINATOR, 'serve', '-c', f'{folder}/config.yaml'], env={'SSL_CERT_FILE': f'{folder}/ca.crt'}):
                wait_until(lambda: b'mkey:' in key(), 'the key page comes with the certificate', 60)
                if kind == 'HTTP-01':
                    got = curl('-o', '/dev/null', '-w', '%{http_code} %{redirect_url}', f'http://127.0.0.1:{http}/admin?x')
                    check(got == b'302 https://coord.test/admin?x', got)


@test("the coordinator gets a certificate by HTTP-01 and sends plain requests on to https")
def _():
    by('HTTP-01')


@test("the coordinator gets a certificate by TLS-ALPN-01")
def _():
    by('TLS-ALPN-01')


run_tests()
