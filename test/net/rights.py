"""The two parts of the daemon: who they are, what they may, and that they work so."""
import os, signal, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from routelab import *

NET_BIND_SERVICE, NET_ADMIN, NET_RAW = 1 << 10, 1 << 12, 1 << 13
HOST_PART = NET_ADMIN | 1 << 0 | 1 << 1 | 1 << 3  # and CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER


def status_of(pid):
    with open(f'/proc/{pid}/status') as f:
        return {k: v.split() for k, v in (line.split(':', 1) for line in f)}


def host_part_of(pid):
    keeper, host = descendants(pid)
    return host


def caps(s, which):
    return int(s[which][0], 16)


@test('the network part runs as its own user with two capabilities, under a filter')
def network_part(lab):
    s = status_of(lab.pid('ours'))
    check(s['Uid'] == ['12345'] * 4 and s['Gid'] == ['12345'] * 4 and s['Groups'] == [], f'{s["Uid"]} {s["Gid"]} {s["Groups"]}')
    for which in ('CapEff', 'CapPrm'):
        check(caps(s, which) == NET_RAW | NET_BIND_SERVICE, f'{which} {s[which]}')
    for which in ('CapInh', 'CapBnd', 'CapAmb'):
        check(caps(s, which) == 0, f'{which} {s[which]}')
    check(s['NoNewPrivs'] == ['1'] and s['Seccomp'] == ['2'], f'{s["NoNewPrivs"]} {s["Seccomp"]}')
    check(os.stat(f'/proc/{lab.pid("ours")}/mem').st_uid == 0, 'it cannot be read by its own user')


@test('the host part is root with the capabilities of its work, and reads no network')
def host_part(lab):
    pid = host_part_of(lab.pid('ours'))
    s = status_of(pid)
    check(s['Uid'] == ['0'] * 4, f'{s["Uid"]}')
    for which in ('CapEff', 'CapPrm', 'CapBnd'):
        check(caps(s, which) == HOST_PART, f'{which} {s[which]}')
    check(s['NoNewPrivs'] == ['1'], 'no new privileges')
    sockets = command(['ss', '-H', '-n', '-a', '-p', '-4', '-6'], ns=lab.nodes['ours']).stdout
    check(f'pid={lab.pid("ours")},' in sockets, 'the network part has sockets')
    check(f'pid={pid},' not in sockets, f'the host part has none: {sockets}')


@test('the state belongs to that user and nobody else')
def state(lab):
    for path in (lab.path('ours'), lab.path('ours', 'fairleadd.state')):
        st = os.stat(path)
        check(st.st_uid == 12345 and not st.st_mode & 0o077, f'{path}: {st.st_uid} {st.st_mode:o}')


@test('the tunnel works so, also after down and up, and after a restart')
def works(lab):
    reach = lambda: lab.pings(lab.nodes['ours'], lab.ip_of('stock'))
    wait_until(reach, 'ours reaches stock', 30)
    lab.ts('ours', 'down')
    lab.ts('ours', 'up', timeout=60)
    wait_until(reach, 'after down and up', 30)
    key = lab.status('ours')['Self']['PublicKey']
    lab.stop(lab.daemons['ours'])
    check(not os.path.exists(lab.socket('ours')), 'its socket is gone')
    lab.daemon('ours', True)
    wait_until(reach, 'after a restart', 40)
    check(lab.status('ours')['Self']['PublicKey'] == key, 'the identity is kept')


@test('if one part is killed the other ends, and the host is as before')
def together(lab):
    for victim in ('network', 'host'):
        pid = lab.pid('ours')
        other = host_part_of(pid)
        os.kill(pid if victim == 'network' else other, signal.SIGKILL)
        lab.daemons['ours'].wait(30)
        wait_until(lambda: not os.path.exists(f'/proc/{other}'), 'both have ended', 30)
        wait_until(lambda: 'fwmark' not in command(['ip', 'rule'], ns=lab.nodes['ours']).stdout, 'no rules', 20)
        wait_until(lambda: 'fairlead' not in command(['nft', 'list', 'tables'], ns=lab.nodes['ours']).stdout, 'no table', 20)
        lab.daemon('ours', True)
        wait_until(lambda: lab.pings(lab.nodes['ours'], lab.ip_of('stock')), 'it works again', 40)


@test('without such a user, or a folder out of its reach, it stays root without root\'s rights, and says so')
def fallback(lab):
    lab.stop(lab.daemons['ours'])
    os.chmod(lab.dir, 0o700)
    lab.daemon('ours', True)
    os.chmod(lab.dir, 0o711)
    s = status_of(lab.pid('ours'))
    check(s['Uid'] == ['0'] * 4 and caps(s, 'CapEff') == NET_RAW | NET_BIND_SERVICE and caps(s, 'CapBnd') == 0, f'{s["Uid"]} {s["CapEff"]}')
    check('staying root, without its rights' in lab.log('ours'), 'the log says so')
    wait_until(lambda: lab.pings(lab.nodes['ours'], lab.ip_of('stock')), 'and works', 40)
    r = command([program('fairleadd'), '--user', 'no-such-user', '--tun', 'fl-none', '--statedir', lab.path('stock'), '--socket',
                 lab.path('ours', 'other.sock')], ns=lab.nodes['ours'], ok=False)
    check(r.returncode == 1 and 'no-such-user' in r.stderr, f'a user that was named must be there: {r.returncode} {r.stderr}')


def make(lab):
    lab.join('ours', 1, True)
    lab.join('stock', 2, False)


main('rights', make)
