"""The host beside us: what others have there stays, what they take away comes back, and at our end all is as before."""
import difflib, os, random, signal, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from routelab import *

DUMP = '''ip -o addr show scope global; ip -4 route show table all; ip -6 route show table all proto static; ip -6 route show table 52
ip rule; ip -6 rule; nft list ruleset; cat /proc/sys/net/ipv4/conf/all/src_valid_mark; cat /etc/resolv.conf'''


def shell(lab, line, ok=True):
    return command(['sh', '-c', line], ns=lab.nodes['ours'], ok=ok).stdout


def dump(lab):
    return shell(lab, DUMP, ok=False)


def same(lab, before, what, dump=dump):
    def is_same():
        return dump(lab) == before
    try:
        wait_until(is_same, what, 15, 0.2)
    except Failure:
        raise Failure(what + '\n' + '\n'.join(difflib.unified_diff(before.splitlines(), dump(lab).splitlines(), 'before', 'now', lineterm='', n=0)))


def kill_all(lab):
    kill_together(lab.pid('ours'))
    lab.daemons['ours'].wait()


def reach(lab):
    wait_until(lambda: lab.pings(lab.nodes['ours'], lab.ip_of('stock'), 1), 'ours reaches stock', 40)


def start(lab):
    lab.daemon('ours', True)
    reach(lab)


def launch(lab):
    """The same command line, without waiting for anything."""
    d = lab.path('ours')
    lab.daemons['ours'] = lab.start(lab.nodes['ours'], [program('fairleadd'), '--tun=tun0', f'--statedir={d}', f'--socket={d}/sock',
                                    '--port=41641', '--user', '12345'], env={'SSL_CERT_FILE': lab.path('ctl.crt')}, log=f'{d}.log')


def cleanup(lab):
    command([program('fairleadd'), '--cleanup', '--tun', 'tun0', '--statedir', lab.path('ours')], ns=lab.nodes['ours'])


@test('an orderly end leaves the host as it was')
def orderly(lab):
    lab.stop(lab.daemons['ours'])
    lab.before = dump(lab)
    check('fairlead' not in lab.before and '5270' not in lab.before, lab.before)
    start(lab)
    check(dump(lab) != lab.before, 'something is there while it runs')
    lab.stop(lab.daemons['ours'])
    same(lab, lab.before, 'as before')


# What a node is told from its start on: whatever it is at, it may be killed there.
LIFE = '{ts} set --accept-dns --exit-node=stock; {ts} set --exit-node= --accept-routes; {ts} down; {ts} up'


def live(lab):
    """Starts, and is told one thing after another, without waiting for anything."""
    launch(lab)
    ts = f'{peer("tailscale")} --socket={lab.socket("ours")}'
    wait = f'until [ -S {lab.socket("ours")} ]; do sleep 0.01; done; '
    return lab.start(lab.nodes['ours'], ['sh', '-c', wait + LIFE.format(ts=ts)])


MOMENTS, LONGEST = 36, 2.4  # seconds after the start: the whole of such a life on a quiet machine


@test(f'killed at {MOMENTS} moments, --cleanup or merely the next start puts everything back')
def killed(lab):
    seed = int(os.environ.get('FAIRLEAD_SEED', time.time()))
    print(f'# FAIRLEAD_SEED={seed}')
    chance = random.Random(seed)
    for i in range(MOMENTS):
        delay = chance.uniform(i, i + 1) * LONGEST / MOMENTS
        told = live(lab)
        time.sleep(delay)
        kill_all(lab)
        lab.stop(told, signal.SIGKILL)
        if i % 2:
            cleanup(lab)
        else:
            lab.daemon('ours', True)
            lab.stop(lab.daemons['ours'])
        same(lab, lab.before, f'killed after {delay:.3f} s, then {"--cleanup" if i % 2 else "the next start"}')


@test('whichever part is killed alone, the others put everything back at once')
def one_killed(lab):
    lab.daemon('ours', True)
    lab.ts('ours', 'up', '--login-server', CONTROL, '--accept-dns', '--hostname=ours', '--reset')
    for which in (0, 2):
        wait_until(lambda: '100.100.100.100' in shell(lab, 'cat /etc/resolv.conf'), 'the resolver is ours', 20)
        reach(lab)
        os.kill(([lab.pid('ours')] + descendants(lab.pid('ours')))[which], signal.SIGKILL)
        lab.daemons['ours'].wait(20)
        same(lab, lab.before, f'as before, part {which} killed')
        check(not os.path.exists(lab.socket('ours')), 'the socket is gone')
        lab.daemon('ours', True)
    lab.ts('ours', 'set', '--accept-dns=false')
    wait_until(lambda: shell(lab, 'cat /etc/resolv.conf').strip() == 'nameserver 127.0.0.1', 'the file as before', 20)
    reach(lab)


@test('firewall and rules of others stay; ours come back after a flush of ruleset, rules, routes and addresses')
def foreign(lab):
    rules = 'table inet corp {\n\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n\t\ttcp dport 12345 drop\n\t}\n}\n'
    command(['nft', '-f', '-'], ns=lab.nodes['ours'], stdin=rules)
    shell(lab, 'ip rule add priority 5265 fwmark 0x7 lookup 77')
    # As a distribution's firewall is loaded anew.
    command(['nft', '-f', '-'], ns=lab.nodes['ours'], stdin='flush ruleset\n' + rules)
    wait_until(lambda: 'masquerade' in shell(lab, 'nft list table inet fairlead 2>&1', ok=False), 'our table is back', 20)
    for _ in range(3):
        shell(lab, 'ip rule del priority 5270; ip -6 rule del priority 5210')
        wait_until(lambda: '5270:' in shell(lab, 'ip rule') and '5210:' in shell(lab, 'ip -6 rule'), 'our rules are back', 20)
    for line in ('ip route flush table 52; ip -6 route flush table 52', 'ip addr flush dev tun0', 'ip link set tun0 down; ip link set tun0 up'):
        shell(lab, line)
        reach(lab)
    lab.stop(lab.daemons['ours'])
    check('tcp dport 12345 drop' in shell(lab, 'nft list ruleset') and '5265:' in shell(lab, 'ip rule'), 'theirs are there')
    shell(lab, 'nft delete table inet corp; ip rule del priority 5265')
    same(lab, lab.before, 'as before')


@test('netfilter modes: hooked, chains alone, nothing')
def modes(lab):
    start(lab)
    table = lambda: shell(lab, 'nft list table inet fairlead 2>&1', ok=False)
    lab.ts('ours', 'set', '--netfilter-mode=nodivert')
    wait_until(lambda: 'chain forward' in table() and 'hook' not in table(), 'chains that nothing jumps to', 20)
    lab.ts('ours', 'set', '--netfilter-mode=off')
    wait_until(lambda: 'No such file' in table(), 'nothing', 20)
    reach(lab)
    lab.ts('ours', 'set', '--netfilter-mode=on')
    wait_until(lambda: 'hook forward' in table(), 'hooked', 20)


@test('addresses of the tailnet from anywhere else are dropped and counted, and so are those of others from a peer')
def forged(lab):
    lan = lab.lans['ours']
    lab.address(lan, 'eth0', '100.64.0.99/32')
    lab.ip(lab.nodes['ours'], 'route', 'add', '100.64.0.99/32', 'dev', 'eth1')
    check(lab.pings(lan, '192.168.1.1'), 'under its own address it is answered')
    r = command(['ping', '-c', '1', '-W', '1', '-I', '100.64.0.99', '192.168.1.1'], ns=lan, ok=False)
    check(r.returncode != 0, 'not under one of the tailnet')
    check('packets 0' not in shell(lab, 'nft list counter inet fairlead drop-forged-source'), 'and that is counted')
    lab.ip(lab.nodes['ours'], 'route', 'del', '100.64.0.99/32', 'dev', 'eth1')
    # And a peer is believed its own alone.
    stock = lab.nodes['stock']
    lab.address(stock, 'tun0', '100.64.0.99/32')
    seen = lab.capture(lab.nodes['ours'], 'tun0', 'icmp')
    r = command(['ping', '-c', '2', '-i', '0.2', '-W', '1', '-I', '100.64.0.99', lab.ip_of('ours')], ns=stock, ok=False)
    check(r.returncode != 0 and lab.pings(stock, lab.ip_of('ours')), 'a peer is answered under its own address alone')
    lines = seen.stop()
    check(lines and not [x for x in lines if '100.64.0.99' in x], f'and nothing else gets to the interface: {lines}')
    lab.ip(stock, 'address', 'del', '100.64.0.99/32', 'dev', 'tun0')


@test('wg-quick with a default route beside ours: both work, and its parts outlive ours')
def wg_quick(lab):
    tool('wg-quick')
    d = lab.path('wgq')
    os.makedirs(d, exist_ok=True)
    name = f'fq{lab.tag}'
    key = command(['wg', 'genkey']).stdout.strip()
    mate = command(['wg', 'pubkey'], stdin=command(['wg', 'genkey']).stdout).stdout.strip()
    with open(f'{d}/{name}.conf', 'w') as f:
        f.write(f'[Interface]\nPrivateKey = {key}\nAddress = 10.200.0.2/24\n[Peer]\nPublicKey = {mate}\nAllowedIPs = 0.0.0.0/0\n'
                f'Endpoint = 10.81.2.2:51999\n')
    os.chmod(f'{d}/{name}.conf', 0o600)
    lab.stop(lab.daemons['ours'])
    theirs = ['env', f'WG_QUICK_USERSPACE_IMPLEMENTATION={program("fairlead-wg")}', 'wg-quick']
    command(theirs + ['up', f'{d}/{name}.conf'], ns=lab.nodes['ours'])
    try:
        with_theirs = dump(lab)
        start(lab)
        check('51820' in shell(lab, 'ip rule'), 'its rules are there')
        lab.stop(lab.daemons['ours'])
        same(lab, with_theirs, 'theirs as before')
        start(lab)
    finally:
        command(theirs + ['down', f'{d}/{name}.conf'], ns=lab.nodes['ours'], ok=False)
    reach(lab)
    lab.stop(lab.daemons['ours'])
    lab.sysctl(lab.nodes['ours'], 'net.ipv4.conf.all.src_valid_mark=0')  # wg-quick leaves it set
    same(lab, lab.before, 'as before both')


def chains(lab):
    """What iptables has, without the counts."""
    return '\n'.join(x for c in ('iptables-save', 'ip6tables-save') for x in shell(lab, c).splitlines() if x[:1] not in '#:')


def policies(lab, verdict):
    for t in ('iptables', 'ip6tables'):
        shell(lab, f'{t} -P INPUT {verdict}; {t} -P FORWARD {verdict}')


@test('where iptables drops what it does not know, as with Docker and ufw, the tunnel works, and their rules stay')
def iptables(lab):
    tool('iptables')
    start(lab)
    lab.forwarding('ours')
    lab.ts('ours', 'set', '--advertise-routes=192.168.1.0/24')
    lab.ts('stock', 'set', '--accept-routes')
    behind = lambda: lab.talk(lab.nodes['stock'], '192.168.1.10', seconds=1) == '192.168.1.1'
    mine = lab.ip_of('ours')
    into = lambda: lab.pings(lab.nodes['stock'], mine, 1)
    wait_until(behind, 'the network behind is reached', 30)
    lab.stop(lab.daemons['ours'])
    for t in ('iptables', 'ip6tables'):
        shell(lab, f'{t} -N DOCKER-USER; {t} -A DOCKER-USER -j RETURN; {t} -A FORWARD -j DOCKER-USER;'
                   f'{t} -A INPUT -i lo -j ACCEPT; {t} -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT')
    shell(lab, 'iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE')
    policies(lab, 'DROP')
    before = chains(lab)
    start(lab)
    wait_until(into, 'the host is reached', 30)
    wait_until(behind, 'and the network behind', 30)
    check('-j MASQUERADE' in chains(lab) and '-A DOCKER-USER -j RETURN' in chains(lab), chains(lab))
    # A firewall that is loaded anew has none of our rules.
    for t in ('iptables', 'ip6tables'):
        shell(lab, f'{t} -F FORWARD; {t} -A FORWARD -j DOCKER-USER')
    wait_until(behind, 'and again after theirs were loaded anew', 30)
    lab.ts('ours', 'set', '--netfilter-mode=off')
    wait_until(lambda: chains(lab) == before, f'nothing of ours is left when told so: {chains(lab)}', 20)
    lab.ts('ours', 'set', '--netfilter-mode=on')
    wait_until(behind, 'and back', 30)
    lab.stop(lab.daemons['ours'])
    check(chains(lab) == before, f'after an orderly end theirs alone are there: {chains(lab)}')
    start(lab)
    kill_all(lab)
    cleanup(lab)
    check(chains(lab) == before, f'and after a crash: {chains(lab)}')
    policies(lab, 'ACCEPT')
    shell(lab, 'nft delete table ip filter; nft delete table ip6 filter; nft delete table ip nat')
    same(lab, lab.before, 'as before')


@test('OpenVPN with a default route beside ours: each comes, goes and crashes without harm to the other')
def openvpn(lab):
    binary, env = unpacked('openvpn', 'usr/sbin/openvpn')
    key = lab.path('openvpn.key')
    command(['env', f"LD_LIBRARY_PATH={env['LD_LIBRARY_PATH']}", binary, '--genkey', 'secret', key])

    def vpn(name, other, mine, theirs, *more):
        return lab.start(lab.nodes[name], [binary, '--dev', 'ovpn0', '--dev-type', 'tun', '--remote', other, '--port', '1194', '--secret', key,
                                           '--cipher', 'AES-256-CBC', '--ifconfig', mine, theirs, '--ping', '2', '--ping-restart', '20', *more],
                         env=env, log=lab.path(f'openvpn-{name}.log'))

    def theirs_up():
        p = vpn('ours', '10.81.2.2', '10.201.0.1', '10.201.0.2', '--redirect-gateway', 'def1')
        wait_until(lambda: lab.pings(lab.nodes['ours'], '10.201.0.2', 1), 'OpenVPN works', 40)
        check('dev ovpn0' in shell(lab, 'ip route get 203.0.113.1'), 'and has the default route')
        return p
    # The other end is a gateway to everywhere, as such a VPN has.
    lab.forwarding('stock')
    command(['nft', '-f', '-'], ns=lab.nodes['stock'], stdin='table ip gateway {\n chain out {\n type nat hook postrouting priority srcnat\n'
                                                             ' ip saddr 10.201.0.0/24 oifname "eth0" masquerade\n }\n}\n')
    far = vpn('stock', '10.81.1.2', '10.201.0.2', '10.201.0.1')
    near = theirs_up()
    with_theirs = dump(lab)
    start(lab)
    wait_until(lambda: 'dev tun0' in shell(lab, f'ip route get {lab.ip_of("stock")}'), 'ours goes by ours', 30)
    check(lab.pings(lab.nodes['ours'], '10.201.0.2') and lab.pings(lab.nodes['ours'], lab.ip_of('stock')), 'both work')
    check('dev ovpn0' in shell(lab, 'ip route get 203.0.113.1'), 'and what is not ours goes where it went')
    lab.stop(lab.daemons['ours'])
    same(lab, with_theirs, 'theirs as before, after an orderly end')
    start(lab)
    kill_all(lab)
    cleanup(lab)
    same(lab, with_theirs, 'and after a crash')
    start(lab)
    ours = lambda lab: shell(lab, 'ip rule; ip -6 rule; ip route show table 52; nft list tables')
    # Its other end has this address, too: that it answers proves nothing of the tunnel.
    wait_until(lambda: 'inet fairlead' in ours(lab) and lab.ip_of('stock') in ours(lab), 'ours is up', 30)
    with_ours = ours(lab)
    lab.stop(near)
    reach(lab)
    near = theirs_up()
    reach(lab)
    lab.stop(near, signal.SIGKILL)
    reach(lab)
    same(lab, with_ours, 'ours as before', ours)
    lab.stop(far)
    lab.stop(lab.daemons['ours'])
    shell(lab, 'ip route del 10.81.2.2', ok=False)  # which a killed OpenVPN leaves
    same(lab, lab.before, 'as before both')


def make(lab):
    lab.join('stock', 2, False, '--advertise-exit-node')
    lab.forwarding('stock')
    lab.join('ours', 1, True, lan=True)
    reach(lab)


main('cleanup', make)
