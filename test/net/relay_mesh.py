"""Our relay and a real derper as neighbours in one region, a node at each."""
from relay_lab import *


def both(lab):
    """How n1 reaches n2, each at its own relay of the region."""
    line = lab.ping('n1', lab.ip2, tries=30)
    check('via DERP(r901)' in line, line)


@test('a node at our relay and a node at a derper talk through both')
def with_derper(lab):
    lab.write('mesh.key', MESH_KEY + '\n')
    os.chmod(lab.path('mesh.key'), 0o600)
    lab.a = lab.ours('a', '--mesh-key-file', lab.path('mesh.key'), '--mesh-with', f'b.test/{address("b")}')
    lab.b = lab.derper('b', '-mesh-psk-file', lab.path('mesh.key'), '-mesh-with', f'a.test/{address("a")}')
    wait_until(lambda: lab.metric('a', 'neighbours_up') == 1, 'our link to derper is up', 15)
    lab.control([['a', 'b']])
    lab.block('n2', 'a')  # so n2 falls to the second node of the region
    lab.ip1, lab.ip2 = lab.node('n1'), lab.node('n2')
    wait_until(lambda: lab.metric('a', 'keys_remote') >= 1, 'derper told us of n2', 20)
    both(lab)
    check(lab.metric('a', 'forwarded_out_total') > 0, 'packets went to derper')
    check(lab.metric('a', 'forwarded_in_total') > 0, 'packets came from derper')
    rate = lab.iperf('n1', 'n2', lab.ip2)
    print(f'# iperf3 through both: {rate / 1e6:.0f} Mbit/s')
    check(rate > 2e6, f'{rate / 1e6:.1f} Mbit/s')


@test('a neighbour that was lost is found again')
def lost(lab):
    lab.stop(lab.b, signal.SIGKILL)
    wait_until(lambda: lab.metric('a', 'neighbours_up') == 0 and lab.metric('a', 'keys_remote') == 0, 'it is forgotten', 10)
    lab.b = lab.derper('b', '-mesh-psk-file', lab.path('mesh.key'), '-mesh-with', f'a.test/{address("a")}')
    wait_until(lambda: lab.metric('a', 'neighbours_up') == 1, 'it is back', 20)
    wait_until(lambda: lab.metric('a', 'keys_remote') >= 1, 'n2 is back', 30)
    both(lab)


@test('a relay of ours in place of the derper carries the same traffic')
def with_ours(lab):
    lab.stop(lab.b)
    lab.b = lab.start(lab.ns['b'], [os.path.join(BUILD, 'src/main/fairlead-relay'), '--hostname', 'b.test', '--key-file', lab.path('b.key'),
                      '--listen', '0.0.0.0:443', '--http-listen', '', '--plain-listen', '127.0.0.1:8080', '--cert-file',
                      lab.path('b.test.crt'), '--cert-key-file', lab.path('b.test.key'), '--mesh-key-file', lab.path('mesh.key'),
                      '--mesh-with', f'a.test/{address("a")}'], env=lab.env(), log=lab.path('b.log'))
    wait_until(lambda: lab.metric('b', 'neighbours_up') == 1, 'b is connected to a', 20)
    wait_until(lambda: lab.metric('a', 'neighbours_up') == 1, 'a is connected to b', 20)
    wait_until(lambda: lab.metric('a', 'keys_remote') >= 1, 'n2 is known to a', 30)
    both(lab)
    check(lab.metric('b', 'forwarded_out_total') > 0, 'b forwards')


@test('a neighbour with another mesh key may not watch')
def wrong_key(lab):
    os.chmod(lab.write('wrong.key', 'ab' * 32), 0o600)
    lab.stop(lab.b)
    lab.b = lab.start(lab.ns['b'], [os.path.join(BUILD, 'src/main/fairlead-relay'), '--hostname', 'b.test', '--key-file', lab.path('b.key'),
                      '--listen', '0.0.0.0:443', '--http-listen', '', '--plain-listen', '127.0.0.1:8080', '--cert-file',
                      lab.path('b.test.crt'), '--cert-key-file', lab.path('b.test.key'), '--mesh-key-file', lab.path('wrong.key'),
                      '--mesh-with', f'a.test/{address("a")}'], env=lab.env(), log=lab.path('b.log'))
    wait_until(lambda: lab.metric('a', 'closed_total{reason="bad_frame"}') > 0, 'a closed the connection of b', 20)
    check(lab.metric('b', 'keys_remote') == 0, 'b learnt nothing')


if __name__ == '__main__':
    with RelayLab('rm') as lab:
        sys.exit(run_tests(lab))
