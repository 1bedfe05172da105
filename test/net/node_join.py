"""fairleadd joins a stock control server, next to a stock node; the stock command drives ours.

	ours --+
	       +-- hub: control server, derper
	stock -+
	plain -+   a WireGuard device that knows nothing of tailnets
"""
import base64, json, os, signal, sys, tempfile

from netlab import *

HUB, OURS, STOCK, PLAIN = '10.88.0.1', '10.88.0.10', '10.88.0.11', '10.88.0.12'
CONTROL = f'http://{HUB}:8080'


class NodeLab(Lab):
    def __init__(self):
        super().__init__('node')
        self.dir = tempfile.mkdtemp(prefix='fl-node-')
        self.hub, self.ns_ours, self.ns_stock = self.namespace('hub'), self.namespace('ours'), self.namespace('stock')
        self.ip(self.hub, 'link', 'add', 'br0', 'type', 'bridge')
        self.address(self.hub, 'br0', f'{HUB}/24')
        self.ip(self.hub, 'link', 'set', 'br0', 'up')
        self.ns_plain = self.namespace('plain')
        for ns, wire, address in ((self.ns_ours, 'o', OURS), (self.ns_stock, 's', STOCK), (self.ns_plain, 'p', PLAIN)):
            self.veth(self.hub, wire, [], ns, 'eth0', [f'{address}/24'])
            self.ip(self.hub, 'link', 'set', wire, 'master', 'br0')
            self.ip(ns, 'route', 'add', 'default', 'via', HUB)
        self.services()

    def path(self, name):
        return os.path.join(self.dir, name)

    def services(self):
        self_signed(self.path(f'{HUB}.crt'), self.path(f'{HUB}.key'), f'IP:{HUB}')
        region = {'RegionID': 1, 'RegionCode': 'lab', 'RegionName': 'Lab', 'Nodes': [
            {'Name': '1a', 'RegionID': 1, 'HostName': HUB, 'IPv4': HUB, 'DERPPort': 3340, 'InsecureForTests': True}]}
        with open(self.path('derp.json'), 'w') as f:
            json.dump({'Regions': {'1': region}}, f)
        self.tell([])
        self.control = self.start(self.hub, [peer('testcontrol'), '-listen', f'{HUB}:8080', '-derpmap', self.path('derp.json'), '-dns', 'ts.test',
                              '-nodes', self.path('nodes.json')])
        self.start(self.hub, [peer('derper'), '-a', f'{HUB}:3340', '-certmode', 'manual', '-certdir', self.dir, '-hostname', HUB,
                              '-c', self.path('derper.key'), '-http-port', '-1'])
        self.ours = self.daemon()
        self.start(self.ns_stock, [peer('tailscaled'), '--tun', f'fls{self.tag}', '--state', 'mem:', '--statedir', self.path('stock'),
                                   '--socket', self.path('stock.sock'), '--port', '0'],
                   env={'TS_NO_LOGS_NO_SUPPORT': 'true', 'TS_DEBUG_FIREWALL_MODE': 'nftables'}, log=self.path('stock.log'))
        for who in ('ours', 'stock'):
            wait_until(lambda: os.path.exists(self.path(f'{who}.sock')), f'{who} serves its local API')

    def tell(self, nodes):
        with open(self.path('nodes.json'), 'w') as f:
            json.dump(nodes, f)

    def daemon(self):
        os.makedirs(self.path('ours'), mode=0o700, exist_ok=True)
        return self.start(self.ns_ours, [os.path.join(BUILD, 'src/main/fairleadd'), '--tun', f'flo{self.tag}', '--statedir',
                          self.path('ours'), '--socket', self.path('ours.sock'), '--port', '0'], log=self.path('ours.log'))

    def stock(self, who, *args, ok=True):
        """The stock command, to either daemon."""
        return command([peer('tailscale'), '--socket', self.path(f'{who}.sock')] + list(args), ok=ok)

    def status(self, who):
        return json.loads(self.stock(who, 'status', '--json').stdout)

    def ip_of(self, who):
        return self.status(who)['TailscaleIPs'][0]

    def ping(self, source, who):
        return command(['ping', '-c', '1', '-W', '2', self.ip_of(who)], ns=source, ok=False).returncode == 0


@test('our node joins with a key and the stock node sees it')
def joins(lab):
    lab.stock('stock', 'up', '--login-server', CONTROL, '--auth-key', 'k', '--accept-dns=false', '--hostname', 'stock')
    lab.stock('ours', 'up', '--login-server', CONTROL, '--auth-key', 'k', '--accept-dns=false', '--hostname', 'ours', '--timeout', '30s')
    wait_until(lambda: [p for p in (lab.status('stock')['Peer'] or {}).values() if p['HostName'] == 'ours'], 'the stock node sees ours')


@test('packets pass both ways')
def packets(lab):
    wait_until(lambda: lab.ping(lab.ns_ours, 'stock'), 'ours reaches stock', 20)
    wait_until(lambda: lab.ping(lab.ns_stock, 'ours'), 'stock reaches ours', 20)


@test('the path becomes direct, as either side says')
def direct(lab):
    check(f'via {STOCK}:' in lab.stock('ours', 'ping', 'stock').stdout, 'our ping ends direct')
    check(f'via {OURS}:' in lab.stock('stock', 'ping', 'ours').stdout, 'the stock ping ends direct')
    check('direct' in lab.stock('ours', 'status').stdout, 'status says direct')


@test('names of peers are answered at the service address')
def names(lab):
    answer = command(['dig', '+short', '+time=2', '+tries=2', '@100.100.100.100', 'stock.ts.test'], ns=lab.ns_ours).stdout
    check(answer.strip() == lab.ip_of('stock'), f'dig says {answer!r}')


@test('the stock command reads and changes our node')
def stock_command(lab):
    check(lab.stock('ours', 'ip', '-4').stdout.strip() == lab.ip_of('ours'), 'ip')
    check('stock' in lab.stock('ours', 'whois', lab.ip_of('stock')).stdout, 'whois')
    check('via TSMP' in lab.stock('ours', 'ping', '--tsmp', '-c', '1', 'stock').stdout, 'ping --tsmp')
    check('lab' in lab.stock('ours', 'debug', 'derp-map').stdout, 'debug derp-map')
    lab.stock('ours', 'set', '--hostname', 'renamed')
    wait_until(lambda: [p for p in lab.status('stock')['Peer'].values() if p['HostName'] == 'renamed'],
               'the new name reaches the stock node')


@test('shields up keeps others out, and lets our own traffic return')
def shields(lab):
    lab.stock('ours', 'set', '--shields-up')
    check(not lab.ping(lab.ns_stock, 'ours'), 'stock cannot ping ours')
    check(lab.ping(lab.ns_ours, 'stock'), 'ours can ping stock')
    lab.stock('ours', 'set', '--shields-up=false')
    wait_until(lambda: lab.ping(lab.ns_stock, 'ours'), 'stock reaches ours again')


@test('a peer that is plain WireGuard is reached at its endpoint, from either kind of node')
def plain(lab):
    dev, address = f'flp{lab.tag}', '10.64.0.1'
    key, public = key_pair()
    lab.start(lab.ns_plain, [os.path.join(BUILD, 'src/main/fairlead-wg'), '--foreground', dev])
    wait_until(lambda: command(['wg', 'show', dev], ns=lab.ns_plain, ok=False).returncode == 0, 'the device is there')
    with open(lab.path('plain.key'), 'w') as f:
        f.write(key)
    peers = []
    for who in ('ours', 'stock'):
        its = base64.b64encode(bytes.fromhex(lab.status(who)['Self']['PublicKey'].split(':')[1])).decode()
        peers += ['peer', its, 'allowed-ips', f'{lab.ip_of(who)}/32']
    command(['wg', 'set', dev, 'listen-port', '51820', 'private-key', lab.path('plain.key')] + peers, ns=lab.ns_plain)
    lab.address(lab.ns_plain, dev, f'{address}/32')
    lab.ip(lab.ns_plain, 'link', 'set', dev, 'up')
    lab.ip(lab.ns_plain, 'route', 'add', '100.64.0.0/10', 'dev', dev)
    lab.tell([{'ID': 900, 'StableID': 'n900', 'Name': 'plain.ts.test.', 'Key': 'nodekey:' + base64.b64decode(public).hex(), 'Addresses': [f'{address}/32'],
               'AllowedIPs': [f'{address}/32'], 'Endpoints': [f'{PLAIN}:51820'], 'IsWireGuardOnly': True, 'MachineAuthorized': True, 'Hostinfo': {}}])
    lab.control.send_signal(signal.SIGHUP)
    for who, ns in (('stock', lab.ns_stock), ('ours', lab.ns_ours)):
        wait_until(lambda: command(['ping', '-c', '1', '-W', '1', address], ns=ns, ok=False).returncode == 0, f'{who} reaches it', 20)
    check(command(['ping', '-c', '1', '-W', '2', lab.ip_of('ours')], ns=lab.ns_plain).returncode == 0, 'and it reaches ours')
    # It moves: what it sends from elsewhere is answered there.
    command(['wg', 'set', dev, 'listen-port', '51821'], ns=lab.ns_plain)
    wait_until(lambda: command(['ping', '-c', '1', '-W', '1', lab.ip_of('ours')], ns=lab.ns_plain, ok=False).returncode == 0, 'from another port', 20)
    entry = [p for p in lab.status('ours')['Peer'].values() if p['HostName'] == 'plain' or p['DNSName'] == 'plain.ts.test.'][0]
    check(entry['CurAddr'] == f'{PLAIN}:51821', entry['CurAddr'])


@test('down takes the interface away, up brings it back')
def down_up(lab):
    lab.stock('ours', 'down')
    check(lab.stock('ours', 'status', ok=False).returncode == 1, 'status fails while stopped')
    wait_until(lambda: command(['ip', 'link', 'show', f'flo{lab.tag}'], ns=lab.ns_ours, ok=False).returncode, 'the interface is gone')
    check('fwmark' not in command(['ip', 'rule'], ns=lab.ns_ours).stdout, 'our rules are gone')
    lab.stock('ours', 'up')
    wait_until(lambda: lab.ping(lab.ns_ours, 'stock'), 'ours reaches stock again', 20)


@test('a restart keeps the identity without a new login')
def restart(lab):
    before = lab.status('ours')['Self']['PublicKey']
    lab.stop(lab.ours)
    lab.ours = lab.daemon()
    wait_until(lambda: lab.stock('ours', 'status', ok=False).returncode == 0, 'ours is up again', 20)
    check(lab.status('ours')['Self']['PublicKey'] == before, 'the node key is the same')
    wait_until(lambda: lab.ping(lab.ns_ours, 'stock'), 'ours reaches stock', 20)


@test('logout ends the login')
def logout(lab):
    lab.stock('ours', 'logout')
    check('Logged out' in lab.stock('ours', 'status', ok=False).stdout, 'the stock command says logged out')


with NodeLab() as lab:
    sys.exit(run_tests(lab))
