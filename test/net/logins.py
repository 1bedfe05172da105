"""Logging in, out, again and elsewhere with the fairlead command, against our coordinator over HTTPS.

The stock node beside it sees what becomes of ours.
"""
import json, os, re, signal, subprocess, sys, time

from netlab import Failure, check, run_tests, test, wait_until
import tailnet

US = 'ours'


def up_in_background(lab, name, *flags):
    log = lab.path(f'{name}.up')
    p = lab.start(lab.hosts[name], [tailnet.program('fairlead'), f'--socket={lab.path(name, "sock")}', 'up', f'--login-server={tailnet.CONTROL}',
                                    '--accept-dns=false', f'--hostname={name}', '--timeout=60s', *flags], log=log)
    return p, log


def link(log):
    return wait_until(lambda: re.search(r'https://ctl\.lab/register/(\S+)', open(log).read()), 'a link', 20).group(1).rstrip('",')


def state(lab):
    return lab.status(US)['BackendState']


def ours(lab):
    return next((p for p in (lab.status('stock').get('Peer') or {}).values()), None)


@test('up shows a link and a QR code, and ends well when the link was confirmed')
def interactive(lab):
    p, log = up_in_background(lab, US, '--qr')
    auth = link(log)
    wait_until(lambda: '\u2588' in open(log).read(), 'a QR code')
    out = lab.fairlead(US, 'status', ok=False)
    check(out.returncode == 1 and f'Log in at: https://ctl.lab/register/{auth}' in out.stdout, out.stdout)
    lab.admin('auth', 'register', '--auth-id', auth, '--user', 'lab')
    wait_until(lambda: p.poll() is not None, 'up ends', 30)
    check(p.returncode == 0 and 'Success.' in open(log).read(), open(log).read())
    check(state(lab) == 'Running', state(lab))


@test('up --json reports the link with a picture, and the end')
def interactive_json(lab):
    lab.fairlead(US, 'logout')
    p, log = up_in_background(lab, US, '--json')
    auth = link(log)
    lab.admin('auth', 'register', '--auth-id', auth, '--user', 'lab')
    wait_until(lambda: p.poll() is not None, 'up ends', 30)
    text = open(log).read()
    first, end = json.JSONDecoder().raw_decode(text)
    last, _ = json.JSONDecoder().raw_decode(text[end:].lstrip())
    check(first['AuthURL'].endswith(auth) and first['QR'].startswith('data:image/png;base64,'), text)
    check(last == {'BackendState': 'Running'}, text)


@test('settings that would be lost are named with the command that keeps them, and that command works')
def reverts(lab):
    lab.fairlead(US, 'set', '--advertise-routes=10.7.0.0/24')
    r = lab.fairlead(US, 'up', '--shields-up', ok=False)
    check(r.returncode == 1, 'refused')
    whole = re.search(r'^\tfairlead (up .*)$', r.stderr, re.M)
    check(whole, r.stderr)
    for flag in ('--shields-up', '--accept-dns=false', '--hostname=ours', '--advertise-routes=10.7.0.0/24', f'--login-server={tailnet.CONTROL}'):
        check(flag in whole.group(1), f'{flag} in {whole.group(1)}')
    lab.fairlead(US, *whole.group(1).split())
    check(lab.fairlead(US, 'get', 'shields-up').stdout == 'true\n', 'it is set')
    check(lab.fairlead(US, 'get', 'advertise-routes').stdout == '10.7.0.0/24\n', 'the rest stays')
    lab.fairlead(US, 'up', '--reset', '--accept-dns=false', f'--login-server={tailnet.CONTROL}', f'--hostname={US}')
    check(lab.fairlead(US, 'get', 'shields-up').stdout == 'false\n' and lab.fairlead(US, 'get', 'advertise-routes').stdout == '\n', 'reset')


@test('a bare up goes on as before')
def bare(lab):
    lab.fairlead(US, 'down')
    r = lab.fairlead(US, 'status', ok=False)
    check(r.returncode == 1 and 'stopped' in r.stdout, r.stdout)
    lab.fairlead(US, 'up', '--timeout=30s')
    check(state(lab) == 'Running' and lab.fairlead(US, 'get', 'hostname').stdout == 'ours\n', 'as before')


@test('a logout that waits for a coordinator that is away is answered when the node goes down meanwhile')
def logout_meanwhile(lab):
    log = lab.path('logout.log')
    os.killpg(lab.server.pid, signal.SIGSTOP)
    try:
        p = lab.start(lab.hosts[US], [tailnet.program('fairlead'), f'--socket={lab.path(US, "sock")}', 'logout'], log=log)
        time.sleep(1)
        check(p.poll() is None, 'it waits')
        lab.fairlead(US, 'down')
        wait_until(lambda: p.poll() is not None, 'logout is answered', 30)
        check(p.returncode == 1, open(log).read())
    finally:
        os.killpg(lab.server.pid, signal.SIGCONT)
    # the coordinator reads it after all: that login is over
    lab.fairlead(US, 'up', '--force-reauth', f'--auth-key={lab.reusable}', '--accept-dns=false', f'--login-server={tailnet.CONTROL}', f'--hostname={US}', '--timeout=60s')


@test('names, addresses and paths are shown')
def shown(lab):
    peer = lab.status('stock')['Self']['TailscaleIPs'][0]
    check(lab.fairlead(US, 'ip', 'stock').stdout.splitlines()[0] == peer, 'ip')
    check('lab' in lab.fairlead(US, 'whois', peer).stdout, 'whois')
    check('ours.tail.lab' in lab.fairlead(US, 'whoami').stdout, 'whoami')
    wait_until(lambda: 'via 10.99.0.12:41641' in lab.fairlead(US, 'ping', '-c', '5', 'stock', ok=False).stdout, 'a direct ping', 30)
    for kind, word in (('--tsmp', 'TSMP'), ('--icmp', 'ICMP')):
        check(f'via {word} in' in lab.fairlead(US, 'ping', kind, '-c', '2', 'stock').stdout, word)
    text = lab.fairlead(US, 'status').stdout
    check('direct 10.99.0.12:41641' in text and 'Only internal traffic' in text, text)
    text = lab.fairlead(US, 'netcheck').stdout
    check(re.search(r'^UDP +yes$', text, re.M) and re.search(r'^\S+ +[\d.]+ ms .* home$', text, re.M), text)
    report = json.loads(lab.fairlead(US, 'netcheck', '--format=json').stdout)
    check(report['UDP'] and report['PreferredDERP'] == 999, str(report))
    check(json.loads(lab.fairlead(US, 'version', '--daemon', '--json').stdout)['daemonLong'], 'version')
    check('tailscaled_home_derp_region_id 999' in lab.fairlead(US, 'metrics').stdout, 'metrics')
    lab.fairlead(US, 'metrics', 'write', lab.path('m.prom'))
    check('tailscaled_' in open(lab.path('m.prom')).read(), 'metrics write')
    check(lab.fairlead(US, 'bugreport').stdout.startswith('BUG-'), 'bugreport')
    check(lab.fairlead(US, 'wait', '--timeout=10s').returncode == 0, 'wait')
    check(json.loads(lab.fairlead(US, 'debug', 'watch-ipn', '--count=1').stdout)['State'] == 6, 'watch-ipn')
    check(json.loads(lab.fairlead(US, 'debug', 'hostinfo').stdout)['OS'] == 'linux', 'hostinfo')


@test('what the coordinator asks of a node is answered as the stock node answers')
def questions(lab):
    def ask(name, path):
        r = lab.admin('nodes', 'ask', '-i', str(lab.node(name)['id']), path, '-o', 'json', ok=False)
        return json.loads(r.stdout) if r.returncode == 0 else r.stderr
    for path in ('/echo', '/update', '/posture/identity', '/nosuch', '/appconnector/routes', '/vip-services'):
        a, b = ask('stock', path), ask(US, path)
        check(a['status'] == b['status'], f'{path}: {a} {b}')
    for path in ('/debug/prefs', '/debug/health', '/debug/netmap'):
        a, b = ask('stock', path), ask(US, path)
        check(set(json.loads(a['body'])) == set(json.loads(b['body'])), f'{path}: {a} {b}')
    check('tailscaled_home_derp_region_id' in ask(US, '/debug/metrics')['body'], 'metrics')


@test('a login anew has another key, and the same name and address')
def reauth(lab):
    before = lab.status(US)['Self']
    lab.fairlead(US, 'up', '--force-reauth', f'--auth-key={lab.reusable}', '--accept-dns=false', f'--login-server={tailnet.CONTROL}', f'--hostname={US}', '--timeout=30s')
    after = lab.status(US)['Self']
    check(after['PublicKey'] != before['PublicKey'] and after['TailscaleIPs'] == before['TailscaleIPs'], 'key and address')
    wait_until(lambda: ours(lab)['PublicKey'] == after['PublicKey'], 'the peer hears of it', 20)
    wait_until(lambda: lab.pings('stock', after['TailscaleIPs'][0]), 'the peer reaches it', 30)


@test('a change of the name is seen by others')
def rename(lab):
    lab.fairlead(US, 'set', '--hostname=renamed')
    wait_until(lambda: ours(lab)['HostName'] == 'renamed', 'the peer sees the new name', 20)
    lab.fairlead(US, 'set', f'--hostname={US}')
    wait_until(lambda: lab.node(US), 'the old name again', 20)


@test('a key that ended is renewed by a login; meanwhile status says so')
def expiry(lab):
    lab.admin('nodes', 'expire', '-i', str(lab.node(US)['id']))
    wait_until(lambda: state(lab) == 'NeedsLogin', 'a login is needed', 20)
    check('Logged out' in lab.fairlead(US, 'status', ok=False).stdout, 'status')
    lab.fairlead(US, 'up', f'--auth-key={lab.reusable}', '--accept-dns=false', f'--login-server={tailnet.CONTROL}', f'--hostname={US}', '--force-reauth', '--timeout=30s')
    wait_until(lambda: lab.pings('stock', lab.status(US)['TailscaleIPs'][0]), 'the peer reaches it', 30)


@test('a key that is unknown, used up or too old is refused in words that say what to do')
def bad_keys(lab):
    lab.fairlead(US, 'logout')
    once, old = lab.key('--user', '1'), lab.key('--user', '1', '--expiration', '1s')
    login = ['up', '--accept-dns=false', f'--login-server={tailnet.CONTROL}', '--timeout=30s']
    lab.fairlead(US, *login, f'--hostname={US}', f'--auth-key={once}')
    lab.host('other', 15)
    lab.daemon('other', True)
    time.sleep(1)
    for key in ('hskey-auth-000000000000-' + '0' * 64, once, old):
        r = lab.fairlead('other', *login, f'--auth-key={key}', ok=False)
        check(r.returncode == 1 and 'The' in r.stderr and 'key' in r.stderr, f'{key}: {r.stderr}')
        r = lab.fairlead('other', *login, '--json', f'--auth-key={key}', ok=False)
        check(json.loads(r.stdout)['Error'], r.stdout)


@test('tags of the policy are taken')
def tags(lab):
    with open(lab.path('policy.json'), 'w') as f:
        json.dump({'tagOwners': {'tag:web': ['lab@']}, 'acls': [{'action': 'accept', 'src': ['*'], 'dst': ['*:*']}]}, f)
    lab.admin('policy', 'set', '-f', lab.path('policy.json'))
    lab.fairlead(US, 'up', '--advertise-tags=web', f'--auth-key={lab.reusable}', '--accept-dns=false', f'--login-server={tailnet.CONTROL}', f'--hostname={US}',
                 '--force-reauth', '--timeout=30s')
    wait_until(lambda: lab.status(US)['Self'].get('Tags') == ['tag:web'], 'it is tagged', 20)
    check('tagged-devices' in lab.fairlead(US, 'status').stdout, 'status')


@test('a second login is a second profile; switch goes between them and forgets one')
def profiles(lab):
    lab.admin('users', 'create', 'eve')
    users = {u['name']: u['id'] for u in lab.json('users', 'list')}
    first = lab.status(US)['TailscaleIPs'][0]
    lab.fairlead(US, 'set', '--nickname=work')
    lab.fairlead(US, 'login', f'--auth-key={lab.key("--user", str(users["eve"]))}', '--accept-dns=false', f'--login-server={tailnet.CONTROL}', '--hostname=second',
                 '--nickname=home', '--timeout=30s')
    second = lab.status(US)['TailscaleIPs'][0]
    check(first != second, 'another address')
    rows = json.loads(lab.fairlead(US, 'switch', '--list', '--json').stdout)
    check([(r['nickname'], r['selected']) for r in rows] == [('work', False), ('home', True)], str(rows))
    check(re.search(r'home\*', lab.fairlead(US, 'switch', '--list').stdout), 'the list')
    check('Success.' in lab.fairlead(US, 'switch', 'work').stdout, 'switch')
    check(lab.status(US)['TailscaleIPs'][0] == first, 'the first again')
    lab.daemons[US].send_signal(signal.SIGKILL)
    lab.daemons[US].wait()
    lab.daemon(US, True)
    wait_until(lambda: state(lab) == 'Running', 'it comes back by itself', 30)
    check(lab.status(US)['TailscaleIPs'][0] == first, 'as the profile it was')
    lab.fairlead(US, 'switch', 'home')
    check(lab.status(US)['TailscaleIPs'][0] == second, 'the second again')
    lab.fairlead(US, 'switch', 'remove', 'work')
    check(len(json.loads(lab.fairlead(US, 'switch', '--list', '--json').stdout)) == 1, 'one is left')
    check(lab.fairlead(US, 'switch', 'nosuch', ok=False).returncode == 1, 'an unknown one')


@test('logging out ends the login, and up --timeout gives up in time')
def logout(lab):
    lab.fairlead(US, 'logout')
    check('Logged out.' in lab.fairlead(US, 'status', ok=False).stdout, 'status')
    began = time.monotonic()
    r = lab.fairlead(US, 'up', f'--login-server={tailnet.CONTROL}', '--accept-dns=false', '--timeout=1s', ok=False)
    check(r.returncode == 1 and 'timeout' in r.stderr and time.monotonic() - began < 15, r.stderr)


def make(lab):
    lab.serve()
    lab.admin('users', 'create', 'lab')
    lab.reusable = lab.key('--user', '1', '--reusable')
    for i, name in enumerate((US, 'stock')):
        lab.host(name, 11 + i)
        lab.daemon(name, name == US)
    lab.up('stock', lab.reusable)


tailnet.run('login', make, run_tests)
