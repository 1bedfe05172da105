"""A tailnet with names, for tests of the resolver: ours and stock side by side, upstreams that are watched.

	ours --+
	stock -+-- hub: control server, derper, upstreams at 10.88.0.2...
	exit --+

Every node has an /etc of its own, so that each may manage its resolv.conf.
"""
import json, os, shutil, tempfile, time

from netlab import *

HUB = '10.88.0.1'
CONTROL = f'http://{HUB}:8080'
HERE = os.path.dirname(os.path.abspath(__file__))
ETC = ['passwd', 'group', 'hosts', 'nsswitch.conf', 'ssl', 'ca-certificates', 'protocols', 'services', 'ld.so.cache', 'alternatives',
       'host.conf', 'gai.conf', 'localtime', 'iproute2']


class DnsLab(Lab):
    def __init__(self, name, nodes, dns, caps=None, upstreams=(), exits=False, resolv=None):
        """nodes: { name: 'ours' or 'stock' }; upstreams: addresses of the scripted server."""
        super().__init__(name)
        self.dir = tempfile.mkdtemp(prefix=f'fl-{name}-')
        self.kind, self.ns, self.daemons, self.mounts = nodes, {}, {}, {}
        self.hub = self.namespace('hub')
        self.ip(self.hub, 'link', 'add', 'br0', 'type', 'bridge')
        for i in range(1, 16):
            self.address(self.hub, 'br0', f'10.88.0.{i}/24')
        self.ip(self.hub, 'link', 'set', 'br0', 'up')
        for i, who in enumerate(nodes):
            self.ns[who] = self.namespace(who)
            self.veth(self.hub, f'w{i}', [], self.ns[who], 'eth0', [f'10.88.0.{20 + i}/24'])
            self.ip(self.hub, 'link', 'set', f'w{i}', 'master', 'br0')
            self.ip(self.ns[who], 'route', 'add', 'default', 'via', HUB)
            self.make_etc(who, f"nameserver {(resolv or {}).get(who, '10.88.0.2')}\n")
        self.services(dns, caps or {}, exits)
        if upstreams:
            self.stub(*upstreams)
        for who in nodes:
            self.daemon(who)

    def close(self):
        super().close()
        if not os.environ.get('FAIRLEAD_KEEP'):
            shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    # ---- /etc ----

    def make_etc(self, who, resolv):
        os.makedirs(self.path(who, 'etc'))
        for name in ETC:
            if os.path.exists(f'/etc/{name}'):
                command(['cp', '-a', f'/etc/{name}', self.path(who, 'etc')])
        self.write_resolv(who, resolv)

    def write_resolv(self, who, text):
        with open(self.path(who, 'etc', 'resolv.conf'), 'w') as f:
            f.write(text)

    def resolv(self, who):
        try:
            with open(self.path(who, 'etc', 'resolv.conf')) as f:
                return f.read()
        except FileNotFoundError:
            return ''

    def inside(self, who, args):
        """The command with the node's /etc; no message bus is to be seen."""
        before = 'mount --bind "$0" /etc && { mount -t tmpfs none /run/dbus 2>/dev/null; ' + self.mounts.get(who, '') + 'exec "$@"; }'
        return ['sh', '-c', before, os.path.realpath(self.path(who, 'etc'))] + args

    # ---- programs ----

    def services(self, dns, caps, exits):
        self.dns, self.caps = dns, caps
        self_signed(self.path(f'{HUB}.crt'), self.path(f'{HUB}.key'), f'IP:{HUB}')
        region = {'RegionID': 1, 'RegionCode': 'lab', 'RegionName': 'Lab', 'Nodes': [
            {'Name': '1a', 'RegionID': 1, 'HostName': HUB, 'IPv4': HUB, 'DERPPort': 3340, 'InsecureForTests': True}]}
        self.write_json('derp.json', {'Regions': {'1': region}})
        self.write_json('dns.json', dns)
        self.write_json('caps.json', caps)
        self.control = self.start(self.hub, [peer('testcontrol'), '-listen', f'{HUB}:8080', '-derpmap', self.path('derp.json'), '-dns', 'ts.test',
                                             '-dnsconfig', self.path('dns.json'), '-caps', self.path('caps.json')] + (['-approve'] if exits else []),
                                  log=self.path('control.log'))
        self.start(self.hub, [peer('derper'), '-a', f'{HUB}:3340', '-certmode', 'manual', '-certdir', self.dir, '-hostname', HUB,
                              '-c', self.path('derper.key'), '-http-port', '-1'])

    def write_json(self, name, value):
        with open(self.path(name), 'w') as f:
            json.dump(value, f)

    def stub(self, *addresses, ns=None, log='stub.log', env=None):
        """A scripted upstream."""
        open(self.path(log), 'a').close()
        p = self.start(ns or self.hub, [sys.executable, os.path.join(HERE, 'dnsstub.py'), self.path(log)] + list(addresses), env=env, log=self.path(log + '.out'))
        wait_until(lambda: 'ready' in open(self.path(log + '.out')).read(), 'the scripted upstream listens')
        return p

    def asked(self, log='stub.log'):
        """What upstreams were asked: (server, protocol, name, type, who asked)."""
        with open(self.path(log)) as f:
            return [tuple(line.split()[:5]) for line in f]

    def at(self, who):
        """The address on the wire."""
        return f'10.88.0.{20 + list(self.kind).index(who)}'

    def daemon(self, who, *more):
        os.makedirs(self.path(who, 'state'), mode=0o700, exist_ok=True)
        tun, sock = f'f{who[:4]}{self.tag}', self.path(f'{who}.sock')
        if self.kind[who] == 'ours':
            args, env = [os.path.join(BUILD, 'src/main/fairleadd')], {}
        else:
            args, env = [peer('tailscaled')], {'TS_NO_LOGS_NO_SUPPORT': 'true', 'TS_DEBUG_FIREWALL_MODE': 'nftables'}
        args += ['--tun', tun, '--statedir', self.path(who, 'state'), '--socket', sock, '--port', '0'] + list(more)
        self.daemons[who] = self.start(self.ns[who], self.inside(who, args), env=env, log=self.path(f'{who}.log'))
        wait_until(lambda: os.path.exists(sock), f'{who} serves its local API')

    def cli(self, who, *args, ok=True, timeout=40):
        """The stock command, to either daemon."""
        return command([peer('tailscale'), '--socket', self.path(f'{who}.sock')] + list(args), ok=ok, timeout=timeout)

    def ours(self, who, *args, ok=True, timeout=40):
        """Our command, to either daemon."""
        return command([os.path.join(BUILD, 'src/main/fairlead'), '--socket', self.path(f'{who}.sock')] + list(args), ok=ok, timeout=timeout)

    def up(self, who, *args):
        self.cli(who, 'up', '--login-server', CONTROL, '--auth-key', 'k', '--hostname', who, '--timeout', '30s', *args)

    def up_all(self, *args):
        for who in self.ns:
            self.up(who, *args)
        for who in self.ns:
            wait_until(lambda: len(self.status(who)['Peer'] or {}) == len(self.ns) - 1, f'{who} sees its peers')

    def status(self, who):
        return json.loads(self.cli(who, 'status', '--json').stdout)

    def addresses(self, who):
        return self.status(who)['TailscaleIPs']

    def dig(self, who, *args, server='100.100.100.100'):
        return command(['dig', '+time=12', '+tries=1', f'@{server}'] + list(args), ns=self.ns[who], ok=False, timeout=40).stdout

    def short(self, who, *args):
        return self.dig(who, '+short', *args).split()
