"""What takes effect without a restart: files that are written, relay maps that are fetched, node attributes. Stock tailscaleds are told."""
import json, os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import coordlab
from netlab import check, command, test, tool, wait_until

OPEN = {'acls': [{'action': 'accept', 'src': ['*'], 'dst': ['*:*']}]}
MAPS = """
import http.server, os, sys
os.chdir(sys.argv[1])
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass
http.server.HTTPServer(('127.0.0.1', 8070), Quiet).serve_forever()
"""


def region(id, code):
    return {'RegionID': id, 'RegionCode': code, 'RegionName': code, 'Nodes': [{'Name': f'{id}a', 'RegionID': id, 'HostName': '127.0.0.1', 'STUNPort': -1}]}


def write(path, content):
    """As editors do: a new file over the old one."""
    with open(path + '.new', 'w') as f:
        f.write(content if isinstance(content, str) else json.dumps(content))
    os.rename(path + '.new', path)


def yaml_map(*regions):
    return 'regions:\n' + ''.join(f'''  {id}:
    regionid: {id}
    regioncode: {code}
    regionname: {code}
    nodes: [{{name: {id}a, regionid: {id}, hostname: 127.0.0.1, stunport: -1}}]
''' for id, code in regions)


def netmap(w, name):
    return json.loads(w.ts(name, 'debug', 'netmap').stdout)


def codes(w, name='a'):
    return sorted(r['RegionCode'] for r in netmap(w, name)['DERPMap']['Regions'].values())


@test('a server with its policy, records and relays in files is joined')
def joins(w):
    d = w.dir
    write(f'{d}/policy.hujson', OPEN)
    write(f'{d}/records.json', '[]')
    write(f'{d}/derp.yaml', yaml_map((901, 'file')))
    os.mkdir(f'{d}/www')
    write(f'{d}/www/map.json', {'Regions': {'902': region(902, 'url')}})
    w.lab.start(w.ns, [sys.executable, '-c', MAPS, f'{d}/www'], log=f'{d}/maps.log')
    wait_until(lambda: command([tool('curl'), '-sf', 'http://127.0.0.1:8070/map.json'], ns=w.ns, ok=False).returncode == 0, 'maps are served')
    os.environ.update({'HEADSCALE_POLICY_MODE': 'file', 'HEADSCALE_POLICY_PATH': f'{d}/policy.hujson',
                       'HEADSCALE_DNS_EXTRA_RECORDS_PATH': f'{d}/records.json', 'HEADSCALE_DERP_PATHS': f'{d}/derp.yaml',
                       'HEADSCALE_DERP_URLS': 'http://127.0.0.1:8070/map.json', 'HEADSCALE_DERP_UPDATE_FREQUENCY': '2s',
                       'HEADSCALE_DNS_NAMESERVERS_GLOBAL': 'https://dns.nextdns.io', 'HEADSCALE_DNS_OVERRIDE_LOCAL_DNS': 'true'})
    w.serve()
    w.admin('users', 'create', 'lab')
    w.reusable = w.key('--user', '1', '--reusable')
    for name in ('a', 'b'):
        w.daemon(name)
        w.join(name, w.reusable)
    wait_until(lambda: 'b' in w.peers('a'), 'they see each other', 20)


@test('relay maps come from the file, the URL and the embedded relay, and follow them')
def relays(w):
    wait_until(lambda: codes(w) == ['fairlead', 'file', 'url'], 'all three', 20)
    write(f'{w.dir}/derp.yaml', yaml_map((901, 'written'), (903, 'more')))
    wait_until(lambda: codes(w) == ['fairlead', 'more', 'url', 'written'], 'the file', 20)
    write(f'{w.dir}/derp.yaml', 'regions: [')
    write(f'{w.dir}/www/map.json', {'Regions': {'904': region(904, 'fetched')}})
    wait_until(lambda: 'line' in open(f'{w.dir}/server.log').read(), 'a broken file is named with its line', 20)
    write(f'{w.dir}/derp.yaml', yaml_map((901, 'written')))
    wait_until(lambda: codes(w) == ['fairlead', 'fetched', 'written'], 'the URL', 20)
    r = command([tool('curl'), '-sf', f'{coordlab.SERVER}/bootstrap-dns'], ns=w.ns)
    check(isinstance(json.loads(r.stdout), dict), r.stdout)


@test('extra records follow their file')
def records(w):
    ask = lambda: w.ts('a', 'dns', 'query', 'box.tail.lab', 'A', ok=False).stdout
    write(f'{w.dir}/records.json', [{'name': 'box.tail.lab', 'type': 'A', 'value': '192.0.2.9'}])
    wait_until(lambda: '192.0.2.9' in ask(), 'the record', 20)
    write(f'{w.dir}/records.json', [{'name': 'box.tail.lab', 'type': 'A', 'value': '192.0.2.10'}])
    wait_until(lambda: '192.0.2.10' in ask(), 'another', 20)


@test('the policy follows its file; one that is wrong changes nothing')
def policy(w):
    path = f'{w.dir}/policy.hujson'
    write(path, '// nobody reaches anybody\n{"acls": [],}\n')
    wait_until(lambda: not w.peers('a'), 'apart', 20)
    before = os.path.getsize(f'{w.dir}/server.log')
    write(path, '{"acls": [{"action": "deny", "src": ["*"], "dst": ["*:*"]}]}')
    wait_until(lambda: 'deny' in open(f'{w.dir}/server.log').read()[before:], 'it is named', 20)
    check(not w.peers('a'), 'still apart')
    write(path, OPEN)
    wait_until(lambda: 'b' in w.peers('a'), 'together', 20)
    r = w.admin('policy', 'set', '-f', path, ok=False)
    check(r.returncode == 1 and 'file' in r.stderr, r.stderr)


@test('node attributes reach the node, and the service of names is its own')
def attributes(w):
    caps = lambda name: netmap(w, name)['SelfNode'].get('CapMap') or {}
    resolver = lambda name: netmap(w, name)['DNS']['Resolvers'][0]['Addr']
    check('https://tailscale.com/cap/file-sharing' in caps('a') and 'randomize-client-port' not in caps('a'), str(caps('a')))
    write(f'{w.dir}/policy.hujson', dict(OPEN, tagOwners={'tag:new': ['lab@']}, randomizeClientPort=True, nodeAttrs=[
        {'target': ['*'], 'attr': ['cache-network-maps']}, {'target': [w.node('a')['ip_addresses'][0]], 'attr': ['nextdns:abc123']},
        {'target': ['tag:new'], 'ipPool': ['100.81.0.0/16']}]))
    wait_until(lambda: {'cache-network-maps', 'randomize-client-port'} <= set(caps('a')) & set(caps('b')), 'the attributes', 20)
    wait_until(lambda: resolver('a').startswith('https://dns.nextdns.io/abc123?device_name=a&'), 'its own resolver', 20)
    check(resolver('b') == 'https://dns.nextdns.io', resolver('b'))
    w.daemon('c')
    w.join('c', w.key('--tags', 'tag:new'))
    check(w.node('c')['ip_addresses'][0].startswith('100.81.'), str(w.node('c')['ip_addresses']))
    os.environ['HEADSCALE_TAILDROP_ENABLED'] = 'false'
    w.restart()
    wait_until(lambda: 'https://tailscale.com/cap/file-sharing' not in caps('a'), 'Taildrop is off', 40)


@test('a node that keeps its network map comes up while the server is away')
def cached(w):
    w.lab.stop(w.server)
    w.lab.stop(w.daemons['a'])
    w.daemon('a')
    wait_until(lambda: 'b' in w.peers('a'), 'it knows its peers', 30)
    w.serve()
    wait_until(lambda: w.node('a').get('online'), 'back', 60)


if __name__ == '__main__':
    coordlab.main('cf', coordlab.World)
