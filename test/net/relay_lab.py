"""Nodes that cannot reach each other, relays in a namespace each, and a control server.

	n1 --+            +-- a   (a relay)
	     +-- router --+-- b   (another one)
	n2 --+            control runs in the router

The router forwards between nodes and relays, not between nodes.
"""
import json, os, re, subprocess, sys, tempfile, time

from netlab import *

NET = '10.77'
HOSTS = {'n1': 1, 'n2': 2, 'a': 3, 'b': 4}
MESH_KEY = 'c0ffee' + '00' * 28 + 'aa'


def address(host):
    return f'{NET}.{HOSTS[host]}.2'


class RelayLab(Lab):
    def __init__(self, name):
        super().__init__(name)
        self.dir = tempfile.mkdtemp(prefix=f'fl-{name}-')
        self.router = self.namespace('r')
        self.ns = {}
        for host, i in HOSTS.items():
            ns = self.ns[host] = self.namespace(host)
            self.veth(self.router, f'r-{host}', [f'{NET}.{i}.1/24', f'fd77:{i}::1/64'], ns, 'eth0', [f'{NET}.{i}.2/24', f'fd77:{i}::2/64'])
            self.ip(ns, 'route', 'add', 'default', 'via', f'{NET}.{i}.1')
            self.ip(ns, '-6', 'route', 'add', 'default', 'via', f'fd77:{i}::1')
            self.hosts_file(ns)
        command(['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1'], ns=self.router)
        command(['nft', '-f', '-'], ns=self.router, stdin='''
table inet lab {
	chain forward {
		type filter hook forward priority 0
		iifname "r-n1" oifname "r-n2" drop
		iifname "r-n2" oifname "r-n1" drop
		jump extra
	}
	chain extra {}
}
''')
        self.certificates()

    def hosts_file(self, ns):
        """Names of the relays, without a DNS server: ip netns exec lays this over /etc/hosts."""
        os.makedirs(f'/etc/netns/{ns}', exist_ok=True)
        with open(f'/etc/netns/{ns}/hosts', 'w') as f:
            f.write('127.0.0.1 localhost\n')
            for host, i in HOSTS.items():
                f.write(f'{NET}.{i}.2 {host}.test\nfd77:{i}::2 {host}.test\n')

    def close(self):
        for ns in self.namespaces:
            # A successor is nobody's child here.
            for pid in pids(ns):
                send(pid, signal.SIGTERM)
            subprocess.run(['rm', '-rf', f'/etc/netns/{ns}'])
        super().close()
        subprocess.run(['rm', '-rf', self.dir])

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), 'w') as f:
            f.write(text)
        return self.path(name)

    def read(self, name):
        with open(self.path(name)) as f:
            return f.read()

    def certificates(self):
        """A CA, and a chain for each relay's name."""
        tool('openssl')
        run = lambda *a: command(['openssl'] + list(a))
        run('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=lab CA',
            '-keyout', self.path('ca.key'), '-out', self.path('ca.crt'))
        for host in ('a', 'b'):
            run('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', f'/CN={host}.test',
                '-keyout', self.path(f'{host}.test.key'), '-out', self.path(f'{host}.csr'))
            run('x509', '-req', '-in', self.path(f'{host}.csr'), '-CA', self.path('ca.crt'), '-CAkey', self.path('ca.key'),
                '-CAcreateserial', '-days', '2', '-out', self.path(f'{host}.test.crt'),
                '-extfile', self.write(f'{host}.ext', f'subjectAltName=DNS:{host}.test'))

    def env(self):
        return {'SSL_CERT_FILE': self.path('ca.crt'), 'TS_NO_LOGS_NO_SUPPORT': 'true'}

    def block(self, source, destination):
        command(['nft', 'add', 'rule', 'inet', 'lab', 'extra', 'iifname', f'r-{source}', 'oifname', f'r-{destination}', 'drop'],
                ns=self.router)

    def unblock(self):
        command(['nft', 'flush', 'chain', 'inet', 'lab', 'extra'], ns=self.router)

    # --- relays ---

    def ours(self, host, *args, tls='ca'):
        """fairlead-relay on the host; tls: 'ca' or 'own' (self-signed)."""
        certs = {'ca': ['--cert-file', self.path(f'{host}.test.crt'), '--cert-key-file', self.path(f'{host}.test.key')],
                 'own': ['--self-signed']}[tls]
        p = self.start(self.ns[host], [os.path.join(BUILD, 'src/main/fairlead-relay'), '--hostname', f'{host}.test',
                       '--key-file', self.path(f'{host}.key'), '--listen', ':443', '--http-listen', ':80',
                       '--plain-listen', '127.0.0.1:8080'] + certs + list(args), env=self.env(), log=self.path(f'{host}.log'))
        wait_until(lambda: self.get(host, '/healthz').strip() == 'ok', f'relay {host} serves: {self.read(f"{host}.log")}')
        return p

    def derper(self, host, *args):
        p = self.start(self.ns[host], [peer('derper'), '-hostname', f'{host}.test', '-certmode', 'manual', '-certdir', self.dir,
                       '-a', ':443', '-http-port', '-1', '-stun', '-c', self.path(f'{host}-derper.key')] + list(args),
                       env=self.env(), log=self.path(f'{host}.log'))
        wait_until(lambda: 'serving on' in self.read(f'{host}.log'), 'derper serves')
        return p

    def get(self, host, path):
        return command(['curl', '-s', '-m', '2', f'http://127.0.0.1:8080{path}'], ns=self.ns[host], ok=False).stdout

    def metric(self, host, name):
        m = re.search(rf'^fairlead_relay_{re.escape(name)} (\d+)$', self.get(host, '/metrics'), re.M)
        return int(m.group(1)) if m else -1

    # --- nodes ---

    def control(self, regions):
        """regions: a list of lists of hosts, one region each; a host may be a dict for a node's further fields."""
        derp = {'Regions': {}}
        for i, hosts in enumerate(regions):
            region = 901 + i
            nodes = []
            for host in hosts:
                more = host if isinstance(host, dict) else {}
                host = more.pop('host', host) if more else host
                nodes.append(dict({'Name': f'{region}{host}', 'RegionID': region, 'HostName': f'{host}.test',
                                   'IPv4': address(host), 'IPv6': f'fd77:{HOSTS[host]}::2', 'CanPort80': True}, **more))
            derp['Regions'][str(region)] = {'RegionID': region, 'RegionCode': f'r{region}', 'RegionName': f'Region {region}', 'Nodes': nodes}
        at = f'{NET}.1.1:9911'
        self.start(self.router, [peer('testcontrol'), '-listen', f'0.0.0.0:9911', '-base', f'http://{at}',
                   '-derpmap', self.write('derpmap.json', json.dumps(derp))], log=self.path('control.log'))
        wait_until(lambda: 'serving on' in self.read('control.log'), 'the control server serves')
        self.control_url = f'http://{at}'

    def node(self, host):
        state = self.path(f'{host}.state')
        os.makedirs(state, exist_ok=True)
        self.start(self.ns[host], [peer('tailscaled'), f'--tun=fl{os.getpid() % 10000}{host}', '--port=41641', f'--statedir={state}',
                   f'--socket={state}/sock', '--no-logs-no-support'], env=self.env(), log=self.path(f'{host}.log'))
        wait_until(lambda: os.path.exists(f'{state}/sock'), 'tailscaled listens', 15)
        self.cli(host, 'up', f'--login-server={self.control_url}', f'--hostname={host}', '--timeout=40s', timeout=45)
        return self.cli(host, 'ip', '-4').stdout.strip()

    def cli(self, host, *args, ok=True, timeout=30):
        return command(['env'] + [f'{k}={v}' for k, v in self.env().items()] +
                       [peer('tailscale'), f'--socket={self.path(host)}.state/sock'] + list(args), ns=self.ns[host], ok=ok, timeout=timeout)

    def ping(self, host, to, tries=15):
        """The line of the first pong."""
        for _ in range(tries):
            r = self.cli(host, 'ping', '--c=1', '--timeout=2s', '--until-direct=false', to, ok=False)
            for line in r.stdout.splitlines():
                if line.startswith('pong from'):
                    return line
            time.sleep(0.3)
        raise Failure(f'no pong: {r.stdout} {r.stderr}')

    def iperf(self, source, host, to, seconds=3, *args):
        """Bits a second that arrived."""
        server = self.start(self.ns[host], [tool('iperf3'), '-s', '-1', '-B', to], log=self.path('iperf.log'))
        time.sleep(0.4)
        r = command([tool('iperf3'), '-c', to, '-t', str(seconds), '-J', '--connect-timeout', '5000'] + list(args), ns=self.ns[source],
                    ok=False, timeout=seconds + 30)
        self.stop(server)
        report = json.loads(r.stdout)
        check('error' not in report, report.get('error'))
        return report['end']['sum_received']['bits_per_second']
