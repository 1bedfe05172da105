"""Ports that lead to a node: mapped by its router (miniupnpd), forwarded by hand, chosen by it or by policy.

Both nodes sit behind NATs that no pair gets through by itself; with a port that leads in they are direct.
"""
import sys

from natlab import *
from netlab import run_tests, test

OURS, STOCK, FORWARDED = 'ours', 'stock', 50000
CHAINS = '''
table inet pmp {
	chain pmp_fwd { }
	chain pmp_pre { }
	chain pmp_post { }
	chain pre { type nat hook prerouting priority dstnat - 1; jump pmp_pre; }
	chain post { type nat hook postrouting priority srcnat - 1; jump pmp_post; }
}
'''
MINIUPNPD = '''
ext_ifname=wan
listening_ip=lan
enable_natpmp={natpmp}
enable_upnp={upnp}
secure_mode=yes
system_uptime=yes
min_lifetime=120
max_lifetime=86400
upnp_table_name=pmp
upnp_nat_table_name=pmp
upnp_forward_chain=pmp_fwd
upnp_nat_chain=pmp_pre
upnp_nat_postrouting_chain=pmp_post
uuid=00000000-0000-4000-8000-000000000001
allow 1024-65535 192.168.0.0/16 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
'''


class PortLab(NatLab):
    wan4 = '44.128.0'  # never routed; miniupnpd takes documentation space for a private network and refuses it

    def router(self, **what):
        """A port mapper on our node's gateway that speaks these protocols, and no mapping of before."""
        gw = self.gateways[OURS]
        with open(f'{self.dir}/miniupnpd.conf', 'w') as f:
            f.write(MINIUPNPD.format(**what))
        command(['nft', 'delete', 'table', 'inet', 'pmp'], ns=gw, ok=False)
        command(['nft', '-f', '-'], ns=gw, stdin=CHAINS)
        command(['nft', '-f', '-'], ns=gw, stdin='flush chain inet gw mapped\nadd rule inet gw mapped accept\n')
        self.ip(gw, 'route', 'replace', '239.0.0.0/8', 'dev', 'lan')
        return self.start(gw, [tool('miniupnpd'), '-d', '-f', f'{self.dir}/miniupnpd.conf', '-P', f'{self.dir}/miniupnpd.pid'], log=f'{self.dir}/miniupnpd.log')

    def mapped(self):
        return command(['nft', 'list', 'chain', 'inet', 'pmp', 'pmp_pre'], ns=self.gateways[OURS]).stdout.count('dnat')

    def again(self, args=()):
        """Our node starts anew, and remembers nothing of the network."""
        if OURS in self.daemons:
            self.stop(self.daemons.pop(OURS))
        self.daemon(OURS, False, args=args)
        wait_until(lambda: self.status(OURS)['BackendState'] == 'Running', 'it runs', 40)

    def endpoints(self, name):
        return self.status(name)['Self']['Addrs'] or []


def ends(lab, how):
    wait_until(lambda: lab.ping_path(OURS, lab.addresses[STOCK], 4, '--until-direct') == how, f'the path is {how}', 60)


@test('without a port that leads in the two are relayed')
def relayed(lab):
    for name in (OURS, STOCK):
        lab.daemon(name, name == STOCK)
        lab.up(name)
        lab.addresses[name] = lab.ip_of(name)
    check(lab.ping_path(OURS, lab.addresses[STOCK], 4) == 'derp', 'no direct path')


def by_mapping(lab, **what):
    router = lab.router(**what)
    lab.again()
    wait_until(lab.mapped, 'the router maps a port', 40)
    ends(lab, 'direct')
    outside = lab.wan[OURS][1]
    check(any(a.startswith(f'{outside}:') for a in lab.endpoints(OURS)), f'{lab.endpoints(OURS)}')
    lab.stop(lab.daemons.pop(OURS))
    # By UPnP it ends with its lease: nobody waits for a conversation by TCP.
    wait_until(lambda: what['upnp'] == 'yes' or not lab.mapped(), 'the mapping ends with the node', 10)
    lab.stop(router)


@test('a port mapped by PCP or NAT-PMP makes them direct, and is given back')
def by_pmp(lab):
    by_mapping(lab, natpmp='yes', upnp='no')


@test('so does one mapped by UPnP')
def by_upnp(lab):
    by_mapping(lab, natpmp='no', upnp='yes')


@test('an address declared as a static endpoint, forwarded by hand, makes them direct')
def static(lab):
    gw, outside = lab.gateways[OURS], lab.wan[OURS][1]
    command(['nft', 'delete', 'table', 'inet', 'pmp'], ns=gw, ok=False)
    inside = command(['ip', '-4', '-o', 'address', 'show', 'dev', 'eth0'], ns=lab.hosts[OURS]).stdout.split()[3].split('/')[0]
    command(['nft', 'add', 'rule', 'inet', 'gw', 'in', 'iifname', 'wan', 'udp', 'dport', str(FORWARDED), 'dnat', 'ip', 'to', f'{inside}:41641'], ns=gw)
    with open(f'{lab.dir}/declared', 'w') as f:
        json.dump({'version': 'alpha0', 'Locked': False, 'StaticEndpoints': [f'{outside}:{FORWARDED}']}, f)
    lab.again(['--config', f'{lab.dir}/declared'])
    ends(lab, 'direct')
    check(f'{outside}:{FORWARDED}' in lab.endpoints(OURS), 'it is among its endpoints')


def port_of(lab, name):
    local = [a for a in lab.endpoints(name) if a.startswith('192.168.')]
    return int(local[0].rsplit(':', 1)[1]) if local else 0


@test('policy takes the fixed port from ours as from stock, and gives it back')
def random_port(lab):
    rule = {'grants': [{'src': ['*'], 'dst': ['*'], 'ip': ['*']}]}
    check(port_of(lab, OURS) == port_of(lab, STOCK) == 41641, 'as asked for at the start')
    lab.policy({**rule, 'randomizeClientPort': True})
    for name in (OURS, STOCK):
        wait_until(lambda: port_of(lab, name) not in (0, 41641), f'{name} has another port', 30)
    wait_until(lambda: lab.pings(OURS, lab.addresses[STOCK]), 'packets pass', 20)
    lab.policy(rule)
    for name in (OURS, STOCK):
        wait_until(lambda: port_of(lab, name) == 41641, f'{name} is back', 30)
    wait_until(lambda: lab.pings(OURS, lab.addresses[STOCK]), 'packets pass', 20)


@test('where the wanted port is taken another one serves')
def taken(lab):
    lab.stop(lab.daemons.pop(OURS))
    squatter = lab.start(lab.hosts[OURS], ['python3', '-c', 'import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", 41641)); time.sleep(300)'])
    wait_until(lambda: '41641' in command(['ss', '-Hlun'], ns=lab.hosts[OURS]).stdout, 'it is taken', 10)
    lab.again()
    wait_until(lambda: lab.pings(OURS, lab.addresses[STOCK]), 'packets pass', 30)
    wait_until(lambda: port_of(lab, OURS) not in (0, 41641), 'by another port', 20)
    lab.stop(squatter)


if __name__ == '__main__':
    with PortLab('pmap') as lab:
        tool('miniupnpd')
        lab.addresses = {}
        lab.serve()
        for name in (OURS, STOCK):
            lab.host(name, 'symmetric')
        sys.exit(run_tests(lab))
