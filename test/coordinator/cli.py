"""The commands print what Headscale 0.29's print: cli.py PROGRAM GOLDEN [--update]

GOLDEN has lines "$ ARGUMENTS", each followed by what is printed and "[EXIT CODE]". What differs from run to run
(keys, times) stands there as KEY, TIME and the like. It was compared with the output of headscale 0.29.2."""
import os, re, shlex, socket, subprocess, sys, tempfile

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


def run_all(commands):
    with tempfile.TemporaryDirectory(prefix='fl-cli-') as d:
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            port = s.getsockname()[1]
        for name, text in (('policy', POLICY), ('bad', '{"acls":[{"action":"acc"}]}'), ('c.yaml', f'''
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
            return [run(c) for c in commands]
        finally:
            server.terminate()
            server.wait()


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


run_tests()
