"""A coordinator and stock tailscaleds on the loopback of one namespace.

The nodes use userspace networking: what they are told and what they say is real, no packet leaves them.
"""
import json, os, re, shutil, sys, tempfile

from netlab import BUILD, Lab, command, peer, run_tests, tool, wait_until

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


class World:
    def __init__(self, lab, config=''):
        self.lab, self.dir = lab, tempfile.mkdtemp(prefix=f'fl-{lab.name}-')
        self.ns = lab.namespace('one')
        self.server, self.daemons = None, {}
        # Without an interface that is up tailscaled waits for the network.
        lab.veth(self.ns, 'e0', ['10.97.0.1/24'], lab.namespace('far'), 'e1', ['10.97.0.2/24'])
        lab.ip(self.ns, 'route', 'add', 'default', 'via', '10.97.0.2')
        self.configure(config)

    def configure(self, more):
        with open(f'{self.dir}/c.yaml', 'w') as f:
            f.write((CONFIG + more).format(dir=self.dir))

    def serve(self):
        self.server = self.lab.start(self.ns, [OURS, 'serve', '-c', f'{self.dir}/c.yaml'], log=f'{self.dir}/server.log')
        wait_until(lambda: self.admin('health', ok=False).returncode == 0, 'the server is healthy')

    def restart(self):
        self.lab.stop(self.server)
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

    def daemon(self, name, **more):
        d = f'{self.dir}/{name}'
        os.makedirs(d, exist_ok=True)
        args = [peer('tailscaled'), '--tun=userspace-networking', f'--statedir={d}', f'--socket={d}/sock', '--port=0', '--no-logs-no-support']
        # The relay is asked without TLS, as the server is.
        env = {'TS_NO_LOGS_NO_SUPPORT': 'true', 'TS_DEBUG_USE_DERP_HTTP': 'true', **more}
        self.daemons[name] = self.lab.start(self.ns, args, env=env, log=f'{d}/log')
        wait_until(lambda: os.path.exists(f'{d}/sock'), 'the daemon listens')

    def ts(self, name, *args, ok=True, timeout=40):
        return command([peer('tailscale'), f'--socket={self.dir}/{name}/sock'] + list(args), ns=self.ns, ok=ok, timeout=timeout)

    def join(self, name, key, *flags):
        return self.ts(name, 'up', f'--login-server={SERVER}', f'--authkey={key}', f'--hostname={name}', '--timeout=30s', *flags)

    def up(self, name, *flags):
        """tailscale up in the background; gives the process and the URL it shows."""
        log = f'{self.dir}/{name}.up'
        p = self.lab.start(self.ns, [peer('tailscale'), f'--socket={self.dir}/{name}/sock', 'up', f'--login-server={SERVER}',
                                     f'--hostname={name}', '--timeout=60s', *flags], log=log)
        url = wait_until(lambda: re.search(r'http://127\.0\.0\.1:8080/\S+', open(log).read()), 'a login URL', 20)
        return p, url.group(0)

    def status(self, name):
        return json.loads(self.ts(name, 'status', '--json').stdout)

    def state(self, name):
        return self.status(name)['BackendState']

    def peers(self, name):
        return {p['HostName']: p for p in (self.status(name).get('Peer') or {}).values()}

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

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def main(name, make):
    """Runs the collected tests on make(lab) and exits; if one failed, the server's last words are shown."""
    with Lab(name) as lab:
        world = make(lab)
        try:
            status = run_tests(world)
            if status and os.path.exists(f'{world.dir}/server.log'):
                sys.stderr.write(open(f'{world.dir}/server.log').read()[-3000:])
        finally:
            lab.close()
            world.close()
    sys.exit(status)
