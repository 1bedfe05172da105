"""The time limits of WireGuard's sessions, waited for: fairlead-wg against wireguard-go, either as initiator.

Five tunnels live at the same time, so that the whole takes as long as one: two carry a ping every fifth of a
second past the 120 s after which the initiator changes keys, two are silent past the 180 s after which a key is
dead, and one carries 5 GB each way at full speed while its keys change.
"""
import os, re, subprocess, sys, threading, time
import netlab

netlab_tests = list(netlab.TESTS)
from tunnel import *
netlab.TESTS[:] = netlab_tests  # those of tunnel.py run there

BUSY, SILENT = 140, 186
BULK, BULK_AT = 5 * 10 ** 9, 117  # bytes each way; seconds after the handshake


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


# Both ends make the same block, of a length that nothing on the way has, and send it over and over.
BLOCK = 'import random, socket, sys; b = random.Random(sys.argv[1]).randbytes((8 << 20) + 13); '
PUSH = BLOCK + '''
s = socket.create_connection((sys.argv[1], 7777)); n = int(sys.argv[2])
while n:
    k = min(n, len(b)); s.sendall(memoryview(b)[:k]); n -= k
'''
PULL = BLOCK + '''
l = socket.create_server((sys.argv[1], 7777)); print('ready', flush=True); s, _ = l.accept(); n = 0; b += b[:1 << 20]; m = len(b) - (1 << 20)
while d := s.recv(1 << 20):
    if d != b[n % m:n % m + len(d)]: sys.exit(f'other bytes than were sent, after {n}')
    n += len(d)
print(n)
'''


def push(a, b, failures):
    """BULK bytes from side a to side b, each compared on arrival."""
    inside = lambda side: ['ip', 'netns', 'exec', side.ns, sys.executable, '-c']
    to = INNER[4][b.which]
    r = subprocess.Popen(inside(b) + [PULL, to], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        r.stdout.readline()
        subprocess.run(inside(a) + [PUSH, to, str(BULK)], check=True, capture_output=True, timeout=150)
        out, err = r.communicate(timeout=60)
        if out.strip() != str(BULK):
            failures.append(f'{out} {err}')
    except Exception as why:
        failures.append(f'{why}')
    finally:
        r.kill()


def bulk(t, first):
    before, failures = first.handshake_time(), []
    time.sleep(BULK_AT)
    threads = [threading.Thread(target=push, args=(a, b, failures)) for a, b in ((t.left, t.right), (t.right, t.left))]
    for th in threads:
        th.start()
    for th in threads:
        th.join()
    check(not failures, '; '.join(failures))
    check(first.handshake_time() > before, 'the keys did not change')
    now = drops(t.left.ifname)
    check(not any(now.get(k) for k in ('auth', 'inner', 'source', 'write-failed')), f'drops: {now}')


@test('keys change on time under traffic without a loss, 10 GB arrive meanwhile as they were sent, and dead keys are '
      'replaced, either side initiating')
def _():
    failures = []

    def live(number, what, initiator):
        try:
            with Lab('rekey') as lab:
                what(*tunnel(lab, number, initiator))
        except Exception as why:
            failures.append(f'{what.__name__}, initiator {"go" if initiator else "ours"}: {why}')

    cases = [(busy, 0), (busy, 1), (silent, 0), (silent, 1), (bulk, 0)]
    threads = [threading.Thread(target=live, args=(n, *case)) for n, case in enumerate(cases)]
    for th in threads:
        th.start()
    for th in threads:
        th.join()
    check(not failures, '; '.join(failures))


if __name__ == '__main__':
    sys.exit(run_tests())
