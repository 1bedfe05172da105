"""The tunnel of fairlead-wg against gotatun: a third implementation, with its own idea of what is usual.

As tunnel.py, whose parts it uses.
"""
import sys
import netlab

others = list(netlab.TESTS)
import tunnel
from tunnel import *
netlab.TESTS[:] = others  # those of tunnel.py run there


def gotatun():
    return peer('gotatun')


for who, initiator in (('ours', 0), ('gotatun', 1)):
    for outer in (4, 6):
        @test(f'{who} initiates over IPv{outer}; bulk transfers of both families arrive whole')
        def _(initiator=initiator, outer=outer):
            works(initiator, outer, gotatun())


@test('either side roams to another address, and ours to another port')
def _():
    roaming(gotatun(), new_port=[0])  # gotatun does not survive each change of its port


@test('a new preshared key takes effect with the next handshake and the session lives on')
def _():
    new_preshared_key(gotatun())


@test('a new private key of ours takes effect')
def _():
    new_private_key(gotatun(), whose=[0])  # gotatun refuses one while it has peers


@test('a restart of either side costs one handshake')
def _():
    restart(gotatun())


if __name__ == '__main__':
    sys.exit(run_tests())
