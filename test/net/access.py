"""Who may do what on the local API: root, the operator, others; pages in a browser; and where it is found.

The daemon runs in a mount namespace with a /run of its own, so that the well-known paths are free.
"""
import json, os, signal, sys

from netlab import Failure, check, command, peer, run_tests, test, tool, wait_until
import tailnet

OWN, WELL_KNOWN = '/run/fairlead/fairleadd.sock', '/var/run/tailscale/tailscaled.sock'
US = 'ours'


def start(lab, name, args, env=None):
    script = 'mount -t tmpfs none /run && exec "$@"'
    return lab.start(lab.hosts[name], ['unshare', '-m', 'sh', '-c', script, 'sh'] + args, env=dict(lab.env, **(env or {})), log=lab.path(name, 'log'))


def inside(lab, name, args, user=None, ok=True):
    who = ['setpriv', '--reuid', user, '--clear-groups'] if user else []
    return command(['nsenter', '-t', str(lab.daemons[name].pid), '-m', '-n'] + who + args, ok=ok)


def stock(lab, *args, **kw):
    return inside(lab, US, [peer('tailscale')] + list(args), **kw)


def status_of(lab, *args, user=None):
    """The HTTP status of a request, made with curl."""
    r = inside(lab, US, ['curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', '--unix-socket', WELL_KNOWN] + list(args), user=user)
    return int(r.stdout)


def url(path):
    return f'http://local-tailscaled.sock{path}'


@test('the daemon is found at its own path and at the well-known one')
def found(lab):
    lab.daemons[US] = start(lab, US, [tailnet.program('fairleadd'), '--tun=ts0', f'--statedir={lab.path(US)}', '--port=41641'], {'TS_PERMIT_CERT_UID': 'nobody'})
    wait_until(lambda: stock(lab, 'debug', 'prefs', ok=False).returncode == 0, 'the stock command finds it', 20)
    stock(lab, 'up', f'--login-server={tailnet.CONTROL}', f'--auth-key={lab.key("--user", "1")}', '--accept-dns=false', '--timeout=30s')
    one = inside(lab, US, [tailnet.program('fairlead'), 'ip', '-4']).stdout
    check(one == stock(lab, 'ip', '-4').stdout == inside(lab, US, [tailnet.program('fairlead'), f'--socket={WELL_KNOWN}', 'ip', '-4']).stdout, 'the same daemon')


@test('everybody reads; root and the operator change')
def operator(lab):
    check(stock(lab, 'status', user='daemon').returncode == 0, 'a user reads')
    for args in (['down'], ['set', '--shields-up'], ['logout'], ['switch', '--list']):
        r = stock(lab, *args, user='daemon', ok=False)
        check(r.returncode == 1 and 'ccess denied' in r.stderr, f'{args}: {r.stderr}')
    r = inside(lab, US, [tailnet.program('fairlead'), 'down'], user='daemon', ok=False)
    check(r.returncode == 1 and '--operator' in r.stderr, r.stderr)
    stock(lab, 'set', '--operator=daemon')
    stock(lab, 'down', user='daemon')
    stock(lab, 'up', user='daemon')
    check(stock(lab, 'down', user='nobody', ok=False).returncode == 1, 'but nobody else')
    stock(lab, 'set', '--operator=')
    check(stock(lab, 'down', user='daemon', ok=False).returncode == 1, 'and no longer')


@test('certificates are for root and the user named in the environment')
def certificates(lab):
    path = url('/localapi/v0/cert/x.tail.lab')
    check(status_of(lab, path, user='daemon') == 403, 'not for anybody')
    check(status_of(lab, path, user='nobody') == 500, 'for the one named: there are none in this tailnet')


@test('what a page in a browser would send is refused, and every answer says so')
def browser(lab):
    path = url('/localapi/v0/status')
    check(status_of(lab, path) == 200, 'as programs ask')
    for args in (['-H', 'Origin: http://evil.test'], ['-H', 'Referer: http://evil.test/'], ['-H', 'Host: evil.test'], ['-H', 'Host: localhost:80'], ['-H', 'Origin;']):
        check(status_of(lab, *args, path) == 403, str(args))
    check(status_of(lab, url('/localapi/v0/nosuch')) == 404, 'unknown')
    check(status_of(lab, url('/')) == 200, 'the greeting')
    head = inside(lab, US, ['curl', '-s', '-i', '--unix-socket', WELL_KNOWN, path]).stdout
    for field in ('Tailscale-Cap: ', 'Content-Security-Policy: default-src', 'X-Frame-Options: DENY', 'X-Content-Type-Options: nosniff'):
        check(field.lower() in head.lower(), field)


@test('where tailscaled is, it is left alone')
def beside(lab):
    lab.stop(lab.daemons[US])
    script = f'{peer("tailscaled")} --tun=userspace-networking --state=mem: --statedir={lab.path(US, "stock")} --port=0 --no-logs-no-support & echo $! > {lab.path("pid")}; ' \
             f'while ! [ -S {WELL_KNOWN} ]; do sleep 0.1; done; exec {tailnet.program("fairleadd")} --tun=ts0 --statedir={lab.path(US)} --port=41641'
    lab.daemons[US] = start(lab, US, ['sh', '-c', f'mkdir -p /run/tailscale; {script}'])
    try:
        both_answer(lab)
    finally:
        os.kill(int(open(lab.path('pid')).read()), signal.SIGKILL)


def both_answer(lab):
    own = [tailnet.program('fairlead'), 'version', '--daemon']
    wait_until(lambda: inside(lab, US, own, ok=False).returncode == 0, 'ours answers', 20)
    stock_says = json.loads(stock(lab, 'status', '--json').stdout)
    check(stock_says['BackendState'] == 'NeedsLogin' and stock_says['Version'].startswith('1.'), 'tailscaled answers at its path')
    wait_until(lambda: json.loads(inside(lab, US, [tailnet.program('fairlead'), 'status', '--json']).stdout)['BackendState'] == 'Running', 'ours at its own', 30)


def make(lab):
    tool('setpriv'), tool('nsenter'), tool('curl')
    lab.serve()
    lab.admin('users', 'create', 'lab')
    lab.host(US, 11)


tailnet.run('access', make, run_tests)
