"""Stock tailscaled joins our coordinator, over TLS with the embedded relay.

      ctl 10.98.0.1 ---+--- n1 10.98.0.11
      (bridge)         +--- n2 10.98.0.12
                       +--- n3 10.98.0.13
"""
import json, os, shutil, signal, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from netlab import BUILD, Failure, Lab, check, command, peer, run_tests, test, tool, wait_until

OURS = os.path.join(BUILD, 'src/main/fairlead-coordinator')

CONFIG = '''
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


# A web server that looks up no names.
HELLO = '''
import socket, sys
s = socket.create_server(('', int(sys.argv[1])))
while True:
    c, _ = s.accept()
    c.recv(4096)
    c.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\nhello')
    c.close()
'''


class World:
    def __init__(self, lab):
        self.lab, self.dir = lab, tempfile.mkdtemp(prefix='fl-coord-')
        self.hub = lab.namespace('ctl')
        lab.ip(self.hub, 'link', 'add', 'brx', 'type', 'bridge')
        lab.address(self.hub, 'brx', '10.98.0.1/24')
        lab.ip(self.hub, 'link', 'set', 'brx', 'up')
        self.nodes, self.daemons = {}, {}
        self.certificates()
        with open(f'{self.dir}/c.yaml', 'w') as f:
            f.write(CONFIG.format(dir=self.dir))
        self.server = None

    def certificates(self):
        d = self.dir
        command(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '3',
                 '-subj', '/CN=ctl.lab', '-addext', 'subjectAltName=DNS:ctl.lab', '-keyout', f'{d}/ctl.key', '-out', f'{d}/ctl.crt'])

    def serve(self):
        self.server = self.lab.start(self.hub, [OURS, 'serve', '-c', f'{self.dir}/c.yaml'], log=f'{self.dir}/server.log')
        wait_until(lambda: self.admin('health', ok=False).returncode == 0, 'the server is healthy')

    def admin(self, *args, ok=True):
        return command([OURS, '-c', f'{self.dir}/c.yaml'] + list(args), ok=ok)

    def json(self, *args):
        return json.loads(self.admin(*args, '-o', 'json').stdout)

    def key(self, *flags):
        return self.json('preauthkeys', 'create', *flags)['key']

    def policy(self, policy):
        with open(f'{self.dir}/policy.json', 'w') as f:
            json.dump(policy, f)
        self.admin('policy', 'set', '-f', f'{self.dir}/policy.json')

    def host(self, name, number):
        """A namespace on the bridge with a private /etc, in which tailscaled may write."""
        lab, d = self.lab, f'{self.dir}/{name}'
        ns = lab.namespace(name)
        lab.veth(self.hub, f'v{number}', [], ns, 'eth0', [f'10.98.0.{number}/24'])
        lab.ip(self.hub, 'link', 'set', f'v{number}', 'master', 'brx')
        os.makedirs(f'/etc/netns/{ns}', exist_ok=True)
        with open(f'/etc/netns/{ns}/hosts', 'w') as f:
            f.write('127.0.0.1 localhost\n10.98.0.1 ctl.lab\n')
        with open(f'/etc/netns/{ns}/resolv.conf', 'w') as f:
            f.write('nameserver 127.0.0.1\n')
        os.makedirs(d)
        self.nodes[name] = ns
        return ns

    def daemon(self, name):
        d = f'{self.dir}/{name}'
        env = {'SSL_CERT_FILE': f'{self.dir}/ctl.crt', 'TS_NO_LOGS_NO_SUPPORT': 'true', 'TS_DEBUG_FIREWALL_MODE': 'nftables'}
        p = self.lab.start(self.nodes[name], [peer('tailscaled'), '--tun=ts0', f'--statedir={d}', f'--socket={d}/sock',
                                              '--port=41641', '--no-logs-no-support'], env=env, log=f'{d}/log')
        wait_until(lambda: os.path.exists(f'{d}/sock'), 'the daemon listens')
        self.daemons[name] = p
        return p

    def ts(self, name, *args, ok=True, timeout=40):
        return command([peer('tailscale'), f'--socket={self.dir}/{name}/sock'] + list(args), ns=self.nodes[name], ok=ok, timeout=timeout)

    def up(self, name, key, *flags):
        return self.ts(name, 'up', '--login-server=https://ctl.lab', f'--authkey={key}', f'--hostname={name}', '--timeout=30s', *flags)

    def status(self, name):
        return json.loads(self.ts(name, 'status', '--json').stdout)

    def peers(self, name):
        return {p['HostName']: p for p in (self.status(name).get('Peer') or {}).values()}

    def node(self, name):
        return next((n for n in self.json('nodes', 'list') or [] if n.get('given_name') == name), None)

    def pings(self, a, address, seconds=1):
        return command(['ping', '-c', '1', '-W', str(seconds), address], ns=self.nodes[a], ok=False).returncode == 0

    def close(self):
        for ns in self.nodes.values():
            shutil.rmtree(f'/etc/netns/{ns}', ignore_errors=True)
        shutil.rmtree(self.dir, ignore_errors=True)


@test('two nodes join with a key, see each other and ping')
def joins(w):
    w.serve()
    w.admin('users', 'create', 'lab')
    w.reusable = w.key('--user', '1', '--reusable')
    for i, name in enumerate(('n1', 'n2')):
        w.host(name, 11 + i)
        w.daemon(name)
        w.up(name, w.reusable)
    wait_until(lambda: 'n2' in w.peers('n1') and 'n1' in w.peers('n2'), 'they see each other', 15)
    wait_until(lambda: w.pings('n1', '100.64.0.2'), 'a ping', 15)
    check(w.node('n1')['online'] and w.node('n2')['online'], 'both are online')
    check(w.status('n1')['BackendState'] == 'Running', 'running')


@test('the path is direct, and by the relay where UDP is blocked')
def paths(w):
    out = w.ts('n1', 'ping', '--until-direct', '-c', '8', 'n2').stdout
    check('via 10.98.0.12:41641' in out, out)
    rules = 'table inet cut { chain c { type filter hook output priority 0; meta l4proto udp drop; }; }'
    command(['nft', '-f', '-'], ns=w.nodes['n2'], stdin=rules)
    try:
        wait_until(lambda: 'via DERP' in w.ts('n1', 'ping', '--c=1', '--until-direct=false', 'n2', ok=False, timeout=15).stdout,
                   'a pong by DERP', 40)
        wait_until(lambda: w.pings('n1', '100.64.0.2', 3), 'a ping by the relay', 40)
    finally:
        command(['nft', 'delete', 'table', 'inet', 'cut'], ns=w.nodes['n2'])


@test('MagicDNS answers for peers and extra records')
def names(w):
    def ask(name):
        return command(['dig', '+short', '+time=2', '+tries=1', '@100.100.100.100', name], ns=w.nodes['n1'], ok=False).stdout.strip()
    tool('dig')
    wait_until(lambda: ask('n2.tail.lab') == '100.64.0.2', 'n2.tail.lab', 10)
    check(ask('extra.tail.lab') == '192.0.2.7', 'the extra record')


@test('a policy takes effect on running nodes, and hides who has nothing to do with each other')
def policy(w):
    web = {'acls': [{'action': 'accept', 'src': ['100.64.0.1'], 'dst': ['100.64.0.2:80']}]}
    w.policy(web)
    server, other = (w.lab.start(w.nodes['n2'], ['python3', '-c', HELLO, port]) for port in ('80', '81'))

    def fetch(a, b, seconds=2):
        return command(['curl', '-s', '-m', str(seconds), '-o', '/dev/null', f'http://{b}/'], ns=w.nodes[a], ok=False).returncode == 0
    wait_until(lambda: fetch('n1', '100.64.0.2'), 'port 80 is allowed', 10)
    check(not fetch('n1', '100.64.0.2:81'), 'port 81 is not')
    check(not w.pings('n2', '100.64.0.1'), 'nothing the other way')
    w.policy({'acls': []})
    wait_until(lambda: not w.peers('n1') and not w.peers('n2'), 'nobody sees anybody', 5)
    w.policy({'acls': [{'action': 'accept', 'src': ['*'], 'dst': ['*:*']}]})
    wait_until(lambda: w.pings('n1', '100.64.0.2'), 'everything is allowed again', 10)
    w.lab.stop(server)
    w.lab.stop(other)


@test('a refused policy changes nothing and names line and column')
def bad_policy(w):
    with open(f'{w.dir}/bad.json', 'w') as f:
        f.write('{"acls": [\n  {"action": "deny", "src": ["*"], "dst": ["*:*"]}\n]}')
    r = w.admin('policy', 'set', '-f', f'{w.dir}/bad.json', ok=False)
    check(r.returncode == 1 and 'line 2' in r.stderr, r.stderr)
    check(w.pings('n1', '100.64.0.2', 3), 'still allowed')


@test('a rename reaches the peers')
def rename(w):
    w.admin('nodes', 'rename', '-i', '2', 'desk')
    wait_until(lambda: any(p['DNSName'] == 'desk.tail.lab.' for p in w.peers('n1').values()), 'the name', 5)
    w.admin('nodes', 'rename', '-i', '2', 'n2')


@test('a subnet route works once it is approved, and fails over')
def routes(w):
    w.host('n3', 13)
    w.daemon('n3')
    w.up('n3', w.reusable)
    for name in ('n2', 'n3'):
        w.lab.ip(w.nodes[name], 'address', 'add', '10.77.0.1/24', 'dev', 'lo')
        w.ts(name, 'set', '--advertise-routes=10.77.0.0/24')
    w.ts('n1', 'set', '--accept-routes')
    wait_until(lambda: w.node('n2').get('available_routes'), 'advertised', 5)
    wait_until(lambda: w.node('n3').get('available_routes'), 'advertised', 5)
    check(not w.pings('n1', '10.77.0.1'), 'not approved yet')
    for i in ('2', '3'):
        w.admin('nodes', 'approve-routes', '-i', i, '-r', '10.77.0.0/24')
    wait_until(lambda: w.pings('n1', '10.77.0.1'), 'the route', 10)
    check(w.node('n2').get('subnet_routes') == ['10.77.0.0/24'] and not w.node('n3').get('subnet_routes'), 'n2 is the primary')
    # Its daemon hangs: connected still, but it does not answer probes.
    w.daemons['n2'].send_signal(signal.SIGSTOP)
    wait_until(lambda: w.node('n3').get('subnet_routes') == ['10.77.0.0/24'], 'n3 takes over from one that hangs', 20)
    w.daemons['n2'].send_signal(signal.SIGCONT)
    w.ts('n3', 'down')
    wait_until(lambda: w.node('n2').get('subnet_routes') == ['10.77.0.0/24'], 'n2 takes over again', 30)
    w.ts('n3', 'up')
    wait_until(lambda: w.node('n3').get('online'), 'n3 is back', 10)
    w.ts('n2', 'down')
    wait_until(lambda: w.node('n3').get('subnet_routes') == ['10.77.0.0/24'], 'n3 takes over', 20)
    wait_until(lambda: w.pings('n1', '10.77.0.1'), 'the route by n3', 10)
    w.ts('n2', 'up')
    wait_until(lambda: w.node('n2').get('online'), 'n2 is back', 10)


@test('an exit node is offered once approved')
def exit_node(w):
    w.ts('n3', 'set', '--advertise-exit-node')
    wait_until(lambda: '0.0.0.0/0' in (w.node('n3').get('available_routes') or []), 'advertised', 5)
    w.admin('nodes', 'approve-routes', '-i', '3', '-r', '0.0.0.0/0')
    wait_until(lambda: w.peers('n1').get('n3', {}).get('ExitNodeOption'), 'an exit node', 5)


@test('tags take the user away, and the policy sees them')
def tags(w):
    w.policy({'tagOwners': {'tag:web': ['lab@']}, 'acls': [{'action': 'accept', 'src': ['lab@'], 'dst': ['tag:web:*']}]})
    w.admin('nodes', 'tag', '-i', '2', '-t', 'tag:web')
    wait_until(lambda: w.peers('n1').get('n2', {}).get('Tags') == ['tag:web'], 'the tag', 5)
    wait_until(lambda: w.pings('n1', '100.64.0.2'), 'allowed by the tag', 5)
    r = w.admin('nodes', 'tag', '-i', '2', '-t', 'tag:unknown', ok=False)
    check(r.returncode == 1, 'a tag the policy does not know')
    w.policy({'tagOwners': {'tag:web': ['lab@']}, 'acls': [{'action': 'accept', 'src': ['*'], 'dst': ['*:*']}]})


@test('a login without a key waits for the administrator')
def interactive(w):
    w.host('n4', 14)
    w.daemon('n4')
    p = subprocess.Popen(['ip', 'netns', 'exec', w.nodes['n4'], peer('tailscale'), f'--socket={w.dir}/n4/sock', 'up',
                          '--login-server=https://ctl.lab', '--hostname=n4', '--timeout=40s'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    url = wait_until(lambda: w.status('n4').get('AuthURL'), 'a URL', 15)
    page = command(['curl', '-sk', '--resolve', 'ctl.lab:443:10.98.0.1', url], ns=w.hub).stdout
    auth_id = url.rsplit('/', 1)[1]
    check(url.startswith('https://ctl.lab/register/hskey-authreq-') and auth_id in page, page)
    w.admin('auth', 'register', '--auth-id', auth_id, '--user', 'lab')
    check(p.wait(20) == 0, p.stdout.read())
    wait_until(lambda: 'n4' in w.peers('n1'), 'it is there', 5)


@test('logging out expires the key; logging in again keeps id and address')
def logout(w):
    before = w.node('n4')
    w.ts('n4', 'logout')
    wait_until(lambda: w.node('n4').get('expiry'), 'expired', 5)
    w.up('n4', w.reusable)
    after = w.node('n4')
    check(after['id'] == before['id'] and after['ip_addresses'] == before['ip_addresses'], f'{before} {after}')
    wait_until(lambda: w.pings('n1', after['ip_addresses'][0]), 'a ping', 10)


@test('an administrator expires a node and it wants a login')
def expire(w):
    w.admin('nodes', 'expire', '-i', str(w.node('n4')['id']))
    wait_until(lambda: w.status('n4')['BackendState'] == 'NeedsLogin', 'needs login', 10)
    w.up('n4', w.reusable, '--force-reauth')
    wait_until(lambda: w.status('n4')['BackendState'] == 'Running', 'running', 10)


@test('a one-off key is good once, also when the server was killed')
def one_off(w):
    key = w.key('--user', '1')
    w.ts('n4', 'logout')
    w.up('n4', key)
    w.server.send_signal(signal.SIGKILL)
    w.server.wait()
    w.serve()
    w.host('n5', 15)
    w.daemon('n5')
    r = w.ts('n5', 'up', '--login-server=https://ctl.lab', f'--authkey={key}', '--hostname=n5', '--timeout=5s', ok=False)
    check(r.returncode != 0, 'let in twice')
    check(w.node('n5') is None, 'a second node')
    wait_until(lambda: all(w.node(n) and w.node(n).get('online') for n in ('n1', 'n2', 'n3', 'n4')), 'all are back', 40)


@test('an ephemeral node is gone at once when it logs out')
def ephemeral(w):
    w.up('n5', w.key('--user', '1', '--ephemeral'), '--force-reauth')
    check(w.node('n5')['online'], 'online')
    w.ts('n5', 'logout')
    wait_until(lambda: w.node('n5') is None, 'gone', 5)
    wait_until(lambda: 'n5' not in w.peers('n1'), 'for its peers too', 5)


@test('traffic between nodes goes on while the server is restarted')
def restart(w):
    p = subprocess.Popen(['ip', 'netns', 'exec', w.nodes['n1'], 'ping', '-i', '0.2', '-c', '40', '-W', '1', '100.64.0.2'],
                         stdout=subprocess.PIPE, text=True)
    time.sleep(1)
    w.lab.stop(w.server)
    w.serve()
    p.wait(30)
    lost = [l for l in p.stdout.read().splitlines() if 'packet loss' in l]
    check(', 0% packet loss' in lost[0], lost[0])
    wait_until(lambda: all(w.node(n).get('online') for n in ('n1', 'n2')), 'both are back', 30)


@test('every administrative change is in the audit log, and the log is whole')
def audit(w):
    actions = {e['action'] for e in w.json('audit', 'list', '--limit', '1000')}
    for a in ('user.create', 'preauthkey.create', 'node.register', 'node.rename', 'node.tag', 'node.approve-routes', 'policy.set'):
        check(a in actions, a)
    w.admin('audit', 'verify')
    w.admin('backup', f'{w.dir}/copy.sqlite')
    check(os.path.getsize(f'{w.dir}/copy.sqlite') > 10000, 'a backup')


if __name__ == '__main__':
    with Lab('co') as lab:
        world = World(lab)
        try:
            status = run_tests(world)
            if status and os.path.exists(f'{world.dir}/server.log'):
                sys.stderr.write(open(f'{world.dir}/server.log').read()[-3000:])
        finally:
            lab.close()
            world.close()
        sys.exit(status)
