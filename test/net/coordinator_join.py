"""Stock tailscaled joins our coordinator, over TLS with the embedded relay.

      ctl 10.98.0.1 ---+--- n1 10.98.0.11
      (bridge)         +--- n2 10.98.0.12
                       +--- n3 10.98.0.13
"""
import os, signal, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import coordlab
from netlab import check, command, peer, test, wait_until


@test('two nodes join with a key, see each other and ping')
def joins(w):
    w.serve()
    w.admin('users', 'create', 'lab')
    w.reusable = w.key('--user', '1', '--reusable')
    for i, name in enumerate(('n1', 'n2')):
        w.host(name, 11 + i)
        w.daemon(name)
        w.join(name, w.reusable)
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
    wait_until(lambda: w.dig('n1', 'n2.tail.lab') == '100.64.0.2', 'n2.tail.lab', 10)
    check(w.dig('n1', 'extra.tail.lab') == '192.0.2.7', 'the extra record')


@test('a policy takes effect on running nodes, and hides who has nothing to do with each other')
def policy(w):
    web = {'acls': [{'action': 'accept', 'src': ['100.64.0.1'], 'dst': ['100.64.0.2:80']}]}
    w.policy(web)
    server, other = w.hello('n2', 80), w.hello('n2', 81)
    wait_until(lambda: w.fetches('n1', '100.64.0.2'), 'port 80 is allowed', 10)
    check(not w.fetches('n1', '100.64.0.2:81'), 'port 81 is not')
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
    wait_until(lambda: w.dig('n1', 'desk.tail.lab') == '100.64.0.2' and not w.dig('n1', 'n2.tail.lab'), 'MagicDNS', 10)
    w.admin('nodes', 'rename', '-i', '2', 'n2')


@test('a subnet route works once it is approved, and fails over')
def routes(w):
    w.host('n3', 13)
    w.daemon('n3')
    w.join('n3', w.reusable)
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
    w.join('n4', w.reusable)
    after = w.node('n4')
    check(after['id'] == before['id'] and after['ip_addresses'] == before['ip_addresses'], f'{before} {after}')
    wait_until(lambda: w.pings('n1', after['ip_addresses'][0]), 'a ping', 10)


@test('an administrator expires a node and it wants a login')
def expire(w):
    w.admin('nodes', 'expire', '-i', str(w.node('n4')['id']))
    wait_until(lambda: w.status('n4')['BackendState'] == 'NeedsLogin', 'needs login', 10)
    w.join('n4', w.reusable, '--force-reauth')
    wait_until(lambda: w.status('n4')['BackendState'] == 'Running', 'running', 10)


@test('a one-off key is good once, also when the server was killed')
def one_off(w):
    key = w.key('--user', '1')
    w.ts('n4', 'logout')
    w.join('n4', key)
    w.server.send_signal(signal.SIGKILL)
    w.server.wait()
    w.serve()
    w.host('n5', 15)
    w.daemon('n5')
    r = w.ts('n5', 'up', f'--login-server={w.url}', f'--authkey={key}', '--hostname=n5', '--timeout=5s', ok=False)
    check(r.returncode != 0, 'let in twice')
    check(w.node('n5') is None, 'a second node')
    wait_until(lambda: all(w.node(n) and w.node(n).get('online') for n in ('n1', 'n2', 'n3', 'n4')), 'all are back', 40)


@test('an ephemeral node is gone at once when it logs out')
def ephemeral(w):
    w.join('n5', w.key('--user', '1', '--ephemeral'), '--force-reauth')
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
    coordlab.main('co', lambda lab: coordlab.Net(lab, ''))
