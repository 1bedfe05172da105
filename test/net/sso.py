"""Stock tailscaled joins by single sign-on: our coordinator, a real OpenID provider, a browser in between.

All of it runs on the loopback of one namespace; the nodes use userspace networking.

    tailscale up -> login URL -> provider -> "Is this your device?" -> yes -> the node has joined
"""
import json, os, re, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import coordlab, oidc
from netlab import Failure, check, command, test, wait_until

USERS = [{'sub': 'ann', 'email': 'ann@acme.test', 'email_verified': True, 'preferred_username': 'ann', 'groups': ['eng']},
         {'sub': 'eve', 'email': 'eve@acme.test', 'email_verified': True, 'preferred_username': 'eve', 'groups': []}]

OIDC = '''
oidc:
  issuer: http://127.0.0.1:9400
  client_id: fairlead
  client_secret: secret
  use_expiry_from_token: false
  allowed_domains: [acme.test]
'''
POLICY = {'tagOwners': {'tag:web': []},
          'acls': [{'action': 'accept', 'src': ['group:eng@acme.test'], 'dst': ['tag:web:22']}],
          'tests': [{'src': 'ann@acme.test', 'accept': ['tag:web:22'], 'deny': ['tag:web:80']}]}


class World(coordlab.World):
    def browser(self, url, sub):
        return command([sys.executable, os.path.abspath(oidc.__file__), url, sub], ns=self.ns, timeout=60).stdout


@test('a person logs in, confirms, and the device joins as theirs')
def joins(w):
    args = [oidc.provider(), '-H', '127.0.0.1', '-p', '9400']
    for u in USERS:
        args += ['--user-claims', json.dumps(u)]
    w.lab.start(w.ns, args, log=f'{w.dir}/provider.log')
    w.serve()
    w.daemon('laptop')
    p, url = w.up('laptop')
    page = wait_until(lambda: (lambda t: 'not possible at the moment' not in t and t)(w.browser(url, 'ann')), 'the provider is found', 20, 1)
    check('Connected' in page, page[-600:])
    wait_until(lambda: p.poll() == 0, 'tailscale up ends well', 20)
    users = w.json('users', 'list')
    check(users[0]['provider_id'] == 'http://127.0.0.1:9400/ann' and users[0]['email'] == 'ann@acme.test', str(users))
    check(w.status('laptop')['BackendState'] == 'Running', 'running')


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
    w.daemon('other')
    p, url = w.up('other')
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


if __name__ == '__main__':
    coordlab.main('sso', lambda lab: World(lab, OIDC))
