"""All traffic through an exit node: ours through stock, stock through ours, and nothing past it, whatever dies."""
import itertools, os, signal, sys, threading, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from routelab import *


def asks(lab, name, v=4, seconds=3):
    """Who the web server sees when the node asks; '' if there is no answer."""
    return lab.talk(lab.nodes[name], WEB if v == 4 else WEB6, seconds=seconds)


def is_cut_off(lab, name):
    return asks(lab, name, 4, 1) == asks(lab, name, 6, 1) == ''


def sees(lab, name, exit, v=4):
    want = f'10.81.{lab.numbers[exit]}.2' if v == 4 else f'fd81:{lab.numbers[exit]}::2'
    wait_until(lambda: asks(lab, name, v) == want, f'{name} goes out at {exit} by IPv{v}', 40)


# Something for the web server in each protocol, fifty times a second, whatever becomes of it.
PROBES = '''
import socket, struct, sys, time

KINDS = [(socket.SOCK_DGRAM, 0), (socket.SOCK_RAW, socket.IPPROTO_ICMP), (socket.SOCK_RAW, socket.IPPROTO_ICMPV6), (socket.SOCK_STREAM, 0)]

def ones(b):
    s = sum(struct.unpack('>%dH' % (len(b) // 2), b))
    return 0xffff ^ ((s & 0xffff) + (s >> 16))

def probe(to, kind, proto):
    v6 = ':' in to
    if proto == (socket.IPPROTO_ICMP if v6 else socket.IPPROTO_ICMPV6):
        return
    with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, kind, proto) as s:
        s.setblocking(False)
        if kind == socket.SOCK_STREAM:
            s.connect_ex((to, 80))
            time.sleep(0.005)
        else:
            echo = struct.pack('>BBHHH', 128 if v6 else 8, 0, 0, 77, 1)
            echo = echo[:2] + struct.pack('>H', ones(echo)) + echo[4:]
            s.sendto(echo if proto else b'probe', (to, 9 if kind == socket.SOCK_DGRAM else 0))

while True:
    for to in sys.argv[1:]:
        for kind, proto in KINDS:
            try:
                probe(to, kind, proto)
            except OSError:
                pass  # there is no way: as it should be
    time.sleep(0.02)
'''


class Watch:
    """Nothing of the node's for the web server may be seen on its wire but inside the tunnel, while it tries all the time."""
    def __init__(self, lab, name):
        self.lab = lab
        self.c = lab.capture(lab.nodes[name], 'eth0', f'host {WEB} or host {WEB6}')
        self.probes = lab.start(lab.nodes[name], [sys.executable, '-c', PROBES, WEB, WEB6])

    def over(self):
        check(self.probes.poll() is None, 'it tried to the end')
        self.lab.stop(self.probes)
        lines = self.c.stop()
        check(not lines, f'{len(lines)} packets leaked: ' + ' | '.join(lines[:4]))


def knock(lab, name):
    for to in (WEB, WEB6):
        lab.talk(lab.nodes[name], to, seconds=0.5)


def set_exit(lab, name, who, *flags):
    lab.ts(name, 'set', f'--exit-node={who}', *flags)


@test('before an exit node is chosen only internal traffic goes through, and status says so in words')
def internal(lab):
    check(asks(lab, 'ours') == '10.81.1.2' and asks(lab, 'ours', 6) == 'fd81:1::2', 'straight out')
    seen = Watch(lab, 'ours')
    wait_until(lambda: all(any(x in line for line in seen.c.lines()) for x in ('UDP', 'ICMP echo', 'ICMP6, echo', 'Flags [S]')), 'the watch sees', 10)
    lab.stop(seen.probes)
    seen.c.stop()
    check('Only internal traffic goes through the network' in lab.fairlead('ours', 'status').stdout, 'status')


@test('our traffic goes out at a stock exit node, IPv4 and IPv6, and status says so')
def through_stock(lab):
    set_exit(lab, 'ours', 'stock')
    for v in (4, 6):
        sees(lab, 'ours', 'stock', v)
    check('All traffic goes through' in lab.fairlead('ours', 'status').stdout, lab.fairlead('ours', 'status').stdout)


@test('the host\'s own network goes into the tunnel too, unless LAN access is allowed')
def lan_switch(lab):
    host = '192.168.1.10'
    check(lab.talk(lab.nodes['ours'], host, seconds=1) == '', 'not reached without the switch')
    lab.ts('ours', 'set', '--exit-node-allow-lan-access')
    wait_until(lambda: lab.talk(lab.nodes['ours'], host) == '192.168.1.1', 'reached with it', 20)
    sees(lab, 'ours', 'stock')
    lab.ts('ours', 'set', '--exit-node-allow-lan-access=false')
    wait_until(lambda: lab.talk(lab.nodes['ours'], host, seconds=1) == '', 'and not without', 20)


@test('nothing leaks while the exit node dies, stays away, and returns')
def exit_dies(lab):
    w = Watch(lab, 'ours')
    lab.kill('stock')
    knock(lab, 'ours')
    check(is_cut_off(lab, 'ours'), 'no way out')
    lab.daemon('stock', False)
    for v in (4, 6):
        sees(lab, 'ours', 'stock', v)
    w.over()


def kill_part(lab, which):
    pid = lab.pid('ours')
    if which == 'all':
        kill_together(pid)
    else:
        os.kill(pid if which == 'network' else descendants(pid)[1], signal.SIGKILL)
    lab.daemons['ours'].wait(20)


@test('nothing leaks while our daemon is killed, stays away, and starts again')
def we_die(lab):
    w = Watch(lab, 'ours')
    for which in ('network', 'host', 'all'):
        kill_part(lab, which)
        knock(lab, 'ours')
        check(is_cut_off(lab, 'ours'), 'no way out')
        lab.daemon('ours', True)
        knock(lab, 'ours')
        for v in (4, 6):
            sees(lab, 'ours', 'stock', v)
    w.over()


PRIVATE = ('nobody{}.tail.lab', 'stock.tail.lab', '-x 100.64.0.{}', '-x fd7a:115c:a1e0::{}', '10-1-2-{}-via-7.x.ts.net AAAA')


class Asking:
    """Somebody on the host who asks for names all the time, its own way: public and private, by UDP and by TCP."""
    def __init__(self, lab, name):
        self.lab, self.ns, self.over, self.n = lab, lab.nodes[name], False, 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over:
            self.n += 1
            for i, what in enumerate(('www{}.example.com',) + PRIVATE):
                dig(self.ns, *what.format(self.n % 250).split(), *(['+tcp'] if (self.n + i) % 2 else []), seconds=1)

    def stop(self):
        self.over = True
        self.thread.join()


def dig(ns, *what, seconds=3):
    """By the host's own resolv.conf."""
    said = command(['dig', '+tries=1', '+short', f'+time={seconds}'] + list(what), ns=ns, ok=False).stdout
    return [line for line in said.splitlines() if not line.startswith(';')]


def resolves(lab, name, what):
    tries = itertools.count()
    wait_until(lambda: dig(lab.nodes[name], f'{what}{next(tries)}.example.com') == ['192.0.2.1'], f'{what} is resolved', 40)


def asked(lab):
    """What the public resolver was asked: (name, who asked)."""
    with open(lab.path('stub.log')) as f:
        return [(line.split()[2], line.split()[4]) for line in f]


@test('names follow the exit node; while it is dead, or we are, they are told to nobody, by no protocol')
def names(lab):
    set_exit(lab, 'ours', 'stock', '--accept-dns')
    resolves(lab, 'ours', 'start')
    wire = lab.capture(lab.nodes['ours'], 'eth0', 'port 53 or port 853 or (tcp port 443 and not host 10.81.0.1)')
    before = len(asked(lab))
    somebody = Asking(lab, 'ours')
    lab.kill('stock')
    wait_until(lambda: not dig(lab.nodes['ours'], 'dead.example.com', seconds=1), 'no answer without the exit node', 20)
    lab.daemon('stock', False)
    resolves(lab, 'ours', 'again')
    for which in ('network', 'host', 'all'):
        kill_part(lab, which)
        check(not dig(lab.nodes['ours'], f'no-{which}.example.com', seconds=1), f'no answer with {which} killed')
        lab.daemon('ours', True)
        resolves(lab, 'ours', which)
    somebody.stop()
    seen = wire.stop()
    check(not seen, 'on the wire: ' + ' | '.join(seen[:4]))
    new = asked(lab)[before:]
    check(new and {who for _, who in new} == {'10.81.2.2'}, f'asked by others than the exit node: {set(new)}')
    told = [q for q in new if '-via-' in q[0] or q[0].endswith(('.tail.lab', '.100.in-addr.arpa', '.d.f.ip6.arpa'))]
    check(somebody.n > 3 and not told, f'private names were asked of a public resolver: {told[:5]}')
    wire = lab.capture(lab.nodes['ours'], 'eth0', 'port 53')
    set_exit(lab, 'ours', '')
    resolves(lab, 'ours', 'own')
    check(wire.stop(), 'without an exit node the host asks by itself, and the witness sees it')
    set_exit(lab, 'ours', 'stock', '--accept-dns=false')


@test('nothing leaks while the tunnel\'s device is set down, or deleted, or the firewall is loaded anew')
def device_goes(lab):
    w = Watch(lab, 'ours')
    ns = lab.nodes['ours']
    command(['nft', 'flush', 'ruleset'], ns=ns)
    wait_until(lambda: command(['nft', 'list', 'table', 'inet', 'fairlead'], ns=ns, ok=False).returncode == 0, 'our table is back', 20)
    lab.ip(ns, 'link', 'set', 'tun0', 'down')
    knock(lab, 'ours')
    lab.ip(ns, 'link', 'set', 'tun0', 'up')
    for v in (4, 6):
        sees(lab, 'ours', 'stock', v)
    lab.ip(ns, 'link', 'del', 'tun0')
    knock(lab, 'ours')
    check(is_cut_off(lab, 'ours'), 'no way out without a device')
    kill_part(lab, 'all')
    lab.daemon('ours', True)
    for v in (4, 6):
        sees(lab, 'ours', 'stock', v)
    w.over()


@test('an orderly end gives the host its own way back, and so does --cleanup after a crash')
def end(lab):
    lab.stop(lab.daemons['ours'])
    check(asks(lab, 'ours') == '10.81.1.2' and asks(lab, 'ours', 6) == 'fd81:1::2', 'straight out after the end')
    lab.daemon('ours', True)
    sees(lab, 'ours', 'stock')
    lab.kill('ours')
    check(is_cut_off(lab, 'ours'), 'no way out')
    wait_until(lambda: 'unreachable' in command(['ip', 'route', 'show', 'table', '52'], ns=lab.nodes['ours']).stdout, 'the guard')
    command([program('fairleadd'), '--cleanup', '--tun', 'tun0', '--statedir', lab.path('ours')], ns=lab.nodes['ours'])
    check(asks(lab, 'ours') == '10.81.1.2' and asks(lab, 'ours', 6) == 'fd81:1::2', 'straight out')
    lab.daemon('ours', True)
    sees(lab, 'ours', 'stock')


@test('an exit node that offers itself no more stops the traffic; none chosen lets it out again')
def withdrawn(lab):
    w = Watch(lab, 'ours')
    lab.ts('stock', 'set', '--advertise-exit-node=false')
    wait_until(lambda: is_cut_off(lab, 'ours'), 'no way out', 20)
    knock(lab, 'ours')
    w.over()
    lab.ts('stock', 'set', '--advertise-exit-node')
    sees(lab, 'ours', 'stock')
    set_exit(lab, 'ours', '')
    wait_until(lambda: asks(lab, 'ours') == '10.81.1.2', 'straight out', 20)


@test('a stock node goes out at ours, IPv4 and IPv6, and does not reach our own network')
def through_ours(lab):
    lab.ts('stock', 'set', '--advertise-exit-node=false')  # one or the other, there
    set_exit(lab, 'stock', 'mate')
    for v in (4, 6):
        sees(lab, 'stock', 'mate', v)
    # As a cloud's metadata service, which only its own machine may ask.
    ns = lab.nodes['mate']
    lab.ip(ns, 'link', 'add', 'meta', 'type', 'bridge')
    lab.address(ns, 'meta', '169.254.169.254/32')
    lab.ip(ns, 'link', 'set', 'meta', 'up')
    lab.server(ns, 80)
    wait_until(lambda: lab.talk(ns, '169.254.169.254') != '', 'it answers its own machine', 10)
    for to in ('192.168.3.10', '192.168.3.1', '10.81.3.1', '10.81.3.2', 'fd82:3::10', 'fd82:3::1', '169.254.169.254'):
        check(lab.talk(lab.nodes['stock'], to, seconds=1) == '', f'{to} is our own')
    set_exit(lab, 'stock', '')
    lab.ts('stock', 'set', '--advertise-exit-node')
    wait_until(lambda: lab.peer_of('ours', 'stock').get('ExitNodeOption'), 'it offers itself again', 20)


@test('ours goes out at ours, and strict reverse path checks do not mind')
def ours_through_ours(lab):
    lab.sysctl(lab.nodes['ours'], 'net.ipv4.conf.all.rp_filter=1', 'net.ipv4.conf.eth0.rp_filter=1')
    set_exit(lab, 'ours', 'mate')
    for v in (4, 6):
        sees(lab, 'ours', 'mate', v)
    r = lab.ts('ours', 'ping', '--c', '5', lab.ip_of('mate'), ok=False)
    check('via 10.81.' in r.stdout or 'via [fd81' in r.stdout, f'and the path is direct: {r.stdout}')
    set_exit(lab, 'ours', '')


@test('auto:any takes the suggested one, and another when that is gone')
def automatic(lab):
    first = json.loads(lab.ts('ours', 'debug', 'localapi', 'GET', 'suggest-exit-node').stdout)
    check(first['ID'] and first['Name'].split('.')[0] in ('stock', 'mate'), f'{first}')
    check('Suggested exit node' in lab.ts('ours', 'exit-node', 'suggest').stdout, 'the stock command says so')
    set_exit(lab, 'ours', 'auto:any')
    ways = {'10.81.2.2': 'stock', '10.81.3.2': 'mate'}
    now = ways[wait_until(lambda: asks(lab, 'ours') in ways and asks(lab, 'ours'), 'out at one of them', 40)]
    other = {'stock': 'mate', 'mate': 'stock'}[now]
    w = Watch(lab, 'ours')
    lab.ts(now, 'down')
    sees(lab, 'ours', other)
    w.over()
    lab.ts(now, 'up', timeout=60)
    set_exit(lab, 'ours', '')


def make(lab):
    open(lab.path('stub.log'), 'w').close()
    lab.start(lab.hub, [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'dnsstub.py'), lab.path('stub.log'), WEB])
    lab.join('ours', 1, True, lan=True)
    for number, (name, ours) in enumerate((('stock', False), ('mate', True)), 2):
        lab.node(name, number, lan=True)
        lab.forwarding(name)
        lab.daemon(name, ours)
        lab.up(name, '--advertise-exit-node')
    for name in ('stock', 'mate'):
        wait_until(lambda: (lab.peer_of('ours', name) or {}).get('ExitNodeOption'), f'{name} offers to be an exit node', 30)
    for ns in lab.nodes.values():
        with open(f'/etc/netns/{ns}/resolv.conf', 'w') as f:
            f.write(f'nameserver {WEB}\n')


main('exit', make)
