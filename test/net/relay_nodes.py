"""Two real tailscaled that cannot reach each other talk through our relay."""
from relay_lab import *


@test('two nodes with no direct way ping through the relay, and TCP flows')
def through_one(lab):
    lab.ours('a')
    lab.control([['a']])
    lab.ip1, lab.ip2 = lab.node('n1'), lab.node('n2')
    line = lab.ping('n1', lab.ip2)
    check('via DERP(r901)' in line, line)
    rate = lab.iperf('n1', 'n2', lab.ip2)
    check(rate > 2e6, f'iperf3: {rate / 1e6:.1f} Mbit/s')
    print(f'# iperf3 through the relay: {rate / 1e6:.0f} Mbit/s')
    check(lab.metric('a', 'packets_in_total') > 1000, 'the relay counted the packets')


@test('both nodes started without an HTTP round trip, and call the relay their home')
def fast_start(lab):
    check(lab.metric('a', 'fast_starts_total') >= 2, 'the meta certificate was understood')
    wait_until(lambda: lab.metric('a', 'clients_home') == 2, 'home')


@test('netcheck lists the relay with a latency by STUN, and sees no captive portal')
def netcheck(lab):
    report = json.loads(lab.cli('n1', 'netcheck', '--format=json').stdout)
    check(report['UDP'] is True, f'{report}')
    check('901' in report['RegionLatency'], f'{report["RegionLatency"]}')
    check(report['GlobalV4'].startswith(address('n1')), report['GlobalV4'])
    check(report.get('CaptivePortal') in (None, '', False, 'false'), f"{report.get('CaptivePortal')}")


@test('netcheck finds a latency by HTTPS when UDP is blocked')
def netcheck_https(lab):
    command(['nft', 'add', 'rule', 'inet', 'lab', 'extra', 'meta', 'l4proto', 'udp', 'drop'], ns=lab.router)
    command(['nft', 'add', 'rule', 'inet', 'lab', 'extra', 'meta', 'l4proto', 'icmp', 'drop'], ns=lab.router)
    try:
        report = json.loads(lab.cli('n1', 'netcheck', '--format=json').stdout)
        check(report['UDP'] is False, f'{report}')
        check('901' in report['RegionLatency'], f'{report["RegionLatency"]}')
    finally:
        lab.unblock()


@test('tailscale debug derp has nothing to complain of')
def debug_derp(lab):
    report = json.loads(lab.cli('n1', 'debug', 'derp', '901', timeout=40).stdout)
    check(not report.get('Errors'), f'{report}')
    warnings = [w for w in report.get('Warnings') or [] if 'only a single DERP region' not in w]
    check(not warnings, f'{warnings}')


@test('after kill -9 and a restart under load the nodes talk again within seconds')
def killed(lab):
    load = lab.start(lab.ns['n1'], ['ping', '-i', '0.02', '-W', '1', lab.ip2], log=lab.path('ping.log'))
    time.sleep(1)
    relay = next(p for p in lab.processes if 'fairlead-relay' in ' '.join(p.args))
    lab.stop(relay, signal.SIGKILL)
    began = time.monotonic()
    lab.ours('a')
    up = time.monotonic()
    line = lab.ping('n1', lab.ip2, tries=60)
    check('via DERP' in line, line)
    took = time.monotonic() - up
    print(f'# the relay was away for {up - began:.1f} s, nodes talked {took:.1f} s after its return')
    check(took < 12, f'{took:.1f} s')
    lab.stop(load)


@test('a successor takes the listening sockets over: every new connection is served')
def successor(lab):
    relay = next(p for p in lab.processes if 'fairlead-relay' in ' '.join(p.args))
    before = lab.get('a', '/debug/').splitlines()[1]
    refused = 0
    relay.send_signal(signal.SIGUSR2)
    for _ in range(60):
        refused += lab.get('a', '/healthz').strip() == ''
        time.sleep(0.02)
    wait_until(lambda: relay.poll() is not None, 'the old process ended')
    check(refused == 0, f'{refused} of 60 requests found nobody')
    check(lab.get('a', '/debug/').splitlines()[1] == before, 'the key is the same')
    wait_until(lambda: lab.metric('a', 'clients') == 2, 'the nodes came back', 15)
    for pid in pids(lab.ns['a']):
        send(pid, signal.SIGTERM)


if __name__ == '__main__':
    with RelayLab('rn') as lab:
        sys.exit(run_tests(lab))
