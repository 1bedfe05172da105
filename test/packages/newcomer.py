"""A newcomer: clones the repository on a Debian 12 with nothing installed, and follows the README word by word.

usage: newcomer.py SOURCE [PART...]      prints TAP; needs root, debootstrap and the Debian mirror

Each line of the README's shell blocks is run as it stands, in its order, by a person who is root: sudo only runs what
it is given. With PARTs, ./check runs these alone; the check calls it so, as it could not call itself whole.
"""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'net'))
from netlab import Failure, Skip, check, run_tests, test, tool
from tree import MIRROR, Tree, run

SOURCE = os.path.abspath(sys.argv[1])
PARTS = ' '.join(sys.argv[2:])
HOME = '/root/fairlead'
SOURCES = '''deb {mirror} bookworm main
deb {mirror} bookworm-updates main
deb {mirror}-security bookworm-security main
'''
SUDO = '#!/bin/sh\nexec "$@"\n'


def commands():
    """The lines of the README's shell blocks, without what they say beside."""
    text = open(f'{SOURCE}/README.md').read()
    lines = [line.split(' #')[0].strip() for block in re.findall(r'^```sh\n(.*?)^```', text, re.M | re.S) for line in block.splitlines()]
    return [line for line in lines if line]


def follow(t, line):
    """A line, typed in the clone; what it printed."""
    parts = [f'FAIRLEAD_PARTS={PARTS}'] if PARTS else []
    r = t.on('env', '-i', 'HOME=/root', 'TERM=dumb', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', *parts,
             'sh', '-c', f'cd {HOME} && {line}', ok=False, timeout=7200)
    if r.returncode:
        raise Failure(f'{line}: exit {r.returncode}\n{(r.stdout + r.stderr)[-4000:]}')
    return r.stdout


def say(text):
    for line in text.splitlines():
        print('#', line, flush=True)


@test('a minimal Debian 12 has a clone of the repository, and nothing else')
def _(t):
    t.settle()
    run(['git', '-c', 'safe.directory=*', 'clone', '-q', f'file://{SOURCE}', t.root + HOME])
    with open(f'{t.root}/usr/local/bin/sudo', 'w') as f:
        f.write(SUDO)
    os.chmod(f.name, 0o755)
    with open(f'{t.root}/etc/apt/sources.list', 'w') as f:
        f.write(SOURCES.format(mirror=MIRROR))
    for name in ('git', 'gcc', 'ip', 'nft', 'python3', 'curl', 'ninja'):
        check(t.on('which', name, ok=False).returncode != 0, f'{name} is not there')


@test('its README has both commands, and all that it says to type does what it says')
def _(t):
    lines = commands()
    for line in ('sudo ./quickstart', 'sudo ./check'):
        check(line in lines, f'{line} is in a block of the README')
    for line in lines:
        say(f'$ {line}')
        out = follow(t, line)
        say(out)
        for again in re.findall(r'^    (sudo .*)$', out, re.M):  # what it says to try
            if again not in lines:
                say(f'$ {again}')
                say(follow(t, again))


def main():
    try:
        tool('debootstrap')
        t = Tree('minimal')
    except Skip as why:
        print(f'ok 1 - a newcomer # SKIP {why}\n1..1')
        return 0
    with t:
        return run_tests(t)


sys.exit(main())
