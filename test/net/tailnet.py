"""A tailnet of our coordinator (HTTPS, with its relay) and hosts that run our daemon or the stock one.

      ctl 10.99.0.1 ---+--- host 10.99.0.11
      (bridge)         +--- host 10.99.0.12 ...

Each host has an /etc of its own as far as names go.
"""
import json, os, shutil, subprocess, sys, tempfile

from netlab import BUILD, Lab, check, command, peer, self_signed, wait_until

CONTROL = 'https://ctl.lab'
CONFIG = '''
server_url: https://ctl.lab
listen_addr: 10.99.0.1:443
metrics_listen_addr: 10.99.0.1:9090
tls_cert_path: {dir}/ctl.crt
tls_key_path: {dir}/ctl.key
noise: {{private_key_path: {dir}/noise.key}}
database: {{type: sqlite, sqlite: {{path: {dir}/db.sqlite}}}}
derp:
  urls: []
  server:
    enabled: true
    private_key_path: {dir}/derp.key
    stun_listen_addr: 10.99.0.1:3478
    ipv4: 10.99.0.1
policy: {{mode: database}}
dns: {{base_domain: tail.lab, override_local_dns: false, nameservers: {{global: []}}}}
unix_socket: {dir}/sock
'''


def program(name):
    return os.path.join(BUILD, 'src/main', name)


class Tailnet(Lab):
    def __init__(self, name):
        super().__init__(name)
        self.dir = tempfile.mkdtemp(prefix=f'fl-{name}-')
        self.hub = self.namespace('ctl')
        self.ip(self.hub, 'link', 'add', 'brx', 'type', 'bridge')
        self.address(self.hub, 'brx', '10.99.0.1/24')
        self.ip(self.hub, 'link', 'set', 'brx', 'up')
        self.hosts, self.daemons = {}, {}
        self_signed(self.path('ctl.crt'), self.path('ctl.key'), 'DNS:ctl.lab')
        with open(self.path('c.yaml'), 'w') as f:
            f.write(CONFIG.format(dir=self.dir))
        self.env = {'SSL_CERT_FILE': self.path('ctl.crt'), 'TS_NO_LOGS_NO_SUPPORT': 'true', 'TS_DEBUG_FIREWALL_MODE': 'nftables'}
        self.server = None

    def path(self, *names):
        return os.path.join(self.dir, *names)

    # ---- the coordinator ----

    def serve(self):
        self.server = self.start(self.hub, [program('fairlead-coordinator'), 'serve', '-c', self.path('c.yaml')], log=self.path('server.log'))
        wait_until(lambda: self.admin('health', ok=False).returncode == 0, 'the server is healthy', 20)

    def admin(self, *args, ok=True):
        return command([program('fairlead-coordinator'), '-c', self.path('c.yaml')] + list(args), ok=ok)

    def json(self, *args):
        return json.loads(self.admin(*args, '-o', 'json').stdout or 'null')

    def key(self, *flags):
        return self.json('preauthkeys', 'create', *flags)['key']

    def node(self, name):
        return next((n for n in self.json('nodes', 'list') or [] if n.get('given_name') == name), None)

    # ---- hosts ----

    def host(self, name, number):
        ns = self.namespace(name)
        self.veth(self.hub, f'v{number}', [], ns, 'eth0', [f'10.99.0.{number}/24'])
        self.ip(self.hub, 'link', 'set', f'v{number}', 'master', 'brx')
        self.ip(ns, 'route', 'add', 'default', 'via', '10.99.0.1')
        os.makedirs(f'/etc/netns/{ns}', exist_ok=True)
        with open(f'/etc/netns/{ns}/hosts', 'w') as f:
            f.write('127.0.0.1 localhost\n10.99.0.1 ctl.lab\n')
        with open(f'/etc/netns/{ns}/resolv.conf', 'w') as f:
            f.write('nameserver 127.0.0.1\n')
        os.makedirs(self.path(name), mode=0o700)
        self.hosts[name] = ns
        return ns

    def daemon(self, name, ours, *flags, env=None, socket=None):
        """Starts our daemon, or the stock one, on the host's state folder."""
        args = [program('fairleadd') if ours else peer('tailscaled'), '--tun=ts0', f'--statedir={self.path(name)}', '--port=41641', *flags]
        socket = socket or self.path(name, 'sock')
        if os.path.exists(socket):
            os.unlink(socket)
        p = self.start(self.hosts[name], args + [f'--socket={socket}'], env=dict(self.env, **(env or {})), log=self.path(name, 'log'))
        self.daemons[name] = p
        wait_until(lambda: os.path.exists(socket) and self.ts(name, 'debug', 'prefs', ok=False).returncode == 0, f'{name} answers', 20)
        return p

    def ts(self, name, *args, ok=True, timeout=40, program=None):
        """The stock command (or another) against the daemon of a host."""
        return command([program or peer('tailscale'), f'--socket={self.path(name, "sock")}'] + list(args), ns=self.hosts[name], ok=ok, timeout=timeout)

    def fairlead(self, name, *args, ok=True, timeout=40):
        return self.ts(name, *args, ok=ok, timeout=timeout, program=program('fairlead'))

    def up(self, name, key, *flags):
        return self.ts(name, 'up', f'--login-server={CONTROL}', f'--authkey={key}', f'--hostname={name}', '--accept-dns=false', '--timeout=30s', *flags)

    def status(self, name):
        return json.loads(self.ts(name, 'status', '--json').stdout)

    def peers(self, name):
        return {p['HostName']: p for p in (self.status(name).get('Peer') or {}).values()}

    def pings(self, name, address, seconds=2):
        return command(['ping', '-c', '1', '-W', str(seconds), address], ns=self.hosts[name], ok=False).returncode == 0

    def close(self):
        super().close()
        for ns in self.hosts.values():
            shutil.rmtree(f'/etc/netns/{ns}', ignore_errors=True)
        if not os.environ.get('FAIRLEAD_KEEP'):
            shutil.rmtree(self.dir, ignore_errors=True)


def run(name, make, run_tests):
    """The main program of a test: a tailnet, made ready by make(lab), and the tests in it."""
    with Tailnet(name) as lab:
        if os.geteuid() == 0:
            make(lab)
        status = run_tests(lab)
        if status:
            for log in ['server.log'] + [f'{h}/log' for h in lab.hosts]:
                if os.path.exists(lab.path(log)):
                    sys.stderr.write(f'--- {log}\n' + open(lab.path(log), errors='replace').read()[-2000:])
    sys.exit(status)
