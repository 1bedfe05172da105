"""The time limits of WireGuard's sessions, waited for: fairlead-wg against wireguard-go, either as initiator.

Four tunnels live at the same time, so that the whole takes as long as one: two carry a ping every fifth of a
second past the 120 s after which the initiator changes keys, two are silent past the 180 s after which a key is
dead.
"""
import os, re, sys, threading, time
import netlab

netlab_tests = list(netlab.TESTS)
from tunnel import *
netlab.TESTS[:] = netlab_tests  # those of tunnel.py run there

BUSY, SILENT = 140, 186


def tunnel(lab, number, initiator):
    lab.tag = f'{os.getpid() % 1000}{number}'
    t = Tunnel(lab, initiator=initiator)
    first = t.right if initiator else t.left
    check(first.ping(), 'the first ping')
    return t, first


def busy(t, first):
    before = first.handshake_time()
    out = command(['ping', '-q', '-i', '0.2', '-w', str(BUSY), INNER[4][1 - first.which]], ns=first.ns, ok=False,
                  timeout=BUSY + 30).stdout
    sent, received = map(int, re.search(r'(\d+) packets transmitted, (\d+) received', out).groups())
    check(sent > BUSY and sent - received <= 3, out)  # the last may be under way
    between = first.handshake_time() - before
    check(119 <= between <= 136, f'{between} s between the handshakes')


def silent(t, first):
    before = first.handshake_time()
    time.sleep(SILENT)
    other = t.left if first is t.right else t.right
    check(other.ping(), 'from the responder, after the key died')
    check(first.ping(), 'and back')
    check(other.handshake_time() - before >= SILENT - 1, 'no new handshake')


@test('keys change on time under traffic without a loss, and dead keys are replaced, either side initiating')
def _():
    failures = []

    def live(number, what, initiator):
        try:
            with Lab('rekey') as lab:
                what(*tunnel(lab, number, initiator))
        except Exception as why:
            failures.append(f'{what.__name__}, initiator {"go" if initiator else "ours"}: {why}')

    cases = [(busy, 0), (busy, 1), (silent, 0), (silent, 1)]
    threads = [threading.Thread(target=live, args=(n, *case)) for n, case in enumerate(cases)]
    for th in threads:
        th.start()
    for th in threads:
        th.join()
    check(not failures, '; '.join(failures))


if __name__ == '__main__':
    sys.exit(run_tests())
