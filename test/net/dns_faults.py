"""Upstreams that are silent, slow, cut short, lie, loop: what our resolver makes of them.

Two upstreams are for all names, 10.88.0.2 and 10.88.0.3; 10.88.0.4 is for corp.test, 10.88.0.5 for twin.test together with .4.
"""
import time
from concurrent.futures import ThreadPoolExecutor

from dnslab import *

DNS = {
    'Proxied': True,
    'Domains': ['ts.test'],
    'Resolvers': [{'Addr': '10.88.0.2'}, {'Addr': '10.88.0.3'}],
    'Routes': {
        'corp.test': [{'Addr': '10.88.0.4'}],
        'twin.test': [{'Addr': '10.88.0.4'}, {'Addr': '10.88.0.5'}],
        'dead.test': [{'Addr': '10.88.0.99'}],
        'refused.test': [{'Addr': '10.88.0.9'}],
        'loop.test': [{'Addr': '10.88.0.20:5353'}],
        'self.test': [{'Addr': '100.100.100.100'}],
        'doh.test': [{'Addr': '1.1.1.1'}],
        'profile.test': [{'Addr': 'https://dns.controld.com/hyq3ipr2ct'}],
    },
}


def ask(lab, name, *args):
    """Code, addresses and flags."""
    text = lab.dig('ours', '+nocookie', *args, name)
    if 'status:' not in text:
        return None, [], text
    answers = [l.split()[4] for l in text.splitlines() if l and not l.startswith(';') and l.split()[3] in ('A', 'CNAME', 'AAAA')]
    return text.split('status: ')[1].split(',')[0], answers, text


def ask_all(lab, names):
    """The same for several at once."""
    with ThreadPoolExecutor(12) as pool:
        return list(pool.map(lambda name: ask(lab, name), names))


def asked_of(lab, name, proto=None):
    return [q[0] for q in lab.asked() if q[2] == name and proto in (None, q[1])]


@test('each fault of one upstream is made good by the other')
def failover(lab):
    lab.up_all('--accept-dns')
    wait_until(lambda: ask(lab, 'www.example.com')[0] == 'NOERROR', 'names are resolved')
    faults = ('silent', 'servfail', 'refused', 'wrongid', 'wrongname', 'wrongsource', 'junk', 'half', 'slow-6000')
    names = [(f'at{good}-{fault}.example.com', good) for fault in faults for good in (2, 3)]
    for (name, good), (code, answers, text) in zip(names, ask_all(lab, [n for n, _ in names])):
        check(code == 'NOERROR' and answers == [f'192.0.2.{good}'], f'{name}: {text}')


@test('what an answer says of other names is not believed')
def poison(lab):
    check(ask(lab, 'poison.corp.test')[0] == 'NOERROR', 'answered')
    for name, want in (('victim.corp.test', '192.0.2.4'), ('www.example.com', None), ('ours.ts.test', lab.addresses('ours')[0])):
        answers = ask(lab, name)[1]
        check(answers and '203.0.113.66' not in answers and want in (None, answers[0]), f'{name}: {answers}')


@test('a true answer is found among lies, and no lie is passed on')
def lies(lab):
    for i in range(3):
        code, answers, text = ask(lab, f'forged.x{i}.corp.test')
        check((code, answers) == ('NOERROR', ['192.0.2.4']), text)


@test('what all upstreams say is passed on; silence ends in SERVFAIL')
def all_of_them(lab):
    for fault, want in (('servfail', 'SERVFAIL'), ('refused', 'REFUSED'), ('nx', 'NXDOMAIN'), ('empty', 'NOERROR')):
        check(ask(lab, f'{fault}.example.com')[0] == want, f'{fault} is {want}')
    names = ('wrongid.example.com', 'silent.example.com', 'x.dead.test')
    for name, (code, answers, text) in zip(names, ask_all(lab, names)):
        check(code == 'SERVFAIL' and not answers, f'{name}: {text}')


@test('an upstream that refuses connections does not cost the ten seconds')
def refused(lab):
    start = time.monotonic()
    check(ask(lab, 'x.refused.test')[0] == 'SERVFAIL', 'SERVFAIL')
    check(time.monotonic() - start < 8, 'known at once')


@test('an answer cut short is asked for again by TCP, whole')
def truncation(lab):
    code, answers, text = ask(lab, 'cut.corp.test')
    check((code, answers) == ('NOERROR', ['192.0.2.4']), text)
    check('tcp' in [q[1] for q in lab.asked() if q[2] == 'cut.corp.test'], 'asked by TCP')
    check(' tc' in ask(lab, 'cut.x.corp.test', '+ignore')[2], 'by UDP the client is told')
    check(len(ask(lab, 'big-100.corp.test')[1]) == 100, 'a hundred addresses')
    check(len(ask(lab, 'big-100.corp.test', '+noedns')[1]) == 100, 'also without EDNS')
    check(len(ask(lab, 'big-2000.corp.test', '+tcp')[1]) == 2000, 'by TCP from the start')
    check(len(ask(lab, 'big-40.corp.test', '+bufsize=1232', '+ignore')[1]) == 40, 'EDNS: more fits into UDP')
    check(not ask(lab, 'big-60.corp.test', '+bufsize=600', '+ignore')[1], 'but no more than the client takes')


@test('an upstream reached by one protocol alone is reached')
def one_protocol(lab):
    check(ask(lab, 'tcponly.corp.test')[1] == ['192.0.2.4'], 'TCP alone')
    check(ask(lab, 'udponly.corp.test')[1] == ['192.0.2.4'], 'UDP alone')
    check(ask(lab, 'udponly.x.corp.test', '+tcp')[1] == ['192.0.2.4'], 'UDP alone, asked by TCP')


@test('slow upstreams are waited for')
def slow(lab):
    check(ask(lab, 'slow-3000.corp.test')[1] == ['192.0.2.4'], 'three seconds')
    check(ask(lab, 'slow-1500.example.com')[1], 'one and a half')


@test('answers are kept as long as they may be, and no longer')
def cache(lab):
    for _ in range(3):
        check(ask(lab, 'ttl-60.corp.test')[0] == 'NOERROR', 'answered')
    check(len(asked_of(lab, 'ttl-60.corp.test')) == 1, 'asked once')
    for _ in range(2):
        ask(lab, 'ttl-0.corp.test')
    check(len(asked_of(lab, 'ttl-0.corp.test')) == 2, 'not kept at all')
    ask(lab, 'ttl-1.corp.test')
    time.sleep(2)
    ask(lab, 'ttl-1.corp.test')
    check(len(asked_of(lab, 'ttl-1.corp.test')) == 2, 'kept a second')
    for _ in range(2):
        ask(lab, 'servfail.corp.test')
        ask(lab, 'nx.corp.test')
    check(len(asked_of(lab, 'servfail.corp.test')) >= 2, 'a failure is not kept')
    check(len(asked_of(lab, 'nx.corp.test')) == 1, 'what is known not to exist is')


@test('what is kept is bounded')
def bounded(lab):
    with open(lab.path('many'), 'w') as f:
        f.writelines(f'@100.100.100.100 +tries=1 +time=5 n{i}.corp.test\n' for i in range(1200))
    check(ask(lab, 'first.corp.test')[1], 'asked')
    command(['dig', '+short', '-f', lab.path('many')], ns=lab.ns['ours'], timeout=100)
    before = len(asked_of(lab, 'first.corp.test'))
    check(ask(lab, 'first.corp.test')[1] and len(asked_of(lab, 'first.corp.test')) == before + 1, 'the oldest was dropped')
    check(ask(lab, 'n1199.corp.test')[1] and len(asked_of(lab, 'n1199.corp.test')) == 1, 'the newest was not')


@test('an upstream that asks us again does not start an avalanche')
def loops(lab):
    log = lab.path('loop.log')
    lab.start(lab.ns['ours'], [tool('dnsmasq'), '--no-daemon', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--bind-interfaces',
                               '--listen-address=10.88.0.20', '--port=5353', '--user=root', '--pid-file', '--server=100.100.100.100',
                               '--cache-size=0', '--log-queries', f'--log-facility={log}'])
    wait_until(lambda: os.path.exists(log) and 'started' in open(log).read(), 'dnsmasq runs')
    with ThreadPoolExecutor(2) as pool:
        under_way = [pool.submit(ask, lab, name) for name in ('a.loop.test', 'b.self.test')]
        time.sleep(1)
        check(ask(lab, 'meanwhile.corp.test')[1] == ['192.0.2.4'], 'others are served')
        for one in under_way:
            check(one.result()[0] in ('SERVFAIL', 'REFUSED', None), f'no answer: {one.result()}')
    queries = open(log).read().count('query[A] a.loop.test')
    check(0 < queries < 50, f'{queries} turns')


@test('a known public resolver is asked over HTTPS, plain if that fails')
def doh(lab):
    for address in ('1.1.1.1/32', '76.76.10.22/32'):
        lab.address(lab.hub, 'br0', address)
    files = (lab.path('doh.crt'), lab.path('doh.key'))
    self_signed(*files, 'DNS:cloudflare-dns.com', 'DNS:dns.controld.com')
    p = lab.stub('1.1.1.1', '76.76.10.22', log='doh.log', env={'DOH': ','.join(files)})
    code, answers, text = ask(lab, 'plain.doh.test')
    check((code, answers) == ('NOERROR', ['192.0.2.1']), text)
    check({q[1] for q in lab.asked('doh.log')} == {'udp'}, 'a certificate that is not trusted: plain')
    trust(lab, 'ours', files[0])
    check(ask(lab, 'secret.doh.test')[1] == ['192.0.2.1'], 'an answer')
    check({q[1] for q in lab.asked('doh.log') if q[2] == 'secret.doh.test'} == {'doh'}, 'over HTTPS alone')
    check(ask(lab, 'mine.profile.test')[1] == ['192.0.2.22'], 'a URL with a profile: where to connect is known, no name is looked up')
    check(not any('controld' in q[2] for q in lab.asked() + lab.asked('doh.log')), 'its name was asked of nobody')
    lab.stop(p)
    lab.stub('1.1.1.1', log='doh.log')
    check(ask(lab, 'again.doh.test')[1] == ['192.0.2.1'], 'without HTTPS it is plain again')


def trust(lab, who, certificate):
    """The node trusts this certificate, and starts anew as it reads them once."""
    with open(lab.path(who, 'etc/ssl/certs/ca-certificates.crt'), 'a') as f:
        f.write(open(certificate).read())
    name = command(['openssl', 'x509', '-hash', '-noout', '-in', certificate]).stdout.strip()
    shutil.copy(certificate, lab.path(who, f'etc/ssl/certs/{name}.0'))
    lab.stop(lab.daemons[who])
    os.path.exists(lab.path(f'{who}.sock')) and os.unlink(lab.path(f'{who}.sock'))
    lab.daemon(who)
    wait_until(lambda: ask(lab, 'host.corp.test')[0] == 'NOERROR', 'the resolver is back', 30)


@test('what is wrong is told, and that it is well again')
def health(lab):
    ask_all(lab, [f'silent.h{i}.corp.test' for i in range(5)])
    wait_until(lambda: any('DNS' in h for h in lab.status('ours')['Health'] or []), 'status says so', 20)
    ask(lab, 'host.h.corp.test')
    wait_until(lambda: not any('DNS' in h for h in lab.status('ours')['Health'] or []), 'and that it is over', 20)


PRIVATE = ('nobody{}.ts.test', 'x{}.corp.test', 'x{}.dead.test', '-x 100.64.0.{}', '-x fd7a:115c:a1e0::{}', '10-1-2-{}-via-7.x.ts.net AAAA',
           '10-1-2-{}-via-7.x.ts.net HTTPS')


def ask_private(lab, n):
    """Each of them by UDP and by TCP, without waiting for answers that may not come."""
    with ThreadPoolExecutor(7) as pool:
        for how in ([], ['+tcp']):
            list(pool.map(lambda what: command(['dig', '+time=1', '+tries=1', '@100.100.100.100', *what.format(n).split(), *how], ns=lab.ns['ours'], ok=False),
                          PRIVATE))


@test('with control away, the split resolver dead, and over a restart no private name is on the wire but to its own resolver')
def wire(lab):
    known = ('10.88.0.4', '10.88.0.5', '10.88.0.99')  # the resolvers of suffixes
    others = ' and '.join(f'not host {a}' for a in known)
    capture = lab.capture(lab.ns['ours'], 'eth0', f'(port 53 or port 853 or (tcp port 443 and not host {HUB})) and {others}')
    ask_private(lab, 1)
    lab.stop(lab.control)
    ask_private(lab, 2)
    lab.ip(lab.hub, 'address', 'del', '10.88.0.4/24', 'dev', 'br0')
    ask_private(lab, 3)
    lab.stop(lab.daemons['ours'])
    lab.daemon('ours')  # from what it knew
    ask_private(lab, 4)
    wait_until(lambda: ask(lab, 'public.example.com')[0] == 'NOERROR', 'public names are resolved again', 40)
    ask_private(lab, 5)
    seen = capture.stop()
    told = [line for line in seen if any(part in line for part in ('.test.', '100.in-addr', 'd.f.ip6', '-via-'))]
    check(not told, f'on the wire: {told[:4]}')
    check(any('public.example.com' in line for line in seen), 'the witness sees what is public')


@test('through all of this no private name was asked of a public resolver')
def private(lab):
    leaked = [q for q in lab.asked() if q[0] in ('10.88.0.2', '10.88.0.3') and q[2].endswith('.test')]
    check(not leaked, f'asked of the public resolvers: {leaked[:5]}')
    check(lab.asked(), 'something was asked')


if __name__ == '__main__':
    with DnsLab('faults', {'ours': 'ours'}, DNS, caps={'ours': {'cache-network-maps': []}}, upstreams=['10.88.0.2', '10.88.0.3', '10.88.0.4', '10.88.0.5']) as lab:
        sys.exit(run_tests(lab))
