"""What a policy lets through, ours beside stock: the same probes at both, by protocol and port, live, and with shields up.

	ask --- ours, stock      The asker is stock first and ours then: what ours lets out and answers counts as well.
"""
import json, sys
from concurrent.futures import ThreadPoolExecutor

from netlab import Failure, check, command, run_tests, test, wait_until
import tailnet

NODES = {'ours': 11, 'stock': 12, 'ask-stock': 13, 'ask-ours': 14}
TARGETS, ASKERS = ('ours', 'stock'), ('ask-stock', 'ask-ours')

# Answers on TCP and UDP port 7 and 8; says what comes by SCTP, which this kernel need not know.
SERVER = r'''
import socket, threading
def tcp(port):
    s = socket.create_server(('0.0.0.0', port))
    while True:
        c, _ = s.accept()
        threading.Thread(target=serve, args=(c,), daemon=True).start()
def serve(c):
    while data := c.recv(100):
        c.sendall(data)
def udp(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('0.0.0.0', port))
    while True:
        data, who = s.recvfrom(100)
        s.sendto(data, who)
def sctp():
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 132)
    while True:
        data = s.recv(2000)
        print('sctp', socket.inet_ntoa(data[12:16]), int.from_bytes(data[22:24], 'big'), flush=True)
for port in (7, 8):
    threading.Thread(target=tcp, args=(port,), daemon=True).start()
    threading.Thread(target=udp, args=(port,), daemon=True).start()
sctp()
'''
PROBE = r'''
import socket, struct, sys
kind, to, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
if kind == 'sctp':
    # An INIT, as far as its ports.
    socket.socket(socket.AF_INET, socket.SOCK_RAW, 132).sendto(struct.pack('>HHIIBBH', 5000, port, 0, 0, 1, 0, 4), (to, 0))
    sys.exit(0)
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == 'tcp' else socket.SOCK_DGRAM)
s.settimeout(float(sys.argv[4]))
try:
    s.connect((to, port))
    s.sendall(b'x')
    sys.exit(0 if s.recv(1) == b'x' else 1)
except OSError:
    sys.exit(1)
'''
# Sends a line each time it is asked to, over one connection.
HOLD = r'''
import socket, sys
s = socket.create_connection((sys.argv[1], 7), 10)
for line in sys.stdin:
    s.sendall(b'x')
    print('ok' if s.recv(1) == b'x' else 'no', flush=True)
'''
PROBES = [('tcp', 7), ('tcp', 8), ('udp', 7), ('udp', 8), ('icmp', 0), ('sctp', 7), ('sctp', 8)]
# What is granted without a protocol is TCP, UDP and ICMP.
USUAL = PROBES[:5]
ALL = {'src': ['*'], 'dst': ['*'], 'ip': ['*']}

# name, what is granted, what passes
POLICIES = [
    ('everything', ['*'], USUAL),
    ('tcp:7', ['tcp:7'], [('tcp', 7), ('icmp', 0)]),
    ('udp:8', ['udp:8'], [('udp', 8), ('icmp', 0)]),
    ('icmp alone', ['icmp:*'], [('icmp', 0)]),
    ('sctp:7 and a range of tcp', ['sctp:7', 'tcp:8-9'], [('tcp', 8), ('icmp', 0), ('sctp', 7)]),
    ('a port of no protocol', ['8'], [('tcp', 8), ('udp', 8), ('icmp', 0)]),
]


def sctp_seen(lab, asker, target, port):
    return open(lab.path(f'{target}-server.log')).read().count(f'sctp {lab.addresses[asker]} {port}\n')


def passes(lab, asker, target, kind, port):
    to, ns = lab.addresses[target], lab.hosts[asker]
    if kind == 'icmp':
        return command(['ping', '-c', '1', '-W', '1', to], ns=ns, ok=False).returncode == 0
    before = sctp_seen(lab, asker, target, port)
    came = command([sys.executable, '-c', PROBE, kind, to, str(port), '1'], ns=ns, ok=False).returncode == 0
    if kind != 'sctp':
        return came
    try:
        return wait_until(lambda: sctp_seen(lab, asker, target, port) > before, 'it came', 0.7)
    except Failure:
        return False


def table(lab, asker, target):
    with ThreadPoolExecutor(len(PROBES)) as pool:
        verdicts = list(pool.map(lambda probe: passes(lab, asker, target, *probe), PROBES))
    return [probe for probe, passed in zip(PROBES, verdicts) if passed]


def grant(lab, what):
    policy(lab, {'src': [lab.addresses[a] for a in ASKERS], 'dst': [lab.addresses[t] for t in TARGETS], 'ip': what})


def policy(lab, rule):
    with open(lab.path('policy.json'), 'w') as f:
        json.dump({'grants': [rule]}, f)
    lab.admin('policy', 'set', '-f', lab.path('policy.json'))


@test('all nodes join, and everything passes')
def join(lab):
    for name in NODES:
        lab.daemon(name, 'ours' in name)
        lab.up(name, lab.shared)
        lab.addresses[name] = lab.status(name)['TailscaleIPs'][0]
    for target in TARGETS:
        lab.start(lab.hosts[target], [sys.executable, '-c', SERVER], log=lab.path(f'{target}-server.log'))
        for asker in ASKERS:
            wait_until(lambda: lab.pings(asker, lab.addresses[target]), f'{asker} reaches {target}', 40)


@test('each policy lets the same through at ours and at stock, asked by either')
def matrix(lab):
    def judge(pair):
        # The policy is on its way to each of them.
        wait_until(lambda: table(lab, *pair) == want, f'{name} as wanted from {pair[0]} to {pair[1]}', 30)
    for name, what, want in POLICIES:
        grant(lab, what)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(judge, [(asker, target) for asker in ASKERS for target in TARGETS]))


@test('a change of policy keeps the connections there are at both, and lets none begin')
def live(lab):
    grant(lab, ['*'])
    held = {}
    for target in TARGETS:
        wait_until(lambda: passes(lab, 'ask-stock', target, 'tcp', 7), f'{target} lets it in', 15)
        held[target] = lab.start(lab.hosts['ask-stock'], [sys.executable, '-u', '-c', HOLD, lab.addresses[target]], stdin=-1, stdout=-1, text=True)
        check(says(held[target]) == 'ok', 'it runs')
    grant(lab, ['tcp:8'])
    for target in TARGETS:
        wait_until(lambda: not passes(lab, 'ask-stock', target, 'tcp', 7), f'{target} has the policy', 15)
        check(says(held[target]) == 'ok', f'the connection to {target} goes on')


def says(p):
    print('go', file=p.stdin, flush=True)
    return p.stdout.readline().strip()


@test('shields up lets nothing in and everything out, at both')
def shields(lab):
    policy(lab, ALL)
    for target, other in (('ours', 'stock'), ('stock', 'ours')):
        lab.ts(target, 'set', '--shields-up')
        wait_until(lambda: table(lab, 'ask-stock', target) == [], f'nothing comes in at {target}', 20)
        wait_until(lambda: all(passes(lab, target, other, *p) for p in USUAL), f'{target} reaches {other}', 20)
        lab.ts(target, 'set', '--shields-up=false')
        wait_until(lambda: table(lab, 'ask-stock', target) == USUAL, f'{target} is open again', 20)


def make(lab):
    lab.addresses = {}
    lab.serve()
    lab.admin('users', 'create', 'lab')
    lab.shared = lab.key('--user', '1', '--reusable')
    for name, number in NODES.items():
        lab.host(name, number)


tailnet.run('filter', make, run_tests)
