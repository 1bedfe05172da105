"""The control protocol's corners, with clients that can be told what to ask and with stock tailscaleds."""
import base64, datetime, json, os, re, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import coordlab
from netlab import check, command, self_signed, test, tool, wait_until


@test('a client in a browser joins by WebSocket, and its pings are answered')
def websocket(w):
    w.serve()
    w.admin('users', 'create', 'lab')
    w.reusable = w.key('--user', '1', '--reusable')
    m = w.client('-ws', '-ping', 'join', w.reusable, 'page')
    check(m['Name'] == 'page.tail.lab.' and '100.64.0.1' in m['Addresses'], str(m))
    m = w.client('join', w.reusable, 'plain')
    check(m['Peers'] == ['page.tail.lab.'], str(m))


@test('an upgrade that is none is told why')
def no_upgrade(w):
    def status(*args):
        return command([tool('curl'), '-s', '-o', '/dev/null', '-w', '%{http_code}', *args, f'{coordlab.SERVER}/ts2021'], ns=w.ns).stdout
    ws = ['-H', 'Connection: Upgrade', '-H', 'Upgrade: websocket', '-H', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==']
    check(status() == '400', 'a plain GET')
    check(status('-X', 'POST') == '400', 'a plain POST')
    check(status(*ws, '-H', 'Sec-WebSocket-Version: 13') == '400', 'no subprotocol')
    check(status(*ws, '-H', 'Sec-WebSocket-Version: 12', '-H', 'Sec-WebSocket-Protocol: tailscale-control-protocol') == '426', 'an old version')
    check(status(*ws, '-H', 'Sec-WebSocket-Version: 13', '-H', 'Sec-WebSocket-Protocol: tailscale-control-protocol') == '400', 'no handshake')


@test('of many machines that come with one one-off key at once, one is let in')
def race(w):
    r = w.client('race', w.key('--user', '1'), '24')
    check(r == {'In': 1, 'Errors': {'authkey already used': 23}}, str(r))


@test('an SSH session that is checked waits for an administrator, whose yes holds for the period')
def ssh_check(w):
    w.daemon('a')
    w.daemon('b')
    w.join('a', w.reusable)
    w.join('b', w.reusable, '--ssh')
    rule = {'action': 'check', 'src': ['lab@'], 'dst': ['lab@'], 'users': ['root'], 'checkPeriod': '1h'}
    w.policy({'acls': [{'action': 'accept', 'src': ['*'], 'dst': ['*:*']}], 'ssh': [rule]})
    link = lambda said: re.search(r'/auth/(\S+)', said())
    p, said = w.ssh('a', 'b')
    id = wait_until(lambda: link(said), 'a link', 20).group(1)
    page = command([tool('curl'), '-s', f'{coordlab.SERVER}/auth/{id}'], ns=w.ns).stdout
    check('SSH session' in page and id in page, page)
    check(w.admin('auth', 'register', '--auth-id', id, '--user', 'lab', ok=False).returncode == 1, 'it is no new node')
    w.admin('auth', 'approve', '--auth-id', id)
    check(p.wait(20) == 0 and 'let in' in said(), said())
    for end in (lambda: None, w.kill):
        end()
        wait_until(lambda: w.node('a').get('online') and w.node('b').get('online'), 'connected', 30)
        p, said = w.ssh('a', 'b')
        check(p.wait(20) == 0 and 'let in' in said() and not link(said), said())
    w.policy({'acls': [{'action': 'accept', 'src': ['*'], 'dst': ['*:*']}], 'ssh': [dict(rule, checkPeriod='always')]})
    p, said = w.ssh('a', 'b')
    id = wait_until(lambda: link(said), 'asked again', 20).group(1)
    w.admin('auth', 'reject', '--auth-id', id)
    check(p.wait(20) != 0 and 'let in' not in said(), said())


@test('a check is told to nobody but the node that is asked for the session')
def ssh_check_of_others(w):
    a, b = w.node('a')['id'], w.node('b')['id']
    w.client('-keys', f'{w.dir}/eve', 'join', w.reusable, 'eve')
    r = w.client('-keys', f'{w.dir}/eve', 'call', 'GET', f'/machine/ssh/action/{a}/to/{b}?local_user=root')
    check(r['Status'] == 401, str(r))


def verify(token, jwks, folder):
    """The claims of an ES256 token, its signature checked by openssl against a JWKS."""
    raw = lambda text: base64.urlsafe_b64decode(text + '=' * (-len(text) % 4))
    head, claims, signature = token.split('.')
    key = next(k for k in jwks['keys'] if k['kid'] == json.loads(raw(head))['kid'])
    spki = bytes.fromhex('3059301306072a8648ce3d020106082a8648ce3d03010703420004') + raw(key['x']) + raw(key['y'])
    number = lambda b: (lambda v: b'\x02' + bytes([len(v)]) + v)((b'\0' if b[0] & 0x80 else b'') + b)
    r, s = (number(part.lstrip(b'\0')) for part in (raw(signature)[:32], raw(signature)[32:]))
    for name, content in (('key', spki), ('sig', b'0' + bytes([len(r + s)]) + r + s), ('text', f'{head}.{claims}'.encode())):
        with open(f'{folder}/{name}', 'wb') as f:
            f.write(content)
    command(['openssl', 'pkey', '-pubin', '-inform', 'DER', '-in', f'{folder}/key', '-out', f'{folder}/pem'])
    command(['openssl', 'dgst', '-sha256', '-verify', f'{folder}/pem', '-signature', f'{folder}/sig', f'{folder}/text'])
    return json.loads(raw(claims))


@test('a node gets a token that others can verify by what is published')
def id_token(w):
    fetch = lambda url: json.loads(command([tool('curl'), '-sf', url], ns=w.ns).stdout)
    about = fetch(f'{coordlab.SERVER}/.well-known/openid-configuration')
    check(about['issuer'] == coordlab.SERVER, str(about))
    os.environ['TAILSCALE_USE_WIP_CODE'] = '1'  # the command is hidden without
    token = w.ts('a', 'id-token', 'vault.example').stdout.strip()
    claims = verify(token, fetch(about['jwks_uri']), w.dir)
    want = {'iss': coordlab.SERVER, 'aud': 'vault.example', 'sub': 'a.tail.lab', 'nid': w.node('a')['id'], 'user': 'tail.lab:lab'}
    check(all(claims[k] == v for k, v in want.items()), str(claims))
    w.restart()
    wait_until(lambda: w.node('a').get('online'), 'back', 30)
    verify(token, fetch(about['jwks_uri']), w.dir)


@test('a node is asked by an administrator, and answers')
def c2n(w):
    id = str(w.node('a')['id'])
    ask = lambda *args: w.admin('nodes', 'ask', '-i', id, *args).stdout.strip()
    check(ask('/echo', '--data', 'halloo') == 'halloo', 'an echo')
    check('ControlURL' in ask('/debug/prefs'), 'its preferences')
    check('unknown c2n path' in ask('/no/such/thing'), 'its refusal')
    r = w.admin('nodes', 'ask', '-i', str(w.node('eve')['id']), '/echo', ok=False)
    check(r.returncode == 1 and 'not connected' in r.stderr, r.stderr)


@test('attributes of a device decide by postures who sees whom, until they end')
def postures(w):
    policy = {'postures': {'posture:prod': ["custom:tier == 'prod'", "node:os == 'linux'"]},
              'attrConfig': {'custom:tier': {'type': 'string', 'allowSetByNode': True}},
              'acls': [{'action': 'accept', 'src': ['lab@'], 'dst': ['lab@:*'], 'srcPosture': ['posture:prod']}]}
    w.policy(policy)
    wait_until(lambda: not w.peers('a') and not w.peers('b'), 'apart', 20)
    id = str(w.node('a')['id'])
    end = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=6)).strftime('%Y-%m-%dT%H:%M:%SZ')
    w.admin('nodes', 'attribute', '-i', id, '-n', 'custom:tier', '--value', 'prod', '-e', end)
    wait_until(lambda: 'b' in w.peers('a') and 'a' in w.peers('b'), 'together', 20)
    wait_until(lambda: not w.peers('a') and not w.peers('b'), 'apart again when it ended', 30)
    patch = lambda update: w.client('-keys', f'{w.dir}/eve', 'call', 'PATCH', '/machine/set-device-attr',
                                    json.dumps({'Version': 142, 'NodeKey': 'NODEKEY', 'Update': update}))
    check(patch({'custom:tier': 'prod'})['Status'] == 200, 'a node sets what the policy lets it')
    check(patch({'custom:other': 'x'})['Status'] == 403, 'and nothing else')
    check(patch({'custom:tier': {}})['Status'] == 400, 'values are simple')
    w.policy({'acls': [{'action': 'accept', 'src': ['*'], 'dst': ['*:*']}]})


@test('a role makes a user one of its autogroup')
def roles(w):
    w.policy({'acls': [{'action': 'accept', 'src': ['autogroup:admin'], 'dst': ['*:*']}]})
    wait_until(lambda: not w.peers('a'), 'nobody is', 20)
    w.admin('users', 'role', '-i', '1', '-r', 'admin')
    wait_until(lambda: 'b' in w.peers('a'), 'lab is', 20)
    w.admin('users', 'role', '-i', '1', '-r', 'member')
    wait_until(lambda: not w.peers('a'), 'lab is not any more', 20)
    w.policy({'acls': [{'action': 'accept', 'src': ['*'], 'dst': ['*:*']}]})


@test('what a node reports is kept or logged, and what is not offered says so')
def reports(w):
    def call(method, path, **body):
        r = w.client('-keys', f'{w.dir}/eve', 'call', method, path, json.dumps(dict(body, NodeKey='NODEKEY')))
        return r['Status'], r['Body']
    check(call('POST', '/machine/update-health', Subsys='router', Error='no route')[0] == 204, 'health')
    check('no route' in open(f'{w.dir}/server.log').read(), 'in the log')
    check(call('POST', '/machine/audit-log', Version=142, Action='DISCONNECT_NODE', Details='travelling')[0] == 200, 'audit')
    check(any(e['action'] == 'client.DISCONNECT_NODE' for e in w.json('audit', 'list')), 'in the audit log')
    w.admin('audit', 'verify')
    check(call('POST', '/machine/audit-log', Version=142, Action='no action', Details='x')[0] == 400, 'no action')
    answer = json.loads(call('POST', '/machine/feature/query', Feature='funnel')[1])
    check(answer['Complete'] is False and 'does not offer' in answer['Text'], str(answer))
    status, text = call('POST', '/machine/set-dns', Name='_acme-challenge.eve.tail.lab', Type='TXT', Value='x')
    check(status == 501 and 'acme_hook' in text, text)
    check(call('GET', '/machine/tka/init/begin')[0] == 404, 'tailnet lock')
    check(call('GET', '/machine/what/ever')[0] == 404, 'anything else')
    r = w.client('-keys', f'{w.dir}/mallory', 'call', 'POST', '/machine/id-token', json.dumps({'NodeKey': w.node('a')['node_key'], 'Audience': 'x'}))
    check(r['Status'] == 404, 'not for a key of another machine')


@test('the stock command says in words what we do not offer')
def not_offered(w):
    def says(words, *args):
        r = w.ts('a', *args, ok=False, timeout=25)
        check(words in r.stdout + r.stderr, f'{args}: {r.stdout} {r.stderr}')
        return r.stdout
    key = re.search(r'tlpub:\w+', says('NOT enabled', 'lock', 'status')).group(0)
    says('tailnet lock', 'lock', 'init', '--gen-disablements', '1', '--confirm', key)
    says('does not support getting TLS certs', 'cert', 'a.tail.lab')
    for command_ in ('funnel', 'serve'):
        says('does not offer that feature', command_, '--bg', '80')


# A DNS hook ("httpreq"): writes the record into the name server that the ACME server asks.
HOOK = '''
import json, http.server, urllib.request
class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        q = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        ways = {'/hook/present': 'set-txt', '/hook/cleanup': 'clear-txt'}
        ok = self.path in ways and self.headers.get('Authorization') == 'Basic bWU6c2VjcmV0'
        if ok:
            body = json.dumps({'host': q['fqdn'], 'value': q['value']}).encode()
            urllib.request.urlopen('http://127.0.0.1:8055/' + ways[self.path], body).read()
        self.send_response(200 if ok else 403)
        self.end_headers()
http.server.HTTPServer(('127.0.0.1', 8054), Hook).serve_forever()
'''


def certificate_authority(w):
    """Pebble and its name server in the namespace, over the operator's hook."""
    d = w.dir
    self_signed(f'{d}/ca.crt', f'{d}/ca.key', 'IP:127.0.0.1')
    with open(f'{d}/pebble.json', 'w') as f:
        json.dump({'pebble': {'listenAddress': '127.0.0.1:14000', 'managementListenAddress': '127.0.0.1:15000', 'certificate': f'{d}/ca.crt',
                              'privateKey': f'{d}/ca.key', 'httpPort': 5002, 'tlsPort': 5001}}, f)
    w.lab.start(w.ns, [tool('pebble-challtestsrv'), '-dns01', '127.0.0.1:8053', '-http01', '', '-https01', '', '-tlsalpn01', '',
                       '-management', '127.0.0.1:8055'], log=f'{d}/names.log')
    w.lab.start(w.ns, [tool('pebble'), '-config', f'{d}/pebble.json', '-dnsserver', '127.0.0.1:8053'],
                env={'PEBBLE_VA_NOSLEEP': '1', 'PEBBLE_WFE_NONCEREJECT': '0'}, log=f'{d}/pebble.log')
    w.lab.start(w.ns, [sys.executable, '-c', HOOK], log=f'{d}/hook.log')
    wait_until(lambda: command([tool('curl'), '-sk', 'https://127.0.0.1:14000/dir'], ns=w.ns, ok=False).returncode == 0, 'the authority', 20)


@test('a node gets a certificate by dns-01 where the operator has a hook for records')
def certificate(w):
    certificate_authority(w)
    os.environ['HEADSCALE_DNS_ACME_HOOK'] = 'http://me:secret@127.0.0.1:8054/hook'
    os.environ['HEADSCALE_DNS_ACME_CLEANUP_AFTER'] = '12s'
    w.restart()
    w.daemon('c', TS_DEBUG_ACME_DIRECTORY_URL='https://127.0.0.1:14000/dir', SSL_CERT_FILE=f'{w.dir}/ca.crt')
    w.join('c', w.reusable)
    check(w.status('c')['CertDomains'] == ['c.tail.lab'], str(w.status('c')['CertDomains']))
    w.ts('c', 'cert', f'--cert-file={w.dir}/c.crt', f'--key-file={w.dir}/c.key', 'c.tail.lab', timeout=60)
    text = command(['openssl', 'x509', '-noout', '-text', '-in', f'{w.dir}/c.crt']).stdout
    check('DNS:c.tail.lab' in text, text)
    record = lambda: command(['dig', '+short', '+tries=1', '-p', '8053', '@127.0.0.1', '_acme-challenge.c.tail.lab', 'TXT'], ns=w.ns, ok=False).stdout.strip()
    check(record(), 'the record is there')
    w.restart()
    wait_until(lambda: not record(), 'it is taken away', 40)
    w.admin('nodes', 'rename', '-i', str(w.node('c')['id']), 'cc')
    wait_until(lambda: w.status('c')['CertDomains'] == ['cc.tail.lab'], 'the names follow the node', 20)


if __name__ == '__main__':
    coordlab.main('cp', coordlab.World)
