"""The control protocol's corners, with clients that can be told what to ask and with stock tailscaleds."""
import os, re, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import coordlab
from netlab import check, command, test, tool, wait_until


@test('a client in a browser joins by WebSocket, and its pings are answered')
def websocket(w):
    w.serve()
    w.admin('users', 'create', 'lab')
    w.reusable = w.key('--user', '1', '--reusable')
    m = w.client('-ws', '-ping', 'join', w.reusable, 'page')
    check(m['Name'] == 'page.tail.lab.' and '100.64.0.1' in m['Addresses'], str(m))
    m = w.client('join', w.reusable, 'plain')
    check(m['Peers'] == ['page.tail.lab.'], str(m))


@test('an upgrade that is none is told why')
def no_upgrade(w):
    def status(*args):
        return command([tool('curl'), '-s', '-o', '/dev/null', '-w', '%{http_code}', *args, f'{coordlab.SERVER}/ts2021'], ns=w.ns).stdout
    ws = ['-H', 'Connection: Upgrade', '-H', 'Upgrade: websocket', '-H', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==']
    check(status() == '400', 'a plain GET')
    check(status('-X', 'POST') == '400', 'a plain POST')
    check(status(*ws, '-H', 'Sec-WebSocket-Version: 13') == '400', 'no subprotocol')
    check(status(*ws, '-H', 'Sec-WebSocket-Version: 12', '-H', 'Sec-WebSocket-Protocol: tailscale-control-protocol') == '426', 'an old version')
    check(status(*ws, '-H', 'Sec-WebSocket-Version: 13', '-H', 'Sec-WebSocket-Protocol: tailscale-control-protocol') == '400', 'no handshake')


@test('of many machines that come with one one-off key at once, one is let in')
def race(w):
    r = w.client('race', w.key('--user', '1'), '24')
    check(r == {'In': 1, 'Errors': {'authkey already used': 23}}, str(r))


@test('an SSH session that is checked waits for an administrator, whose yes holds for the period')
def ssh_check(w):
    w.daemon('a')
    w.daemon('b')
    w.join('a', w.reusable)
    w.join('b', w.reusable, '--ssh')
    rule = {'action': 'check', 'src': ['lab@'], 'dst': ['lab@'], 'users': ['root'], 'checkPeriod': '1h'}
    w.policy({'acls': [{'action': 'accept', 'src': ['*'], 'dst': ['*:*']}], 'ssh': [rule]})
    link = lambda said: re.search(r'/auth/(\S+)', said())
    p, said = w.ssh('a', 'b')
    id = wait_until(lambda: link(said), 'a link', 20).group(1)
    page = command([tool('curl'), '-s', f'{coordlab.SERVER}/auth/{id}'], ns=w.ns).stdout
    check('SSH session' in page and id in page, page)
    check(w.admin('auth', 'register', '--auth-id', id, '--user', 'lab', ok=False).returncode == 1, 'it is no new node')
    w.admin('auth', 'approve', '--auth-id', id)
    check(p.wait(20) == 0 and 'let in' in said(), said())
    p, said = w.ssh('a', 'b')
    check(p.wait(20) == 0 and 'let in' in said() and not link(said), said())
    w.policy({'acls': [{'action': 'accept', 'src': ['*'], 'dst': ['*:*']}], 'ssh': [dict(rule, checkPeriod='always')]})
    p, said = w.ssh('a', 'b')
    id = wait_until(lambda: link(said), 'asked again', 20).group(1)
    w.admin('auth', 'reject', '--auth-id', id)
    check(p.wait(20) != 0 and 'let in' not in said(), said())


@test('a check is told to nobody but the node that is asked for the session')
def ssh_check_of_others(w):
    a, b = w.node('a')['id'], w.node('b')['id']
    w.client('-keys', f'{w.dir}/eve', 'join', w.reusable, 'eve')
    r = w.client('-keys', f'{w.dir}/eve', 'call', 'GET', f'/machine/ssh/action/{a}/to/{b}?local_user=root')
    check(r['Status'] == 401, str(r))


if __name__ == '__main__':
    coordlab.main('cp', coordlab.World)
