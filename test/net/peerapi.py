"""The PeerAPI of ours and of stock, each asked by the other; DNS follows the exit node through it, both ways round.

The upstream that a node has in its own resolv.conf tells which node a question went through.
"""
import base64, socket

from dnslab import *
from dnsstub import wire_name

DNS = {'Proxied': True, 'Domains': ['ts.test'], 'Routes': {'corp.test': [{'Addr': '10.88.0.4'}]}, 'ExitNodeFilteredSet': ['.secret.test', 'one.test.']}
OUR_RESOLVER, STOCK_RESOLVER = '10.88.0.2', '10.88.0.3'


def url_of(lab, asker, who):
    """Where the asker is told that the other's PeerAPI is, first of IPv4."""
    return next((p['PeerAPIURL'][0] for p in lab.status(asker)['Peer'].values() if p['HostName'] == who and p['PeerAPIURL']), None)


def curl(lab, who, url, *args):
    r = command(['curl', '-sS', '-m', '10', '-w', '\n%{http_code}', *args, url], ns=lab.ns[who], ok=False, timeout=20)
    body, _, code = r.stdout.rpartition('\n')
    return code, body


@test('each learns where the other serves it')
def announced(lab):
    lab.up_all('--accept-dns')
    for asker, who in (('stock', 'ours'), ('ours', 'stock')):
        wait_until(lambda: url_of(lab, asker, who), f'{asker} is told of the PeerAPI of {who}', 20)
    url = url_of(lab, 'stock', 'ours')
    check(url.startswith(f'http://{lab.addresses("ours")[0]}:'), url)
    check(int(url.rsplit(':', 1)[1]) >= 0x8000, url)
    urls = [p['PeerAPIURL'] for p in lab.status('stock')['Peer'].values() if p['HostName'] == 'ours'][0]
    check(len(urls) == 2 and '[fd7a:' in urls[1], f'both families: {urls}')


@test('ping --peerapi goes both ways')
def ping(lab):
    for asker, who in (('stock', 'ours'), ('ours', 'stock')):
        url = url_of(lab, asker, who)
        said = None

        def hit():
            nonlocal said
            said = lab.cli(asker, 'ping', '--peerapi', '-c', '1', who, ok=False)
            return f'hit peerapi of {lab.addresses(who)[0]} ({who}.ts.test.) at {url} in' in said.stdout

        try:
            wait_until(hit, f'{asker} reaches {who}', 30)
        except Failure:
            raise Failure(f'{asker} does not reach {who}: {said.stdout}{said.stderr}')


@test('a TSMP ping tells the port')
def tsmp(lab):
    port = url_of(lab, 'stock', 'ours').rsplit(':', 1)[1]
    wait_until(lambda: port in lab.cli('stock', 'ping', '--tsmp', '-c', '1', 'ours', ok=False).stdout, 'the port is in the pong', 20)


@test('a page greets the peer, and others are turned away')
def page(lab):
    url = url_of(lab, 'stock', 'ours')
    code, body = curl(lab, 'stock', url + '/')
    check(code == '200' and 'Your device is stock.' in body and lab.addresses('stock')[0] in body, f'{code} {body}')
    six = [p['PeerAPIURL'] for p in lab.status('stock')['Peer'].values() if p['HostName'] == 'ours'][0][1]
    check(curl(lab, 'stock', six + '/', '-g')[0] == '200', 'by IPv6')
    check(curl(lab, 'stock', url + '/', '-H', 'Host: peer')[0] == '200', 'the host may be called peer')
    check(curl(lab, 'stock', url + '/', '--http2-prior-knowledge')[0] == '200', 'HTTP/2')
    for more in (['-H', 'Host: evil.example'], ['-H', 'Origin: http://evil.example'], ['-H', 'Referer: http://x/'], ['-H', 'Host: 10.88.0.20:80']):
        check(curl(lab, 'stock', url + '/', *more)[0] == '403', f'{more} is refused')
    check(curl(lab, 'stock', url + '/nothing')[0] == '404', 'an unknown page')
    headers = curl(lab, 'stock', url + '/', '-i', '-H', 'User-Agent: Mozilla/5.0')[1]
    check('Content-Security-Policy' in headers and 'X-Frame-Options' in headers, headers)
    check('Content-Security-Policy' not in curl(lab, 'stock', url + '/', '-i')[1], 'no guards for programs')


@test('who is no peer gets nothing, not even on the wire')
def stranger(lab):
    lab.ip(lab.hub, 'route', 'add', lab.addresses('ours')[0], 'via', lab.at('ours'))
    host, port = url_of(lab, 'stock', 'ours').removeprefix('http://').split(':')
    r = command(['curl', '-sS', '-m', '3', f'http://{host}:{port}/'], ns=lab.hub, ok=False)
    check(r.returncode and 'Hello' not in r.stdout, f'a stranger was answered: {r.stdout}')
    lab.ip(lab.hub, 'route', 'del', lab.addresses('ours')[0])


@test('one peer may not have all connections')
def limits(lab):
    host, port = url_of(lab, 'stock', 'ours').removeprefix('http://').split(':')
    script = ('import socket,sys,time\n'
              's=[socket.create_connection((sys.argv[1],int(sys.argv[2])),10) for _ in range(40)]\n'
              'time.sleep(1)\n'
              'alive=0\n'
              'for c in s:\n'
              '    try:\n'
              '        c.setblocking(False); alive += c.recv(1) != b""\n'
              '    except BlockingIOError: alive += 1\n'
              '    except OSError: pass\n'
              'print(alive)')
    alive = int(command([sys.executable, '-c', script, host, port], ns=lab.ns['stock'], timeout=40).stdout)
    check(0 < alive <= 16, f'{alive} of 40 connections stayed')
    wait_until(lambda: curl(lab, 'stock', f'http://{host}:{port}/')[0] == '200', 'and it is served again')


def doh(lab, asker, who, name, post=False):
    query = b'\0\0\1\0\0\1\0\0\0\0\0\0' + wire_name(name) + b'\0\1\0\1'
    url = url_of(lab, asker, who) + '/dns-query'
    if post:
        path = lab.path('query.bin')
        with open(path, 'wb') as f:
            f.write(query)
        return curl(lab, asker, url, '-H', 'Content-Type: application/dns-message', '--data-binary', '@' + path, '-o', lab.path('answer.bin'))
    return curl(lab, asker, url + '?dns=' + base64.urlsafe_b64encode(query).decode().rstrip('='), '-o', lab.path('answer.bin'))


def answer(lab):
    with open(lab.path('answer.bin'), 'rb') as f:
        return f.read()


@test('nobody may resolve through a node that offers no exit')
def denied(lab):
    code, body = curl(lab, 'stock', url_of(lab, 'stock', 'ours') + '/dns-query?q=www.example.com')
    check(code == '403' and 'DNS access denied' in body, f'{code} {body}')
    code, _ = curl(lab, 'ours', url_of(lab, 'ours', 'stock') + '/dns-query?q=www.example.com')
    check(code == '403', 'as stock does')


@test('an exit node answers DNS over HTTP as stock does')
def serves(lab):
    for who in ('ours', 'stock'):
        lab.cli(who, 'set', '--advertise-exit-node')
    for asker, who in (('stock', 'ours'), ('ours', 'stock')):
        url = url_of(lab, asker, who)
        wait_until(lambda: curl(lab, asker, url + '/dns-query?q=www.example.com')[0] == '200', f'{who} serves {asker}', 20)
        expect = '192.0.2.2' if who == 'ours' else '192.0.2.3'
        check(json.loads(curl(lab, asker, url + '/dns-query?q=www.example.com')[1]) == [expect], 'the JSON form')
        check(curl(lab, asker, url + '/dns-query')[0] == '400', 'no question')
        check(curl(lab, asker, url + '/dns-query?dns=!!')[0] == '400', 'no base64')
        check(curl(lab, asker, url + '/dns-query', '-X', 'PUT')[0] == '400', 'another method')
        check(curl(lab, asker, url + '/dns-query', '--data', 'x')[0] == '400', 'another type')
        check(curl(lab, asker, url + '/dns-query', '--data', 'x', '-H', 'Content-Type: application/dns-message')[0] == '500', 'no query')
        for post in (False, True):
            check(doh(lab, asker, who, 'www.example.com', post)[0] == '200', 'a question')
            check(answer(lab).endswith(socket.inet_aton(expect)), f'the address: {answer(lab)}')
        for name in ('a.secret.test', 'one.test'):
            check(doh(lab, asker, who, name)[0] == '200' and answer(lab)[3] & 15 == 5, f'{who} refuses {name}')
        check(doh(lab, asker, who, 'two.one.test')[0] == '200' and answer(lab)[3] & 15 == 0, 'below a whole name is another')


def follows(lab, user, exit, resolver):
    name = f'{user}-by-{exit}.example.com'
    lab.cli(user, 'set', '--advertise-exit-node=false')
    lab.cli(exit, 'set', '--exit-node=')
    lab.cli(exit, 'set', '--advertise-exit-node')
    wait_until(lambda: lab.cli(user, 'set', f'--exit-node={exit}', ok=False).returncode == 0, f'{user} may use {exit}')
    wait_until(lambda: lab.short(user, name) == ['192.0.2.' + resolver.split('.')[-1]], f'{user} resolves through {exit}', 30)
    seen = [q for q in lab.asked() if q[2] == name and q[0] == resolver]
    check({q[4] for q in seen} == {lab.at(exit)}, f'asked by the exit alone: {seen}')
    check(lab.short(user, f'{exit}.ts.test') == [lab.addresses(exit)[0]], 'names of the tailnet are answered here')
    check('NXDOMAIN' in lab.dig(user, 'nobody.ts.test'), 'and those there are not as well')
    lab.dig(user, f'{user}-host.corp.test')
    corp = [q for q in lab.asked() if q[2] == f'{user}-host.corp.test']
    check(corp and all(q[4] == lab.at(exit) for q in corp), f'split routes follow the exit too: {corp}')
    lab.cli(user, 'set', '--exit-node=')
    wait_until(lambda: lab.short(user, f'{user}-home.example.com'), 'without the exit as before', 30)
    home = [q for q in lab.asked() if q[2] == f'{user}-home.example.com']
    check(all(q[4] == lab.at(user) for q in home), f'asked by itself: {home}')


@test('our questions follow a stock exit node')
def ours_by_stock(lab):
    follows(lab, 'ours', 'stock', STOCK_RESOLVER)


@test("a stock node's questions follow our exit node")
def stock_by_ours(lab):
    follows(lab, 'stock', 'ours', OUR_RESOLVER)


if __name__ == '__main__':
    with DnsLab('peerapi', {'ours': 'ours', 'stock': 'stock'}, DNS, upstreams=[OUR_RESOLVER, STOCK_RESOLVER, '10.88.0.4'], exits=True,
                resolv={'ours': OUR_RESOLVER, 'stock': STOCK_RESOLVER}) as lab:
        sys.exit(run_tests(lab))
