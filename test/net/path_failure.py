"""TCP goes on when the direct path dies, a relay or the control server is killed, a machine sleeps.

A stream of small writes runs through the tunnel; what is judged is the longest pause between two of them,
measured at the receiver. A direct path that dies is left within 5 seconds in each direction (1 to 2 are seen).
"""
import sys

from streams import *
from netlab import pids, run_tests, said_of, test


@test('all nodes join and find direct paths')
def join(lab):
    join_all(lab)


@test('a direct path that dies is left for the relay')
def dead_path(lab):
    survives(lab, PAIRS, 'UDP died', lambda: lab.cut('ours', 'meta l4proto udp'), 5, lambda: lab.mend('ours'))
    check(lab.ping_path('ours', lab.addresses['ours2'], 1, '--until-direct=false') == 'derp', 'the path is DERP')
    lab.mend('ours')
    direct(lab, *PAIRS)


@test('the relay is killed and comes back while it carries')
def relay_dies(lab):
    lab.cut('ours', 'meta l4proto udp')
    try:
        wait_until(lambda: lab.pings('ours', lab.addresses['ours2']), 'packets pass by the relays', 30)

        def happens():
            lab.stop(lab.relay, 9)
            lab.stop(lab.server, 9)
            time.sleep(0.5)
            lab.start_relay()
            lab.start_server()
        survives(lab, PAIRS[:2], 'relays killed', happens, 40)
    finally:
        lab.mend('ours')


@test('the control server is killed and back: peers keep talking, and hear of each other again')
def control_away(lab):
    direct(lab, *PAIRS)
    lab.stop(lab.server, 9)
    for a, b in PAIRS:
        check(lab.pings(a, lab.addresses[b], 5), f'{a} reaches {b}')
    lab.start_server()
    lab.ts('ours', 'set', '--hostname=moved')
    wait_until(lambda: any(p['HostName'] == 'moved' for p in lab.status('ours2')['Peer'].values()), 'control is back and passes things on', 60)
    lab.ts('ours', 'set', '--hostname=ours')


@test('a node that slept for a while goes on where it was')
def sleep_wake(lab):
    direct(lab, *PAIRS)
    daemons = [str(p) for p in pids(lab.hosts['ours']) if 'fairleadd' in said_of(p, 'comm')]
    command(['kill', '-STOP'] + daemons)
    time.sleep(12)
    command(['kill', '-CONT'] + daemons)
    for a, b in PAIRS:
        wait_until(lambda: lab.pings(a, lab.addresses[b], 1), f'{a} reaches {b}', 30)


if __name__ == '__main__':
    with StreamLab('fail') as lab:
        sys.exit(run_tests(lab))
