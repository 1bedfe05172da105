"""host/dns told to a real systemd-resolved, which runs in a namespace of networks and mounts of its own.

It is unpacked beside the real peers (tools/peers); skipped where it is not, unless peers are required.
"""
import os, subprocess, sys, tempfile

from netlab import *

TOOL = os.path.join(BUILD, 'test/host/host_dns')
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>
<allow send_type="method_call"/><allow send_type="signal"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/>
<allow receive_type="error"/><allow receive_type="signal"/>
<allow send_requested_reply="true" send_type="method_return"/>
<allow send_requested_reply="true" send_type="error"/></policy></busconfig>
"""
INSIDE = """
busctl=$4 lib=$5
mount -t tmpfs tmpfs /run && mkdir -p /run/dbus /run/systemd && cp "$1/bus.conf" /run/bus.conf || exit 9
ip link set lo up && ip link add fl0 type veth peer name fl1 && ip link set fl0 up && ip link set fl1 up || exit 9
if ! getent passwd systemd-resolve >/dev/null; then
    for f in passwd group; do cp /etc/$f /run/$f; done
    echo 'systemd-resolve:x:990:990::/:/bin/false' >>/run/passwd; echo 'systemd-resolve:x:990:' >>/run/group
    mount --bind /run/passwd /etc/passwd && mount --bind /run/group /etc/group || exit 9
fi
printf '# This is managed by man:systemd-resolved(8).\\nnameserver 127.0.0.53\\n' >/run/resolv.conf
mount --bind /run/resolv.conf /etc/resolv.conf || exit 9
dbus-daemon --config-file=/run/bus.conf --nofork 2>/dev/null & bus=$!
for i in $(seq 100); do [ -S /run/dbus/system_bus_socket ] && break; sleep 0.05; done
LD_LIBRARY_PATH=$lib "$2" >/dev/null 2>&1 & resolved=$!
call() { LD_LIBRARY_PATH=$lib "$busctl" --timeout=2 "$@" 2>&1; }
for i in $(seq 100); do
    call call org.freedesktop.resolve1 /org/freedesktop/resolve1 org.freedesktop.DBus.Peer Ping >/dev/null && break
    sleep 0.05
done
link=$(call call org.freedesktop.resolve1 /org/freedesktop/resolve1 org.freedesktop.resolve1.Manager GetLink i \
    $(cat /sys/class/net/fl0/ifindex 2>/dev/null || ip -o link show fl0 | cut -d: -f1) | cut -d'"' -f2)
show() {
    for p in DNS Domains DefaultRoute LLMNR; do
        echo "$1 $p $(call get-property org.freedesktop.resolve1 $link org.freedesktop.resolve1.Link $p)"
    done
}
show before
for mode in split all; do
    mkfifo /run/hold-$mode
    "$3" $mode fl0 /run/journal </run/hold-$mode >/run/said-$mode & tool=$!
    exec 7>/run/hold-$mode
    for i in $(seq 200); do grep -q . /run/said-$mode && break; sleep 0.05; done
    sed "s/^/$mode said /" /run/said-$mode
    show $mode
    if [ $mode = split ]; then
        kill $resolved; wait $resolved
        LD_LIBRARY_PATH=$lib "$2" >/dev/null 2>&1 7>&- & resolved=$!
        for i in $(seq 200); do show restarted | grep -q 'DNS.*100 100 100 100' && break; sleep 0.05; done
        show restarted
    fi
    exec 7>&-
    wait $tool; echo "$mode exit $?"
    show after-$mode
done
kill $resolved $bus
"""

US = '2 2 4 100 100 100 100 10 16 253 122 17 92 161 224 0 0 0 0 0 0 0 0 0 83'
WANT = [
    ('systemd-resolved is found to keep the resolver', 'split said systemd-resolved: systemd-resolved keeps resolv.conf'),
    ('a split plan is taken', 'split said done'),
    ('our servers are told', f'split DNS a(iay) {US}'),
    ('a search domain stays one, other suffixes route', 'split Domains a(sb) 2 "tail.example" false "corp.example" true'),
    ('other names do not come to us', 'split DefaultRoute b false'),
    ('no other lookups are made on the link', 'split LLMNR s "no"'),
    ('systemd-resolved that starts anew is told again', f'restarted DNS a(iay) {US}'),
    ('with its suffixes', 'restarted Domains a(sb) 2 "tail.example" false "corp.example" true'),
    ('a plan for all names is taken', 'all said done'),
    ('then all names come to us', 'all Domains a(sb) 2 "tail.example" false "." true'),
    ('and by default', 'all DefaultRoute b true'),
]


def told():
    """What the script inside prints."""
    resolved, env = unpacked('systemd-resolved', 'lib/systemd/systemd-resolved')
    busctl, _ = unpacked('systemd-resolved', 'usr/bin/busctl')
    tool('dbus-daemon')
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, 'bus.conf'), 'w') as f:
            f.write(BUS)
        r = subprocess.run(['unshare', '-n', '-m', '-p', '-f', '--kill-child', 'bash', '-c', INSIDE, 'inside', folder, resolved, TOOL,
                            busctl, env['LD_LIBRARY_PATH']], capture_output=True, text=True, timeout=90)
    return r.stdout.splitlines(), r.stderr.splitlines()


class Said:
    """The script runs once, for the first test that asks."""
    lines = None

    def read(self):
        if self.lines is None:
            self.lines, self.errors = told()
        return self.lines

    def check(self, ok):
        check(ok, '\n'.join(self.lines + self.errors))


def expect(line):
    return lambda said: (said.read(), said.check(line in said.lines))


def leaves_nothing(mode):
    def run(said):
        lines = said.read()
        state = {k: [l.split(' ', 1)[1] for l in lines if l.startswith(k + ' ')] for k in ('before', f'after-{mode}')}
        said.check(state['before'] and state['before'] == state[f'after-{mode}'])
    return run


for sentence, line in WANT:
    test(sentence)(expect(line))
for mode in ('split', 'all'):
    test(f'nothing is left of the {mode} plan')(leaves_nothing(mode))

sys.exit(run_tests(Said()))
