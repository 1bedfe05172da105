"""The ways to the coordinator: by TLS with a CA of one's own, by port 80, and by a proxy that wants a password.

The coordinator and its relay are at ctl.lab:443; nothing else leads there.
"""
import json, os, re, signal, sys

from netlab import Failure, check, command, run_tests, test, wait_until
import tailnet

US = 'ours'

# A proxy that makes tunnels for those who know the password. Says on standard output whom it let where.
PROXY = r'''
import base64, socket, sys, threading
want = 'Basic ' + base64.b64encode(b'ann:s3cret word').decode()
def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for s in (a, b):
        try: s.shutdown(socket.SHUT_RDWR)
        except OSError: pass
def serve(c):
    head = b''
    while b'\r\n\r\n' not in head:
        data = c.recv(4096)
        if not data: return c.close()
        head += data
    lines = head.decode().split('\r\n')
    method, target, _ = lines[0].split()
    auth = [l.split(': ', 1)[1] for l in lines if l.lower().startswith('proxy-authorization: ')]
    if auth != [want]:
        print('refused', target, flush=True)
        c.sendall(b'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="lab"\r\nContent-Length: 0\r\n\r\n')
        return c.close()
    if method != 'CONNECT':
        c.sendall(b'HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n')
        return c.close()
    host, port = target.rsplit(':', 1)
    print('tunnel', target, flush=True)
    s = socket.create_connection(('10.99.0.1', int(port)))
    c.sendall(b'HTTP/1.1 200 OK\r\n\r\n')
    threading.Thread(target=pump, args=(s, c), daemon=True).start()
    pump(c, s)
l = socket.create_server(('10.99.0.1', 3128))
while True:
    threading.Thread(target=serve, args=(l.accept()[0],), daemon=True).start()
'''

# Port 80 in the clear, on to port 443 by TLS.
CLEAR = r'''
import socket, ssl, sys, threading
ctx = ssl.create_default_context(); ctx.check_hostname = False; ctx.verify_mode = ssl.CERT_NONE
def pump(a, b):
    try:
        while data := a.recv(65536): b.sendall(data)
    except OSError: pass
    for s in (a, b):
        try: s.shutdown(socket.SHUT_RDWR)
        except OSError: pass
def serve(c):
    head = c.recv(65536)
    print(head.split(b'\r\n')[0].decode(), flush=True)
    s = ctx.wrap_socket(socket.create_connection(('10.99.0.1', 443)), server_hostname='ctl.lab')
    s.sendall(head)
    threading.Thread(target=pump, args=(s, c), daemon=True).start()
    pump(c, s)
l = socket.create_server(('10.99.0.1', 80))
while True:
    threading.Thread(target=serve, args=(l.accept()[0],), daemon=True).start()
'''


def firewall(lab, rules):
    command(['nft', 'flush', 'ruleset'], ns=lab.hosts[US], ok=False)
    if rules:
        command(['nft', '-f', '-'], ns=lab.hosts[US],
                stdin='table inet cut { chain c { type filter hook output priority 0; oifname "eth0" ' + rules + '; }; }')


def fresh(lab, env=None):
    if US in lab.daemons:
        lab.stop(lab.daemons.pop(US))
    command(['rm', '-rf', lab.path(US)])
    os.makedirs(lab.path(US), mode=0o700)
    lab.daemon(US, True, env=env)


def join(lab, ok=True, timeout='30s'):
    return lab.fairlead(US, 'up', f'--login-server={tailnet.CONTROL}', f'--auth-key={lab.reusable}', '--accept-dns=false', f'--hostname={US}', f'--timeout={timeout}', ok=ok, timeout=60)


@test('a certificate of a CA that is trusted by SSL_CERT_FILE alone is taken, another is not')
def own_ca(lab):
    fresh(lab, {'SSL_CERT_FILE': '/dev/null'})
    r = join(lab, ok=False, timeout='3s')
    check(r.returncode == 1, 'not without the CA')
    text = lab.fairlead(US, 'status', ok=False).stdout
    check('certificate' in text, f'status says why: {text}')
    fresh(lab)
    join(lab)


@test('port 80 is used where it answers, and 443 where packets to 80 vanish')
def race(lab):
    log = lab.path('clear.log')
    p = lab.start(lab.hub, [sys.executable, '-c', CLEAR], log=log)
    wait_until(lambda: command(['ss', '-Hltn', 'sport = :80'], ns=lab.hub).stdout, 'port 80 listens')
    fresh(lab)
    join(lab)
    check('POST /ts2021 HTTP/1.1' in open(log).read(), 'by port 80')
    n = open(log).read().count('ts2021')
    firewall(lab, 'tcp dport 80 drop')
    fresh(lab)
    join(lab)
    check(open(log).read().count('ts2021') == n, 'past port 80')
    firewall(lab, '')
    lab.stop(p)


@test('a proxy is asked with its password, for the coordinator and for the relay')
def proxy(lab):
    log = lab.path('proxy.log')
    lab.start(lab.hub, [sys.executable, '-c', PROXY], log=log)
    wait_until(lambda: command(['ss', '-Hltn', 'sport = :3128'], ns=lab.hub).stdout, 'the proxy listens')
    firewall(lab, 'tcp dport != 3128 drop; oifname "eth0" udp dport != 53 drop')
    fresh(lab, {'HTTPS_PROXY': 'http://ann:wrong@10.99.0.1:3128'})
    check(join(lab, ok=False, timeout='3s').returncode == 1, 'not with another password')
    check('refused ctl.lab:443' in open(log).read(), open(log).read())
    fresh(lab, {'HTTPS_PROXY': 'http://ann:s3cret%20word@10.99.0.1:3128'})
    join(lab)
    check('tunnel ctl.lab:443' in open(log).read(), open(log).read())
    peer = lab.status('stock')['TailscaleIPs'][0]
    wait_until(lambda: lab.pings(US, peer), 'a peer is reached over the relay', 40)
    text = lab.fairlead(US, 'status').stdout
    check('relay "fairlead"' in text and 'UDP does not get out of this network' in text, text)
    firewall(lab, '')


def make(lab):
    lab.serve()
    lab.admin('users', 'create', 'lab')
    lab.reusable = lab.key('--user', '1', '--reusable')
    lab.host(US, 11)
    lab.host('stock', 12)
    lab.daemon('stock', False)
    lab.up('stock', lab.reusable)


tailnet.run('dialing', make, run_tests)
