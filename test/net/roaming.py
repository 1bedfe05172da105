"""TCP goes on when a node or its gateway gets another address, or the link flaps.

A stream of small writes runs through the tunnel; what is judged is the longest pause between two of them,
measured at the receiver: under 5 seconds in each direction, with a stock node too (0.5 to 2 are seen).
"""
import sys

from streams import *
from netlab import run_tests, test

GAP = 5  # seconds


def move_host(lab, name):
    """The host gets an address of another network: a stock node keeps its relay's connection for 3 s if it is of the same."""
    ns = lab.hosts[name]
    line = command(['ip', '-4', '-o', 'address', 'show', 'dev', 'eth0'], ns=ns).stdout.split()
    old = line[line.index('inet') + 1]
    base, last = old.split('/')[0].rsplit('.', 1)
    new = f'{base}.{int(last) + 1 if int(last) % 2 == 0 else int(last) - 1}/32'
    route = command(['ip', 'route', 'show', 'default'], ns=ns).stdout.split()[2]
    lab.ip(ns, 'address', 'del', old, 'dev', 'eth0')
    lab.ip(ns, 'address', 'add', new, 'dev', 'eth0')
    lab.ip(ns, 'route', 'replace', route, 'dev', 'eth0')
    lab.ip(ns, 'route', 'replace', 'default', 'via', route)


@test('all nodes join and find direct paths')
def join(lab):
    join_all(lab)


@test('the sender gets another address')
def sender_moves(lab):
    survives(lab, PAIRS[:2], 'sender moved', lambda: move_host(lab, 'ours'), GAP)
    direct(lab, *PAIRS[:2])


@test('the receiver gets another address')
def receiver_moves(lab):
    survives(lab, [('ours2', 'ours'), ('stock', 'ours')], 'receiver moved', lambda: move_host(lab, 'ours'), GAP)
    direct(lab, *PAIRS)


@test('a stock node gets another address')
def stock_moves(lab):
    survives(lab, PAIRS[1:], 'stock moved', lambda: move_host(lab, 'stock'), GAP)
    direct(lab, *PAIRS[1:])


@test('the gateway gets another public address and forgets its mappings')
def gateway_moves(lab):
    survives(lab, PAIRS, 'gateway moved', lambda: lab.rebind('ours'), GAP)
    direct(lab, *PAIRS)


@test('the link goes down and comes back')
def flap(lab):
    def happens():
        ns = lab.hosts['ours']
        route = command(['ip', 'route', 'show', 'default'], ns=ns).stdout.split()[2]
        lab.ip(ns, 'link', 'set', 'eth0', 'down')
        time.sleep(1)
        lab.ip(ns, 'link', 'set', 'eth0', 'up')
        lab.ip(ns, 'route', 'replace', 'default', 'via', route, 'dev', 'eth0', 'onlink')
    survives(lab, PAIRS, 'link flapped', happens, GAP)
    direct(lab, *PAIRS)


if __name__ == '__main__':
    with StreamLab('roam') as lab:
        sys.exit(run_tests(lab))
