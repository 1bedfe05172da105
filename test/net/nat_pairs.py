"""Every pair of {ours, stock} behind every pair of NATs ends direct, or relayed, as two stock nodes do or better.

All hosts of all kinds are one tailnet, started once. FAIRLEAD_NAT_PAIRS=all tries the whole matrix (minutes),
FAIRLEAD_NAT_PAIRS=stock the stock nodes among themselves, which is where the table is from.
"""
import os, sys, threading, time
from concurrent.futures import ThreadPoolExecutor

from natlab import *
from netlab import run_tests, test

ORDER = ['open', 'fw', 'fullcone', 'restricted', 'portres', 'symmetric', 'cgnat', 'noudp', 'ipv6']
# D: direct. R: no better than a relay. Row and column in the order above, upper half.
TABLE = {
    'open':       'DDDDDDDRD',
    'fw':          'DDDDRRRR',
    'fullcone':     'DDDDDRR',
    'restricted':    'DDDDRR',
    'portres':        'DRRRR',
    'symmetric':       'RRRR',
    'cgnat':            'RRR',
    'noudp':             'RR',
    'ipv6':               'D',
}
# What the quick run tries: each kind with each rule at least once, all three ways round.
QUICK = [('open', 'symmetric'), ('open', 'noudp'), ('open', 'ipv6'), ('fw', 'portres'), ('fw', 'symmetric'), ('fullcone', 'cgnat'),
         ('fullcone', 'symmetric'), ('restricted', 'symmetric'), ('restricted', 'cgnat'), ('portres', 'symmetric'), ('fullcone', 'portres'),
         ('portres', 'cgnat'), ('symmetric', 'cgnat'), ('cgnat', 'noudp'), ('restricted', 'ipv6'), ('noudp', 'ipv6')]
SAME = ['portres', 'symmetric', 'ipv6', 'fw']
MODE = os.environ.get('FAIRLEAD_NAT_PAIRS', 'quick')


def expected(a, b):
    i, j = sorted((ORDER.index(a), ORDER.index(b)))
    return TABLE[ORDER[i]][j - i]


def settles(lab, a, b):
    """How a reaches b in the end, and after how long a direct path stood; '' if it does not."""
    address, start = lab.addresses[b], time.monotonic()
    way = ''
    while time.monotonic() - start < 45:
        way = lab.ping_path(a, address, 6 if expected(lab.kinds[a], lab.kinds[b]) == 'D' else 2, '--until-direct') or way
        if way == 'direct' or (way and expected(lab.kinds[a], lab.kinds[b]) == 'R'):
            break
    return way, time.monotonic() - start


def try_pairs(lab, pairs):
    """Several at a time: they do not touch each other's mappings."""
    wrong = []

    def one(pair):
        a, b = pair
        way, took = settles(lab, a, b)
        want = expected(lab.kinds[a], lab.kinds[b])
        lab.results.append((a, b, way, took))
        if not way or (want == 'D' and way != 'direct'):
            wrong.append(f'{a} to {b}: {way or "nothing"} after {took:.1f} s, should be {want}')
        elif not lab.pings(a, lab.addresses[b], 5) and not lab.pings(a, lab.addresses[b], 10):
            wrong.append(f'{a} to {b}: {way}, but no packet passes')
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, pairs))
    check(not wrong, '\n'.join(sorted(wrong)))


def pairs_of(one, other):
    """Which hosts to pair: those called ONE-kind with those called OTHER-kind."""
    if MODE != 'quick':
        kinds = [(a, b) for i, a in enumerate(ORDER) for b in ORDER[i:]]
    else:
        kinds = QUICK + [(k, k) for k in SAME]
    pairs = []
    for a, b in kinds:
        second = f'{other}2' if one == other and a == b else other
        if f'{one}-{a}' in LAB.hosts and f'{second}-{b}' in LAB.hosts:
            pairs.append((f'{one}-{a}', f'{second}-{b}'))
    return pairs


@test('all nodes join, behind whatever NAT')
def join(lab):
    def start(name):
        lab.daemon(name, name.startswith('stock'))
        lab.up(name)
        lab.addresses[name] = lab.ip_of(name)
    lab.serve()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start, lab.hosts))
    for name in lab.hosts:
        wait_until(lambda: len(lab.status(name)['Peer'] or {}) == len(lab.hosts) - 1, f'{name} knows all others', 40)


if MODE != 'stock':
    @test('ours with ours')
    def ours(lab):
        try_pairs(lab, pairs_of('ours', 'ours'))

    @test('ours with stock')
    def ours_stock(lab):
        try_pairs(lab, pairs_of('ours', 'stock'))

    @test('stock with ours')
    def stock_ours(lab):
        try_pairs(lab, pairs_of('stock', 'ours'))

if MODE != 'quick':
    @test('stock with stock, for the table')
    def stock(lab):
        try_pairs(lab, pairs_of('stock', 'stock'))


if __name__ == '__main__':
    with NatLab() as LAB:
        LAB.addresses, LAB.results = {}, []
        for kind in ORDER:
            for who in ('ours', 'stock'):
                if MODE != 'stock' or who == 'stock':
                    LAB.host(f'{who}-{kind}', kind)
                if (MODE == 'quick' and who == 'ours' and kind in SAME) or MODE == 'all' or (MODE == who):
                    LAB.host(f'{who}2-{kind}', kind)
        status = run_tests(LAB)
        for a, b, way, took in sorted(LAB.results):
            print(f'# {a:18s} {b:18s} {way:8s} {took:5.1f} s')
        sys.exit(status)
