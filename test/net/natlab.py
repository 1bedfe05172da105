"""Hosts behind NATs of chosen kinds around a small internet, with our coordinator and two relays.

	host --- gateway --- (carrier) ---+
	host --- gateway -----------------+--- inet ---+--- ctl 203.0.113.1   coordinator, relay 999, STUN
	host -----------------------------+            +--- rly 203.0.113.9   relay 998, STUN

Two STUN servers, as a NAT that maps by destination shows itself only to two. The words for NATs are those
of RFC 4787; each kind's rules are what Linux has, found by measuring mapping and filtering.
"""
import json, os, shutil, subprocess, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from netlab import BUILD, Failure, Lab, check, command, peer, self_signed, tool, wait_until

# kind: what it is
KINDS = {
    'open': 'a public address, IPv4 and IPv6, no firewall',
    'fw': 'a public address behind a stateful firewall',
    'fullcone': 'mapping and filtering do not depend on the other end',
    'restricted': 'filters by address',
    'portres': 'filters by address and port; keeps ports (what Linux does)',
    'symmetric': 'another port for each destination, filters by address and port',
    'cgnat': 'a home router (portres) behind a symmetric carrier',
    'noudp': 'UDP is dropped',
    'ipv6': 'IPv6 alone, behind a stateful firewall',
}

CONFIG = '''
server_url: https://ctl.lab
listen_addr: "[::]:443"
metrics_listen_addr: 127.0.0.1:9090
tls_cert_path: {dir}/ctl.crt
tls_key_path: {dir}/ctl.key
noise: {{private_key_path: {dir}/noise.key}}
database: {{type: sqlite, sqlite: {{path: {dir}/db.sqlite}}}}
derp:
  urls: []
  paths: [{dir}/relays.yaml]
  server: {{enabled: true, region_id: 999, private_key_path: {dir}/derp.key, stun_listen_addr: "[::]:3478",
            ipv4: 203.0.113.1, ipv6: "2001:db8:ffff::1"}}
policy: {{mode: database}}
dns: {{base_domain: tail.lab, override_local_dns: false, nameservers: {{global: []}}}}
unix_socket: {dir}/sock
'''

RELAYS = '''
regions:
  998:
    regionid: 998
    regioncode: other
    regionname: The other relay
    nodes:
      - name: 998a
        regionid: 998
        hostname: rly.lab
        ipv4: 203.0.113.9
        ipv6: "2001:db8:fffe::1"
'''


def gateway_rules(kind):
    """The text for nft of a gateway: wan outside, lan inside."""
    snat = 'masquerade random,fully-random' if kind == 'symmetric' else 'accept' if kind == 'fw' else 'masquerade'
    pre = learn = talked = let_in = block = ''
    if kind in ('fullcone', 'restricted'):
        # Which inside host owns an outside port: written on the way out, read on the way in.
        learn = 'oifname "wan" meta l4proto udp update @owner { udp sport : ip saddr }'
        pre = 'iifname "wan" meta l4proto udp dnat ip to udp dport map @owner'
        let_in = 'iifname "wan" meta l4proto udp ct state new accept'
    if kind == 'restricted':
        talked = 'oifname "wan" meta l4proto udp update @talked { ip daddr . udp sport timeout 120s }'
        let_in = 'iifname "wan" meta l4proto udp ct state new ip saddr . udp dport @talked accept'
    if kind == 'noudp':
        block = 'meta l4proto udp drop'
    return f'''
table inet gw {{
	map owner {{ type inet_service : ipv4_addr; flags dynamic,timeout; timeout 300s; size 65535; }}
	set talked {{ type ipv4_addr . inet_service; flags dynamic,timeout; timeout 300s; size 65535; }}
	chain in {{ type nat hook prerouting priority dstnat; {pre}
	}}
	chain learn {{ type filter hook postrouting priority 90; {learn}
	}}
	chain out {{ type nat hook postrouting priority srcnat;
		meta nfproto ipv6 accept
		oifname "wan" {snat}
	}}
	chain forward {{ type filter hook forward priority filter; policy drop;
		{block}
		{talked}
		ct state established,related accept
		iifname "lan" oifname "wan" accept
		iifname "wan" ct status dnat jump mapped
		{let_in}
		icmpv6 type {{ echo-request, packet-too-big }} accept
	}}
	chain mapped {{
	}}
	chain input {{ type filter hook input priority filter;
		iifname "wan" ct state new meta l4proto {{ tcp, udp }} drop
	}}
}}
'''


class NatLab(Lab):
    # Documentation space; other for tests with a port mapper that takes it for what it is.
    wan4 = '198.51.100'

    def __init__(self, name='nat'):
        super().__init__(name)
        self.dir = tempfile.mkdtemp(prefix=f'fl-{name}-')
        self.hosts, self.gateways, self.kinds, self.daemons, self.wan = {}, {}, {}, {}, {}
        self.n, self.server, self.relay = 0, None, None
        self.inet = self.router_namespace('inet')
        self.ctl, self.rly = (self.service(*a) for a in (('ctl', '203.0.113.1', '2001:db8:ffff'), ('rly', '203.0.113.9', '2001:db8:fffe')))
        self.certificates()

    def close(self):
        names = list(self.namespaces)
        super().close()
        for ns in names:
            shutil.rmtree(f'/etc/netns/{ns}', ignore_errors=True)
        shutil.rmtree(self.dir, ignore_errors=True)

    # --- the ground ---

    def router_namespace(self, name):
        ns = self.namespace(name)
        command(['sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=0', 'net.ipv4.conf.default.rp_filter=0', 'net.ipv4.ip_forward=1',
                 'net.ipv6.conf.all.forwarding=1'], ns=ns)
        return ns

    def names(self, ns):
        os.makedirs(f'/etc/netns/{ns}', exist_ok=True)
        with open(f'/etc/netns/{ns}/hosts', 'w') as f:
            f.write('127.0.0.1 localhost\n203.0.113.1 ctl.lab\n2001:db8:ffff::1 ctl.lab\n203.0.113.9 rly.lab\n2001:db8:fffe::1 rly.lab\n')
        with open(f'/etc/netns/{ns}/resolv.conf', 'w') as f:
            f.write('nameserver 127.0.0.1\n')

    def wire(self, a, name_a, addresses_a, b, name_b, addresses_b):
        """Addresses of the form ADDRESS/LEN; b's default routes lead to a's addresses."""
        self.veth(a, name_a, addresses_a, b, name_b, addresses_b)
        for address in addresses_a:
            self.ip(b, '-6' if ':' in address else '-4', 'route', 'add', 'default', 'via', address.split('/')[0])

    def service(self, name, v4, net6):
        ns = self.namespace(name)
        base, last = v4.rsplit('.', 1)
        self.wire(self.inet, name, [f'{base}.{int(last) + 1}/30', f'{net6}::ff/64'], ns, 'eth0', [f'{v4}/30', f'{net6}::1/64'])
        self.names(ns)
        return ns

    def certificates(self):
        tool('openssl')
        self_signed(f'{self.dir}/ctl.crt', f'{self.dir}/ctl.key', 'DNS:ctl.lab', 'DNS:rly.lab')

    # --- hosts ---

    def host(self, name, kind):
        """A host behind its own gateway."""
        self.n += 1
        n, lab = self.n, self.name
        ns = self.router_namespace(name) if kind == 'router' else self.namespace(name)
        self.hosts[name], self.kinds[name] = ns, kind
        base, at = self.wan4.rsplit('.', 1)
        net = f'{base}.{int(at) + n // 32}'
        outside, inside = f'{net}.{n % 32 * 8 + 1}', f'{net}.{n % 32 * 8 + 2}'
        net6 = f'2001:db8:{n:x}'
        if kind == 'open':
            self.wire(self.inet, f's{n}', [f'{outside}/29', f'{net6}::1/64'], ns, 'eth0', [f'{inside}/29', f'{net6}::2/64'])
            self.gateways[name], self.wan[name] = ns, ('eth0', inside, outside)
        else:
            self.behind(name, ns, kind, n, outside, inside, net6)
        self.names(ns)
        os.makedirs(f'{self.dir}/{name}', mode=0o700)
        return ns

    def behind(self, name, ns, kind, n, outside, inside, net6):
        gw = self.router_namespace(f'{name}-gw')
        wan_ns = gw
        if kind == 'ipv6':
            self.wire(self.inet, f's{n}', [f'{net6}:f::1/64'], gw, 'wan', [f'{net6}:f::2/64'])
            self.wire(gw, 'lan', [f'{net6}::1/64'], ns, 'eth0', [f'{net6}::2/64'])
            self.ip(self.inet, '-6', 'route', 'add', f'{net6}::/64', 'via', f'{net6}:f::2')
        elif kind == 'fw':
            self.wire(self.inet, f's{n}', [f'{outside}/29'], gw, 'wan', [f'{inside}/29'])
            net = f'192.0.{2 + n // 32}.'
            first = n % 32 * 8
            self.wire(gw, 'lan', [f'{net}{first + 1}/29'], ns, 'eth0', [f'{net}{first + 2}/29'])
            self.ip(self.inet, 'route', 'add', f'{net}{first}/29', 'via', inside)
        else:
            if kind == 'cgnat':
                wan_ns = self.router_namespace(f'{name}-cg')
                self.wire(wan_ns, 'lan', [f'100.127.{n}.1/24'], gw, 'wan', [f'100.127.{n}.2/24'])
                command(['nft', '-f', '-'], ns=wan_ns, stdin=gateway_rules('symmetric'))
            self.wire(self.inet, f's{n}', [f'{outside}/29'], wan_ns, 'wan', [f'{inside}/29'])
            self.wire(gw, 'lan', [f'192.168.{n}.1/24'], ns, 'eth0', [f'192.168.{n}.100/24'])
        command(['nft', '-f', '-'], ns=gw, stdin=gateway_rules('portres' if kind == 'cgnat' else kind))
        self.gateways[name], self.wan[name] = wan_ns, ('wan', inside, outside)

    def rebind(self, name):
        """The gateway gets another public address, and what it had mapped is forgotten."""
        ns, (dev, inside, outside) = self.gateways[name], self.wan[name]
        base, last = inside.rsplit('.', 1)
        new = f'{base}.{int(last) + 1}' if int(last) % 8 == 2 else f'{base}.{int(last) - 1}'
        self.ip(ns, 'link', 'set', dev, 'down')
        self.ip(ns, 'address', 'del', f'{inside}/29', 'dev', dev)
        self.ip(ns, 'address', 'add', f'{new}/29', 'dev', dev)
        self.ip(ns, 'link', 'set', dev, 'up')
        self.ip(ns, 'route', 'replace', 'default', 'via', outside)
        self.wan[name] = (dev, new, outside)

    def cut(self, name, *what):
        """What matches any of these is dropped between this host and everything else, until mend()."""
        self.mend(name)
        rules = {hook: ' '.join(f'{dev} "eth0" {w} drop;' for w in what) for hook, dev in (('input', 'iifname'), ('output', 'oifname'))}
        chains = '\n'.join(f'chain {hook} {{ type filter hook {hook} priority -10; {r} }}' for hook, r in rules.items())
        command(['nft', '-f', '-'], ns=self.hosts[name], stdin=f'table inet cut {{ {chains}\n}}')

    def mend(self, name):
        command(['nft', 'delete', 'table', 'inet', 'cut'], ns=self.hosts[name], ok=False)

    # --- control and relays ---

    def serve(self):
        with open(f'{self.dir}/c.yaml', 'w') as f:
            f.write(CONFIG.format(dir=self.dir))
        with open(f'{self.dir}/relays.yaml', 'w') as f:
            f.write(RELAYS)
        self.start_relay()
        self.start_server()
        self.admin('users', 'create', 'lab')
        self.key = json.loads(self.admin('preauthkeys', 'create', '--user', '1', '--reusable', '-o', 'json').stdout)['key']

    def start_server(self):
        self.server = self.start(self.ctl, [os.path.join(BUILD, 'src/main/fairlead-coordinator'), 'serve', '-c', f'{self.dir}/c.yaml'],
                                 log=f'{self.dir}/server.log')
        wait_until(lambda: self.admin('health', ok=False).returncode == 0, 'the server is healthy', 30)

    def start_relay(self):
        self.relay = self.start(self.rly, [os.path.join(BUILD, 'src/main/fairlead-relay'), '--hostname', 'rly.lab', '--key-file', f'{self.dir}/rly-node.key',
                                '--listen', ':443', '--http-listen', ':80', '--plain-listen', '127.0.0.1:8080', '--cert-file', f'{self.dir}/ctl.crt',
                                '--cert-key-file', f'{self.dir}/ctl.key'], log=f'{self.dir}/relay.log')
        wait_until(lambda: command(['curl', '-s', '-m', '2', 'http://127.0.0.1:8080/healthz'], ns=self.rly, ok=False).stdout.strip() == 'ok',
                   'the second relay serves', 30)

    def admin(self, *args, ok=True):
        return command([os.path.join(BUILD, 'src/main/fairlead-coordinator'), '-c', f'{self.dir}/c.yaml'] + list(args), ok=ok)

    def policy(self, policy):
        with open(f'{self.dir}/policy.json', 'w') as f:
            json.dump(policy, f)
        self.admin('policy', 'set', '-f', f'{self.dir}/policy.json')

    # --- nodes ---

    def daemon(self, name, stock, port=41641, env=None, args=()):
        """Starts our daemon or the stock one on the host."""
        d = f'{self.dir}/{name}'
        program = peer('tailscaled') if stock else os.path.join(BUILD, 'src/main/fairleadd')
        e = {'SSL_CERT_FILE': f'{self.dir}/ctl.crt', 'TS_NO_LOGS_NO_SUPPORT': 'true', 'TS_DEBUG_FIREWALL_MODE': 'nftables', **(env or {})}
        p = self.start(self.hosts[name], [program, '--tun', f'f{self.tag}{len(self.daemons)}', '--statedir', d, '--socket', f'{d}/sock', '--port', str(port),
                                          '--no-logs-no-support', *args], env=e, log=f'{d}/log')
        self.daemons[name] = p
        wait_until(lambda: os.path.exists(f'{d}/sock'), f'{name} listens', 30)
        return p

    def ts(self, name, *args, ok=True, timeout=60):
        """The stock command, to either daemon."""
        return command([peer('tailscale'), '--socket', f'{self.dir}/{name}/sock'] + list(args), ns=self.hosts[name], ok=ok, timeout=timeout)

    def up(self, name, *flags):
        self.ts(name, 'up', '--login-server=https://ctl.lab', f'--authkey={self.key}', f'--hostname={name}', '--accept-dns=false', '--timeout=60s', *flags,
                timeout=70)

    def status(self, name):
        return json.loads(self.ts(name, 'status', '--json').stdout)

    def ip_of(self, name):
        return self.ts(name, 'ip', '-4').stdout.strip()

    def ping_path(self, a, b_address, count=1, *flags):
        """How the last pong came: 'direct', 'peer-relay', 'derp', or '' for none."""
        out = self.ts(a, 'ping', f'--c={count}', '--timeout=3s', *flags, b_address, ok=False, timeout=count * 4 + 20).stdout
        pongs = [line for line in out.splitlines() if line.startswith('pong from')]
        if not pongs:
            return ''
        return 'derp' if 'via DERP' in pongs[-1] else 'peer-relay' if 'via peer-relay' in pongs[-1] else 'direct'

    def pings(self, a, b_address, seconds=2):
        return command(['ping', '-c', '1', '-W', str(seconds), b_address], ns=self.hosts[a], ok=False).returncode == 0
