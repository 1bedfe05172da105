"""Paths that carry less than the tunnel wants, through routers that say nothing: whatever is sent arrives whole.

The hub's end of each wire takes only so much; what is larger vanishes on the way there, and on the way back the
hub's messages about it are dropped.
"""
import os, sys, threading, time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from routelab import *

MIB = 1 << 20
PORT = 5001


def underlay(lab, size):
    for name, number in lab.numbers.items():
        lab.ip(lab.nodes[name], 'link', 'set', 'eth0', 'mtu', str(max(size, 1500)))
        lab.ip(lab.hub, 'link', 'set', f'n{number}', 'mtu', str(size))


def is_direct(lab, a, b):
    r = lab.ts(a, 'ping', '--c', '1', '--timeout', '2s', lab.ip_of(b), ok=False)
    return f'via 10.81.' in r.stdout or 'via [fd81' in r.stdout


def anew(lab):
    """Connections between daemons from the beginning."""
    def again(name):
        lab.ts(name, 'down')
        lab.ts(name, 'up', timeout=60)
    together(again, ('ours', 'mate'))
    for other in ('mate', 'stock'):
        wait_until(lambda: is_direct(lab, 'ours', other), f'ours and {other} are direct', 60)


def together(fn, items):
    """Fails as the first of them does."""
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(fn, items))


def whole(lab, size):
    def one(case):
        a, b, to, what, want = case
        got = lab.talk(lab.nodes[a], to, what, MIB, PORT, seconds=20)
        check(got == want, f'{size}: {a} asks {b} at {to} to {what}: {got or "nothing"}')
    pairs = [(a, b) for other in ('mate', 'stock') for a, b in (('ours', other), (other, 'ours'))]
    together(one, [(a, b, lab.ip_of(b, v), what, want) for a, b in pairs for v in (4, 6)
                   for what, want in (('give', str(MIB)), ('take', 'whole'))])


def add(size):
    @test(f'1 MiB arrives whole in both directions over an underlay of {size} without ICMP, ours with ours and with stock')
    def run_one(lab):
        underlay(lab, size)
        anew(lab)
        whole(lab, size)


for size in (9000, 1500, 1400, 1280, 1200):
    add(size)


@test('a path that becomes narrow under connections in both directions holds them up for a moment, no more')
def becomes_narrow(lab):
    underlay(lab, 1500)
    anew(lab)
    time.sleep(3)  # the path is proved for full size
    n = 160 * 65536  # some ten seconds
    cases = [(a, b) for other in ('stock', 'mate') for a, b in (('ours', other), (other, 'ours'))]
    done = {}
    def drip(case):
        t = time.monotonic()
        got = lab.talk(lab.nodes[case[0]], lab.ip_of(case[1]), 'drip', n, PORT, seconds=60)
        done[case] = (got, round(time.monotonic() - t, 1))
    threads = [threading.Thread(target=drip, args=(c,)) for c in cases]
    for t in threads:
        t.start()
    time.sleep(2)
    check(not done, 'they are not over yet')
    underlay(lab, 1280)
    for t in threads:
        t.join(110)
    check(len(done) == len(cases) and all(got == 'whole' for got, _ in done.values()), f'{done}')
    print(f'# {done}')


def make(lab):
    command(['nft', '-f', '-'], ns=lab.hub, stdin='''
table inet silent {
	chain output {
		type filter hook output priority 0
		icmp type { destination-unreachable, time-exceeded } drop
		icmpv6 type { destination-unreachable, packet-too-big, time-exceeded } drop
	}
}
''')
    for number, (name, ours) in enumerate((('ours', True), ('mate', True), ('stock', False)), 1):
        lab.join(name, number, ours)
        lab.server(lab.nodes[name], PORT)


main('mtu', make)
