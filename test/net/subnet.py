"""Networks behind nodes: ours routes for stock, stock for ours; who takes over, who is warned, who is kept out."""
import os, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from routelab import *


def routes(lab, name):
    return lab.record(name).get('subnet_routes') or []


def asks(lab, name, to, seconds=3):
    return lab.talk(lab.nodes[name], to, seconds=seconds)


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
        check('--accept-routes is false' in ' '.join(lab.status(client)['Health'] or []), 'and it is told')
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
    lab.ts('stock', 'set', '--advertise-routes=192.168.2.0/24')
    wait_until(lambda: not [h for h in lab.status('mate')['Health'] or [] if 'overlap' in h], 'and not for longer than it is true', 20)


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
        lab.start(ns, [sys.executable, '-c', SERVER.replace("c.sendall(a[0].replace('::ffff:', '').encode())", f"c.sendall(b'{name}')"), '80'])


main('subnet', make)
