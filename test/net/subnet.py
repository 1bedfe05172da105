"""Networks behind nodes: ours routes for stock, stock for ours; who takes over, who is warned, who is kept out."""
import os, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from routelab import *


def routes(lab, name):
    return lab.record(name).get('subnet_routes') or []


def asks(lab, name, to, seconds=3):
    return lab.talk(lab.nodes[name], to, seconds=seconds)


def says(lab, ns, name, port):
    """A server that tells its name."""
    lab.start(ns, [sys.executable, '-c', SERVER.replace("a[0].replace('::ffff:', '').encode()", f"b'{name}'"), str(port)])


def accept(lab, name, yes=True):
    lab.ts(name, 'set', f'--accept-routes={"true" if yes else "false"}')


@test('routes are advertised, approved and accepted, with real tailscaled on either side, IPv4 and IPv6')
def advertise(lab):
    for router, client in (('ours', 'stock'), ('stock', 'ours')):
        n = lab.numbers[router]
        lab.ts(router, 'set', f'--advertise-routes=192.168.{n}.0/24,fd82:{n}::/64')
        wait_until(lambda: len(routes(lab, router)) == 2, f'{router} is approved', 20)
        host = f'192.168.{n}.10'
        accept(lab, client, False)
        check(asks(lab, client, host, 1) == '', 'not without --accept-routes')
        if client == 'ours':  # stock looks at whole maps alone, and such a change comes by itself
            wait_until(lambda: '--accept-routes is false' in ' '.join(lab.status(client)['Health'] or []), 'and it is told', 20)
        accept(lab, client)
        # The host behind sees its router: that is what SNAT does.
        wait_until(lambda: asks(lab, client, host) == f'192.168.{n}.1', f'{client} reaches {host}', 30)
        wait_until(lambda: asks(lab, client, f'fd82:{n}::10') == f'fd82:{n}::1', 'and by IPv6', 30)


@test('without SNAT the host behind our router sees who asks')
def no_snat(lab):
    ip = lab.ip_of('stock')
    lab.ip(lab.lans['ours'], 'route', 'replace', '100.64.0.0/10', 'via', '192.168.1.1')
    lab.ts('ours', 'set', '--snat-subnet-routes=false')
    wait_until(lambda: asks(lab, 'stock', '192.168.1.10') == ip, 'it sees the address in the tailnet', 30)
    lab.ts('ours', 'set', '--snat-subnet-routes=true')
    wait_until(lambda: asks(lab, 'stock', '192.168.1.10') == '192.168.1.1', 'and the router again', 30)


@test('stateful filtering lets answers through to the tailnet, and nothing new')
def stateful(lab):
    lab.ts('ours', 'set', '--snat-subnet-routes=false', '--stateful-filtering=false')
    to = lab.ip_of('mate')
    lan = lab.lans['ours']
    lab.ip(lab.nodes['mate'], 'link', 'show', 'tun0')
    # A host behind our router asks a node; the node needs the way back.
    accept(lab, 'mate')
    wait_until(lambda: lab.talk(lan, to, port=81) == '192.168.1.10', 'without it the network behind may ask nodes', 30)
    lab.ts('ours', 'set', '--stateful-filtering')
    wait_until(lambda: lab.talk(lan, to, port=81, seconds=1) == '', 'with it not', 20)
    wait_until(lambda: asks(lab, 'stock', '192.168.1.10') == lab.ip_of('stock'), 'answers pass', 30)
    counted = command(['nft', 'list', 'counter', 'inet', 'fairlead', 'drop-new-forward'], ns=lab.nodes['ours']).stdout
    check('packets 0' not in counted, f'and what was dropped is counted: {counted}')
    lab.ts('ours', 'set', '--snat-subnet-routes=true', '--stateful-filtering=false')


@test('a person can read packets and bytes of each peer and direction in the firewall')
def counters(lab):
    name = lab.status('stock')['Self']['DNSName']
    mine = lab.ip_of('stock')
    asks(lab, 'stock', '192.168.1.10')
    text = command(['nft', 'list', 'table', 'inet', 'fairlead'], ns=lab.nodes['ours']).stdout
    for direction in ('in', 'out'):
        section = text[text.index(f'set peers-{direction}4'):].split('\t}')[0]
        line = next((x for x in section.replace(',', '\n').splitlines() if mine in x), '')
        check('packets' in line and 'packets 0' not in line and 'stock' in line, f'{direction}: {line!r} in {section}')


@test('what is counted for a peer is what was sent, to the byte')
def exactly(lab):
    mine = lab.ip_of('stock')

    def counts():
        text = command(['nft', 'list', 'table', 'inet', 'fairlead'], ns=lab.nodes['ours']).stdout
        for direction in ('in', 'out'):
            section = text[text.index(f'set peers-{direction}4'):]
            words = section[section.index(mine + ' '):].split()
            yield tuple(int(words[words.index(w) + 1]) for w in ('packets', 'bytes'))
    before = list(counts())
    command(['ping', '-c', '20', '-i', '0.05', '-s', '1000', '-W', '2', lab.ip_of('ours')], ns=lab.nodes['stock'])
    grown = [(p - q, b - c) for (p, b), (q, c) in zip(counts(), before)]
    check(grown == [(20, 20 * 1028)] * 2, f'20 pings of 1028 bytes and their answers are counted as {grown}')


@test('a route never takes the host\'s own network away, and the overlap is told')
def overlap(lab):
    lan = lab.lans['mate']
    lab.ts('stock', 'set', '--advertise-routes=192.168.0.0/16,192.168.3.0/24')
    wait_until(lambda: set(routes(lab, 'stock')) == {'192.168.0.0/16', '192.168.3.0/24'}, 'approved', 20)
    wait_until(lambda: '192.168.0.0/16' in command(['ip', 'route', 'show', 'table', '52'], ns=lab.nodes['mate']).stdout, 'accepted', 20)
    check(asks(lab, 'mate', '192.168.3.10') == '192.168.3.1', 'its own host answers it directly')
    wait_until(lambda: asks(lab, 'mate', '192.168.2.10') == '192.168.2.1', 'and those behind the router are reached', 30)
    told = lambda: ' '.join(lab.status('mate')['Health'] or [])
    wait_until(lambda: '192.168.3.0/24' in told() and 'overlap' in told(), 'health says so', 30)
    lab.ts('stock', 'set', '--advertise-routes=192.168.3.10/32')
    wait_until(lambda: '192.168.3.10/32' in told(), 'a part of it is told, too', 30)
    check(asks(lab, 'mate', '192.168.3.10') == '192.168.3.1', 'and not taken away')
    lab.ts('stock', 'set', '--advertise-routes=192.168.2.0/24')
    wait_until(lambda: not [h for h in lab.status('mate')['Health'] or [] if 'overlap' in h], 'and not for longer than it is true', 20)


def at_site(number, ip):
    """The 4via6 address of an IPv4 address at a site, or of a network there."""
    ip, _, bits = ip.partition('/')
    a = 'fd7a:115c:a1e0:b1a:0:%x:%02x%02x:%02x%02x' % (number, *(int(x) for x in ip.split('.')))
    return f'{a}/{96 + int(bits)}' if bits else a


UDP_SERVER = '''
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(('::', 83))
while True:
    s.sendto(*s.recvfrom(65536))
'''
UDP_CLIENT = '''
import os, socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.settimeout(2)
s.connect((sys.argv[1], int(sys.argv[2])))
b = os.urandom(int(sys.argv[3]))
try:
    s.send(b)
    print('same' if s.recv(65536) == b else 'other')
except OSError as e:
    print(type(e).__name__)
'''


@test('two sites with the same addresses are told apart by 4via6: TCP, UDP, ping, refusals; stock on either side')
def via6(lab):
    for name, number in (('ours', 7), ('stock', 8)):
        ns, lan = lab.nodes[name], lab.lans[name]
        lab.address(ns, 'eth1', '10.20.0.1/24')
        lab.address(lan, 'eth0', '10.20.0.10/24')
        says(lab, lan, name, 84)
        lab.start(lan, [sys.executable, '-c', UDP_SERVER])
        lab.ts(name, 'set', f'--advertise-routes={at_site(number, "10.20.0.0/24")},{at_site(number, "127.0.0.0/8")}')
        accept(lab, name)
    udp = lambda ns, *args: command([sys.executable, '-c', UDP_CLIENT] + [str(a) for a in args], ns=ns).stdout.strip()
    for client, router, number in (('mate', 'ours', 7), ('stock', 'ours', 7), ('mate', 'stock', 8), ('ours', 'stock', 8)):
        ns, host, who = lab.nodes[client], at_site(number, '10.20.0.10'), f'{client} through {router}'
        wait_until(lambda: lab.talk(ns, host, port=84) == router, f'{who}: the host of that site answers', 30)
        check(asks(lab, client, host) == '10.20.0.1', f'{who}: it sees its router')
        check(lab.talk(ns, host, 'give', 1 << 20) == str(1 << 20), f'{who}: 1 MiB comes')
        check(lab.talk(ns, host, 'take', 1 << 20) == 'whole', f'{who}: 1 MiB goes')
        check(lab.pings(ns, host), f'{who}: ping')
        for size in (10, 1200):
            wait_until(lambda: udp(ns, host, 83, size) == 'same', f'{who}: {size} bytes of UDP', 10)
        check(lab.talk(ns, at_site(number, '10.20.0.1'), port=81) != '', f'{who}: the router\'s own address there')
        for port, to in ((85, '10.20.0.10'), (81, '127.0.0.1')):
            r = command([sys.executable, '-c', CLIENT, at_site(number, to), str(port), '4', 'who', '0'], ns=ns, ok=False)
            check('ConnectionRefused' in r.stderr, f'{who}: {to} port {port} is refused: {r.stderr or r.stdout}')
        if router == 'ours':
            wait_until(lambda: udp(ns, host, 83, 4000) == 'same', f'{who}: more than fits a packet', 10)
            check(udp(ns, host, 86, 10) == 'ConnectionRefusedError', f'{who}: nobody listens, and it is told')
    lab.ts('ours', 'set', '--snat-subnet-routes=false')
    wait_until(lambda: asks(lab, 'mate', at_site(7, '10.20.0.10')) == '10.20.0.1', 'also without SNAT: nobody knows the way back', 20)
    lab.ts('ours', 'set', '--snat-subnet-routes=true')
    lab.forwarding('ours', False)
    wait_until(lambda: 'sysctl -w net.ipv4.ip_forward=1' in ' '.join(lab.status('ours')['Health'] or []), 'IPv4 is what it must forward', 40)
    lab.forwarding('ours')


@test('a router without forwarding is told, with the command that mends it')
def forwarding(lab):
    lab.forwarding('ours', False)
    lab.ts('ours', 'set', '--advertise-routes=192.168.1.0/24')
    text = lab.ts('ours', 'status').stdout
    wait_until(lambda: 'forwarding is disabled' in ' '.join(lab.status('ours')['Health'] or []), f'health says so: {text}', 30)
    text = ' '.join(lab.status('ours')['Health'])
    check('sysctl -w net.ipv4.ip_forward=1' in text, text)
    r = lab.ts('ours', 'debug', 'localapi', 'GET', 'check-ip-forwarding').stdout
    check('IP forwarding is disabled, subnet routing/exit nodes will not work.' in r, r)
    lab.forwarding('ours')
    wait_until(lambda: 'forwarding is disabled' not in ' '.join(lab.status('ours')['Health'] or []), 'and no longer than it is true', 40)


@test('another router takes over when one dies')
def failover(lab):
    net, host = '192.168.9.0/24', '192.168.9.10'
    for name in ('ours', 'stock'):
        lab.ts(name, 'set', f'--advertise-routes={net}')
    for name in ('ours', 'stock'):
        wait_until(lambda: net in (lab.record(name).get('approved_routes') or []), f'{name} is approved', 20)
    first = wait_until(lambda: next((n for n in ('ours', 'stock') if net in routes(lab, n)), None), 'one is the primary', 20)
    other = {'ours': 'stock', 'stock': 'ours'}[first]
    wait_until(lambda: asks(lab, 'mate', host, 1) == first, f'the network behind is reached through {first}', 40)
    lab.kill(first)
    wait_until(lambda: asks(lab, 'mate', host, 1) == other, f'{other} takes over', 60)
    lab.daemon(first, first == 'ours')


def make(lab):
    for number, (name, ours) in enumerate((('ours', True), ('stock', False), ('mate', True)), 1):
        lab.node(name, number, lan=True)
        lab.forwarding(name)
        lab.daemon(name, ours)
        lab.up(name)
        lab.server(lab.nodes[name], 81)
    # The same network behind two routers, told apart by who answers.
    for name in ('ours', 'stock'):
        ns = lab.nodes[name]
        lab.ip(ns, 'link', 'add', 'same', 'type', 'bridge')
        lab.address(ns, 'same', '192.168.9.10/32')
        lab.ip(ns, 'link', 'set', 'same', 'up')
        says(lab, ns, name, 80)


main('subnet', make)
