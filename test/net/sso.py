"""Stock tailscaled joins by single sign-on: our coordinator, a real OpenID provider, a browser in between.

All of it runs on the loopback of one namespace; the nodes use userspace networking.

    tailscale up -> login URL -> provider -> "Is this your device?" -> yes -> the node has joined
"""
import json, os, re, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import coordlab, oidc
from netlab import Failure, check, command, test, wait_until

def user(name, domain='acme.test', verified=True, groups=()):
    return {'sub': name, 'email': f'{name}@{domain}', 'email_verified': verified, 'preferred_username': name, 'groups': list(groups)}


# Some providers say "true" where others say true.
USERS = [user('ann', groups=['eng']), user('eve', verified='true'), user('mal', 'evil.test'), user('sam', verified=False)]

OIDC = '''
oidc:
  issuer: http://127.0.0.1:9400
  client_id: fairlead
  client_secret: secret
  allowed_domains: [acme.test]
'''
STRICT = OIDC + '''
  allowed_groups: [eng]
  use_expiry_from_token: true
  pkce: {{enabled: true, method: plain}}
'''
TOKEN_LIFE = 3600
POLICY = {'tagOwners': {'tag:web': []},
          'acls': [{'action': 'accept', 'src': ['group:eng@acme.test'], 'dst': ['tag:web:22']}],
          'tests': [{'src': 'ann@acme.test', 'accept': ['tag:web:22'], 'deny': ['tag:web:80']}]}


class World(coordlab.World):
    def browser(self, url, sub, *more):
        return command([sys.executable, os.path.abspath(oidc.__file__), url, sub, *more], ns=self.ns, timeout=60).stdout

    def start_provider(self):
        """Each start makes new keys."""
        args = [oidc.provider(), '-p', '9400', '-e', str(TOKEN_LIFE), '--require-nonce', 'true']
        for u in USERS:
            args += ['--user-claims', json.dumps(u)]
        self.provider = self.lab.start(self.ns, args, log=f'{self.dir}/provider.log')

    def signed_in(self, url, sub, *more):
        """The page at the end, once the provider answers."""
        gone = ('nobody answers', 'not possible at the moment')
        return wait_until(lambda: (lambda t: not any(g in t for g in gone) and t)(self.browser(url, sub, *more)), 'the provider answers', 30, 1)


@test('without its provider the server is there, and says that nobody can sign in')
def down(w):
    oidc.provider()
    w.serve()
    w.daemon('laptop')
    w.login = w.up('laptop')
    check('not possible at the moment' in w.browser(w.login[1], 'ann'), 'it says so')


@test('a person logs in, confirms, and the device joins as theirs')
def joins(w):
    w.start_provider()
    p, url = w.login
    check('Connected' in w.signed_in(url, 'ann'), 'the last page')
    wait_until(lambda: p.poll() == 0, 'tailscale up ends well', 20)
    users = w.json('users', 'list')
    check(users[0]['provider_id'] == 'http://127.0.0.1:9400/ann' and users[0]['email'] == 'ann@acme.test', str(users))
    check(w.status('laptop')['BackendState'] == 'Running', 'running')
    check('expiry' not in w.node('laptop'), 'its key does not end')


@test('who is not of an allowed domain, or has no verified address, is told so')
def refused(w):
    w.daemon('other')
    w.login = w.up('other')
    check('Accounts of this e-mail domain may not join.' in w.browser(w.login[1], 'mal'), 'of another domain')
    check('has not verified the e-mail address' in w.browser(w.login[1], 'sam'), 'not verified')
    check(w.login[0].poll() is None, 'it still waits')


@test('the way back from the provider serves once')
def again(w):
    page = w.browser(w.login[1], 'eve', 'again')
    check('Signing in failed' in page, page[-600:])


@test('a group of the provider decides in the policy who sees whom')
def groups(w):
    w.daemon('web')
    # The tests inside need a node with the tag: refused, and nothing is in force.
    try:
        w.policy(POLICY)
    except Failure:
        pass
    w.policy({k: v for k, v in POLICY.items() if k != 'tests'})
    w.join('web', w.key('--tags', 'tag:web'))
    peers = lambda name: list(w.peers(name))
    wait_until(lambda: peers('laptop') == ['web'], 'the engineer sees the server', 20)
    w.policy(POLICY)
    p, url = w.login
    check('Connected' in w.browser(url, 'eve'), 'eve joins')
    wait_until(lambda: p.poll() == 0, 'tailscale up ends well', 20)
    time.sleep(1)
    check(peers('other') == [], 'who is not in the group sees nobody')
    check(sorted(peers('web')) == ['laptop'], 'and is seen by nobody')


@test('an SSH session that is checked goes on when its owner says yes in the browser, and nobody else')
def ssh_check(w):
    w.daemon('box')
    p, url = w.up('box', '--ssh')
    w.browser(url, 'ann')
    wait_until(lambda: p.poll() == 0, 'it joins', 20)
    w.policy({'acls': [{'action': 'accept', 'src': ['*'], 'dst': ['*:*']}],
              'ssh': [{'action': 'check', 'src': ['ann@acme.test'], 'dst': ['ann@acme.test'], 'users': ['root']}]})
    p, said = w.ssh('laptop', 'box')
    url = wait_until(lambda: re.search(r'http://\S+/auth/\S+', said()), 'a link', 20).group(0)
    check('somebody else' in w.browser(url, 'eve'), 'not of eve')
    check(p.poll() is None, 'it still waits')
    check('Allowed' in w.browser(url, 'ann'), 'allowed')
    check(p.wait(20) == 0 and 'let in' in said(), said())


@test('a login on an old link is refused, and the link says so')
def over(w):
    page = w.browser(f'{coordlab.SERVER}/register/hskey-authreq-AAAAAAAAAAAAAAAAAAAAAAAA', 'ann')
    check('no longer valid' in page, page[-400:])


@test('a provider that comes back with other keys is believed')
def rotated(w):
    w.daemon('phone')
    p, url = w.up('phone')
    w.lab.stop(w.provider)
    check('nobody answers' in w.browser(url, 'ann'), 'the provider is gone')
    w.start_provider()
    check('Connected' in w.signed_in(url, 'ann'), 'signed with a new key')
    wait_until(lambda: p.poll() == 0, 'tailscale up ends well', 20)


@test('where groups are asked for nobody else joins, and a device is in as long as the token says')
def strict(w):
    w.configure(STRICT)
    w.restart()
    w.daemon('tablet')
    p, url = w.up('tablet')
    check('in none of the groups that may join' in w.signed_in(url, 'eve'), 'eve is in no group')
    check('Connected' in w.browser(url, 'ann'), 'ann is in one')
    wait_until(lambda: p.poll() == 0, 'tailscale up ends well', 20)
    left = w.node('tablet')['expiry']['seconds'] - time.time()
    check(TOKEN_LIFE - 600 < left <= TOKEN_LIFE + 5, f'{left} s are left')


if __name__ == '__main__':
    coordlab.main('sso', lambda lab: World(lab, OIDC))
