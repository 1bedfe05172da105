"""What a node keeps: the state file that goes to tailscaled and back, through crashes; the map while the coordinator is away."""
import json, os, random, signal, stat, sys, time

from netlab import Failure, check, command, run_tests, test, wait_until
import tailnet

US = 'mover'


def who(lab):
    s = lab.status(US)
    return s['Self']['PublicKey'], s['TailscaleIPs'], s['BackendState']


def start(lab, ours, *flags):
    lab.daemon(US, ours, *flags, env=getattr(lab, 'extra', {}))


def end(lab, sig=signal.SIGTERM):
    p = lab.daemons[US]
    p.send_signal(sig)
    p.wait(20)


def running(lab):
    return wait_until(lambda: who(lab)[2] == 'Running' and who(lab), 'running', 30)


@test('a machine moves from tailscaled to ours and back with its key and address')
def moves(lab):
    start(lab, False)
    lab.up(US, lab.reusable)
    before = running(lab)
    end(lab)
    start(lab, True)
    check(running(lab) == before, 'the same key and address, without a login')
    wait_until(lambda: lab.pings('stock', before[1][0]), 'it is reached', 30)
    check(not os.path.exists(lab.path(US, 'fairleadd.state')), 'one state file')
    lab.ts(US, 'set', '--shields-up')
    end(lab)
    start(lab, False)
    check(running(lab) == before, 'and back')
    check(lab.ts(US, 'get', 'shields-up').stdout.strip() == 'true', 'with the settings of ours')
    lab.ts(US, 'set', '--shields-up=false')
    end(lab)


@test('the state file is for its owner alone, and one that others may read is refused')
def mode(lab):
    path = lab.path(US, 'tailscaled.state')
    check(stat.S_IMODE(os.stat(path).st_mode) == 0o600, 'its mode')
    os.chmod(path, 0o644)
    r = command([tailnet.program('fairleadd'), '--tun=ts0', f'--statedir={lab.path(US)}', f'--socket={lab.path(US, "sock")}'], ns=lab.hosts[US], ok=False)
    check(r.returncode == 1 and 'tailscaled.state' in r.stderr, r.stderr)
    os.chmod(path, 0o600)


@test('a second daemon on the same state is refused, and the first is not disturbed')
def twice(lab):
    start(lab, True)
    before = running(lab)
    r = command([tailnet.program('fairleadd'), '--tun=ts1', f'--statedir={lab.path(US)}', f'--socket={lab.path(US, "other")}'], ns=lab.hosts[US], ok=False)
    check(r.returncode == 1 and 'another fairleadd is running on' in r.stderr, r.stderr)
    check(running(lab) == before, 'the first goes on')


@test('a state that cannot be written is a warning with the known code, until it can')
def unwritable(lab):
    told = lambda: [h for h in lab.status(US)['Health'] if 'cannot be written' in h]
    os.chmod(lab.path(US), 0o500)
    check(lab.fairlead(US, 'set', '--shields-up', ok=False).returncode == 1, 'a change is refused')
    wait_until(told, 'it is told', 30)
    check('state-store-health' in lab.fairlead(US, 'debug', 'watch-ipn', '--count=1').stdout, 'under its code')
    os.chmod(lab.path(US), 0o700)
    lab.fairlead(US, 'set', '--shields-up')
    lab.fairlead(US, 'set', '--shields-up=false')
    wait_until(lambda: not told(), 'and no longer', 30)
    end(lab)


@test('killed at any moment it comes back as who it was, with the last settings or those before')
def killed(lab):
    start(lab, True)
    before = running(lab)
    names = ['mover']
    for i in range(6):
        for k in range(4):
            names.append(f'mover-{i}-{k}')
            lab.start(lab.hosts[US], [tailnet.program('fairlead'), f'--socket={lab.path(US, "sock")}', 'set', f'--hostname={names[-1]}'])
        time.sleep(random.uniform(0, 0.05))
        end(lab, signal.SIGKILL)
        json.load(open(lab.path(US, 'tailscaled.state')))
        check(stat.S_IMODE(os.stat(lab.path(US, 'tailscaled.state')).st_mode) == 0o600, 'its mode')
        start(lab, True)
        check(running(lab) == before, 'who it was')
        check(lab.fairlead(US, 'get', 'hostname').stdout.strip() in names, 'a name it had')
    lab.fairlead(US, 'set', '--hostname=mover')
    end(lab)


@test('the map of last time is used where the policy allows it: peers are reached while the coordinator is away')
def away(lab):
    with open(lab.path('policy.json'), 'w') as f:
        json.dump({'acls': [{'action': 'accept', 'src': ['*'], 'dst': ['*:*']}],
                   'nodeAttrs': [{'target': ['*'], 'attr': ['cache-network-maps']}]}, f)
    lab.admin('policy', 'set', '-f', lab.path('policy.json'))
    start(lab, True)
    running(lab)
    kept = lambda: [f for d, _, fs in os.walk(lab.path(US, 'profile-data')) for f in fs if f == 'netmap.json']
    wait_until(kept, 'the map is kept', 20)
    end(lab)
    lab.stop(lab.server)
    lab.daemon(US, True)
    peer = lab.stock_ip
    wait_until(lambda: lab.pings(US, peer), 'a peer is reached', 40)
    check(lab.fairlead(US, 'status', '--peers=false', ok=False).returncode == 0, 'status')
    wait_until(lambda: any('could not connect to the' in h for h in lab.status(US)['Health']), 'the lost relay is told', 60)
    lab.serve()
    wait_until(lambda: not lab.status(US)['Health'], 'all is well again', 60)
    wait_until(lambda: lab.status(US)['Self']['Online'], 'the coordinator is found again', 60)
    running(lab)
    lab.fairlead(US, 'logout')
    check(not kept(), 'a logout forgets the map')


def declare(lab, **settings):
    with open(lab.path('node.hujson'), 'w') as f:
        f.write('// as a machine is set up by others\n' + json.dumps(dict({
            'version': 'alpha0', 'ServerURL': tailnet.CONTROL, 'AuthKey': f'file:{lab.path("key")}', 'acceptDNS': False}, **settings)))


def declared_prefs(lab, name):
    prefs = json.loads(lab.ts(name, 'debug', 'prefs').stdout)
    return {k: v for k, v in prefs.items() if k not in ('Config', 'Hostname')}


@test('settings declared in a file are those tailscaled takes from it; they hold until the file says otherwise')
def declared(lab):
    with open(lab.path('key'), 'w') as f:
        f.write(lab.reusable + '\n')
    declare(lab, Hostname='declared', acceptRoutes=True, AdvertiseRoutes=['10.7.0.0/24'], AdvertiseExitNode=True, NetfilterMode='nodivert',
            AutoUpdate={'Check': True, 'Apply': False})
    for name, ours in (('filed', True), ('filed-stock', False)):
        lab.daemon(name, ours, f'--config={lab.path("node.hujson")}')
        wait_until(lambda: lab.status(name)['BackendState'] == 'Running', 'running, without a command', 30)
    check(declared_prefs(lab, 'filed') == declared_prefs(lab, 'filed-stock'), f'{declared_prefs(lab, "filed")}\n{declared_prefs(lab, "filed-stock")}')
    for args in (['set', '--shields-up'], ['down']):
        for name in ('filed', 'filed-stock'):
            r = lab.ts(name, *args, ok=False)
            check(r.returncode == 1 and 'locked' in r.stderr, f'{name} {args}: {r.stderr}')
    declare(lab, Hostname='again', locked=False)
    for name in ('filed', 'filed-stock'):
        check('config reloaded' in lab.ts(name, 'debug', 'reload-config').stdout, f'{name} reads it anew')
        check(lab.ts(name, 'get', 'hostname').stdout.strip() == 'again', name)
        lab.ts(name, 'set', '--shields-up')
    check(lab.fairlead('filed', 'debug', 'reload-config').stdout == 'config reloaded\n', 'by our command too')
    declare(lab, Hostnam='typo')
    r = lab.ts('filed', 'debug', 'reload-config', ok=False)
    check(r.returncode and 'Hostnam' in r.stderr + r.stdout, f'what is wrong is told: {r}')
    for name in ('filed', 'filed-stock'):
        lab.stop(lab.daemons[name])


def make(lab):
    lab.serve()
    lab.admin('users', 'create', 'lab')
    lab.reusable = lab.key('--user', '1', '--reusable')
    lab.host(US, 11)
    for i, name in enumerate(('stock', 'filed', 'filed-stock')):
        lab.host(name, 12 + i)
    lab.daemon('stock', False)
    lab.up('stock', lab.reusable)
    lab.stock_ip = lab.status('stock')['TailscaleIPs'][0]


tailnet.run('state', make, run_tests)
