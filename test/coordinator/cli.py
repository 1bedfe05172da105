"""The commands print what Headscale 0.29's print: cli.py PROGRAM GOLDEN [--update]

GOLDEN has lines "$ ARGUMENTS", each followed by what is printed and "[EXIT CODE]". What differs from run to run
(keys, times) stands there as KEY, TIME and the like. It was compared with the output of headscale 0.29.2."""
import contextlib, json, os, re, shlex, socket, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'net'))
from netlab import Failure, check, run_tests, test, wait_until  # noqa: E402

OURS, GOLDEN = sys.argv[1:3]
POLICY = '{"acls":[{"action":"accept","src":["*"],"dst":["*:*"]}]}'

SAME = ((r'hskey-(auth|api)-[A-Za-z0-9_-]{12}-[A-Za-z0-9_-]{64}', r'hskey-\1-KEY'),
        (r'hskey-(auth|api)-[A-Za-z0-9_-]{12}-\*\*\*', r'hskey-\1-PREFIX-***'),
        (r'(seconds"?: ?)\d+', r'\1N'), (r'(nanos"?: ?)\d+', r'\1N'), (r',?"nanos":N', ''),
        (r',\n\s*"nanos": N', ''), (r'20\d\d-\d\d-\d\d \d\d:\d\d:\d\d', 'YYYY-MM-DD HH:MM:SS'),
        (r'(mkey|nodekey|discokey|privkey):[0-9a-f]{64}', r'\1:HEX'), (r'\[[A-Za-z0-9+/]{5}\]', '[SHORT]'))


def normal(text, folder):
    for pattern, by in SAME:
        text = re.sub(pattern, by, text)
    return text.replace(folder, 'DIR')


@contextlib.contextmanager
def serving():
    """A server in a folder of its own; gives what runs a command line there."""
    with tempfile.TemporaryDirectory(prefix='fl-cli-') as d:
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            port = s.getsockname()[1]
        for name, text in (('policy', POLICY), ('tags', '{"tagOwners":{"tag:a":[]}}'), ('bad', '{"acls":[{"action":"acc"}]}'), ('c.yaml', f'''
server_url: http://127.0.0.1:{port}
listen_addr: 127.0.0.1:{port}
metrics_listen_addr: ""
unix_socket: {d}/sock
noise: {{ private_key_path: {d}/noise.key }}
database: {{ sqlite: {{ path: {d}/db.sqlite }} }}
policy: {{ mode: database }}
dns: {{ magic_dns: false, override_local_dns: false }}
derp: {{ urls: [], server: {{ enabled: true, private_key_path: {d}/derp.key, stun_listen_addr: "" }} }}
''')):
            with open(f'{d}/{name}', 'w', encoding='utf-8') as f:
                f.write(text)
        os.symlink(os.path.abspath(OURS), f'{d}/headscale')

        def run(line):
            p = subprocess.run([f'{d}/headscale', '-c', f'{d}/c.yaml', *shlex.split(line.replace('DIR', d))], text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                               check=False)
            return f'$ {line}\n{normal(p.stdout, d)}[{p.returncode}]\n'

        with open(f'{d}/log', 'w', encoding='utf-8') as log:
            server = subprocess.Popen([OURS, 'serve', '-c', f'{d}/c.yaml'], stderr=log)
        try:
            wait_until(lambda: run('health').endswith('[0]\n'), 'the server answers')
            yield run
        finally:
            server.terminate()
            server.wait()


def run_all(commands):
    with serving() as run:
        return [run(c) for c in commands]


def read_golden():
    with open(GOLDEN, encoding='utf-8') as f:
        parts = re.split(r'^(?=\$ )', f.read(), flags=re.M)
    return [p for p in parts if p]


if sys.argv[3:] == ['--update']:
    wanted = [p.split('\n', 1)[0][2:] for p in read_golden()]
    made = run_all(wanted)
    with open(GOLDEN, 'w', encoding='utf-8') as f:
        f.writelines(made)
    sys.exit(0)


@test('under the name headscale each command prints what Headscale 0.29 prints, in each format')
def _():
    golden = read_golden()
    for want, got in zip(golden, run_all([p.split('\n', 1)[0][2:] for p in golden])):
        if want != got:
            raise Failure(f'wanted:\n{want}got:\n{got}')
    check(len(golden) > 80, 'the golden file is whole')


# In this order each can be done. LOGIN is one that waits.
CHANGES = ['users create anna', 'users rename -i 1 -r berta', 'users role -i 1 -r admin', 'policy set -f DIR/tags',
           'preauthkeys create -u 1', 'preauthkeys expire -i 1', 'preauthkeys delete -i 1', 'apikeys create', 'apikeys expire -i 1',
           'apikeys delete -i 1', 'auth register --auth-id LOGIN --user berta', 'nodes register --key LOGIN --user berta',
           'auth reject --auth-id LOGIN', 'nodes rename -i 1 box', 'nodes tag -i 1 -t tag:a', 'nodes approve-routes -i 1 -r 10.0.0.0/8',
           'nodes approve -i 1', 'nodes attribute -i 1 -n custom:a --value b', 'nodes expire -i 1', 'nodes delete -i 1 --force',
           'nodes delete -i 2 --force', 'users destroy -i 1 --force']
# What reads, runs without a server, or needs a node or a session that is there.
OTHERS = ['serve', 'configtest', 'import', 'version', 'generate', 'health', 'users list', 'nodes list', 'nodes list-routes', 'nodes ask',
          'nodes backfillips', 'auth approve', 'debug create-node', 'preauthkeys list', 'apikeys list', 'policy get', 'policy check',
          'policy compile', 'audit list', 'audit verify', 'backup', 'restore']


@test('every command that changes something is one row of the audit log: who, what, before, after')
def _():
    with serving() as run:
        def done(line):
            said = run(line)
            check(said.endswith('[0]\n'), said)
            return said.split('\n', 1)[1][:-4]

        def rows():
            return json.loads(done('audit list -l 1000 -o json')) or []

        for i, line in enumerate(CHANGES):
            login = f'hskey-authreq-{i:024}'
            if 'LOGIN' in line:
                done(f'debug create-node -k {login} --name n{i} --user berta')
            before = len(rows())
            done(line.replace('LOGIN', login))
            new = rows()[:-before or None]
            check(len(new) == 1, f'{line}: {new}')
            check(new[0]['actor'] == f'socket:uid={os.getuid()}' and new[0]['action'] and new[0]['at'], new)
            check('before' in new[0] or 'after' in new[0] or line.startswith(('policy', 'auth reject')), new)
        done('audit verify')
        commands = re.findall(r'^  (\S+(?: [a-z-]+)?)(?: ARG)?$', run('--help'), re.M)
        check(set(commands) == set(OTHERS) | {' '.join(c.split()[:2]) for c in CHANGES}, 'a new command belongs in one of the lists')


run_tests()
