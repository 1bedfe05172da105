"""Registering, with stock tailscaleds: keys that change, end and come back; approval; a server killed in the midst."""
import datetime, json, os, random, signal, sys, threading, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import coordlab
from netlab import check, command, peer, test, tool, wait_until

FAST = '''
node:
  ephemeral: {{inactivity_timeout: 66s}}
tuning: {{register_cache_expiration: 2s}}
'''
APPROVAL = '''
node:
  ephemeral: {{inactivity_timeout: 66s}}
  approval: true
'''


def reaches(w, a, b):
    """A packet through the tunnel and back."""
    return w.ts(a, 'ping', '--tsmp', '-c', '1', '--timeout', '2s', b, ok=False).returncode == 0


@test('nodes join, and an ephemeral one is killed')
def joins(w):
    w.serve()
    w.admin('users', 'create', 'lab')
    w.reusable = w.key('--user', '1', '--reusable')
    w.daemon('short')
    w.join('short', w.key('--user', '1', '--ephemeral'))
    check(w.node('short')['online'], 'online')
    w.lab.stop(w.daemons['short'], signal.SIGKILL)
    w.killed = time.monotonic()
    for name in ('n1', 'n2'):
        w.daemon(name)
        w.join(name, w.reusable)
    wait_until(lambda: reaches(w, 'n1', 'n2'), 'a packet', 20)


@test('a new node key keeps id, name and addresses, and peers learn it')
def rotation(w):
    before = w.node('n1')
    w.join('n1', w.reusable, '--force-reauth')
    after = w.node('n1')
    check(after['node_key'] != before['node_key'], 'a new key')
    for field in ('id', 'given_name', 'ip_addresses', 'machine_key'):
        check(after[field] == before[field], field)
    wait_until(lambda: w.peers('n2')['n1']['PublicKey'] == after['node_key'], 'the peer knows', 10)
    wait_until(lambda: reaches(w, 'n2', 'n1'), 'a packet on the new key', 20)


@test('a client may end its key sooner, and not later')
def sooner(w):
    def ask(seconds):
        at = int(time.time()) + seconds
        return command([tool('curl'), '-s', '--unix-socket', f'{w.dir}/n2/sock', '-X', 'POST',
                        f'http://local-tailscaled.sock/localapi/v0/set-expiry-sooner?expiry={at}'], ns=w.ns).stdout
    ask(3600)
    left = lambda: w.node('n2').get('expiry', {}).get('seconds', 0) - time.time()
    wait_until(lambda: 3000 < left() < 3700, 'in an hour', 10)
    check('extending' in ask(7200), 'later is refused')
    check(3000 < left() < 3700, 'it is still in an hour')
    w.admin('nodes', 'expire', '-i', str(w.node('n2')['id']), '--disable')


@test('a key that ends takes the node out of the network until it is prolonged, without a login')
def expiry(w):
    id = str(w.node('n2')['id'])
    at = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)).strftime('%Y-%m-%dT%H:%M:%SZ')
    w.admin('nodes', 'expire', '-i', id, '-e', at)
    wait_until(lambda: w.state('n2') == 'NeedsLogin', 'needs a login', 20)
    wait_until(lambda: w.peers('n1')['n2'].get('Expired'), 'peers know', 20)
    check(not reaches(w, 'n1', 'n2'), 'nothing gets through')
    w.admin('nodes', 'expire', '-i', id, '--disable')
    wait_until(lambda: w.state('n2') == 'Running', 'running again', 20)
    wait_until(lambda: reaches(w, 'n1', 'n2'), 'a packet', 30)


@test('logging out and coming back keeps the node')
def logout(w):
    before = w.node('n2')
    w.ts('n2', 'logout')
    wait_until(lambda: w.node('n2').get('expiry'), 'expired', 10)
    w.join('n2', w.reusable)
    after = w.node('n2')
    check(after['id'] == before['id'] and after['ip_addresses'] == before['ip_addresses'], f'{before} {after}')
    wait_until(lambda: reaches(w, 'n1', 'n2'), 'a packet', 20)


@test('a login link that got too old is followed by a new one')
def old_link(w):
    w.daemon('n3')
    p, first = w.up('n3')
    second = wait_until(lambda: (lambda u: u != first and u)(w.status('n3').get('AuthURL')), 'another link', 25)
    wait_until(lambda: w.admin('auth', 'register', '--auth-id', w.status('n3')['AuthURL'].rsplit('/', 1)[1], '--user', 'lab', ok=False).returncode == 0,
               'the newest link works', 20)
    wait_until(lambda: w.state('n3') == 'Running', 'running', 20)
    w.lab.stop(p)
    w.lab.stop(w.daemons['n3'])


@test('a login begun before the server was killed, and one before it was restarted, finish after')
def over_restart(w):
    w.configure('node:\n  ephemeral: {{inactivity_timeout: 66s}}\n')
    w.restart()
    links = {}
    for name, end in (('n5', w.kill), ('n6', w.restart)):
        w.daemon(name)
        _, url = w.up(name)
        links[name] = url.rsplit('/', 1)[1]
        end()
    for name, id in links.items():
        w.admin('auth', 'register', '--auth-id', id, '--user', 'lab')
        wait_until(lambda: w.state(name) == 'Running', 'running', 60)
        w.lab.stop(w.daemons[name])


@test('where devices are approved, a new one sees nobody and nobody sees it until then')
def approval(w):
    w.configure(APPROVAL)
    w.restart()
    w.daemon('n4')
    p, url = w.up('n4')
    w.admin('auth', 'register', '--auth-id', url.rsplit('/', 1)[1], '--user', 'lab')
    wait_until(lambda: w.state('n4') == 'NeedsMachineAuth', 'it waits', 20)
    check('n4' not in w.peers('n1') and not w.peers('n4'), 'apart')
    w.admin('nodes', 'approve', '-i', str(w.node('n4')['id']))
    wait_until(lambda: w.state('n4') == 'Running', 'running', 20)
    wait_until(lambda: 'n4' in w.peers('n1'), 'seen', 20)
    wait_until(lambda: reaches(w, 'n1', 'n4'), 'a packet', 20)


def killed_in_the_midst(w, kills):
    """Machines with one-off keys, each of which two try, and a server that is killed so often meanwhile."""
    storms = lambda: [n['given_name'] for n in w.json('nodes', 'list') if n['given_name'].startswith('storm-')]
    keys, before = [w.key('--user', '1') for _ in range(60)], len(storms())
    with open(f'{w.dir}/keys', 'w') as f:
        f.write('\n'.join(keys))
    result = {}
    t = threading.Thread(target=lambda: result.update(w.client('storm', f'{w.dir}/keys')))
    t.start()
    while_busy = 0
    for _ in range(kills):
        time.sleep(random.uniform(0.005, 0.06))
        while_busy += t.is_alive()
        w.kill()
    t.join()
    nodes = w.json('nodes', 'list')
    check(sorted(result) == sorted(keys), 'an answer for every key')
    for key, r in result.items():
        check(len(r['In']) == 1 and r['Errors'] == ['authkey already used'], f'{key}: {r}')
    check(len(storms()) == before + len(keys), f'{before} and {len(keys)} more: {storms()}')
    check(len({n['ip_addresses'][0] for n in nodes}) == len(nodes), 'an address each')
    return while_busy


@test('a server killed in the midst of registrations loses none, and no one-off key lets two in')
def storm(w):
    # FAIRLEAD_KILLS: how often; two hundred take some minutes.
    rounds = max(1, int(os.environ.get('FAIRLEAD_KILLS', 4)) // 4)
    check(sum(killed_in_the_midst(w, 4) for _ in range(rounds)) > rounds, 'killed while they came')
    w.admin('audit', 'verify')
    wait_until(lambda: w.node('n1').get('online') and w.node('n2').get('online'), 'the others are back', 40)


@test('an ephemeral node that stays away is deleted')
def ephemeral(w):
    check(w.node('short') or time.monotonic() - w.killed > 66, 'not before its time')
    wait_until(lambda: w.node('short') is None, 'gone', 80, 0.5)
    check('short' not in w.peers('n1'), 'for its peers too')


if __name__ == '__main__':
    coordlab.main('cr', lambda lab: coordlab.World(lab, FAST))
