"""The same questions asked of our resolver and of the stock one, in one tailnet with the same upstreams.

Code, flags, question, records and TTLs must agree, each difference that is meant is named here.
"""
import re
from concurrent.futures import ThreadPoolExecutor

from dnslab import *

DNS = {
    'Proxied': True,
    'Domains': ['ts.test', 'corp.test'],
    'Resolvers': [{'Addr': '10.88.0.2'}],
    'Routes': {
        'corp.test.': [{'Addr': '10.88.0.3'}],
        'deep.corp.test.': [{'Addr': '10.88.0.4:5353'}],
        'real.test': [{'Addr': '10.88.0.5'}],
        'owned.test': [],
        '10.in-addr.arpa': [{'Addr': '10.88.0.3'}],
        'two.test': [{'Addr': '10.88.0.3'}, {'Addr': '10.88.0.6'}],
    },
    'ExtraRecords': [
        {'Name': 'nas.home.test', 'Value': '10.1.2.3'},
        {'Name': 'six.home.test', 'Type': 'AAAA', 'Value': '2001:db8::5'},
        {'Name': 'both.ts.test', 'Type': 'A', 'Value': '10.1.2.4'},
        {'Name': 'both.ts.test', 'Type': 'AAAA', 'Value': '2001:db8::6'},
        {'Name': 'text.ts.test', 'Type': 'TXT', 'Value': 'words'},
        {'Name': 'UPPER.ts.test', 'Type': 'A', 'Value': '10.1.2.5'},
        {'Name': 'in.corp.test', 'Type': 'A', 'Value': '10.1.2.6'},
        {'Name': 'dot.home.test.', 'Type': 'A', 'Value': '10.1.2.7'},
    ],
}
DNSMASQ = ['--no-daemon', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--bind-interfaces', '--listen-address=10.88.0.5', '--user=root',
           '--pid-file', '--local=/real.test/', '--host-record=host.real.test,192.0.2.80,2001:db8::80', '--cname=alias.real.test,host.real.test',
           '--mx-host=real.test,host.real.test,10', '--txt-record=text.real.test,one,two', '--local-ttl=77', '--auth-ttl=77',
           '--srv-host=_http._tcp.real.test,host.real.test,80,1,2', '--caa-record=real.test,0,issue,ca.test']
LONG = '.'.join(['a' * 63] * 3 + ['b' * 52])  # 253 letters, the most there can be, once a suffix is added

TABLE = """
ours.ts.test A
ours.ts.test AAAA
ours.ts.test ANY
ours.ts.test TXT
ours.ts.test MX
ours.ts.test CNAME
ours.ts.test SRV
ours.ts.test NS
ours.ts.test SOA
ours.ts.test HINFO
ours.ts.test TYPE65
ours.ts.test TYPE9824
ours.ts.test CAA
ours.ts.test PTR
stock.ts.test A
stock.ts.test AAAA
STOCK.TS.TEST A
StOcK.tS.tEsT A
stock.ts.test A +norecurse
stock.ts.test A +cdflag
stock.ts.test A +adflag
stock.ts.test A +noadflag
stock.ts.test A +dnssec
stock.ts.test A +bufsize=4096
stock.ts.test A +bufsize=600
stock.ts.test A +noedns
stock.ts.test A +edns=1 +noednsneg
stock.ts.test A +tcp
stock.ts.test AAAA +tcp
stock.ts.test -c CH A
stock.ts.test -c HS A
stock A
stock AAAA
ours A
x.ours A
x.stock A
sub.ours.ts.test A
a.b.ours.ts.test A
sub.ours.ts.test AAAA
sub.ours.ts.test TXT
sub.stock.ts.test A
sub.stock.ts.test AAAA
nobody.ts.test A
nobody.ts.test AAAA
nobody.ts.test ANY
nobody.ts.test TXT
nobody.ts.test SOA
nobody.ts.test NS
ts.test A
ts.test SOA
ts.test NS
ts.test ANY
nas.home.test A
nas.home.test AAAA
nas.home.test ANY
nas.home.test TXT
NAS.Home.Test A
sub.nas.home.test A
home.test A
six.home.test A
six.home.test AAAA
dot.home.test A
both.ts.test A
both.ts.test AAAA
both.ts.test ANY
text.ts.test TXT
text.ts.test A
upper.ts.test A
in.corp.test A
in.corp.test AAAA
in.corp.test TXT
owned.test A
x.owned.test A
x.owned.test TXT
x.owned.test SOA
x.owned.test DS
-x 100.64.0.1
-x 100.64.0.2
-x 100.64.0.77
-x 100.127.255.255
-x 100.100.100.100
-x fd7a:115c:a1e0::53
-x fd7a:115c:a1e0::9999
-x fd7a:115c:a1e0:ab12:4843:cd96:6240:1
-x fd7a:115c:a1e0:ab12:4843:cd96:6240:2
-x fd7a:115c:a1e0:ab12:4843:cd96:6240:4d
-x 10.1.2.3
-x 10.1.2.4
-x 192.0.2.7
-x 2001:db8::7
64.100.in-addr.arpa PTR
64.100.in-addr.arpa SOA
1.0.64.100.in-addr.arpa A
1.0.64.100.in-addr.arpa TXT
x.0.64.100.in-addr.arpa PTR
1.64.100.in-addr.arpa PTR
0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa PTR
1.2.3.4.in-addr.arpa A
b._dns-sd._udp.0.0.64.100.in-addr.arpa PTR
lb._dns-sd._udp.1.168.192.in-addr.arpa PTR
db._dns-sd._udp.example.com PTR
db._dns-sd._udp.example.com TXT
r._dns-sd._udp.ts.test PTR
magicdns.localhost-tailscale-daemon A
magicdns.localhost-tailscale-daemon AAAA
magicdns.localhost-tailscale-daemon TXT
magicdns.localhost-tailscale-daemon ANY
10-1-2-3-via-7 AAAA
10-1-2-3-via-7 A
10-1-2-3-via-7 ANY
10-1-2-3-via-7 TXT
10-1-2-3-via-7.foo.ts.net AAAA
10-1-2-3-via-7.foo.tailscale.net AAAA
10-1-2-3-via-7.ts.net AAAA
10-1-2-3-via-0x10.foo.ts.net AAAA
10-1-2-3-via-0X1F.foo.ts.net AAAA
10-1-2-3-via-0b11.foo.ts.net AAAA
10-1-2-3-via-017.foo.ts.net AAAA
10-1-2-3-via-0o17.foo.ts.net AAAA
10-1-2-3-via-1_0.foo.ts.net AAAA
10-1-2-3-via-_1.foo.ts.net AAAA
10-1-2-3-via-0x_f.foo.ts.net AAAA
10-1-2-3-via-08.foo.ts.net AAAA
10-1-2-3-via-0.foo.ts.net AAAA
10-1-2-3-via-4294967295.foo.ts.net AAAA
10-1-2-3-via-4294967296.foo.ts.net AAAA
10-1-2-3-via-.foo.ts.net AAAA
10-1-2-300-via-7.foo.ts.net AAAA
010-1-2-3-via-7.foo.ts.net AAAA
10-1-2-via-7.foo.ts.net AAAA
10-1-2-3-via-7.ts.test AAAA
10-1-2-3-via-7.foo.fts.net AAAA
10-1-2-3-via-7-via-8.foo.ts.net AAAA
10-1-2-3-VIA-7.Foo.ts.net AAAA
x.10-1-2-3-via-7.foo.ts.net AAAA
x.onion A
x.onion AAAA
onion A
x.ONION TXT
xonion A
www.example.com A
www.example.com AAAA
www.example.com TXT
www.example.com MX
W0.Example.COM A
w1.example.com A +tcp
www.example.com SRV
www.example.com NS
w2.example.com A +noedns
w3.example.com A +bufsize=512
w4.example.com A +dnssec
w5.example.com A +norecurse
nx.example.com A
nx.example.com AAAA
empty.example.com AAAA
cname.example.com A
cname.example.com AAAA
ttl-0.example.com A
ttl-1.example.com A
ttl-86400.example.com A
servfail.example.com A
refused.example.com A
cut.example.com A +ignore
cut.example.com A
big-30.example.com A +ignore
big-30.example.com A +noedns +ignore
big-31.example.com A +tcp
big-100.example.com A +bufsize=4096 +ignore
big-101.example.com A +tcp
tcponly.example.com A
udponly.example.com A
slow-300.example.com A
host.corp.test A
host.corp.test AAAA
corp.test A
W6.CORP.TEST A
notcorp.test A
x.deep.corp.test A
deep.corp.test A
servfail.corp.test A
nx.corp.test A
host.two.test A
servfail.two.test A
refused.two.test A
nx.two.test A
host.real.test A
host.real.test AAAA
host.real.test ANY
alias.real.test A
real.test MX
text.real.test TXT
_http._tcp.real.test SRV
real.test CAA
nobody.real.test A
. NS
. SOA
com A
test A
{LONG}.a A
{LONG}.ts.test A
xn--bcher-kva.example.com A
a_b.example.com A
a\\032b.example.com A
a\\.b.example.com A
a\\255b.example.com A
_sip._tcp.example.com SRV
example.com AXFR +tcp
ts.test AXFR +tcp
www.example.com DS
www.example.com DNSKEY
www.example.com HTTPS
www.example.com -c CH TXT
version.bind -c CH TXT
stock.ts.test A +opcode=NOTIFY
stock.ts.test A +opcode=UPDATE
stock.ts.test A +opcode=15
""".replace('{LONG}', LONG).strip().splitlines()

# What is ours on purpose: { question: why }.
MEANT = {
    'upper.ts.test A': 'names have no case; stock takes capitals of a record literally',
    'onion A': 'RFC 7686 means the name itself too',
    'a\\.b.example.com A': 'a dot may stand in a label; stock refuses it',
    'stock.ts.test A +opcode=NOTIFY': 'not a query',
    'stock.ts.test A +opcode=UPDATE': 'not a query',
    'stock.ts.test A +opcode=15': 'not a query',
    '10-1-2-3-via-7 TXT': 'an address behind a router of ours is told to nobody; stock asks the public resolver',
    'ours.ts.test PTR': 'a name of ours is told to nobody; stock asks the public resolver',
    '64.100.in-addr.arpa PTR': 'the same',
    'x.0.64.100.in-addr.arpa PTR': 'the same',
    '1.64.100.in-addr.arpa PTR': 'the same',
    '0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa PTR': 'the same',
}


SERVICE4, SERVICE6 = '100.100.100.100', 'fd7a:115c:a1e0::53'


def questions(lab, who, server, lines=TABLE):
    """What dig prints for each line of the table."""
    return [lab.dig(who, '+nocookie', '+noidnin', '+noidnout', '+nosearch', *line.split(), server=server) for line in lines]


def told(text):
    """What matters of an answer, in an order of its own: code, flags, question, records, the size of EDNS."""
    if ';; ->>HEADER<<-' not in text:
        last = [l for l in text.splitlines() if l.startswith(';') and 'global options' not in l and '<<>>' not in l]
        return [re.sub(r'\d+ms|#\d+.*', '', l) for l in last if 'Query time' not in l and 'WHEN' not in l and 'SERVER' not in l]
    text = text[text.rfind(';; ->>HEADER'):]
    status, = re.findall(r'opcode: (\S+), status: (\S+),', text)
    flags, = re.findall(r'^;; flags:([a-z ]*);', text, re.M)
    edns = re.findall(r'EDNS: (version.*)', text)
    lines = [l for l in text.splitlines() if l and (not l.startswith(';') or l.startswith(';') and re.match(r';\S+\s+(IN|CH|HS|CLASS\d+)\s', l))]
    records = []
    for l in lines:
        l = re.sub(r'^(host.two.test.*192.0.2.)[36]$', r'\1x', l)  # whichever of the two was faster
        fields = l.split()
        if 'SOA' in fields[3:4]:  # the serial number is the time
            fields[6] = 'SERIAL'
        records.append(' '.join(fields))
    # An answer of its own has no OPT record from stock, although RFC 6891 wants one; ours has it.
    edns = [] if 'aa' in flags or 'NXDOMAIN' in status and 'AUTHORITY: 0' in text else edns
    return [' '.join(status), flags.strip()] + edns + [records[0] if records else ''] + sorted(records[1:])


@test(f'{len(TABLE)} questions have the answers that the stock resolver gives')
def table(lab):
    lab.start(lab.hub, [tool('dnsmasq')] + DNSMASQ, log=lab.path('dnsmasq.log'))
    wait_until(lambda: 'ANSWER: 1' in lab.dig('ours', 'host.real.test', server='10.88.0.5'), 'dnsmasq answers')
    lab.up_all('--accept-dns')
    for who in ('ours', 'stock'):
        wait_until(lambda: lab.short(who, 'sub.ours.ts.test'), f'{who} knows the names')
    ours, stock = asked_of_both(lab, SERVICE4)
    wrong = []
    for line, a, b in zip(TABLE, ours, stock):
        a, b = told(a), told(b)
        if (a != b) != (line in MEANT):
            wrong.append(f'{line}\n  ours  {a}\n  stock {b}')
    check(len(TABLE) >= 100, 'a table of a hundred')
    check(not wrong, f'{len(wrong)} differ:\n' + '\n'.join(wrong))


def asked_of_both(lab, server, lines=TABLE):
    with ThreadPoolExecutor(2) as pool:
        return pool.map(lambda who: questions(lab, who, server, lines), ('ours', 'stock'))


def without_ttl(answer):
    """Ours may be kept ones, and older."""
    return [re.sub(r' \d+ (IN|CH|HS) ', r' \1 ', part) for part in answer]


@test('at the IPv6 address the answers are the same, by UDP and by TCP')
def by_ipv6(lab):
    lines = [line for line in TABLE if line not in MEANT and not any(x in line for x in ('slow-', 'only.', 'cut.'))]
    lines += [f'{line} +tcp' for line in lines if '+tcp' not in line and '+ignore' not in line][::4]
    ours, stock = ([without_ttl(told(a)) for a in answers] for answers in asked_of_both(lab, SERVICE6, lines))
    wrong = [f'{line}\n  ours  {a}\n  stock {b}' for line, a, b in zip(lines, ours, stock) if a != b]
    check(not wrong, f'{len(wrong)} differ:\n' + '\n'.join(wrong))


@test('a neighbour is answered where the host forwards for it, and nowhere else, as by the stock node')
def neighbour(lab):
    lab.address(lab.hub, 'br0', 'fd88::1/64')
    for who in ('ours', 'stock'):
        via = {SERVICE4: lab.at(who), SERVICE6: f'fd88::{lab.at(who)[-2:]}'}
        lab.address(lab.ns[who], 'eth0', via[SERVICE6] + '/64')
        for service, way in via.items():
            lab.ip(lab.hub, 'route', 'replace', service, 'via', way)
        for forwards in (0, 1):
            command(['sysctl', '-qw', f'net.ipv4.ip_forward={forwards}', f'net.ipv6.conf.all.forwarding={forwards}'], ns=lab.ns[who])
            for how in ([f'@{service}', *tcp] for service in via for tcp in ([], ['+tcp'])):
                said = command(['dig', '+short', '+time=1', '+tries=1', 'ours.ts.test', *how], ns=lab.hub, ok=False).stdout
                check((lab.addresses('ours')[0] in said) == bool(forwards), f'{who}, forwarding {forwards}, {how}: {said}')


def sorted_names(v):
    """A DNS status without what differs from node to node."""
    v = dict(v)
    v.pop('InForce', None)
    v['CurrentTailnet'] = dict(v['CurrentTailnet'], SelfDNSName='')
    v['CertDomains'] = []
    return v


@test('the stock command says the same of our names as of its own')
def stock_command(lab):
    ours, stock = (json.loads(lab.cli(who, 'dns', 'status', '--json').stdout) for who in ('ours', 'stock'))
    check(sorted_names(ours) == sorted_names(stock), f'dns status:\n{ours}\n{stock}')
    text = lab.cli('ours', 'dns', 'status', '--all').stdout
    check('10.88.0.4:5353' in text and 'ours.ts.test' in text and 'nas.home.test' in text, text)
    for args in (('host.real.test',), ('host.real.test', 'AAAA'), ('real.test', 'MX'), ('text.real.test', 'TXT'), ('_http._tcp.real.test', 'SRV'),
                 ('alias.real.test', 'CNAME'), ('nobody.real.test',), ('cli.example.com',), ('x.deep.corp.test',)):
        ours, stock = (json.loads(lab.cli(who, 'dns', 'query', '--json', *args).stdout) for who in ('ours', 'stock'))
        check(ours == stock, f'dns query {args}:\n{ours}\n{stock}')
    ours, stock = (json.loads(lab.cli(who, 'dns', 'query', '--json', 'stock').stdout) for who in ('ours', 'stock'))
    check(ours['Answers'] == stock['Answers'] and not ours.get('Resolvers'), 'a name of the tailnet is asked of nobody')
    r = lab.cli('ours', 'dns', 'query', 'x.example.com', 'NOTYPE', ok=False)
    check(r.returncode and 'unknown DNS message type' in r.stderr, r.stderr)


@test('our command says what is in force, and why')
def our_command(lab):
    text = lab.ours('ours', 'dns', 'status').stdout
    for want in ('MagicDNS: on, suffix ts.test; this machine is ours.ts.test.', 'by way of direct', '100.100.100.100',
                 'Before us it asked: 10.88.0.2', 'answered here, nobody is asked', '-> 10.88.0.3 10.88.0.6'):
        check(want in text, f'{want!r} is not in:\n{text}')
    v = json.loads(lab.ours('ours', 'dns', 'status', '--json').stdout)
    check(v['InForce']['Manager'] == 'direct' and v['SystemDNS']['Nameservers'] == ['10.88.0.2'], v)
    for name, why in (('stock.ts.test', 'answered here: a name of the tailnet'), ('nobody.ts.test', 'answered here: under ts.test.'),
                      ('x.corp.test', 'asked of the resolvers for corp.test.'), ('www.example.com', 'for all names')):
        text = lab.ours('ours', 'dns', 'query', name).stdout
        check(why in text, f'{why!r} is not in:\n{text}')
    v = json.loads(lab.ours('ours', 'dns', 'query', '--json', 'host.real.test').stdout)
    check(v['ResponseCode'] == 'RCodeSuccess' and v['Answers'][0]['Body'] == '192.0.2.80', v)


@test('--accept-dns=false leaves the host alone, and names are still answered to who asks')
def refused(lab):
    check('100.100.100.100' in lab.resolv('ours'), 'the host asks us')
    lab.cli('ours', 'set', '--accept-dns=false')
    wait_until(lambda: lab.resolv('ours') == 'nameserver 10.88.0.2\n', 'resolv.conf is as before')
    check(lab.short('ours', 'stock.ts.test') == [lab.addresses('stock')[0]], 'the name is answered')
    check('not used' in lab.ours('ours', 'dns', 'status').stdout, 'and the command says so')
    lab.cli('ours', 'set', '--accept-dns')
    wait_until(lambda: '100.100.100.100' in lab.resolv('ours'), 'and back')


@test('no name of a private suffix was asked of the public resolver')
def private(lab):
    asked = [q for q in lab.asked() if q[0] == '10.88.0.2' and q[4] == lab.at('ours')]
    check(any(q[2] == 'www.example.com' for q in asked), 'the public resolver was asked of public names')
    for suffix in ('ts.test', 'corp.test', 'real.test', 'owned.test', 'two.test', '10.in-addr.arpa', '100.in-addr.arpa', 'f.ip6.arpa', 'onion'):
        leaked = [q for q in asked if ('.' + q[2]).endswith('.' + suffix)]
        check(not leaked, f'asked of the public resolver: {leaked}')


if __name__ == '__main__':
    with DnsLab('table', {'ours': 'ours', 'stock': 'stock'}, DNS, caps={'ours': {'dns-subdomain-resolve': []}},
                upstreams=['10.88.0.2', '10.88.0.3', '10.88.0.4:5353', '10.88.0.6']) as lab:
        sys.exit(run_tests(lab))
