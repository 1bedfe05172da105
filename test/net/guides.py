"""Every command block of the guides is run, in the order a reader would, on hosts with the names they use.

Above each block of a guide stands, where a reader does not see it, what it is:

    <!-- on HOST -->                        commands for a shell on that host ("on nas and vps": on each)
    <!-- on HOST, giving NAME -->           the same; the last line printed stands for NAME from here on
    <!-- on HOST, signing in as WHO -->     the same, until it shows a link; WHO opens it and signs in
    <!-- on HOST, in time -->               the same, tried again until it succeeds: what a person does who waits a moment
    <!-- in FILE on HOST -->                the file's content ("at the end of FILE": added to it)

A block with none of these is a failure. HOST in a block is the host's own name.

Each host has its own network, and its own /etc, /run, /root and state folders; `sudo` and `systemctl` are
small stand-ins there (test/packages tries the units under a real systemd).
"""
import glob, json, os, re, shutil, signal, sqlite3, subprocess, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from netlab import BUILD, PEERS, Failure, Lab, check, command, key_pair, peer, pids, run_tests, self_signed, send, test, wait_until
import oidc

SOURCE = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..'))
GUIDES = f'{SOURCE}/doc/guide'
PROGRAMS = os.path.abspath(f'{BUILD}/src/main')
HOSTS = {'server': 10, 'relay': 11, 'laptop': 20, 'nas': 30, 'vps': 40, 'phone': 50}
NAMES = {'net.example.org': 10, 'login.example.org': 12, 'relay.example.org': 11}
# What a block says, and what stands in the laboratory: the provider speaks plain HTTP.
STAND_INS = {'https://login.example.org': 'http://login.example.org:9400'}
MARK = re.compile(r'^<!-- (?:(on) ([a-z ]+?)(?:, giving ([A-Z]+))?(?:, signing in as (\S+))?(, in time)?|(in|at the end of) (\S+) on ([a-z]+)) -->$')

# A database of Headscale 0.29.
HEADSCALE = [os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'coordinator', 'headscale', name)
             for name in ('schema-0.29.sql', 'rows-0.28.sql')]
HEADSCALE_CONFIG = '''
server_url: https://net.example.org
listen_addr: 0.0.0.0:8443
noise: {private_key_path: /var/lib/headscale/noise_private.key}
prefixes: {v4: 100.64.0.0/10, v6: "fd7a:115c:a1e0::/48", allocation: sequential}
database: {type: sqlite, sqlite: {path: /var/lib/headscale/db.sqlite, write_ahead_log: true}}
derp: {urls: [], server: {enabled: false}}
dns: {magic_dns: true, base_domain: home.example.org, override_local_dns: false, nameservers: {global: []}}
unix_socket: /run/headscale/headscale.sock
'''
SYSTEMCTL = '''#!/bin/sh
# Stands in for systemctl: runs what a unit's ExecStart says, as a background process of this host.
[ "$1" = --now ] && shift
verb=$1; shift
[ "$1" = --now ] && shift
[ $verb = daemon-reload ] && exit 0
for unit; do
	case $unit in *.socket) continue ;; esac
	pid=/run/$unit.pid
	case $verb in stop|restart) [ -e $pid ] && { kill $(cat $pid); tail --pid=$(cat $pid) -f /dev/null; rm $pid; } ;; esac
	case $verb in start|restart|enable)
		mkdir -p /var/lib/$unit /run/fairlead /run/fairlead-coordinator /run/headscale
		line=$(sed -n '/^ExecStart=./s/^ExecStart=//p' @SOURCE@/dist/systemd/$unit.service /etc/units/$unit.service /etc/systemd/system/$unit.service.d/*.conf 2>/dev/null | tail -n 1 | sed 's,/usr/bin/,,;s/--port=${PORT}//;s/\\$FLAGS//')
		[ -n "$line" ] || exit 5
		setsid $line </dev/null >>/run/$unit.log 2>&1 &
		echo $! >$pid
		sleep 1
		kill -0 $! 2>/dev/null || { cat /run/$unit.log >&2; exit 1; } ;;
	esac
done
'''


def blocks(path):
    """[(line, mark, text)] of a guide; mark is None where there is none."""
    found, mark, inside, lines = [], None, None, []
    for n, line in enumerate(open(path), 1):
        line = line.rstrip('\n')
        if line.startswith('```'):
            if inside is None:
                inside, lines = n, []
            else:
                found.append((inside, mark, '\n'.join(lines) + '\n'))
                inside, mark = None, None
        elif inside is not None:
            lines.append(line)
        elif line.startswith('<!--'):
            mark = MARK.match(line)
        elif line.strip():
            mark = None
        if inside is None and re.match(r' {4,}\S', line) and not re.match(r' *[-*0-9|]', line):
            found.append((n, None, line))
    return found


class World:
    """The hosts, each in a mount and network namespace of its own that a sleeping process holds."""

    def __init__(self, lab):
        self.lab, self.dir = lab, tempfile.mkdtemp(prefix='fl-guides-')
        os.chmod(self.dir, 0o755)  # the daemon's own user reads the authority's certificate there
        self.holders, self.values = {}, dict(STAND_INS)
        self.net = lab.namespace('net')
        lab.ip(self.net, 'link', 'add', 'wire', 'type', 'bridge')
        lab.ip(self.net, 'link', 'set', 'wire', 'up')
        lab.address(self.net, 'wire', '192.0.2.254/24')
        lab.address(self.net, 'wire', '192.0.2.12/24')
        self.authority()
        self.shims()
        for name, number in HOSTS.items():
            self.host(name, number)

    def authority(self):
        d = self.dir
        self_signed(f'{d}/fullchain.pem', f'{d}/privkey.pem', *(f'DNS:{n}' for n in NAMES))

    def shims(self):
        os.makedirs(f'{self.dir}/bin')
        for name, text in (('sudo', '#!/bin/sh\nexec env "$@"\n'), ('systemctl', SYSTEMCTL.replace('@SOURCE@', SOURCE))):
            with open(f'{self.dir}/bin/{name}', 'w') as f:
                f.write(text)
            os.chmod(f'{self.dir}/bin/{name}', 0o755)
        for name in ('tailscale', 'tailscaled'):
            if os.path.exists(f'{PEERS}/{name}'):
                os.symlink(f'{PEERS}/{name}', f'{self.dir}/bin/{name}')

    def host(self, name, number):
        ns = self.lab.namespace(name)
        self.lab.veth(self.net, f'to-{name}', [], ns, 'eth0', [f'192.0.2.{number}/24'])
        self.lab.ip(self.net, 'link', 'set', f'to-{name}', 'master', 'wire')
        self.lab.ip(ns, 'route', 'add', 'default', 'via', '192.0.2.254')
        d = f'{self.dir}/{name}'
        for part in ('etc', 'work', 'root', 'lib', 'run'):
            os.makedirs(f'{d}/{part}')
        os.makedirs(f'{d}/etc/fairlead')
        for file in ('fullchain.pem', 'privkey.pem'):
            shutil.copy(f'{self.dir}/{file}', f'{d}/etc/fairlead')
        with open(f'{d}/etc/hosts', 'w') as f:
            f.write('127.0.0.1 localhost\n' + ''.join(f'192.0.2.{n} {host}\n' for host, n in NAMES.items()))
        with open(f'{d}/etc/resolv.conf', 'w') as f:
            f.write('nameserver 192.0.2.254\n')
        shutil.copy('/etc/passwd', f'{d}/etc/passwd')
        with open(f'{d}/etc/passwd', 'a') as f:
            f.write('fairlead:x:9991:9991::/nonexistent:/usr/sbin/nologin\n')
        with open(f'{d}/etc/nsswitch.conf', 'w') as f:
            f.write('passwd: files\ngroup: files\nhosts: files dns\n')
        setup = f'''set -e
mount --make-rprivate /
mount -t overlay overlay -o lowerdir=/etc,upperdir={d}/etc,workdir={d}/work /etc
mount --bind {d}/root /root
for f in fairlead fairlead-coordinator fairlead-relay tailscale headscale; do mkdir -p /var/lib/$f {d}/lib/$f; mount --bind {d}/lib/$f /var/lib/$f; done
mount --bind {d}/run /run
hostname {name}
touch {d}/ready
exec sleep infinity'''
        self.holders[name] = self.lab.start(ns, ['unshare', '-m', '-u', 'sh', '-c', setup], log=f'{d}/holder.log')
        wait_until(lambda: os.path.exists(f'{d}/ready'), lambda: open(f'{d}/holder.log').read())

    def environment(self):
        keep = {k: v for k, v in os.environ.items() if not k.lower().endswith('_proxy')}
        return dict(keep, PATH=f'{self.dir}/bin:{PROGRAMS}:' + os.environ['PATH'], HOME='/root', SSL_CERT_FILE=f'{self.dir}/fullchain.pem',
                    CURL_CA_BUNDLE=f'{self.dir}/fullchain.pem', USER='root', TS_NO_LOGS_NO_SUPPORT='true')

    def enter(self, host):
        # "ip netns exec" has become the shell, which has become the sleeper
        return ['nsenter', '-t', str(self.holders[host].pid), '-m', '-n', '-u', '--wdns=/root', '--']

    def run(self, host, script, ok=True, timeout=60):
        r = subprocess.run(self.enter(host) + ['sh', '-e', '-c', script], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                           env=self.environment(), timeout=timeout)
        if ok and r.returncode:
            raise Failure(f'on {host}: {script.strip()}\n{r.stdout[-1500:]}{r.stderr[-1500:]}')
        return r

    def succeeds(self, host, script):
        try:
            return self.run(host, script, ok=False, timeout=5).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def sign_in(self, host, script, who):
        """Runs it until it shows a link, opens that as `who`, and waits for its end."""
        log = f'{self.dir}/{host}/up.log'
        with open(log, 'w') as out:
            p = subprocess.Popen(self.enter(host) + ['sh', '-e', '-c', script], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                 env=self.environment(), start_new_session=True)
        self.lab.processes.append(p)
        url = wait_until(lambda: re.search(r'https://net\.example\.org/\S+', open(log).read()), 'a link is shown', 30).group(0)
        browse = self.enter(host) + ['/usr/bin/python3', os.path.abspath(oidc.__file__), url, who.split('@')[0]]
        look = lambda: subprocess.run(browse, capture_output=True, text=True, env=self.environment(), timeout=60).stdout
        page = wait_until(lambda: (lambda t: 'not possible at the moment' not in t and t)(look()), 'the provider answers', 30, 1)
        check('Connected' in page, page[-800:])
        wait_until(lambda: p.poll() is not None, 'it ends once signed in', 30)
        check(p.returncode == 0, open(log).read())

    def write(self, host, path, text, add):
        path = path if path.startswith('/') else f'/root/{path}'
        r = subprocess.run(self.enter(host) + ['sh', '-c', f"mkdir -p $(dirname {path}); cat {'>>' if add else '>'} {path}"], input=text, text=True)
        check(r.returncode == 0, path)

    def follow(self, guide):
        """Runs a guide from the first block to the last."""
        for line, mark, text in blocks(f'{GUIDES}/{guide}.md'):
            try:
                self.block(mark, text)
            except (Failure, subprocess.TimeoutExpired) as e:
                raise Failure(f'{guide}.md:{line}: {e}')

    def block(self, mark, text):
        on, hosts, name, who, in_time, where, path, host = mark.groups()
        for key, value in self.values.items():
            text = re.sub(rf'\b{re.escape(key)}\b', value, text)
        if where:
            return self.write(host, path, text, where != 'in')
        for host in hosts.split(' and '):
            script = re.sub(r'\bHOST\b', host, text)
            if who:
                self.sign_in(host, script, who)
                continue
            if in_time:
                wait_until(lambda: self.succeeds(host, script), f'on {host}: {script}', 30, 0.5)
                continue
            out = self.run(host, script).stdout
            if name:
                self.values[name] = out.strip().splitlines()[-1]

    def close(self):
        for ns in self.lab.namespaces:
            for pid in pids(ns):
                send(pid, signal.SIGTERM)
        self.lab.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def node(w, host):
    """The package starts the daemon; here it is done by hand."""
    w.run(host, 'systemctl start fairleadd')


@test('every block of every guide says what it is')
def _(w):
    found = [f'{os.path.basename(g)}:{line}' for g in sorted(glob.glob(f'{GUIDES}/*.md')) for line, mark, text in blocks(g) if not mark]
    check(not found, f'no mark above: {found}')


@test('plain WireGuard')
def _(w):
    keys = {host: key_pair() for host in ('nas', 'vps')}
    for host in keys:
        text = open(f'{SOURCE}/examples/{host}.conf').read().replace('192.0.2.1:', '192.0.2.30:')
        for other, (private, public) in keys.items():
            text = text.replace(f'@{other.upper()}_PRIVATE@', private).replace(f'@{other.upper()}_PUBLIC@', public)
        w.write(host, f'/etc/wireguard/{host}.conf', text, False)
        w.run(host, f'chmod 600 /etc/wireguard/{host}.conf')
    w.follow('wireguard')


@test('hosting a tailnet: a configuration, a user, a key, a stock client')
def _(w):
    w.run('phone', 'mkdir -p /etc/units; echo "ExecStart=tailscaled --state=/var/lib/tailscale/tailscaled.state '
          '--socket=/run/tailscale/tailscaled.sock --no-logs-no-support --tun=ts0" > /etc/units/tailscaled.service; systemctl start tailscaled')
    peer('tailscaled')
    w.follow('self-host')


@test('a relay of its own')
def _(w):
    w.follow('relay')


@test('joining by a link with single sign-on, and by a key')
def _(w):
    claims = {'sub': 'anna', 'email': 'anna@example.org', 'email_verified': True, 'preferred_username': 'anna', 'groups': ['home']}
    w.lab.start(w.net, [oidc.provider(), '-H', '192.0.2.12', '-p', '9400', '--user-claims', json.dumps(claims)], log=f'{w.dir}/provider.log')
    w.write('server', '/etc/fairlead/oidc.secret', 'secret\n', False)
    node(w, 'laptop')
    w.follow('sign-on')
    w.run('laptop', 'fairlead logout')
    node(w, 'nas')
    w.write('nas', '/root/key', w.run('server', 'fairlead-coordinator preauthkeys create --user 1 --expiration 1h').stdout.split()[-1], False)
    w.lab.start(w.lab.namespaces[list(HOSTS).index('nas') + 1], ['busybox', 'httpd', '-f', '-p', '80', '-h', '/usr/share/doc/busybox-static'])
    w.follow('join')


def key(w, user='1'):
    return w.run('server', f'fairlead-coordinator preauthkeys create --user {user} --expiration 1h').stdout.split()[-1]


def number(w, name):
    nodes = json.loads(w.run('server', 'fairlead-coordinator nodes list -o json').stdout)
    return str(next(n['id'] for n in nodes if n['given_name'] == name))


def join(w, host):
    w.write(host, '/root/key', key(w), False)
    w.run(host, 'fairlead up --login-server https://net.example.org --auth-key file:/root/key --timeout 30s')


def web(w, host, address):
    """Whether a page comes from there within a few seconds."""
    return w.run(host, f'curl -s -m 3 -o /dev/null -w %{{http_code}} http://{address}/', ok=False).stdout not in ('', '000')


@test('a policy: checked, put in force, and felt')
def _(w):
    w.sign_in('laptop', 'fairlead up --login-server https://net.example.org', 'anna@example.org')
    w.values['ID'] = number(w, 'nas')
    w.follow('policy')
    wait_until(lambda: web(w, 'laptop', 'nas'), 'what a rule names is reached', 20)
    w.run('nas', 'busybox httpd -p 8080 -h /usr/share/doc/busybox-static')
    check(not web(w, 'laptop', 'nas:8080'), 'what no rule names is not')
    w.write('server', 'open.json', '{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}', False)
    w.run('server', 'fairlead-coordinator policy set --file open.json')
    wait_until(lambda: web(w, 'laptop', 'nas:8080'), 'and a policy that names it opens it', 20)


@test('a path and its relay are explained')
def _(w):
    node(w, 'vps')
    join(w, 'vps')
    w.follow('relayed')


@test('a subnet behind the NAS is reached from the laptop')
def _(w):
    ns = w.lab.namespace('printer')
    w.lab.veth(w.lab.namespaces[list(HOSTS).index('nas') + 1], 'lan', ['192.168.50.1/24'], ns, 'eth0', ['192.168.50.9/24'])
    w.lab.start(ns, ['busybox', 'httpd', '-f', '-p', '80', '-h', '/usr/share/doc/busybox-static'])
    w.values['ID'] = number(w, 'nas')
    w.follow('subnets')


@test('all traffic goes through the exit node, and then only internal traffic again')
def _(w):
    w.lab.address(w.net, 'lo', '198.18.0.80/32')
    w.lab.start(w.net, ['busybox', 'httpd', '-f', '-p', '198.18.0.80:80', '-h', '/usr/share/doc/busybox-static'])
    w.values['ID'] = number(w, 'vps')
    w.follow('exit-node')


@test('a machine moves from tailscaled with its identity, and back')
def _(w):
    before = w.run('phone', 'tailscale ip -4').stdout
    w.follow('moving-from-tailscaled')
    wait_until(lambda: w.run('phone', 'tailscale ip -4', ok=False).stdout == before, 'the same address', 30)


@test('a Headscale is taken over')
def _(w):
    w.run('server', 'systemctl stop fairlead-coordinator')
    w.run('server', 'fairlead-coordinator generate private-key > /var/lib/headscale/noise_private.key')
    db = sqlite3.connect(f'{w.dir}/server/lib/headscale/db.sqlite')
    for name in HEADSCALE:
        with open(name, encoding='utf-8') as f:
            db.executescript(f.read())
    db.close()
    w.write('server', '/etc/headscale/config.yaml', HEADSCALE_CONFIG, False)
    w.write('server', '/etc/units/headscale.service', 'ExecStart=sleep 600\n', False)
    w.run('server', 'systemctl start headscale')
    w.follow('moving-from-headscale')
    nodes = json.loads(w.run('server', 'fairlead-coordinator -c /etc/headscale/config.yaml nodes list -o json').stdout)
    check([(str(n['id']), n['given_name'], n['ip_addresses'][0]) for n in nodes] == [('17', 'desk', '100.64.0.9'), ('19', 'srv', '100.64.0.10')], nodes)


def main():
    with Lab('guides') as lab:
        world = World(lab)
        try:
            return run_tests(world)
        finally:
            world.close()


if __name__ == '__main__':
    sys.exit(main())
