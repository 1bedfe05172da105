"""The tunnel of fairlead-wg against wireguard-go, in network namespaces.

      left (fairlead-wg)                      right (wireguard-go)
   fl<tag>a 10.77.0.1, fd77::1              fl<tag>b 10.77.0.2, fd77::2
           |                                        |
   wire 192.168.77.1, fd00:77::1  ------  192.168.77.2, fd00:77::2
"""
import base64, hashlib, os, re, socket, struct, subprocess, sys, tempfile, threading, time
from netlab import *

OURS = os.path.abspath(os.path.join(BUILD, 'src/main/fairlead-wg'))
WIRE = {4: ('192.168.77.1', '192.168.77.2'), 6: ('fd00:77::1', 'fd00:77::2')}
INNER = {4: ('10.77.0.1', '10.77.0.2'), 6: ('fd77::1', 'fd77::2')}
PORT = 51820


def wg(*args, stdin=None, ok=True):
    return command(['wg'] + list(args), stdin=stdin, ok=ok)


def uapi(ifname, text):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(f'/var/run/wireguard/{ifname}.sock')
    s.sendall(text.encode())
    s.shutdown(socket.SHUT_WR)
    out = b''
    while chunk := s.recv(65536):
        out += chunk
    return out.decode()


def is_listening(ifname):
    """Asked by hand: wg removes a socket that is bound and not yet listened to, as a stale one."""
    try:
        return 'errno=0' in uapi(ifname, 'get=1\n\n')
    except OSError:
        return False


def hexed(key):
    return base64.b64decode(key).hex()


def drops(ifname):
    return dict((k, int(v)) for k, v in (l.split('=') for l in uapi(ifname, 'get=drops\n\n').split()) if k != 'errno')


class Side:
    """One end: its namespace, program, interface and key."""

    def __init__(self, lab, which, program):
        self.lab, self.which, self.program = lab, which, program
        self.ns = lab.namespace('ab'[which])
        self.ifname = f'fl{lab.tag}{"ab"[which]}'
        self.private, self.public = key_pair()
        self.process = None

    def start(self):
        log = os.path.join(self.lab.folder, f'{self.ifname}.log')
        self.process = self.lab.start(self.ns, [self.program, '-f', self.ifname], log=log,
                                      env={'LOG_LEVEL': 'error', 'WG_SUDO': '1'})  # the latter for programs in Rust
        try:
            wait_until(lambda: is_listening(self.ifname) or self.process.poll() is not None, 'its socket answers')
            check(self.process.poll() is None, 'it has ended')
        except Failure as why:
            told = wg('show', self.ifname, ok=False).stderr.strip()
            raise Failure(f'{why}: {self.program}, {told}, status {self.process.poll()}: {open(log).read()}')

    def stop(self):
        self.lab.stop(self.process)

    def secret(self, text):
        path = os.path.join(self.lab.folder, f'{self.ifname}.secret')
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), 'w') as f:
            f.write(text + '\n')
        return path

    def set(self, *args, ok=True):
        return wg('set', self.ifname, *args, ok=ok)

    def configure(self, other, endpoint=None, psk=None):
        self.set('private-key', self.secret(self.private), 'listen-port', str(PORT))
        args = ['peer', other.public, 'allowed-ips', ','.join(INNER[f][other.which] for f in (4, 6))]
        if endpoint:
            args += ['endpoint', endpoint]
        if psk:
            args += ['preshared-key', self.secret(psk)]
        self.set(*args)

    def up(self, mtu=1420):
        self.lab.address(self.ns, self.ifname, f'{INNER[4][self.which]}/24')
        self.lab.address(self.ns, self.ifname, f'{INNER[6][self.which]}/64')
        self.lab.ip(self.ns, 'link', 'set', 'mtu', str(mtu), 'up', 'dev', self.ifname)

    def ping(self, family=4, count=1, size=56, wait=10, ok=True):
        other = INNER[family][1 - self.which]
        return command(['ping', '-q', '-c', str(count), '-i', '0.05', '-W', str(wait), '-s', str(size), other],
                       ns=self.ns, ok=ok).returncode == 0

    def shown(self, field):
        return wg('show', self.ifname, field).stdout

    def handshake_time(self):
        return int(self.shown('latest-handshakes').split()[-1])


class Tunnel:
    def __init__(self, lab, left=OURS, right=None, outer=4, initiator=0, psk=None, mtu=1420):
        right = right or peer('wireguard')
        tool('wg')
        self.left, self.right = Side(lab, 0, left), Side(lab, 1, right)
        both = [f'{WIRE[4][0]}/24', f'{WIRE[6][0]}/64'], [f'{WIRE[4][1]}/24', f'{WIRE[6][1]}/64']
        lab.veth(self.left.ns, 'wire', both[0], self.right.ns, 'wire', both[1])
        ends = [self.left, self.right]
        for side in ends:
            side.start()
        for side in ends:
            address = WIRE[outer][1 - side.which]
            endpoint = f'[{address}]:{PORT}' if outer == 6 else f'{address}:{PORT}'
            side.configure(ends[1 - side.which], endpoint if side.which == initiator else None, psk)
        for side in ends:
            side.up(mtu)


SEND = '''
import hashlib, random, socket, sys
s = socket.create_connection((sys.argv[1], 7777)); n = int(sys.argv[2]); r = random.Random(7); h = hashlib.sha256()
block = r.randbytes(1 << 20)
while n:
    some = block[:min(n, r.choice([1, 700, 1360, 5000, 1 << 20]))]; h.update(some); s.sendall(some); n -= len(some)
s.shutdown(socket.SHUT_WR); print(h.hexdigest())
'''
RECEIVE = '''
import hashlib, socket, sys
l = socket.create_server((sys.argv[1], 7777), family=socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET)
print('ready', flush=True); s, _ = l.accept(); h = hashlib.sha256(); n = 0
while d := s.recv(1 << 18): h.update(d); n += len(d)
print(h.hexdigest())
'''


def transfer(a, b, size, family=4):
    """Bytes from side a to side b over TCP; fails unless they arrive as they were sent."""
    to = INNER[family][b.which]
    r = subprocess.Popen(['ip', 'netns', 'exec', b.ns, sys.executable, '-c', RECEIVE, to], stdout=subprocess.PIPE, text=True)
    try:
        r.stdout.readline()
        sent = command([sys.executable, '-c', SEND, to, str(size)], ns=a.ns, timeout=60).stdout.strip()
        got = r.communicate(timeout=20)[0].strip()
    finally:
        r.kill()
    check(sent == got, f'sent {sent}, received {got}')


def in_namespace(ns, fn):
    """Runs fn in a thread that lives in the namespace; sockets made there belong to it."""
    result = []

    def body():
        libc = __import__('ctypes').CDLL(None, use_errno=True)
        fd = os.open(f'/var/run/netns/{ns}', os.O_RDONLY)
        if libc.setns(fd, 0x40000000):
            result.append(OSError('setns'))
        else:
            try:
                result.append(fn())
            except Exception as e:
                result.append(e)
        os.close(fd)
    t = threading.Thread(target=body)
    t.start()
    t.join()
    if isinstance(result[0], Exception):
        raise result[0]
    return result[0]


def udp_socket(ns, family=4):
    return in_namespace(ns, lambda: socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM))


def works(initiator, outer, right=None):
    with Lab('tun') as lab:
        t = Tunnel(lab, outer=outer, initiator=initiator, right=right)
        first = (t.left, t.right)[initiator]
        check(first.ping(4), 'no ping, IPv4 inside')
        check(first.ping(6), 'no ping, IPv6 inside')
        for family in (4, 6):
            transfer(t.left, t.right, 40 << 20, family)
            transfer(t.right, t.left, 40 << 20, family)
        check(not any(drops(t.left.ifname).get(k) for k in ('auth', 'replay', 'inner', 'source', 'write-failed')),
              f'drops: {drops(t.left.ifname)}')


@test('ours initiates over IPv4; bulk transfers of both families arrive whole')
def _():
    works(0, 4)


@test('wireguard-go initiates over IPv4; bulk transfers of both families arrive whole')
def _():
    works(1, 4)


@test('ours initiates over IPv6; bulk transfers of both families arrive whole')
def _():
    works(0, 6)


@test('wireguard-go initiates over IPv6; bulk transfers of both families arrive whole')
def _():
    works(1, 6)


@test('ours talks to ours, with transfers both ways at once')
def _():
    with Lab('tun') as lab:
        t = Tunnel(lab, right=OURS)
        t.left.ping()
        threads = [threading.Thread(target=transfer, args=(t.left, t.right, 30 << 20, 4)),
                   threading.Thread(target=transfer, args=(t.right, t.left, 30 << 20, 6))]
        for th in threads:
            th.start()
        for th in threads:
            th.join()


@test('packets of every size from 0 to the MTU and beyond pass')
def _():
    with Lab('tun') as lab:
        t = Tunnel(lab)
        for size in [0, 1, 15, 16, 17, 100, 1371, 1372, 1391, 1392, 1393, 4000, 20000]:
            check(t.left.ping(4, size=size), f'{size} bytes, IPv4')
            check(t.right.ping(6, size=size), f'{size} bytes, IPv6')


@test('an interface with a very large MTU works')
def _():
    with Lab('tun') as lab:
        t = Tunnel(lab, mtu=34736)
        check(t.left.ping(4, size=34000), 'ping of 34000 bytes')
        transfer(t.left, t.right, 30 << 20)
        transfer(t.right, t.left, 30 << 20)


def roaming(right=None, new_port=(0, 1)):
    with Lab('tun') as lab:
        t = Tunnel(lab, right=right)
        check(t.left.ping(), 'before')
        for mover, other, address in ((t.left, t.right, '192.168.77.11'), (t.right, t.left, '192.168.77.12')):
            lab.ip(mover.ns, 'address', 'add', f'{address}/24', 'dev', 'wire')
            lab.ip(mover.ns, 'address', 'del', f'{WIRE[4][mover.which]}/24', 'dev', 'wire', ok=False)
            lab.ip(mover.ns, 'address', 'replace', f'{address}/24', 'dev', 'wire')
            port = 51900 if mover.which in new_port else PORT
            if port != PORT:
                mover.set('listen-port', str(port))
            wait_until(lambda: mover.ping(wait=1, ok=False), f'side {mover.which} after it moved', 40)
            check(f'{address}:{port}' in other.shown('endpoints'), other.shown('endpoints'))
            check(other.ping(), f'towards side {mover.which}')


@test('either side roams to another address and port')
def _():
    roaming()


def new_preshared_key(right=None):
    with Lab('tun') as lab:
        t = Tunnel(lab, psk=preshared_key(), right=right)
        check(t.left.ping(), 'with the first')
        new = preshared_key()
        t.left.set('peer', t.right.public, 'preshared-key', t.left.secret(new))
        check(t.left.ping(), 'the session')
        t.right.set('peer', t.left.public, 'preshared-key', t.right.secret(new))
        t.right.stop()
        t.right.start()
        t.right.configure(t.left, f'{WIRE[4][0]}:{PORT}', new)
        t.right.up()
        wait_until(lambda: t.right.ping(wait=1, ok=False), 'a session with the second key', 40)


@test('a new preshared key takes effect with the next handshake and the session lives on')
def _():
    new_preshared_key()


def new_private_key(right=None, whose=(0, 1)):
    with Lab('tun') as lab:
        t = Tunnel(lab, right=right)
        check(t.left.ping(), 'before')
        for side, other in [((t.left, t.right), (t.right, t.left))[i] for i in whose]:
            old = side.public
            side.private, side.public = key_pair()
            side.set('private-key', side.secret(side.private))
            other.set('peer', old, 'remove', 'peer', side.public, 'allowed-ips',
                      ','.join(INNER[f][side.which] for f in (4, 6)), 'endpoint', f'{WIRE[4][side.which]}:{PORT}')
            wait_until(lambda: other.ping(wait=1, ok=False), f'new key of side {side.which}', 40)
            wait_until(lambda: side.ping(wait=1, ok=False), 'and back', 40)


@test('a new private key of either side takes effect')
def _():
    new_private_key()


def restart(right=None):
    with Lab('tun') as lab:
        t = Tunnel(lab, right=right)
        check(t.left.ping(), 'before')
        for side, other in ((t.left, t.right), (t.right, t.left)):
            side.stop()
            wait_until(lambda: lab.ip(side.ns, 'link', 'show', side.ifname, ok=False).returncode, 'interface gone')
            if side is t.left:
                check(not os.path.exists(f'/var/run/wireguard/{side.ifname}.sock'), 'socket left behind')
            side.start()
            side.configure(other, f'{WIRE[4][other.which]}:{PORT}')
            side.up()
            wait_until(lambda: side.ping(wait=1, ok=False), f'side {side.which} after its restart', 40)


@test('a restart of either side costs one handshake')
def _():
    restart()


def initiation(public):
    """A message 1 with a right first MAC and nothing else right."""
    key = hashlib.blake2s(b'mac1----' + base64.b64decode(public)).digest()
    body = struct.pack('<I', 1) + os.urandom(112)
    return body + hashlib.blake2s(body, key=key, digest_size=16).digest() + bytes(16)


class Flood:
    """Initiations with a good first MAC, from many addresses of the other side's namespace.

    They come in bursts: together more than either program takes without being under load, and each less than its
    queues hold. So the victim is under load all the time, and yet nobody's initiation is lost by chance.
    """
    SOURCES, EACH, PAUSE = 25, 16, 0.1

    def __init__(self, victim, other):
        self.to = WIRE[4][victim.which], PORT
        addresses = [f'192.168.77.{100 + i}' for i in range(self.SOURCES)]
        for a in addresses:
            other.lab.address(other.ns, 'wire', f'{a}/24')
        self.sockets = [udp_socket(other.ns) for _ in addresses]
        for s, a in zip(self.sockets, addresses):
            s.bind((a, 0))
        self.messages = [initiation(victim.public) for _ in range(self.EACH)]
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.stop.wait(self.PAUSE):
            for m in self.messages:
                for s in self.sockets:
                    s.sendto(m, self.to)

    def __enter__(self):
        self.thread.start()
        self.sockets[0].settimeout(30)
        check(self.sockets[0].recv(2048)[0] == 3, 'something that is no cookie')
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def cookies_to(side):
    """Cookie replies that the sniffer in the side's namespace has seen arrive at its own port."""
    def count(sniff):
        n = 0
        while True:
            try:
                packet = sniff.recv(65536)
            except BlockingIOError:
                return n
            n += packet[9] == 17 and packet[22:24] == struct.pack('>H', PORT) and packet[28:32] == b'\3\0\0\0'
    sniff = in_namespace(side.ns, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)))
    sniff.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    sniff.setblocking(False)
    return lambda: count(sniff)


def handshake_under_flood(victim_is_ours):
    with Lab('tun') as lab:
        t = Tunnel(lab, initiator=1 if victim_is_ours else 0)
        victim, other = (t.left, t.right) if victim_is_ours else (t.right, t.left)
        with Flood(victim, other):
            seen, cookies = cookies_to(other), 0
            # The victim may have got out of breath before its turn came: then once more, as a stranger again.
            for _ in range(5):
                wait_until(lambda: other.ping(wait=1, ok=False), 'a handshake under flood', 40)
                cookies += seen()
                if cookies:
                    break
                other.set('peer', victim.public, 'remove')
                other.configure(victim, f'{WIRE[4][victim.which]}:{PORT}')
            check(cookies, 'nobody was asked for a cookie')
        if victim_is_ours:
            check(drops(victim.ifname)['cookie-asked'] > 0, f'not counted: {drops(victim.ifname)}')


@test('ours under a flood of handshakes asks for cookies, and wireguard-go gets through with one')
def _():
    handshake_under_flood(True)


@test('wireguard-go under a flood of handshakes asks for cookies, and ours gets through with one')
def _():
    handshake_under_flood(False)


@test('garbage, oversize and replayed datagrams are counted by reason, and nothing else happens')
def _():
    with Lab('tun') as lab:
        t = Tunnel(lab)
        sniff = in_namespace(t.right.ns, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)))
        sniff.settimeout(20)
        check(t.left.ping(), 'before')
        endpoint = t.left.shown('endpoints')
        before = drops(t.left.ifname)
        s, to = udp_socket(t.right.ns), (WIRE[4][0], PORT)
        t.right.ping()
        replay = None
        while not replay:
            packet, where = sniff.recvfrom(65536)
            if where[2] == socket.PACKET_OUTGOING and packet[9] == 17 and packet[28:32] == b'\4\0\0\0':
                replay = packet[28:]
        for datagram in (b'', b'xy', b'\x09\0\0\0' + bytes(60), b'\1\0\0\0' + bytes(100), b'\4\0\0\0' + bytes(8),
                         b'\4\1\0\0' + bytes(60), os.urandom(65507), struct.pack('<IIQ', 4, 12345, 0) + bytes(60000),
                         initiation(t.right.public), replay, replay[:-1] + bytes([replay[-1] ^ 1])):
            s.sendto(datagram, to)
        want = {'short': 2, 'type': 2, 'length': 2, 'index': 1, 'mac1': 1, 'replay': 1, 'auth': 1}

        def counted():
            now = drops(t.left.ifname)
            return all(now[k] - before[k] >= v for k, v in want.items())
        wait_until(counted, f'counters {want}, are {drops(t.left.ifname)}')
        check(t.left.shown('endpoints') == endpoint, 'the endpoint moved')
        check(t.left.ping() and t.right.ping(), 'after')


@test('answers come from the address that was asked, and from another when that one is gone')
def _():
    with Lab('tun') as lab:
        t = Tunnel(lab, initiator=1)
        asked = {4: '192.168.77.21', 6: 'fd00:77::21'}
        for family, mask in ((4, 24), (6, 64)):
            lab.address(t.left.ns, 'wire', f'{asked[family]}/{mask}')
            shown = f'[{asked[6]}]:{PORT}' if family == 6 else f'{asked[4]}:{PORT}'
            t.right.set('peer', t.left.public, 'endpoint', shown)
            check(t.right.ping(count=3), f'asked at {shown}')
            check(shown in t.right.shown('endpoints'), t.right.shown('endpoints'))
            lab.ip(t.left.ns, 'address', 'del', f'{asked[family]}/{mask}', 'dev', 'wire')
            check(t.left.ping(count=2), f'without {shown}')
            check(shown not in t.right.shown('endpoints'), t.right.shown('endpoints'))


@test('an endpoint of the link alone works, its zone given by name')
def _():
    with Lab('tun') as lab:
        t = Tunnel(lab, right=OURS)
        shown = [lambda side=side: lab.ip(side.ns, '-6', 'address', 'show', 'dev', 'wire').stdout for side in (t.left, t.right)]
        wait_until(lambda: all('fe80' in f() and 'tentative' not in f() for f in shown), 'addresses of the link')
        address = re.search(r'fe80::[0-9a-f:]+', shown[1]()).group(0)
        inside = lambda *args: command(['wg', *args], ns=t.left.ns).stdout  # where the name means something
        inside('set', t.left.ifname, 'peer', t.right.public, 'endpoint', f'[{address}%wire]:{PORT}')
        check(f'[{address}%wire]:{PORT}' in inside('show', t.left.ifname, 'endpoints'), inside('show', t.left.ifname))
        check(t.left.ping(), 'a ping over it')
        check(f'[{address}%wire]:{PORT}' in inside('show', t.left.ifname, 'endpoints'), 'it moved')
        check('fe80' in t.right.shown('endpoints'), t.right.shown('endpoints'))
        text = f'set=1\npublic_key={hexed(t.right.public)}\nendpoint=[{address}%nowhere]:9\n\n'
        check('errno=-22' in uapi(t.left.ifname, text), 'a zone that is not there')


def capabilities(pid):
    return [l.split()[1] for l in open(f'/proc/{pid}/status') if l.startswith('CapEff')][0]


@test('port 443 can be had while the daemon keeps CAP_NET_ADMIN alone, and one that is taken is refused')
def _():
    with Lab('tun') as lab:
        t = Tunnel(lab)
        pid = t.left.process.pid
        helpers = open(f'/proc/{pid}/task/{pid}/children').read().split()
        check(len(helpers) == 1, f'children: {helpers}')
        check(int(capabilities(pid), 16) == 1 << 12, f'the daemon has {capabilities(pid)}')
        check(int(capabilities(helpers[0]), 16) == 1 << 10, f'the one that binds has {capabilities(helpers[0])}')
        check(len(os.listdir(f'/proc/{helpers[0]}/fd')) == 1, 'it holds more than its channel')
        t.left.set('listen-port', '443')
        check(t.left.shown('listen-port').strip() == '443', t.left.shown('listen-port'))
        check(t.left.ping(), 'from port 443')
        for family in (socket.AF_INET, socket.AF_INET6):
            taken = in_namespace(t.left.ns, lambda: socket.socket(family, socket.SOCK_DGRAM))
            if family == socket.AF_INET6:
                taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            taken.bind(('', 53))
            check('errno=-98' in uapi(t.left.ifname, 'set=1\nlisten_port=53\n\n'), 'a port that is taken')
            taken.close()
        check(t.left.ping(), 'still from port 443')
        t.left.process.kill()
        wait_until(lambda: not os.path.exists(f'/proc/{helpers[0]}'), 'nobody is left')


@test('without the capability a port below 1024 is refused with a word in the log')
def _():
    with Lab('tun') as lab:
        t = Tunnel(lab)
        left = t.left
        left.stop()
        log = os.path.join(lab.folder, 'log')
        left.process = lab.start(left.ns, ['setpriv', '--bounding-set', '-net_bind_service', OURS, '-f', left.ifname], env={'LOG_LEVEL': 'debug'}, log=log)
        wait_until(lambda: is_listening(left.ifname), 'its socket answers')
        left.configure(t.right, f'{WIRE[4][1]}:{PORT}')
        left.up()
        check('errno=-13' in uapi(left.ifname, 'set=1\nlisten_port=500\n\n'), 'not refused')
        check('CAP_NET_BIND_SERVICE' in open(log).read(), 'nothing in the log')
        check(left.ping(), 'with the port from before')
        command(['sysctl', '-q', 'net.ipv4.ip_unprivileged_port_start=500'], ns=left.ns)
        left.set('listen-port', '500')
        check(left.ping(), 'with the low port')


def sniffer(ns, dev):
    """What passes an interface, as IP packets."""
    def make():
        s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        s.bind((dev, 3))
        return s
    s = in_namespace(ns, make)
    s.settimeout(20)
    return s


def ping_class(side, family, value):
    command(['ping', f'-{family}', '-q', '-c1', '-W10', '-Q', str(value), INNER[family][1 - side.which]], ns=side.ns)


def next_class(sniff, wanted):
    """The class of the next packet that is wanted."""
    while True:
        p = sniff.recv(65536)
        if wanted(p):
            return p[1] if p[0] >> 4 == 4 else (p[0] << 4 | p[1] >> 4) & 255


@test('congestion marks are carried: out as RFC 6040 has them, and back onto packets that can bear one')
def _():
    with Lab('tun') as lab:
        t = Tunnel(lab)
        check(t.left.ping(), 'before')
        data = lambda p: p[0] >> 4 == 4 and p[9] == 17 and p[28:32] == b'\4\0\0\0' and len(p) > 100 and p[12:16] == socket.inet_aton(WIRE[4][0])
        for family in (4, 6):
            for inner, outer in ((0, 0), (1, 1), (2, 2), (3, 2), (0xb8, 0), (0xba, 2)):
                sniff = sniffer(t.right.ns, 'wire')
                ping_class(t.left, family, inner)
                got = next_class(sniff, data)
                check(got == outer, f'IPv{family}, {inner:#x} inside is {got:#x} outside')
        # From here on the way marks every packet that wireguard-go sends.
        command(['nft', 'add table ip way; add chain ip way out { type filter hook postrouting priority 0; }; '
                 'add rule ip way out udp dport 51820 ip ecn set ce'], ns=t.right.ns)
        request = {4: lambda p: p[0] >> 4 == 4 and p[9] == 1 and p[20] == 8, 6: lambda p: p[0] >> 4 == 6 and p[6] == 58 and p[40] == 128}
        for family in (4, 6):
            for sent, want in ((0, 0), (1, 3), (2, 3), (3, 3), (0xb8, 0xb8), (0xba, 0xbb)):
                sniff = sniffer(t.left.ns, t.left.ifname)
                ping_class(t.right, family, sent)
                got = next_class(sniff, request[family])
                check(got == want, f'IPv{family}, {sent:#x} arrives as {got:#x} over a congested way')


@test('without any segmentation the tunnel still carries everything')
def _():
    with Lab('tun') as lab:
        os.environ['FAIRLEAD_DISABLE'] = 'udp-gso,udp-gro,tun-gro'
        try:
            t = Tunnel(lab)
        finally:
            del os.environ['FAIRLEAD_DISABLE']
        transfer(t.left, t.right, 20 << 20, 4)
        transfer(t.right, t.left, 20 << 20, 6)


@test('a sender is told when there is no peer, in both families')
def _():
    with Lab('tun') as lab:
        t = Tunnel(lab)
        for args in (['ping', '-c1', '-W10', '10.77.0.99'], ['ping', '-c1', '-W10', 'fd77::99']):
            out = command(args, ns=t.left.ns, ok=False).stdout
            check('nreachable' in out, out)
        check(drops(t.left.ifname)['no-peer'] >= 2, 'not counted')


@test('a datagram burst of an application with segmentation passes both ways')
def _():
    with Lab('tun') as lab:
        t = Tunnel(lab)
        check(t.left.ping(), 'before')
        for a, b in ((t.left, t.right), (t.right, t.left)):
            r = udp_socket(b.ns)
            r.bind((INNER[4][b.which], 9999))
            r.settimeout(20)
            s = udp_socket(a.ns)
            payload = os.urandom(200 * 40 + 77)
            s.setsockopt(17, 103, 200)
            s.sendto(payload, (INNER[4][b.which], 9999))
            got = b''.join(r.recv(2000) for _ in range(41))
            check(got == payload, 'bytes differ')


@test('mistake 18: packets of a flow are put out of order')
def _():
    with Lab('tun') as lab:
        t = Tunnel(lab, right=OURS)
        check(t.left.ping(), 'before')
        r, s, count, got = udp_socket(t.right.ns), udp_socket(t.left.ns), 20000, []
        r.bind((INNER[4][1], 9999))
        r.settimeout(5)
        r.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)  # SO_RCVBUFFORCE

        def receive():
            try:
                while not got or got[-1] < count - 1:
                    got.append(struct.unpack('<I', r.recv(2000)[:4])[0])
            except socket.timeout:
                pass
        thread = threading.Thread(target=receive)
        thread.start()
        for n in range(count):
            s.sendto(struct.pack('<I', n) + bytes(n % 1300), (INNER[4][1], 9999))
            if n % 50 == 49:
                time.sleep(0.001)
        thread.join()
        check(len(got) > count // 2, f'{len(got)} arrived')
        late = [b for a, b in zip(got, got[1:]) if b <= a]
        check(not late, f'{len(late)} of {len(got)} came late or twice: {late[:10]}')


@test('wg reads back what it set, from several clients at once')
def _():
    with Lab('tun') as lab:
        t = Tunnel(lab)
        t.left.set('fwmark', '0x1234', 'peer', t.right.public, 'persistent-keepalive', '25')
        check(t.left.shown('fwmark').strip() == '0x1234', t.left.shown('fwmark'))
        check(t.left.shown('persistent-keepalive').split()[-1] == '25', 'keepalive')
        idle = [socket.socket(socket.AF_UNIX) for _ in range(20)]
        for s in idle:
            s.connect(f'/var/run/wireguard/{t.left.ifname}.sock')
        outs = [subprocess.Popen(['wg', 'show', t.left.ifname, 'dump'], stdout=subprocess.PIPE) for _ in range(10)]
        check(len({p.communicate()[0] for p in outs}) == 1, 'answers differ')
        before = wg('showconf', t.left.ifname).stdout
        check('errno=-22' in uapi(t.left.ifname, f'set=1\nlisten_port=1111\nfwmark=9\nnonsense=1\n\n'), 'not refused')
        check(wg('showconf', t.left.ifname).stdout == before, 'a refused set changed something')
        blocker = udp_socket(t.left.ns)
        blocker.bind(('0.0.0.0', 5555))
        check('errno=-98' in uapi(t.left.ifname, 'set=1\nlisten_port=5555\n\n'), 'port in use not told')
        check(t.left.ping(), 'after')
        t.left.lab.ip(t.left.ns, 'link', 'set', t.left.ifname, 'down')
        t.left.set('listen-port', '5555')
        t.left.lab.ip(t.left.ns, 'link', 'set', t.left.ifname, 'up')
        check(t.left.set('fwmark', '7', ok=False).returncode != 0, 'a port that is in use is told when it is needed')
        t.left.set('listen-port', '5556')
        check(t.left.ping(wait=15), 'with a free port')


@test('wg-quick brings an interface of ours up and down')
def _():
    tool('wg-quick')
    with Lab('tun') as lab, tempfile.TemporaryDirectory() as folder:
        ns = lab.namespace('q')
        name = f'flq{lab.tag}'
        path = os.path.join(folder, f'{name}.conf')
        with open(path, 'w') as f:
            f.write(f'[Interface]\nPrivateKey = {key_pair()[0]}\nAddress = 10.78.0.1/24, fd78::1/64\nListenPort = 51833\n'
                    f'[Peer]\nPublicKey = {key_pair()[1]}\nAllowedIPs = 10.78.0.0/16\nEndpoint = 127.0.0.1:9\n')
        os.chmod(path, 0o600)
        env = ['env', f'WG_QUICK_USERSPACE_IMPLEMENTATION={OURS}']
        command(env + ['wg-quick', 'up', path], ns=ns)
        try:
            check('51833' in wg('show', name, 'listen-port').stdout, 'not listening')
            check('10.78.0.0/16' in lab.ip(ns, 'route').stdout, 'no route')
        finally:
            command(env + ['wg-quick', 'down', path], ns=ns)
        wait_until(lambda: not os.path.exists(f'/var/run/wireguard/{name}.sock'), 'the daemon ended')


@test('removing the socket or the interface ends the daemon')
def _():
    with Lab('tun') as lab:
        ns = lab.namespace('e')
        for how in ('socket', 'interface', 'signal'):
            name = f'fle{lab.tag}'
            p = lab.start(ns, [OURS, '-f', name])
            sock = f'/var/run/wireguard/{name}.sock'
            wait_until(lambda: is_listening(name), 'started')
            if how == 'socket':
                os.unlink(sock)
            elif how == 'interface':
                lab.ip(ns, 'link', 'del', name)
            else:
                p.terminate()
            wait_until(lambda: p.poll() is not None, f'end after removal of the {how}')
            check(p.returncode == 0, f'status {p.returncode} after removal of the {how}')
            check(not os.path.exists(sock), 'socket left behind')


@test('an interface moved to another namespace keeps its sockets where it was made')
def _():
    with Lab('tun') as lab:
        t = Tunnel(lab)
        check(t.left.ping(), 'before')
        inside = lab.namespace('in')
        lab.ip(t.left.ns, 'link', 'set', t.left.ifname, 'netns', inside)
        time.sleep(1.2)
        lab.address(inside, t.left.ifname, f'{INNER[4][0]}/24')
        lab.ip(inside, 'link', 'set', t.left.ifname, 'up')
        wait_until(lambda: command(['ping', '-q', '-c1', '-W1', INNER[4][1]], ns=inside, ok=False).returncode == 0,
                   'a ping from inside', 40)
        lab.ip(inside, 'link', 'del', t.left.ifname)
        wait_until(lambda: t.left.process.poll() is not None, 'end of the daemon')


def daemon_pid(ifname):
    """The process that has the interface's name among its arguments."""
    for p in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{p}/cmdline', errors='replace') as f:
                words = f.read().split('\0')
        except OSError:  # it has ended meanwhile
            continue
        if ifname in words and words[0].endswith('fairlead-wg'):
            return int(p)
    return None


def harmless(pid):
    """Its status, once it has given its rights away, which the filter of system calls ends."""
    status = open(f'/proc/{pid}/status').read()
    return 'Seccomp:\t2' in status and status


@test('the daemon goes to the background when there is an interface, and gives its rights away')
def _():
    with Lab('tun') as lab:
        ns = lab.namespace('d')
        name = f'fld{lab.tag}'
        command([OURS, name], ns=ns)
        check(lab.ip(ns, 'link', 'show', name, ok=False).returncode == 0, 'no interface')
        pid = wait_until(lambda: daemon_pid(name), 'the daemon runs')
        try:
            status = wait_until(lambda: harmless(pid), open(f'/proc/{pid}/status').read())
        finally:
            os.unlink(f'/var/run/wireguard/{name}.sock')
        for line in (r'CapEff:\s*0*1000\n', r'CapPrm:\s*0*1000\n', r'CapBnd:\s*0+\n', r'CapAmb:\s*0+\n',
                     r'NoNewPrivs:\s*1\n', r'Seccomp:\s*2\n'):
            check(re.search(line, status), f'{line} in {status}')


if __name__ == '__main__':
    sys.exit(run_tests())
