"""The coordinator under a swarm of synthetic clients: run.py BUILD [mesh|users|small] [NODES] [tls]

mesh: 2,000 nodes that all see each other. users: 20,000 nodes of 100 users, each user's alone,
or as many as this machine lets a process have open files. With tls the server ends TLS itself.
Everything is on loopback, generator included."""
import json, os, re, resource, ssl, subprocess, sys, tempfile, time, urllib.request

BUILD, CASE = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else 'mesh'
NODES, USERS = {'mesh': (2000, 1), 'users': (20000, 100), 'small': (300, 1)}[CASE]


def open_files():
    """As many as we may raise it to; what we start inherits that."""
    for hard in (1 << 18, resource.getrlimit(resource.RLIMIT_NOFILE)[1]):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            return hard
        except (ValueError, OSError):
            pass


TLS = 'tls' in sys.argv
COUNTS = [int(a) for a in sys.argv[3:] if a.isdigit()]
NODES = min(COUNTS[0] if COUNTS else NODES, open_files() - 60)
SCHEME = 'https' if TLS else 'http'
OURS = os.path.join(BUILD, 'src/main/fairlead-coordinator')
SWARM = os.path.join(BUILD, 'bench/coordinator/bench_coordinator_swarm')
SELF = {'acls': [{'action': 'accept', 'src': ['autogroup:member'], 'dst': ['autogroup:self:*']}]}
ALL = {'acls': [{'action': 'accept', 'src': ['*'], 'dst': ['*:*']}]}

CONFIG = '''
server_url: {scheme}://127.0.0.1:18080
listen_addr: 127.0.0.1:18080
metrics_listen_addr: 127.0.0.1:19090
noise: {{private_key_path: {d}/noise.key}}
database: {{sqlite: {{path: {d}/db.sqlite}}}}
derp: {{urls: [], server: {{enabled: true, private_key_path: {d}/derp.key, stun_listen_addr: ""}}}}
policy: {{mode: database}}
dns: {{base_domain: tail.test}}
unix_socket: {d}/sock
log: {{level: warn}}
{tls}
'''


def certificate(d):
    """What the configuration says of it."""
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=bench',
                    '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', f'{d}/tls.key', '-out', f'{d}/tls.crt'], check=True, capture_output=True)
    return f'tls_cert_path: {d}/tls.crt\ntls_key_path: {d}/tls.key'


def main(d):
    with open(f'{d}/c.yaml', 'w') as f:
        f.write(CONFIG.format(d=d, scheme=SCHEME, tls=certificate(d) if TLS else ''))
    server = subprocess.Popen([OURS, 'serve', '-c', f'{d}/c.yaml'])

    def admin(*args):
        return subprocess.run([OURS, '-c', f'{d}/c.yaml', *args], capture_output=True, text=True)

    def policy(p):
        with open(f'{d}/p.json', 'w') as f:
            json.dump(p, f)
        r = admin('policy', 'set', '-f', f'{d}/p.json')
        if r.returncode:
            sys.exit(r.stderr)

    def cpu():
        s = open(f'/proc/{server.pid}/stat').read().rsplit(')', 1)[1].split()
        return (int(s[11]) + int(s[12])) / os.sysconf('SC_CLK_TCK')

    def rss():
        return int(re.search(r'VmRSS:\s+(\d+)', open(f'/proc/{server.pid}/status').read()).group(1))

    while admin('health').returncode:
        time.sleep(0.05)
    for u in range(USERS):
        admin('users', 'create', f'user{u}')
    policy(SELF if USERS > 1 else ALL)
    anybody = ssl._create_unverified_context() if TLS else None
    key = json.load(urllib.request.urlopen(f'{SCHEME}://127.0.0.1:18080/key?v=131', context=anybody))['publicKey']
    with open(f'{d}/keys', 'w') as f:
        f.write(key + '\n')
        for u in range(USERS):
            f.write(admin('preauthkeys', 'create', '--user', str(u + 1), '--reusable').stdout.strip() + '\n')
    before = rss()
    swarm = subprocess.Popen([SWARM, '127.0.0.1:18080', str(NODES), f'{d}/keys'] + ['tls'] * TLS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(what):
        c, t = cpu(), time.time()
        print(what, file=swarm.stdin, flush=True)
        answer = swarm.stdout.readline().strip()
        print(f'{what}: {answer} (server {cpu() - c:.2f} s CPU of {time.time() - t:.2f} s)', flush=True)

    print(f'{NODES} nodes of {USERS} users')
    try:
        tell('join')
        time.sleep(12 if CASE == 'users' else 4)
        tell('quiet 2')
        print(f'memory: {rss()} KB, {(rss() - before) / NODES:.1f} KB a node above the {before} KB at start', flush=True)
        tell('endpoints 20')
        if USERS == 1:
            print('mark', file=swarm.stdin, flush=True)
            swarm.stdout.readline()
            t = time.time()
            policy({'acls': [{'action': 'accept', 'src': ['*'], 'dst': ['*:1-1000']}]})
            print(f'policy change: {swarm.stdout.readline().strip()} (from before the command: {time.time() - t:.2f} s)', flush=True)
        time.sleep(2)
        tell('reconnect')
        time.sleep(3)
        time.sleep(12)
        tell('quiet 60')
        print(f'memory: {rss()} KB, {(rss() - before) / NODES:.1f} KB a node', flush=True)
        held = rss()
        tell(f'stall {NODES // 10}')
        tell('endpoints 200')
        print(f'memory: {rss() - held} KB more with {NODES // 10} that read nothing', flush=True)
    finally:
        for p in (swarm, server):
            p.terminate()
            p.wait()


with tempfile.TemporaryDirectory(prefix='fl-bench-') as d:
    main(d)
