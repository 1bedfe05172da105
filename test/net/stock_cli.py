"""The stock command says the same of our daemon as of the stock one, in the same tailnet.

Each row is one invocation, run against both. Exit codes are equal, and so is what is printed, once names,
addresses, keys, times and counters of the two are masked.
"""
import difflib, json, os, re, sys, time

from netlab import Failure, check, run_tests, test, wait_until
import tailnet

OURS, STOCK = 'ours', 'stock'
IPS = {}


def mask(text, who):
    """What differs between two nodes that are alike."""
    other = STOCK if who == OURS else OURS
    for name, word in ((who, 'SELF'), (other, 'OTHER')):
        for ip in IPS[name]:
            text = re.sub(rf'(?<![0-9a-f:.]){re.escape(ip)}(?![0-9a-f])', f'IP-{"4" if "." in ip else "6"}-{word}', text)
        text = re.sub(rf'\b{name}\b', word, text)
    for pattern, word in (
        (r'10\.99\.0\.1[12]\b', 'LAN'), (r'((?:nodekey|discokey|mkey|nlpub):)[0-9a-f]{64}', r'\1KEY'), (r'\[[A-Za-z0-9+/]{5}\]', '[KEY]'),
        (r'\d{4}-\d\d-\d\d[T ][\d:.]+(?:Z|[+-][\d:]+)', 'TIME'), (r'127\.0\.0\.1:\d+', 'LOOPBACK'), (r'(lookup \S+).*', r'\1 FAILED'), (r'tlpub:\w+', 'tlpub:KEY'), (r'\b[\d.]+(?:ns|µs|ms|s)\b', 'DURATION'), (r'tx \d+ rx \d+', 'tx N rx N'),
        (r'\bin DURATION\b', 'in DURATION'), (r'-fairlead\b', ''), (r'\b1\.102\.5[-0-9a-z]*|\b0\.\d+\.\d+[-0-9a-z]*', 'VERSION'), (r'BUG-\S+', 'BUG'), (r'VERSIONERR-BuildInfo', 'VERSION'), (r'LAN:\d+', 'LAN:PORT'),
    ):
        text = re.sub(pattern, word, text)
    if re.search(r'^ID +Tailnet', text, re.M):
        text = re.sub(r'^[0-9a-f]{4} ', 'ID ', text, flags=re.M)
    text = re.sub(r'^ *ID: +\d+$', 'ID: N', text, flags=re.M)
    # Whether there was traffic to a peer of late is each node's own.
    text = re.sub(r'(linux +)(?:active; [^,\n]*|idle)(?:, tx N rx N)?', r'\1-', text)
    # How to mend forwarding is said in our own words.
    text = re.sub(r'^(?:See https://tailscale.com/s/ip-forwarding|To enable it: .*|IPv6 forwarding is disabled.*)\n', '', text, flags=re.M)
    return '\n'.join(re.sub(r' +', ' ', line).rstrip() for line in text.splitlines())


# Fields that say how much, when, or what one is; they are there in both.
OWN = {'RxBytes', 'TxBytes', 'LastWrite', 'LastSeen', 'LastHandshake', 'Created', 'ID', 'NodeID', 'StableID', 'Key', 'Machine', 'DiscoKey',
       'PublicKey', 'Version', 'Addrs', 'Active', 'CurAddr', 'InEngine', 'PeerAPIURL', 'Services', 'Endpoints', 'Hostinfo', 'Cap', 'PrivateNodeKey',
       'LatencySeconds', 'id', 'TaildropTarget', 'daemonLong', 'long', 'short', 'KeyExpiry'}


def mask_json(v):
    if isinstance(v, dict):
        # Peers are found by key, which says nothing: by name.
        v = {x['HostName'] if k.startswith('nodekey:') and isinstance(x, dict) else k: x for k, x in v.items()}
        return {k: 'own' if k in OWN else mask_json(x) for k, x in v.items()}
    if isinstance(v, list):
        return [mask_json(x) for x in v]
    return v


def shown(result, who):
    try:
        text = json.dumps(mask_json(json.loads(result.stdout)), indent=1)
    except ValueError:
        text = result.stdout
    out = mask(text, who)
    if text != result.stdout:
        out = json.dumps(json.loads(out), indent=1, sort_keys=True)
    return f'exit code {result.returncode}\n{out}\n--- stderr\n{mask(result.stderr, who)}'


def run_one(lab, who, args, before=None):
    other = STOCK if who == OURS else OURS
    words = {'self': who, 'other': other, 'ip': IPS[who][0], 'ip6': IPS[who][1], 'third_ip': IPS['third'][0], 'third_ip6': IPS['third'][1]}
    return shown(lab.ts(who, *[a.format(**words) for a in args], ok=False), who)


# Where ours says something else on purpose: what our answer has.
DIFFERENT = {
    'file cp --targets': 'this node does not share files',
    'file get --wait=false /tmp': 'this node does not share files',
    'ssh nosuch': 'resolve failure',
    'routecheck': 'routecheck is not enabled',
    'up --login-server=nonsense': 'exit code 1',
    'debug control-knobs': 'exit code 1', 'debug peer-endpoint-changes {third_ip}': 'exit code 1', 'debug rotate-disco-key': 'exit code 1',
    'debug force-prefer-derp 900': 'exit code 1', 'debug force-prefer-derp 0': 'exit code 1',
}


def compare(lab, rows, view=lambda text: text):
    wrong = []
    for row in rows:
        args = row.split() if isinstance(row, str) else row
        # A path may be on its way to becoming direct, a node on its way to being online.
        for _ in range(30):
            a, b = (view(run_one(lab, who, args)) for who in (STOCK, OURS))
            if a == b or row in DIFFERENT:
                break
            time.sleep(1)
        if row in DIFFERENT:
            check(DIFFERENT[row] in b, f'{row}: {b}')
        elif a != b:
            diff = difflib.unified_diff(a.splitlines(), b.splitlines(), 'stock', 'ours', lineterm='', n=1)
            wrong.append(' '.join(['tailscale'] + args) + '\n' + '\n'.join(list(diff)[2:]))
    if wrong:
        raise Failure('\n\n'.join(wrong))


def exit_code(text):
    """For what is a machine's own: that it worked, or not."""
    return text.splitlines()[0]


@test('status, in each of its forms')
def status(lab):
    compare(lab, ['status', 'status --peers=false', 'status --self=false', 'status --active', 'status --json', 'status --json --peers=false',
                  'status --header', 'status bogus'])


@test('addresses and names')
def addresses(lab):
    compare(lab, ['ip', 'ip -4', 'ip -6', 'ip -1', 'ip third', 'ip -4 third', 'ip {other}', 'ip nosuch', 'ip -4 -6', 'ip --assert={ip}', 'ip --assert=9.9.9.9',
                  'whois {third_ip}', 'whois --json {third_ip}', 'whois {third_ip}:80', 'whois {third_ip6}', 'whois {ip}', 'whois 100.64.9.9', 'whois 8.8.8.8', 'whois nonsense',
                  'whoami', 'whoami --json'])


@test('pings of each kind')
def pings(lab):
    compare(lab, ['ping -c 1 --until-direct=false third', 'ping -c 1 --until-direct=false {third_ip6}', 'ping --tsmp -c 1 third', 'ping --icmp -c 1 third',
                  'ping {ip}', 'ping nosuch', 'ping -c 1 100.64.9.9', 'ping -c 1 --timeout 1s 8.8.8.8', 'ping --size 300 -c 1 --until-direct=false third'])


@test('settings are read and changed')
def settings(lab):
    compare(lab, ['get', 'get --json', 'get hostname', 'get nosuch', 'debug prefs', 'set', 'set --shields-up', 'get shields-up', 'set --shields-up=false',
                  'set --accept-routes', 'set --accept-routes=false', 'set --advertise-routes=10.1.2.0/24', 'get advertise-routes', 'debug prefs',
                  'set --advertise-routes=10.1.2.3/24', 'set --advertise-routes=nonsense', 'set --advertise-routes=', 'set --exit-node=nosuch', 'set --exit-node={ip}',
                  'set --exit-node=third', 'set --exit-node=', 'set --advertise-exit-node', 'set --advertise-exit-node=false', 'set --exit-node-allow-lan-access',
                  'set --exit-node-allow-lan-access=false', 'set --operator=daemon', 'get operator', 'set --operator=', 'set --snat-subnet-routes=false', 'set --snat-subnet-routes',
                  'set --stateful-filtering', 'set --stateful-filtering=false', 'set --netfilter-mode=nodivert', 'set --netfilter-mode=on', 'set --netfilter-mode=bogus',
                  'set --nickname=nick', 'get nickname', 'set --nickname=', 'set --update-check=false', 'set --update-check', 'set --auto-update', 'set --report-posture',
                  'set --report-posture=false', 'set --ssh=false', 'set --webclient=false', 'set --advertise-connector', 'set --advertise-connector=false',
                  'set --relay-server-port=70000', 'set --relay-server-port=', 'set --bogus', 'debug prefs'])


@test('what runs around the network')
def around(lab):
    compare(lab, ['version', 'version --json', 'version --daemon', 'wait --timeout 5s', 'bugreport', 'exit-node list', 'exit-node connect',
                  'exit-node disconnect', 'serve status', 'serve status --json', 'serve reset', 'serve 3000', 'funnel status', 'service list', 'lock', 'lock status',
                  'lock log', 'lock sign nodekey:00', 'drive list', 'switch --list', 'switch --list --json', 'switch nosuch', 'switch remove nosuch', 'file cp --targets', 'file get --wait=false /tmp',
                  'cert', 'cert nosuch.example', 'id-token aud', 'nc', 'nc third', 'appc-routes', 'update --yes --version=1.0', 'metrics bogus', 'ssh nosuch', 'configure kubeconfig', 'routecheck',
                  'netcheck bogus', 'licenses', 'bogus', 'syspolicy list', 'syspolicy reload'])


@test('debug')
def debug(lab):
    compare(lab, ['debug derp-map', 'debug watch-ipn --count=1 --netmap=false --initial=true', 'debug restun', 'debug rebind', 'debug via 7 10.2.0.0/16', 'debug derp 999', 'debug derp 900', 'debug derp nosuch', 'debug rotate-disco-key', 'debug clear-netmap-cache', 'debug set-expire --in=720h',
                  'debug localapi nosuch', 'debug localapi GET check-ip-forwarding', 'debug localapi GET check-udp-gro-forwarding', 'debug localapi GET cert-domains',
                  'debug localapi GET dns-config', 'debug localapi GET services', 'debug localapi GET serve-config', 'debug localapi POST reload-config', 'debug localapi GET whois', 'debug localapi GET watch-ipn-bus?mask=x',
                  'debug localapi GET update/check', 'debug localapi GET check-so-mark-in-use', 'debug localapi GET appc-route-info', 'debug localapi POST shutdown',
                  'debug localapi GET peer-by-id?id=99', 'debug localapi GET user-profile?id=99', 'debug localapi GET tka/log', 'debug localapi GET profiles/ffff',
                  'debug break-tcp-conns', 'debug break-derp-conns', 'debug force-netmap-update', 'debug control-knobs', 'debug reload-config',
                  'debug component-logs --for=1s magicsock', 'debug peer-endpoint-changes {third_ip}', 'debug peer-relay-servers', 'debug pick-new-derp', 'debug force-prefer-derp 900', 'debug force-prefer-derp 0',
                  'debug resolve localhost', 'debug statedir', 'debug env', 'debug hostinfo', 'debug dial-types', 'debug test-risk'], exit_code)


def metrics_of(lab, who):
    text = lab.ts(who, 'metrics').stdout
    return {m[1]: m[2] for m in re.finditer(r'^# TYPE (\S+) (\S+)$', text, re.M)}, {m[1]: float(m[2]) for m in re.finditer(r'^(tailscaled\S+) (\S+)$', text, re.M)}


@test('metrics have the names, kinds and labels of the stock ones, and count')
def metrics(lab):
    (kinds, ours), (stock_kinds, stocks) = metrics_of(lab, OURS), metrics_of(lab, STOCK)
    for name, kind in kinds.items():
        check(stock_kinds.get(name) == kind, f'{name} {kind}')
    missing = {n for n in stock_kinds if n not in kinds and 'serve' not in n and 'peer_relay' not in n}
    check(not missing, f'missing: {missing}')
    sent = lambda counters: sum(v for n, v in counters.items() if n.startswith('tailscaled_outbound_packets_total{'))
    check(set(n for n in stocks if 'path=' in n) <= set(ours), 'labels')
    for _ in range(3):
        check(lab.pings(OURS, IPS['third'][0], 5), 'a ping')
    check(sent(metrics_of(lab, OURS)[1]) >= sent(ours) + 3, 'packets are counted')


@test('down, up, and settings that would be lost')
def down_up(lab):
    compare(lab, ['down', 'status', 'status --json', 'ip', 'ping third', 'whoami', 'wait --timeout 1s', 'down', 'up', 'status', 'up --shields-up', 'up --hostname=x --accept-routes',
                  'up --accept-dns', 'up --login-server=https://other.lab', 'up --advertise-routes=10.1.2.3/24', 'up --exit-node=nosuch', 'up --bogus', 'up extra',
                  'up --reset --accept-dns=false --login-server=https://ctl.lab --timeout=20s', 'debug prefs'])


def forget(text):
    """The relay of before is nothing to somebody who is logged out, nor is a peer without a name."""
    text = re.sub(r'"Relay": .*|,\n *"Tailscale could not connect to the .*?"', '', text)
    return re.sub(r'"Peer": \{\n  "": .*?\n \},', '"Peer": null,', text, flags=re.S)


@test('logged out')
def logged_out(lab):
    compare(lab, ['logout', 'status', 'status --json', 'ip', 'whoami', 'whois {third_ip}', 'ping third', 'debug prefs', 'debug netmap', 'dns status', 'get', 'set --hostname=x', 'get hostname', 'set --hostname=',
                  'switch --list', 'up --timeout=1s --auth-key=nonsense --login-server=https://ctl.lab', 'logout', 'down', 'status', 'version --daemon', 'serve status', 'lock', 'id-token aud', 'exit-node list',
                  'cert', 'nc third 80', 'login --timeout=1s --login-server=https://ctl.lab --auth-key=nonsense', 'switch --list'],
            forget)


def make(lab):
    lab.serve()
    lab.admin('users', 'create', 'lab')
    key = lab.key('--user', '1', '--reusable')
    for i, name in enumerate((OURS, STOCK, 'third')):
        lab.host(name, 11 + i)
        lab.daemon(name, name == OURS)
        lab.up(name, key)
    for name in lab.hosts:
        wait_until(lambda: len(lab.peers(name)) == 2, f'{name} sees the others', 20)
        IPS[name] = lab.status(name)['TailscaleIPs']


tailnet.run('cli', make, run_tests)
