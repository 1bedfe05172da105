"""What a policy of ours does to the packets of stock tailscaleds: ports and protocols, reload under traffic, routes, exit nodes, via.

      outside 203.0.113.1 ---- 198.51.100.0/24 ---- n3 (exit node)          n2, n3: routers for 10.88.0.0/24
      n1, n2, n3 on the bridge of coordlab.Net
"""
import os, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import coordlab
from netlab import check, command, test, wait_until

ALL = {'action': 'accept', 'src': ['*'], 'dst': ['*:*']}

# Echoes what comes by UDP.
ECHO = '''
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', int(sys.argv[1])))
while True:
    data, who = s.recvfrom(4096)
    s.sendto(data, who)
'''
# Asks once by UDP; its status says whether an answer came.
ASK = '''
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(2)
s.sendto(b'x', (sys.argv[1], int(sys.argv[2])))
sys.exit(0 if s.recv(10) == b'x' else 1)
'''
# Keeps one TCP connection: sends a line, waits for it to come back, says so; ends with its input.
HOLD = '''
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
f = s.makefile('rwb')
for line in sys.stdin:
    f.write(line.encode())
    f.flush()
    print(f.readline().decode().strip(), flush=True)
'''
# Sends back each line of each connection.
LINES = '''
import socket, sys, threading
def serve(c):
    for line in c.makefile('rb'):
        c.sendall(line)
s = socket.create_server(('', int(sys.argv[1])))
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
'''


def udp(w, a, address, port):
    return command([sys.executable, '-c', ASK, address, str(port)], ns=w.nodes[a], ok=False).returncode == 0


@test('three nodes join')
def joins(w):
    # Which router is the primary is told here by the policy alone, however late one answers on a busy machine.
    os.environ['HEADSCALE_NODE_ROUTES_HA_PROBE_INTERVAL'] = '0s'
    w.serve()
    w.admin('users', 'create', 'lab')
    w.reusable = w.key('--user', '1', '--reusable')
    for i, name in enumerate(('n1', 'n2', 'n3')):
        w.host(name, 11 + i)
        for key in ('net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding'):
            command(['sysctl', '-qw', f'{key}=1'], ns=w.nodes[name])
        w.daemon(name)
        w.join(name, w.reusable)
    wait_until(lambda: w.pings('n1', '100.64.0.2') and w.pings('n1', '100.64.0.3'), 'pings', 30)
    for port in (80, 81):
        w.hello('n2', port)
        w.lab.start(w.nodes['n2'], [sys.executable, '-c', ECHO, str(port)])
    wait_until(lambda: w.fetches('n1', '100.64.0.2') and udp(w, 'n1', '100.64.0.2', 81), 'everything is allowed without a policy', 20)


@test('tcp, udp and icmp are let in where a rule names them, and nowhere else')
def protocols(w):
    rule = lambda proto, dst: {'acls': [{'action': 'accept', 'proto': proto, 'src': ['100.64.0.1'], 'dst': [f'100.64.0.2:{dst}']}]}
    reach = lambda: (w.fetches('n1', '100.64.0.2'), w.fetches('n1', '100.64.0.2:81'), udp(w, 'n1', '100.64.0.2', 80),
                     udp(w, 'n1', '100.64.0.2', 81), w.pings('n1', '100.64.0.2', 2))
    # A rule for any port of a protocol lets echo requests of the same pair through (as in tailscaled's filter).
    w.policy(rule('tcp', '80'))
    wait_until(lambda: reach()[:4] == (True, False, False, False), 'tcp 80', 30)
    w.policy(rule('udp', '81'))
    wait_until(lambda: reach()[:4] == (False, False, False, True), 'udp 81', 30)
    w.policy(rule('icmp', '*'))
    wait_until(lambda: reach() == (False, False, False, False, True), 'icmp', 30)
    w.policy({'acls': [{'action': 'accept', 'src': ['100.64.0.3'], 'dst': ['100.64.0.2:*']}]})
    wait_until(lambda: not any(reach()), 'nothing', 30)


@test('a connection that stands outlives a policy that would not let it in; a new one is refused')
def reload(w):
    w.policy({'acls': [{'action': 'accept', 'src': ['100.64.0.1'], 'dst': ['100.64.0.2:80,90']}]})
    w.lab.start(w.nodes['n2'], [sys.executable, '-c', LINES, '90'])
    wait_until(lambda: w.fetches('n1', '100.64.0.2'), 'allowed', 20)
    p = wait_until(lambda: hold(w), 'a connection', 20)
    check(talk(p, 'one') == 'one', 'it stands')
    w.policy({'acls': [{'action': 'accept', 'src': ['100.64.0.1'], 'dst': ['100.64.0.2:80']}]})
    wait_until(lambda: not hold(w), 'a new one is refused', 20)
    for word in ('two', 'three'):
        check(talk(p, word) == word, f'it goes on: {word}')
    check(w.fetches('n1', '100.64.0.2'), 'the other port is as it was')
    p.stdin.close()
    p.wait(10)


def talk(p, word):
    p.stdin.write(word + '\n')
    p.stdin.flush()
    return p.stdout.readline().strip()


def hold(w):
    """A connection from n1 to n2 that has carried a line; None if there is none to be had."""
    p = subprocess.Popen(['ip', 'netns', 'exec', w.nodes['n1'], sys.executable, '-c', HOLD, '100.64.0.2', '90'],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        if talk(p, 'zero') == 'zero':
            return p
    except BrokenPipeError:
        pass
    p.kill()
    p.wait()
    return None


@test('routes and exit nodes that the policy approves need no administrator, and carry packets')
def auto_approved(w):
    w.policy({'acls': [ALL], 'autoApprovers': {'routes': {'10.88.0.0/16': ['lab@']}, 'exitNode': ['lab@']}})
    far = w.lab.namespace('far')
    w.lab.veth(w.nodes['n3'], 'out', ['198.51.100.1/24'], far, 'in', ['198.51.100.2/24'])
    # Not on a network of its own: an exit node keeps those to itself.
    w.lab.ip(far, 'address', 'add', '203.0.113.1/32', 'dev', 'lo')
    w.lab.ip(w.nodes['n3'], 'route', 'add', 'default', 'via', '198.51.100.2')
    w.lab.start(far, [sys.executable, '-c', coordlab.HELLO, '80'])
    for name in ('n2', 'n3'):
        w.lab.ip(w.nodes[name], 'address', 'add', '10.88.0.1/24', 'dev', 'lo')
        w.ts(name, 'set', '--advertise-routes=10.88.0.0/24,192.0.2.0/24')
    w.ts('n3', 'set', '--advertise-exit-node')
    wait_until(lambda: '0.0.0.0/0' in (w.node('n3').get('approved_routes') or []), 'the exit node', 20)
    check(w.node('n2')['approved_routes'] == ['10.88.0.0/24'], str(w.node('n2')['approved_routes']))
    w.ts('n1', 'set', '--accept-routes')
    wait_until(lambda: w.pings('n1', '10.88.0.1'), 'the subnet', 30)
    check(not w.fetches('n1', '203.0.113.1'), 'outside is out of reach')
    wait_until(lambda: w.peers('n1')['n3'].get('ExitNodeOption'), 'it is offered', 20)
    w.ts('n1', 'set', '--exit-node=n3')
    wait_until(lambda: w.fetches('n1', '203.0.113.1'), 'outside, by the exit node', 30)
    w.ts('n1', 'set', '--exit-node=')
    wait_until(lambda: not w.fetches('n1', '203.0.113.1'), 'and not any more', 20)


@test('a via grant sends a user by the router with the tag, though another is the primary')
def via(w):
    serving = lambda name: '10.88.0.0/24' in (w.peers('n1')[name].get('AllowedIPs') or [])
    wait_until(lambda: serving('n2') and not serving('n3'), 'n2 is the primary', 20)
    policy = {'tagOwners': {'tag:east': ['lab@'], 'tag:west': ['lab@']}}
    w.policy(dict(policy, acls=[ALL]))
    w.admin('nodes', 'tag', '-i', str(w.node('n3')['id']), '-t', 'tag:west')
    w.policy(dict(policy, grants=[{'src': ['lab@'], 'dst': ['10.88.0.0/24'], 'ip': ['*'], 'via': ['tag:west']},
                                  {'src': ['*'], 'dst': ['100.64.0.0/10'], 'ip': ['*']}]))
    wait_until(lambda: serving('n3') and not serving('n2'), 'by n3', 20)
    wait_until(lambda: w.pings('n1', '10.88.0.1'), 'a ping', 20)
    w.policy({'tagOwners': policy['tagOwners'], 'acls': [ALL]})
    wait_until(lambda: serving('n2') and not serving('n3'), 'by n2 again', 20)


@test('two sites with the same addresses are told apart by 4via6')
def via6(w):
    site = lambda n: w.ts('n2', 'debug', 'via', str(n), '10.77.0.0/24').stdout.strip()
    w.ts('n3', 'set', '--advertise-exit-node=false')
    for n, name in ((7, 'n2'), (8, 'n3')):
        w.lab.ip(w.nodes[name], 'address', 'add', '10.77.0.1/24', 'dev', 'lo')
        w.ts(name, 'set', f'--advertise-routes={site(n)}')
        wait_until(lambda: w.node(name).get('available_routes') == [site(n)], 'advertised', 20)
        w.admin('nodes', 'approve-routes', '-i', str(w.node(name)['id']), '-r', site(n))
    for n, name in ((7, 'n2'), (8, 'n3')):
        w.lab.start(w.nodes[name], [sys.executable, '-c', coordlab.HELLO.replace('hello', f'site {n}'), '8077'])
        # Stock clients know the bare name, and the one below ts.net.
        address = wait_until(lambda: w.dig('n1', f'10-77-0-1-via-{n}', 'AAAA'), 'its name', 20)
        fetch = lambda: command(['curl', '-s', '-m', '2', f'http://[{address}]:8077/'], ns=w.nodes['n1'], ok=False).stdout
        wait_until(lambda: fetch() == f'site {n}', f'site {n}', 30)


if __name__ == '__main__':
    coordlab.main('cy', lambda lab: coordlab.Net(lab, ''))
