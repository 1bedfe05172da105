"""A minimal Debian 12 of its own: made once a machine by debootstrap, and used through an overlay.

A Tree is a folder to chroot into; with boot() it is a whole system with its own systemd, process ids,
network and cgroups. Nothing in it outlives close(), and nothing outside it is changed.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'net'))
from netlab import Failure

BASE = os.environ.get('FAIRLEAD_TREES', '/var/cache/fairlead-trees')
MIRROR = os.environ.get('FAIRLEAD_DEBIAN_MIRROR', 'http://deb.debian.org/debian')


def run(args, ok=True, timeout=600, **kw):
    r = subprocess.run(args, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, start_new_session=True, **kw)
    if ok and r.returncode:
        raise Failure(f"{' '.join(args)}: {(r.stderr + r.stdout).strip()[-2000:] or r.returncode}")
    return r


def base_tree(name, packages):
    """The folder of a debootstrapped minbase tree; an interrupted one is never taken for whole."""
    path = f'{BASE}/{name}'
    if not os.path.isdir(path):
        os.makedirs(BASE, exist_ok=True)
        part = f'{path}.part'
        shutil.rmtree(part, ignore_errors=True)
        include = ['--include=' + ','.join(packages)] if packages else []
        run(['debootstrap', '--variant=minbase', *include, 'bookworm', part, MIRROR], timeout=1200)
        os.rename(part, path)
    return path


# What a mount namespace of the tree holds: $1 is the tree.
MOUNTS = '''
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs dev
for d in null zero full random urandom tty; do touch dev/$d; mount --bind /dev/$d dev/$d; done
mkdir dev/net dev/pts dev/shm
touch dev/net/tun; mount --bind /dev/net/tun dev/net/tun
mount -t devpts devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs tmpfs dev/shm
'''
CHROOT = MOUNTS + '''
mount --rbind /sys sys
shift
exec chroot . "$@"
'''
BOOT = MOUNTS + '''
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
ip link set lo up
export container=lab
exec chroot . /lib/systemd/systemd --log-target=journal --show-status=0 systemd.unified_cgroup_hierarchy=1
'''


class Tree:
    def __init__(self, name, packages=()):
        base = base_tree(name, packages)
        self.dir = tempfile.mkdtemp(prefix='fairlead-tree-')
        # overlayfs does not stack: the upper layer must not itself lie on one
        run(['mount', '-t', 'tmpfs', 'tmpfs', self.dir, '-o', 'mode=755'])
        for part in ('upper', 'work', 'root'):
            os.mkdir(f'{self.dir}/{part}')
        self.root = f'{self.dir}/root'
        run(['mount', '-t', 'overlay', 'overlay', '-o',
             f'lowerdir={base},upperdir={self.dir}/upper,workdir={self.dir}/work', self.root])
        self.system = None
        shutil.copy('/etc/resolv.conf', f'{self.root}/etc/resolv.conf')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def chroot(self, *args, **kw):
        """A command in the tree, with the host's network (for apt)."""
        return run(['unshare', '-m', '-p', '-f', '--kill-child', 'sh', '-c', CHROOT, 'sh', self.root, *args], **kw)

    def boot(self):
        """Starts the tree's systemd; on() then runs in that system."""
        self.enter('muinpC', BOOT, 'systemd')
        end = time.monotonic() + 120
        while True:
            state = self.on('systemctl', 'is-system-running', ok=False).stdout.strip()
            if state in ('running', 'degraded'):
                return
            if time.monotonic() > end:
                raise Failure(f'the tree does not come up: {state}')
            time.sleep(0.3)

    def settle(self):
        """What on() runs from now on shares one set of mounts and processes, and the host's network."""
        self.enter('mp', CHROOT, 'sleep', 'sleep', 'infinity')

    def enter(self, spaces, script, first, *args):
        """Namespaces of the tree's own, held by the process `first`."""
        self.spaces, self.first = ['-' + kind for kind in spaces], first
        self.system = subprocess.Popen(['unshare', *self.spaces, '-f', '--kill-child', 'sh', '-c', script, 'sh', self.root, *args],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
        while not self.pid():
            if self.system.poll() is not None:
                raise Failure(f'the tree does not start: {self.system.stderr.read().decode()}')
            time.sleep(0.05)

    def pid(self):
        """The tree's first process, as the host sees it; none while it is not there yet."""
        children = run(['pgrep', '-P', str(self.system.pid), '-x', self.first], ok=False).stdout.split()
        return children[0] if children else None

    def on(self, *args, **kw):
        """A command in there."""
        return run(['nsenter', '-t', self.pid(), *self.spaces, '-r', '-w', '--', *args], **kw)

    def close(self):
        if self.system and self.system.poll() is None:
            self.system.kill()
            self.system.wait()
        run(['umount', '-l', self.root], ok=False)
        run(['umount', '-l', self.dir], ok=False)
        os.rmdir(self.dir)
