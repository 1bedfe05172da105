"""A coordinator and stock tailscaleds.

World is on the loopback of one namespace and its nodes use userspace networking: quick, and enough where what
is said counts. Net has hosts with interfaces of their own, for what their packets do.
"""
import json, os, re, shutil, sys, tempfile

from netlab import BUILD, Lab, command, peer, run_tests, self_signed, tool, wait_until

SERVER = 'http://127.0.0.1:8080'
OURS = os.path.join(BUILD, 'src/main/fairlead-coordinator')
CONFIG = '''
server_url: http://127.0.0.1:8080
listen_addr: 127.0.0.1:8080
metrics_listen_addr: 127.0.0.1:9090
noise: {{private_key_path: {dir}/noise.key}}
database: {{type: sqlite, sqlite: {{path: {dir}/db.sqlite}}}}
derp:
  urls: []
  server: {{enabled: true, private_key_path: {dir}/derp.key, stun_listen_addr: 127.0.0.1:3478, ipv4: 127.0.0.1}}
policy: {{mode: database}}
dns: {{base_domain: tail.lab, override_local_dns: false, nameservers: {{global: []}}}}
unix_socket: {dir}/sock
'''


NET_CONFIG = '''
server_url: https://ctl.lab
listen_addr: 10.98.0.1:443
metrics_listen_addr: 10.98.0.1:9090
tls_cert_path: {dir}/ctl.crt
tls_key_path: {dir}/ctl.key
noise: {{private_key_path: {dir}/noise.key}}
database: {{type: sqlite, sqlite: {{path: {dir}/db.sqlite}}}}
derp:
  urls: []
  server:
    enabled: true
    private_key_path: {dir}/derp.key
    stun_listen_addr: 10.98.0.1:3478
    ipv4: 10.98.0.1
node:
  ephemeral: {{inactivity_timeout: 66s}}
  routes: {{ha: {{probe_interval: 2s, probe_timeout: 1s}}}}
policy: {{mode: database}}
dns:
  base_domain: tail.lab
  override_local_dns: false
  nameservers: {{global: []}}
  extra_records: [{{name: extra.tail.lab, type: A, value: 192.0.2.7}}]
unix_socket: {dir}/sock
'''
HELLO = '''
import socket, sys
s = socket.create_server(('', int(sys.argv[1])))
while True:
    c, _ = s.accept()
    c.recv(4096)
    c.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\nhello')
    c.close()
'''


class Base:
    """The administrator's side, and what every laboratory's nodes have in common."""

    def __init__(self, lab):
        self.lab, self.dir = lab, tempfile.mkdtemp(prefix=f'fl-{lab.name}-')
        self.server, self.daemons = None, {}

    def serve(self):
        self.server = self.lab.start(self.ns, [OURS, 'serve', '-c', f'{self.dir}/c.yaml'], log=f'{self.dir}/server.log')
        wait_until(lambda: self.admin('health', ok=False).returncode == 0, 'the server is healthy')

    def restart(self):
        self.lab.stop(self.server)
        self.serve()

    def kill(self):
        """As restart, but the server has no time for anything."""
        self.server.kill()
        self.server.wait()
        self.serve()

    def admin(self, *args, ok=True):
        return command([OURS, '-c', f'{self.dir}/c.yaml'] + list(args), ok=ok)

    def json(self, *args):
        return json.loads(self.admin(*args, '-o', 'json').stdout or 'null')

    def key(self, *flags):
        return self.json('preauthkeys', 'create', *flags)['key']

    def policy(self, policy):
        with open(f'{self.dir}/policy.json', 'w') as f:
            json.dump(policy, f)
        self.admin('policy', 'set', '-f', f'{self.dir}/policy.json')

    def node(self, name):
        return next((n for n in self.json('nodes', 'list') or [] if n.get('given_name') == name), None)

    def start_daemon(self, ns, name, args, env):
        d = f'{self.dir}/{name}'
        os.makedirs(d, exist_ok=True)
        args = [peer('tailscaled'), f'--statedir={d}', f'--socket={d}/sock', '--no-logs-no-support', *args]
        self.daemons[name] = self.lab.start(ns, args, env={'TS_NO_LOGS_NO_SUPPORT': 'true', **env}, log=f'{d}/log')
        wait_until(lambda: os.path.exists(f'{d}/sock'), 'the daemon listens')
        return self.daemons[name]

    def ts(self, name, *args, ok=True, timeout=40):
        return command([peer('tailscale'), f'--socket={self.dir}/{name}/sock'] + list(args), ns=self.host_of(name), ok=ok, timeout=timeout)

    def join(self, name, key, *flags):
        return self.ts(name, 'up', f'--login-server={self.url}', f'--authkey={key}', f'--hostname={name}', '--timeout=30s', *flags)

    def status(self, name):
        return json.loads(self.ts(name, 'status', '--json').stdout)

    def state(self, name):
        return self.status(name)['BackendState']

    def peers(self, name):
        return {p['HostName']: p for p in (self.status(name).get('Peer') or {}).values()}

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class World(Base):
    """On the loopback of one namespace, w.ns."""
    url = SERVER

    def __init__(self, lab, config=''):
        super().__init__(lab)
        self.ns = lab.namespace('one')
        # Without an interface that is up tailscaled waits for the network.
        lab.veth(self.ns, 'e0', ['10.97.0.1/24'], lab.namespace('far'), 'e1', ['10.97.0.2/24'])
        lab.ip(self.ns, 'route', 'add', 'default', 'via', '10.97.0.2')
        self.configure(config)

    def host_of(self, name):
        return self.ns

    def configure(self, more):
        with open(f'{self.dir}/c.yaml', 'w') as f:
            f.write((CONFIG + more).format(dir=self.dir))

    def daemon(self, name, **env):
        # The relay is asked without TLS, as the server is.
        return self.start_daemon(self.ns, name, ['--tun=userspace-networking', '--port=0'], {'TS_DEBUG_USE_DERP_HTTP': 'true', **env})

    def up(self, name, *flags):
        """tailscale up in the background; gives the process and the URL it shows."""
        log = f'{self.dir}/{name}.up'
        p = self.lab.start(self.ns, [peer('tailscale'), f'--socket={self.dir}/{name}/sock', 'up', f'--login-server={SERVER}',
                                     f'--hostname={name}', '--timeout=60s', *flags], log=log)
        url = wait_until(lambda: re.search(r'http://127\.0\.0\.1:8080/\S+', open(log).read()), 'a login URL', 20)
        return p, url.group(0)

    def ssh(self, a, b, login='root'):
        """ssh from node a into node b, in the background; what the daemon of b says comes out of its stdout."""
        go = f"{peer('tailscale')} --socket={self.dir}/{a}/sock nc %h %p"
        options = ['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', f'ProxyCommand={go}']
        log = f'{self.dir}/ssh-{a}-{b}'
        p = self.lab.start(self.ns, [tool('ssh'), *options, f'{login}@{b}', 'echo let in'], log=log)
        return p, lambda: open(log).read()

    def client(self, *args, ok=True):
        """The test client (test/peers/ctlclient); its JSON answer."""
        r = command([peer('ctlclient'), '-url', SERVER, *args], ns=self.ns, ok=ok, timeout=60)
        return json.loads(r.stdout) if ok else r


class Net(Base):
    """Hosts with interfaces of their own on one bridge, over TLS with the embedded relay.

          ctl 10.98.0.1 ---+--- n1 10.98.0.11
          (bridge)         +--- n2 10.98.0.12 ...
    """
    url = 'https://ctl.lab'

    def __init__(self, lab, config):
        super().__init__(lab)
        self.ns = self.hub = lab.namespace('ctl')
        lab.ip(self.hub, 'link', 'add', 'brx', 'type', 'bridge')
        lab.address(self.hub, 'brx', '10.98.0.1/24')
        lab.ip(self.hub, 'link', 'set', 'brx', 'up')
        self.nodes = {}
        d = self.dir
        self_signed(f'{d}/ctl.crt', f'{d}/ctl.key', 'DNS:ctl.lab')
        with open(f'{d}/c.yaml', 'w') as f:
            f.write((NET_CONFIG + config).format(dir=d))

    def host_of(self, name):
        return self.nodes[name]

    def host(self, name, number):
        """A namespace on the bridge with a private /etc, in which tailscaled may write."""
        lab = self.lab
        ns = lab.namespace(name)
        lab.veth(self.hub, f'v{number}', [], ns, 'eth0', [f'10.98.0.{number}/24'])
        lab.ip(self.hub, 'link', 'set', f'v{number}', 'master', 'brx')
        os.makedirs(f'/etc/netns/{ns}', exist_ok=True)
        with open(f'/etc/netns/{ns}/hosts', 'w') as f:
            f.write('127.0.0.1 localhost\n10.98.0.1 ctl.lab\n')
        with open(f'/etc/netns/{ns}/resolv.conf', 'w') as f:
            f.write('nameserver 127.0.0.1\n')
        self.nodes[name] = ns
        return ns

    def daemon(self, name):
        return self.start_daemon(self.nodes[name], name, ['--tun=ts0', '--port=41641'],
                                 {'SSL_CERT_FILE': f'{self.dir}/ctl.crt', 'TS_DEBUG_FIREWALL_MODE': 'nftables'})

    def pings(self, a, address, seconds=1):
        return command(['ping', '-c', '1', '-W', str(seconds), address], ns=self.nodes[a], ok=False).returncode == 0

    def fetches(self, a, host, seconds=2):
        return command([tool('curl'), '-s', '-m', str(seconds), '-o', '/dev/null', f'http://{host}/'], ns=self.nodes[a], ok=False).returncode == 0

    def hello(self, name, port):
        """A web server that looks up no names."""
        return self.lab.start(self.nodes[name], [sys.executable, '-c', HELLO, str(port)])

    def dig(self, name, question, kind='A'):
        return command([tool('dig'), '+short', '+time=2', '+tries=1', '@100.100.100.100', question, kind], ns=self.nodes[name], ok=False).stdout.strip()

    def close(self):
        for ns in self.nodes.values():
            shutil.rmtree(f'/etc/netns/{ns}', ignore_errors=True)
        super().close()


def main(name, make):
    """Runs the collected tests on make(lab) and exits; if one failed, the server's last words are shown."""
    with Lab(name) as lab:
        world = make(lab)
        try:
            status = run_tests(world)
            if status and os.path.exists(f'{world.dir}/server.log'):
                sys.stderr.write(open(f"{world.dir}/server.log").read()[-12000:])
        finally:
            lab.close()
            world.close()
    sys.exit(status)
