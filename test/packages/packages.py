"""The Debian packages, in a minimal Debian 12 with a systemd of its own: they are built, lintian is content
with them, they install, their units start under systemd, they work together, an upgrade keeps what runs and what
is stored, and remove and purge leave nothing.

usage: packages.py SOURCE [FOLDER WITH .deb FILES]      prints TAP; needs root, debootstrap and the Debian mirror
"""
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'net'))
from netlab import Failure, Skip, check, run_tests, test, tool, wait_until
from tree import Tree, run

SOURCE = os.path.abspath(sys.argv[1])
PACKAGES = ('fairlead', 'fairleadd', 'fairlead-wg', 'fairlead-coordinator', 'fairlead-relay')
# Exposure by systemd-analyze, out of 10: what is asked of the servers, and what a VPN daemon needs at least.
EXPOSURE = {'fairlead-coordinator.service': 2.5, 'fairlead-relay.service': 2.5, 'fairleadd.service': 5.0}
# There is no mailing list to name yet.
LINTIAN = ['lintian', '--allow-root', '--fail-on', 'error,warning', '--suppress-tags',
           'bogus-mail-host,bogus-mail-host-in-debian-changelog,initial-upload-closes-no-bugs']
# What the tree has: systemd, what the packages depend on (dpkg says if one is missing), what the tests use.
BASE = ('systemd', 'systemd-sysv', 'dbus', 'adduser', 'ca-certificates', 'curl', 'iproute2', 'iputils-ping', 'libjansson4', 'libmnl0',
        'libnghttp2-14', 'libqrencode4', 'libseccomp2', 'libsodium23', 'libsqlite3-0', 'libssl3', 'libsystemd0', 'libyaml-0-2', 'libzstd1',
        'nftables', 'procps')
state = {}


def sources():
    files = run(['git', '-c', 'safe.directory=*', '-C', SOURCE, 'ls-files', '--cached', '--others', '--exclude-standard']).stdout.split('\n')
    return [f for f in files if f and os.path.exists(f'{SOURCE}/{f}')]


def build():
    folder = tempfile.mkdtemp(prefix='fairlead-packages-')
    state.setdefault('made', []).append(folder)
    for name in sources():
        target = f'{folder}/fairlead/{name}'
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(f'{SOURCE}/{name}', target)
    env = dict(os.environ, DEB_BUILD_OPTIONS='noautodbgsym parallel=%d' % os.cpu_count())
    if os.path.isdir('/usr/lib/ccache'):
        env['PATH'] = '/usr/lib/ccache:' + env['PATH']
    run(['dpkg-buildpackage', '-us', '-uc', '-b'], cwd=f'{folder}/fairlead', env=env, timeout=1800)
    return folder


def debs(folder):
    found = [p for p in glob.glob(f'{folder}/*.deb') if '-dbgsym_' not in p]
    check(len(found) == len(PACKAGES), f'a package for each program: {found}')
    return found


def newer(folder):
    """The same packages with a higher version, as an upgrade would bring."""
    out = tempfile.mkdtemp(prefix='fairlead-newer-')
    state.setdefault('made', []).append(out)
    for path in debs(folder):
        part = f'{out}/part'
        run(['dpkg-deb', '-R', path, part])
        control = open(f'{part}/DEBIAN/control').read()
        version = next(line[9:] for line in control.splitlines() if line.startswith('Version: '))
        open(f'{part}/DEBIAN/control', 'w').write(control.replace(version, version + '+1'))
        name = os.path.basename(path).replace(version, version + '+1')
        run(['dpkg-deb', '--root-owner-group', '-b', part, f'{out}/{name}'])
        shutil.rmtree(part)
    return out


def put_in(t, folder):
    target = f'{t.root}/root/{os.path.basename(folder)}'
    os.makedirs(target)
    for path in debs(folder):
        shutil.copy(path, target)
    return '/root/' + os.path.basename(folder)


def files(t):
    """What lies in the tree: { path: size }, without what other programs keep changing."""
    found = {}
    skip = ('/var/tmp', '/proc', '/sys', '/dev', '/run', '/tmp', '/root', '/var/cache', '/var/log', '/var/lib/apt', '/var/lib/dpkg',
            '/var/lib/systemd', '/usr/share/doc', '/usr/share/man')
    for folder, names, leaves in os.walk(t.root):
        short = folder[len(t.root):]
        names[:] = [n for n in names if not f'{short}/{n}'.startswith(skip)]
        for leaf in leaves + names:
            found[f'{short}/{leaf}'] = 0
    return found


def start(t, *units):
    r = t.on('systemctl', 'enable', '--now', *units, ok=False)
    if r.returncode:
        raise Failure(t.on('journalctl', '--no-pager', '-n', '30', *(a for u in units for a in ('-u', u))).stdout)


def active(t, unit):
    try:
        wait_until(lambda: t.on('systemctl', 'is-active', unit, ok=False).stdout.strip() == 'active', f'{unit} is active', 60)
    except Failure as e:
        raise Failure(f"{e}\n{t.on('journalctl', '--no-pager', '-n', '30', '-u', unit).stdout}")


def json_of(t, *args):
    return json.loads(t.on(*args).stdout)


@test('a package for each program is built')
def _(t):
    state['folder'] = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else build()
    debs(state['folder'])


@test('lintian is content with them')
def _(t):
    r = run([tool('lintian'), *LINTIAN[1:], *debs(state['folder'])], ok=False)
    check(r.returncode == 0, r.stdout + r.stderr)


@test('they install on a minimal system, with what they need')
def _(t):
    state['before'] = files(t)
    t.boot()
    state['first'] = put_in(t, state['folder'])
    t.on('sh', '-c', f"dpkg -i {state['first']}/*.deb")
    for name in PACKAGES:
        check('ok installed' in t.on('dpkg', '-s', name).stdout, name)


@test('the node runs at once and waits to be told its tailnet; the servers wait to be configured')
def _(t):
    active(t, 'fairleadd')
    check('Logged out' in t.on('fairlead', 'status', ok=False).stdout, t.on('fairlead', 'status', ok=False).stdout)
    for name in ('fairlead-coordinator', 'fairlead-relay'):
        check(t.on('systemctl', 'is-active', name, ok=False).stdout.strip() == 'inactive', name)
        check(t.on('systemctl', 'is-enabled', name, ok=False).stdout.strip() == 'disabled', name)


@test('the coordinator starts as its own user with the configuration it came with, and the node joins it')
def _(t):
    start(t, 'fairlead-coordinator')
    check(t.on('systemctl', 'is-active', 'fairlead-coordinator').stdout.strip() == 'active', 'active')
    pid = t.on('systemctl', 'show', '-p', 'MainPID', '--value', 'fairlead-coordinator').stdout.strip()
    check(t.on('stat', '-c', '%U', f'/proc/{pid}').stdout.strip() == 'fairlead-coordinator', 'its own user')
    user = json_of(t, 'fairlead-coordinator', 'users', 'create', 'anna', '-o', 'json')
    key = json_of(t, 'fairlead-coordinator', 'preauthkeys', 'create', '--user', str(user['id']), '--expiration', '1h', '-o', 'json')
    t.on('sh', '-c', f"umask 077; echo {key['key']} > /root/key")
    t.on('fairlead', 'up', '--login-server=http://127.0.0.1:8080', '--auth-key=file:/root/key', '--hostname=here', '--timeout=60s')
    state['address'] = t.on('fairlead', 'ip', '-4').stdout.strip()
    check(state['address'].startswith('100.'), state['address'])
    check('fairlead0' in t.on('ip', '-o', 'address').stdout, 'the interface')
    t.on('ping', '-c1', '-W5', state['address'])


@test('the relay starts by socket activation, as a user of its own, without a capability')
def _(t):
    t.on('sh', '-c', "sed -i -e 's/^cert-/#cert-/' -e 's/^#self-signed/self-signed/' -e 's/^hostname .*/hostname 127.0.0.1/' /etc/fairlead/relay.conf")
    start(t, 'fairlead-relay.socket', 'fairlead-relay-http.socket', 'fairlead-relay')
    check(t.on('systemctl', 'is-active', 'fairlead-relay').stdout.strip() == 'active', 'active')
    pid = t.on('systemctl', 'show', '-p', 'MainPID', '--value', 'fairlead-relay').stdout.strip()
    status = t.on('cat', f'/proc/{pid}/status').stdout
    check('CapEff:\t0000000000000000' in status, status)
    check('\nUid:\t0' not in status, status)
    check(t.on('curl', '-sk', '-o', '/dev/null', '-w', '%{http_code}', 'https://127.0.0.1/derp/probe').stdout == '200', 'the probe')
    check(t.on('curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', 'http://127.0.0.1/generate_204').stdout == '204', 'the captive-portal answer')


@test('systemd finds the units tight, and without a mistake')
def _(t):
    for unit, most in EXPOSURE.items():
        rows = json_of(t, 'systemd-analyze', 'security', '--no-pager', '--json=short', unit)
        overall = t.on('systemd-analyze', 'security', '--no-pager', unit).stdout.splitlines()[-1]
        level = float(overall.split(':')[1].split()[0])
        print(f'# {unit}: {level}')
        check(rows and level <= most, f'{unit}: {overall}')
        r = t.on('systemd-analyze', 'verify', '--man=no', unit, ok=False)
        check(r.returncode == 0 and unit not in r.stderr, r.stderr)


@test('an upgrade keeps identity, addresses and what runs')
def _(t):
    # the copy is made outside the system, by the tools of the machine
    target = put_in(t, newer(state['folder']))
    t.on('sh', '-c', f'dpkg -i {target}/*.deb')
    check('+1' in t.on('dpkg', '-s', 'fairleadd').stdout, 'the new version')
    for name in ('fairleadd', 'fairlead-coordinator', 'fairlead-relay'):
        active(t, name)
    wait_until(lambda: t.on('fairlead', 'ip', '-4', ok=False).stdout.strip() == state['address'], 'the same address', 30)
    nodes = json_of(t, 'fairlead-coordinator', 'nodes', 'list', '-o', 'json')
    check(len(nodes) == 1, nodes)


@test('a crash of the node is mended by its restart')
def _(t):
    pid = t.on('systemctl', 'show', '-p', 'MainPID', '--value', 'fairleadd').stdout.strip()
    check(int(pid) > 1, f'it runs: {pid}')
    t.on('sh', '-c', f'kill -9 {pid}')
    wait_until(lambda: t.on('systemctl', 'show', '-p', 'MainPID', '--value', 'fairleadd').stdout.strip() not in (pid, '0'), 'another process', 30)
    wait_until(lambda: t.on('fairlead', 'ip', '-4', ok=False).stdout.strip() == state['address'], 'the same address', 30)


@test('remove stops everything and keeps what was configured and stored')
def _(t):
    t.on('dpkg', '--remove', *PACKAGES)
    for name in ('fairlead-coordinator', 'fairlead-relay'):
        check(t.on('systemctl', 'is-active', name, ok=False).stdout.strip() != 'active', f'{name} is stopped')
    left = t.on('sh', '-c', 'readlink /proc/[0-9]*/exe | grep bin/fairlead || true').stdout
    check(not left, f'still running: {left}')
    check('fairlead0' not in t.on('ip', '-o', 'link').stdout, 'no interface')
    check('fwmark' not in t.on('ip', 'rule').stdout, t.on('ip', 'rule').stdout)
    check('fairlead' not in t.on('nft', 'list', 'ruleset').stdout, t.on('nft', 'list', 'ruleset').stdout)
    for path in ('/etc/fairlead/relay.conf', '/var/lib/fairlead-coordinator/db.sqlite', '/var/lib/fairlead'):
        check(os.path.exists(t.root + path), path)


@test('purge leaves nothing')
def _(t):
    t.on('dpkg', '--purge', *PACKAGES)
    left = sorted(set(files(t)) - set(state['before']))
    check(not left, left)


def main():
    try:
        tool('debootstrap')
        t = Tree('packages', BASE)
    except Skip as why:
        print(f'ok 1 - the packages # SKIP {why}\n1..1')
        return 0
    try:
        with t:
            return run_tests(t)
    finally:
        for folder in state.get('made', []):
            shutil.rmtree(folder, ignore_errors=True)


sys.exit(main())
