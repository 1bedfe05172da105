"""A node relays between two others that find no direct way: ours and stock in each part.

All clients sit behind NATs that no pair of them can get through; the relays have public addresses.
"""
import re, sys, time
from concurrent.futures import ThreadPoolExecutor

from natlab import *
from netlab import run_tests, test

NODES = {'ours': 'symmetric', 'ours2': 'symmetric', 'stock': 'symmetric', 'stock2': 'symmetric', 'relay-ours': 'open', 'relay-stock': 'open'}
ANYBODY = {'src': ['*'], 'dst': ['*'], 'ip': ['*']}


def grant(lab, relay):
    """Everybody may use this relay, and no other."""
    lab.policy({'grants': [ANYBODY, {'src': ['*'], 'dst': [lab.addresses[relay]], 'app': {'tailscale.com/cap/relay': []}}]})


def metric(lab, relay, name):
    text = lab.ts(relay, 'metrics', 'print').stdout
    return sum(int(float(v)) for v in re.findall(rf'^tailscaled_peer_relay_{name}(?:{{.*}})? ([0-9.e+]+)$', text, re.M))


def by_relay(lab, a, b):
    """The two end on the peer relay, and packets pass."""
    wait_until(lambda: lab.ping_path(a, lab.addresses[b], 4) == 'peer-relay', f'{a} reaches {b} by the peer relay', 180, 1)
    wait_until(lambda: lab.pings(a, lab.addresses[b]), f'a packet of {a} reaches {b}', 20)


def forget(lab):
    """No relay is allowed, and nobody remembers one: all start anew."""
    lab.policy({'grants': [ANYBODY]})
    clients = [n for n in lab.hosts if not n.startswith('relay')]
    for name in clients:
        lab.stop(lab.daemons[name])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: lab.daemon(name, name.startswith('stock')), clients))
    for name in clients:
        wait_until(lambda: lab.status(name)['BackendState'] == 'Running', f'{name} runs again', 40)


@test('all nodes join')
def join(lab):
    def start(name):
        lab.daemon(name, 'stock' in name)
        lab.up(name)
        lab.addresses[name] = lab.ip_of(name)
    lab.serve()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start, NODES))
    check(lab.ping_path('ours', lab.addresses['stock'], 3) == 'derp', 'no direct way, and no relay that is allowed')


@test('our node relays between ours and stock, and between two stock nodes')
def ours_serves(lab):
    lab.ts('relay-ours', 'set', '--relay-server-port=40000')
    grant(lab, 'relay-ours')
    by_relay(lab, 'ours', 'stock')
    by_relay(lab, 'stock', 'ours')
    by_relay(lab, 'stock', 'stock2')
    by_relay(lab, 'ours', 'ours2')


@test('its metrics and the status of a client tell of it')
def told(lab):
    check(metric(lab, 'relay-ours', 'endpoints') >= 3, 'endpoints')
    before = metric(lab, 'relay-ours', 'forwarded_bytes_total')
    lab.pings('ours', lab.addresses['stock'])
    check(before > 0 and metric(lab, 'relay-ours', 'forwarded_bytes_total') > before, 'bytes that were carried')
    peers = {p['HostName']: p for p in lab.status('ours')['Peer'].values()}
    check(':40000:vni:' in peers['stock']['PeerRelay'], f"status says {peers['stock']['PeerRelay']!r}")
    check('peer-relay' in lab.ts('ours', 'status').stdout, 'status names the peer relay')


@test('TCP passes through the relay')
def tcp(lab):
    server = lab.start(lab.hosts['stock'], [tool('iperf3'), '-s', '-1'])
    time.sleep(0.5)
    r = command([tool('iperf3'), '-c', lab.addresses['stock'], '-t', '2', '-J'], ns=lab.hosts['ours'], ok=False, timeout=40)
    lab.stop(server)
    report = json.loads(r.stdout)
    check('error' not in report, report.get('error'))
    mbit = report['end']['sum_received']['bits_per_second'] / 1e6
    print(f'# {mbit:.0f} Mbit/s by our relay')
    check(mbit > 5, f'{mbit} Mbit/s')


@test('the stock relay carries between ours and ours, and ours and stock')
def stock_serves(lab):
    forget(lab)
    lab.ts('relay-ours', 'set', '--relay-server-port=')
    lab.ts('relay-stock', 'set', '--relay-server-port=40000')
    grant(lab, 'relay-stock')
    by_relay(lab, 'ours', 'ours2')
    by_relay(lab, 'ours2', 'stock')
    by_relay(lab, 'stock2', 'ours')


@test('a relay that dies is given up for DERP, and packets pass again')
def dies(lab):
    lab.stop(lab.daemons['relay-stock'])
    wait_until(lambda: lab.pings('ours', lab.addresses['ours2'], 1), 'a packet by DERP', 30)
    wait_until(lambda: lab.ping_path('ours', lab.addresses['ours2'], 2) == 'derp', 'the path is DERP', 40)


@test('who has no grant gets no endpoint')
def no_grant(lab):
    forget(lab)
    lab.ts('relay-ours', 'set', '--relay-server-port=40000')
    time.sleep(1)
    lab.ping_path('ours', lab.addresses['stock'], 3)
    check(lab.ping_path('ours', lab.addresses['stock'], 4) == 'derp', 'still DERP')
    check(metric(lab, 'relay-ours', 'endpoints') == 0, 'no endpoint')


if __name__ == '__main__':
    with NatLab('prel') as lab:
        lab.addresses = {}
        for name, kind in NODES.items():
            lab.host(name, kind)
        sys.exit(run_tests(lab))
