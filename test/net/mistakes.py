"""What a beginner runs into is answered in words that say what to do."""
import os, shutil, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from netlab import check, command, run_tests, test, wait_until
import tailnet
from tailnet import CONTROL, program

SOURCE = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..'))


def says(r, *words):
    """The command failed, and what it said holds all these words."""
    text = (r.stdout + r.stderr).lower()
    check(r.returncode != 0, f'it did not fail: {text}')
    for word in words:
        check(word.lower() in text, f'"{word}" is not in: {text[-1200:]}')
    check('traceback' not in text and 'assert' not in text, text)


def nobody(args):
    """Runs it as a user without rights."""
    return subprocess.run(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] + args, capture_output=True, text=True,
                          cwd='/', timeout=30, stdin=subprocess.DEVNULL)


def without_tun(ns, args):
    """Runs it where there is no /dev/net/tun."""
    return command(['unshare', '-m', 'sh', '-c', 'mount -t tmpfs tmpfs /dev/net && exec "$@"', 'sh'] + args, ns=ns, ok=False)


def programs_for_all(t):
    """The programs where a user without rights can run them."""
    d = t.path('bin')
    if not os.path.isdir(d):
        os.chmod(t.dir, 0o755)
        os.mkdir(d)
        for name in ('fairleadd', 'fairlead-wg', 'fairlead', 'fairlead-relay', 'fairlead-coordinator'):
            shutil.copy(program(name), d)
    return d


@test('without root, each program says that it needs it')
def _(t):
    d = programs_for_all(t)
    says(nobody([f'{d}/fairleadd', '--statedir=/nonexistent']), 'root')
    says(nobody([f'{d}/fairlead-wg', '-f', 'wgx']), 'root')
    says(nobody([f'{d}/fairlead', f"--socket={t.path('one', 'sock')}", 'down']), 'sudo')


@test('without a daemon, the command says how to start it')
def _(t):
    says(command([program('fairlead'), '--socket=/run/none/sock', 'status'], ok=False), 'fairleadd', 'running')


@test('without /dev/net/tun it is named, with what a container needs')
def _(t):
    t.start(t.hosts['two'], ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs tmpfs /dev/net && exec "$@"', 'sh', program('fairleadd'),
                             f"--statedir={t.path('two')}", f"--socket={t.path('two', 'sock')}"], env=t.env, log=t.path('two', 'log'))
    wait_until(lambda: t.fairlead('two', 'status', ok=False).stdout, 'the daemon answers', 20)
    says(t.fairlead('two', 'up', f'--login-server={CONTROL}', f"--auth-key={t.key('--user', '1')}", '--timeout=20s', ok=False), '/dev/net/tun')
    says(without_tun(t.hosts['two'], [program('fairlead-wg'), '-f', 'wgx']), '/dev/net/tun')


@test('a port that is taken is named')
def _(t):
    with open(t.path('d.yaml'), 'w') as f:
        f.write(open(t.path('c.yaml')).read().replace('db.sqlite', 'other.sqlite').replace(t.path('sock'), t.path('sock2')))
    says(command([program('fairlead-coordinator'), 'serve', '-c', t.path('d.yaml')], ns=t.hub, ok=False), '10.99.0.1:443', 'in use')
    says(command([program('fairlead-relay'), '--listen', '10.99.0.1:443', '--self-signed', 'yes', '--hostname', 'x', '--key-file', t.path('rk'),
                  '--http-listen', ''], ns=t.hub, ok=False), '443', 'in use')


@test('a name that does not resolve is named')
def _(t):
    r = t.fairlead('one', 'up', '--login-server=https://ctl.nowhere', '--auth-key=x', '--timeout=5s', ok=False)
    says(r, 'ctl.nowhere')


@test('a certificate from the future makes one look at the clock')
def _(t):
    t.start(t.hub, ['openssl', 's_server', '-accept', '10.99.0.1:8443', '-cert', t.path('late.crt'), '-key', t.path('late.key'), '-quiet', '-www'])
    says(t.fairlead('one', 'up', '--login-server=https://ctl.lab:8443', '--auth-key=x', '--timeout=8s', ok=False), 'clock')


@test('a key that is used up, expired or unknown is called so')
def _(t):
    used = t.key('--user', '1')
    t.fairlead('one', 'up', f'--login-server={CONTROL}', f'--auth-key={used}', '--timeout=30s')
    t.fairlead('one', 'logout')
    for key, word in ((used, 'used'), ('hskey-auth-000000000000-' + 'a' * 64, 'key')):
        r = t.fairlead('one', 'up', f'--login-server={CONTROL}', f'--auth-key={key}', '--timeout=10s', ok=False)
        says(r, word)
    expired = t.key('--user', '1', '--expiration', '1s')
    time.sleep(2)
    says(t.fairlead('one', 'up', f'--login-server={CONTROL}', f'--auth-key={expired}', '--timeout=10s', ok=False), 'expired')


@test('a firewall that drops UDP is told')
def _(t):
    t.fairlead('one', 'up', f'--login-server={CONTROL}', f"--auth-key={t.key('--user', '1')}", '--timeout=30s')
    command(['nft', 'add table inet deaf; add chain inet deaf out { type filter hook output priority 0; }; add rule inet deaf out oif eth0 meta l4proto udp drop'],
            ns=t.hosts['one'])
    text = command([program('fairlead'), f"--socket={t.path('one', 'sock')}", 'netcheck'], ns=t.hosts['one'], timeout=60).stdout
    check('UDP' in text and ('false' in text or 'blocked' in text or ' no' in text.lower()), text)


@test('another tailscaled that runs here is named')
def _(t):
    r = subprocess.run(['sh', '-c', 'cp "$(command -v sleep)" "$1"/tailscaled && "$1"/tailscaled 20 & sleep 0.3; cd "$2" && ./quickstart join https://x y', 'sh', t.path(), SOURCE],
                       capture_output=True, text=True, timeout=60)
    says(r, 'tailscaled', 'stop')


def certificate_of_the_future(t):
    """late.crt, trusted and valid from 2099: what a machine sees whose clock is far behind."""
    with open(t.path('ca.cnf'), 'w') as f:
        f.write(f"""[ca]\ndefault_ca = d\n[d]\ndatabase = {t.path('index')}\nserial = {t.path('serial')}\nnew_certs_dir = {t.dir}
default_md = sha256\npolicy = p\ncopy_extensions = copy\nunique_subject = no\n[p]\ncommonName = supplied\n""")
    open(t.path('index'), 'w').close()
    with open(t.path('serial'), 'w') as f:
        f.write('01\n')
    command(['openssl', 'req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=late.lab',
             '-addext', 'subjectAltName=DNS:ctl.lab', '-keyout', t.path('late.key'), '-out', t.path('late.csr')])
    command(['openssl', 'ca', '-batch', '-config', t.path('ca.cnf'), '-selfsign', '-keyfile', t.path('late.key'), '-in', t.path('late.csr'),
             '-out', t.path('late.crt'), '-startdate', '20990101000000Z', '-enddate', '20991231000000Z', '-notext'])
    with open(t.path('all.crt'), 'w') as f:
        f.write(open(t.path('ctl.crt')).read() + open(t.path('late.crt')).read())
    t.env['SSL_CERT_FILE'] = t.path('all.crt')


def make(t):
    certificate_of_the_future(t)
    t.serve()
    t.admin('users', 'create', 'anna')
    for name, number in (('one', 11), ('two', 12)):
        t.host(name, number)
    t.daemon('one', True)


tailnet.run('mistakes', make, run_tests)
