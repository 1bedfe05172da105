"""A tailnet over a routed underlay, with an Internet to reach through exit nodes and networks behind nodes.

	             web 203.0.113.1, 2001:db8:113::1
	ctl 10.81.0.1 --- hub (router, coordinator and relay)
	                   |  10.81.N.1/24, fd81:N::1/64
	       +-----------+-----------+
	     node N .2               node M .2
	       | 192.168.N.1/24, fd82:N::1/64
	     lan N .10

Every node is in a network of its own and reaches the others through the hub. A web server tells who asks.
"""
import json, os, shutil, signal, socket, subprocess, sys, tempfile, time

from netlab import BUILD, Failure, Lab, check, command, descendants, kill_together, peer, run_tests, self_signed, test, tool, unpacked, wait_until

CONTROL = 'https://ctl.lab'
WEB, WEB6 = '203.0.113.1', '2001:db8:113::1'
CONFIG = '''
server_url: https://ctl.lab
listen_addr: 10.81.0.1:443
metrics_listen_addr: 127.0.0.1:9090
tls_cert_path: {dir}/ctl.crt
tls_key_path: {dir}/ctl.key
noise: {{private_key_path: {dir}/noise.key}}
database: {{type: sqlite, sqlite: {{path: {dir}/db.sqlite}}}}
derp:
  urls: []
  server: {{enabled: true, private_key_path: {dir}/derp.key, stun_listen_addr: "10.81.0.1:3478", ipv4: 10.81.0.1}}
node:
  routes: {{ha: {{probe_interval: 2s, probe_timeout: 1s}}}}
policy: {{mode: database}}
dns: {{base_domain: tail.lab, override_local_dns: false, nameservers: {{global: []}}}}
unix_socket: {dir}/ctl.sock
'''
POLICY = {
    'acls': [{'action': 'accept', 'src': ['*'], 'dst': ['*:*']},
             {'action': 'accept', 'src': ['*'], 'dst': ['autogroup:internet:*']}],
    'tagOwners': {'tag:router': []},
    'autoApprovers': {'routes': {'192.168.0.0/16': ['tag:router'], '10.0.0.0/8': ['tag:router'], 'fd00::/8': ['tag:router']},
                      'exitNode': ['tag:router']},
    'nodeAttrs': [{'target': ['tag:router'], 'attr': ['suggest-exit-node']}],
}

# Says from which address it was asked; with a length, sends so much, or takes it.
SERVER = r'''
import socket, sys, threading
def talk(c, a):
    with c:
        line = b''
        while not line.endswith(b'\n'):
            b = c.recv(1)  # and nothing of what follows
            if not b: return
            line += b
        words = line.split()
        if words[:1] == [b'give']:
            c.sendall(b'x' * int(words[1]))
        elif words[:1] == [b'take']:
            left = int(words[1])
            while left > 0:
                got = c.recv(65536)
                if not got: return
                left -= len(got)
            c.sendall(b'whole')
        else:
            c.sendall(a[0].replace('::ffff:', '').encode())
s = socket.create_server(('::', int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
while True:
    c, a = s.accept()
    threading.Thread(target=talk, args=(c, a), daemon=True).start()
'''
CLIENT = r'''
import socket, sys, time
to, port, limit, what, n = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4], int(sys.argv[5])
s = socket.create_connection((to, port), timeout=limit)
s.settimeout(limit)
s.sendall(f'{"take" if what == "drip" else what} {n}\n'.encode())
if what == 'take':
    s.sendall(b'x' * n)
while what == 'drip' and n > 0:
    s.sendall(b'x' * min(n, 65536))
    n -= 65536
    time.sleep(0.05)
got = b''
while True:
    b = s.recv(65536)
    if not b: break
    got += b
print(len(got) if what == 'give' else got.decode())
'''


def program(name):
    return os.path.join(BUILD, 'src/main', name)


class RouteLab(Lab):
    def __init__(self, name, mtu=1500):
        super().__init__(name)
        self.dir = tempfile.mkdtemp(prefix=f'fl-{name}-')
        os.chmod(self.dir, 0o711)  # the daemon's own user finds its folder
        self.mtu = mtu
        self.nodes, self.lans, self.daemons, self.numbers, self.flags = {}, {}, {}, {}, {}
        self.hub = self.namespace('hub')
        for dev, addresses in (('web', [f'{WEB}/32', f'{WEB6}/128']), ('ctl', ['10.81.0.1/32'])):
            self.ip(self.hub, 'link', 'add', dev, 'type', 'bridge')
            for a in addresses:
                self.address(self.hub, dev, a)
            self.ip(self.hub, 'link', 'set', dev, 'up')
        self.sysctl(self.hub, 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1', 'net.ipv4.icmp_ratelimit=0')
        self.server(self.hub, 80)
        self_signed(self.path('ctl.crt'), self.path('ctl.key'), 'DNS:ctl.lab')
        with open(self.path('c.yaml'), 'w') as f:
            f.write(CONFIG.format(dir=self.dir))
        self.start(self.hub, [program('fairlead-coordinator'), 'serve', '-c', self.path('c.yaml')], log=self.path('ctl.log'))
        wait_until(lambda: self.admin('health', ok=False).returncode == 0, 'the coordinator is healthy', 30)
        self.policy(POLICY)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def sysctl(self, ns, *settings):
        command(['sysctl', '-qw'] + list(settings), ns=ns)

    def server(self, ns, port):
        self.start(ns, [sys.executable, '-c', SERVER, str(port)])

    # ---- the coordinator ----

    def admin(self, *args, ok=True):
        return command([program('fairlead-coordinator'), '-c', self.path('c.yaml')] + list(args), ok=ok)

    def json(self, *args):
        return json.loads(self.admin(*args, '-o', 'json').stdout or 'null')

    def policy(self, policy):
        with open(self.path('policy.json'), 'w') as f:
            json.dump(policy, f)
        self.admin('policy', 'set', '-f', self.path('policy.json'))

    def record(self, name):
        return next((n for n in self.json('nodes', 'list') or [] if n.get('given_name') == name), None)

    # ---- nodes ----

    def node(self, name, number, lan=False):
        """A namespace for a node; with `lan`, a network behind it with a host."""
        ns = self.namespace(name)
        self.numbers[name], self.nodes[name] = number, ns
        self.veth(self.hub, f'n{number}', [f'10.81.{number}.1/24', f'fd81:{number}::1/64'], ns, 'eth0',
                  [f'10.81.{number}.2/24', f'fd81:{number}::2/64'])
        for where, dev in ((self.hub, f'n{number}'), (ns, 'eth0')):
            self.ip(where, 'link', 'set', dev, 'mtu', str(self.mtu))
        self.ip(ns, 'route', 'add', 'default', 'via', f'10.81.{number}.1')
        self.ip(ns, '-6', 'route', 'add', 'default', 'via', f'fd81:{number}::1')
        os.makedirs(f'/etc/netns/{ns}', exist_ok=True)
        with open(f'/etc/netns/{ns}/hosts', 'w') as f:
            f.write('127.0.0.1 localhost\n10.81.0.1 ctl.lab\n')
        with open(f'/etc/netns/{ns}/resolv.conf', 'w') as f:
            f.write('nameserver 127.0.0.1\n')
        os.makedirs(self.path(name), mode=0o700)
        if lan:
            self.lan(name, number)
        return ns

    def lan(self, name, number, behind=None):
        """The network 192.168.NUMBER.0/24 behind the node, with a host .10."""
        ns = self.lans[name] = self.namespace(behind or f'lan{number}')
        router = self.nodes[name]
        self.veth(router, 'eth1', [f'192.168.{number}.1/24', f'fd82:{number}::1/64'], ns, 'eth0',
                  [f'192.168.{number}.10/24', f'fd82:{number}::10/64'])
        self.ip(ns, 'route', 'add', 'default', 'via', f'192.168.{number}.1')
        self.ip(ns, '-6', 'route', 'add', 'default', 'via', f'fd82:{number}::1')
        self.server(ns, 80)

    def forwarding(self, name, on=True):
        v = int(on)
        self.sysctl(self.nodes[name], f'net.ipv4.ip_forward={v}', f'net.ipv6.conf.all.forwarding={v}')

    def socket(self, name):
        return self.path(name, 'sock')

    def daemon(self, name, ours, *flags):
        d = self.path(name)
        args = [program('fairleadd') if ours else peer('tailscaled'), f'--tun=tun0', f'--statedir={d}', f'--socket={d}/sock', '--port=41641']
        args += [] if not ours else ['--user', '12345'] if '--user' not in flags else []
        env = {'SSL_CERT_FILE': self.path('ctl.crt'), 'TS_NO_LOGS_NO_SUPPORT': 'true', 'TS_DEBUG_FIREWALL_MODE': 'nftables'}
        if os.path.exists(f'{d}/sock'):
            os.unlink(f'{d}/sock')
        p = self.daemons[name] = self.start(self.nodes[name], args + list(flags), env=env, log=f'{d}.log')
        self.flags[name] = (ours,) + flags
        wait_until(lambda: os.path.exists(f'{d}/sock') and self.ts(name, 'debug', 'prefs', ok=False).returncode == 0, f'{name} answers', 90)
        return p

    def ts(self, name, *args, ok=True, timeout=60):
        return command([peer('tailscale'), f'--socket={self.socket(name)}'] + list(args), ns=self.nodes[name], ok=ok, timeout=timeout)

    def fairlead(self, name, *args, ok=True):
        return command([program('fairlead'), f'--socket={self.socket(name)}'] + list(args), ns=self.nodes[name], ok=ok)

    def up(self, name, *flags):
        key = self.json('preauthkeys', 'create', '--tags', 'tag:router', '--reusable')['key']
        self.ts(name, 'up', f'--login-server={CONTROL}', f'--authkey={key}', f'--hostname={name}', '--accept-dns=false', '--timeout=50s', *flags)

    def join(self, name, number, ours, *flags, lan=False):
        self.node(name, number, lan)
        self.daemon(name, ours)
        self.up(name, *flags)

    def pid(self, name):
        """Of the daemon itself; `ip netns exec` became it."""
        return self.daemons[name].pid

    def kill(self, name):
        p = self.daemons[name]
        self.stop(p, signal.SIGKILL)

    def status(self, name):
        return json.loads(self.ts(name, 'status', '--json').stdout)

    def peer_of(self, name, other):
        return next((p for p in (self.status(name).get('Peer') or {}).values() if p['HostName'] == other), None)

    def ip_of(self, name, v=4):
        return next(a for a in self.status(name)['TailscaleIPs'] if (':' in a) == (v == 6))

    def log(self, name):
        with open(self.path(f'{name}.log'), errors='replace') as f:
            return f.read()

    # ---- traffic ----

    def pings(self, ns, address, seconds=2):
        return command(['ping', '-c', '1', '-W', str(seconds), address], ns=ns, ok=False).returncode == 0

    def talk(self, ns, to, what='who', n=0, port=80, seconds=4):
        """What the server there says: our address, or how much came. '' if nothing."""
        return command([sys.executable, '-c', CLIENT, to, str(port), str(seconds), what, str(n)], ns=ns, ok=False,
                       timeout=seconds * 4 + 30).stdout.strip()

    def close(self):
        super().close()
        for ns in list(self.nodes.values()):
            shutil.rmtree(f'/etc/netns/{ns}', ignore_errors=True)
        if not os.environ.get('FAIRLEAD_KEEP'):
            shutil.rmtree(self.dir, ignore_errors=True)


def run(name, make, **kw):
    with RouteLab(name, **kw) as lab:
        make(lab)
        status = run_tests(lab)
        if status:
            for n in ['ctl'] + list(lab.daemons):
                sys.stderr.write(f'--- {n}\n' + lab.log(n)[-1500:] + '\n')
    sys.exit(status)


def main(name, make, **kw):
    """The main program of a test."""
    if os.geteuid() != 0:
        print('1..0 # SKIP needs root')
        sys.exit(0)
    peer('tailscale'), peer('tailscaled')
    run(name, make, **kw)
