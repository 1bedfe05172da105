"""No secret in any output: known keys go in, and whatever fairlead-wg and `fairlead wg` say is searched for them.

Searched are what the daemon writes at its most talkative, its answers on the control socket, what /proc tells of it,
what the commands write while they succeed and fail, what hooks see in their environment and in the list of processes,
and whether a crash would leave a core.
"""
import base64, glob, os, re, resource, signal, subprocess, sys, time
import netlab

others = list(netlab.TESTS)
from tunnel import *
netlab.TESTS[:] = others  # those of tunnel.py run there

FAIRLEAD = os.path.abspath(os.path.join(BUILD, 'src/main/fairlead'))


class Canary:
    """Secrets, and all that has been said."""

    def __init__(self):
        self.keys, self.said = {}, []

    def secret(self, name, text):
        self.keys[name] = base64.b64decode(text)
        return text

    def hears(self, where, what):
        self.said.append((where, what if isinstance(what, bytes) else str(what).encode()))

    def silent(self):
        """Fails if a third of a key was said, in any form."""
        check(self.said, 'nothing was searched')
        for where, what in self.said:
            found = self.found(what)
            check(not found, f'{found} in {where}: {what[:2000]!r}')

    def found(self, what):
        low = what.lower()
        for name, key in self.keys.items():
            hexed, text = key.hex().encode(), base64.b64encode(key)
            parts = [hexed[i:i + 22] for i in (0, 21, 42)] + [text[i:i + 15] for i in (0, 14, 28)]
            if any(p in low for p in parts[:3]) or any(p in what for p in parts[3:]) or key[:11] in what or key[21:] in what:
                return name
        return None


def run(canary, ns, args, stdin=None, ok=None):
    """A command whose every word is searched."""
    r = command([FAIRLEAD, 'wg'] + args, ns=ns, stdin=stdin, ok=False)
    canary.hears(' '.join(args[:3]), r.stdout + r.stderr)
    check(ok is None or (r.returncode == 0) == ok, f'{args}: {r.returncode} {r.stderr}')


def file(lab, name, text):
    path = os.path.join(lab.folder, name)
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), 'w') as f:
        f.write(text)
    return path


def proc(canary, pid):
    for name in ('cmdline', 'environ', 'comm', 'status', 'stack', 'syscall', 'wchan', 'limits', 'mountinfo'):
        try:
            canary.hears(f'/proc/PID/{name}', open(f'/proc/{pid}/{name}', 'rb').read())
        except OSError:
            pass


@test('a search finds a key in every form it can take')
def _():
    c = Canary()
    key = base64.b64decode(c.secret('key', key_pair()[0]))
    for text in (key, key.hex().encode(), key.hex().upper().encode(), base64.b64encode(key), b'x' + key[20:] + b'y',
                 key.hex()[:30].encode(), base64.b64encode(key)[20:]):
        check(c.found(text) == 'key', f'{text} is not found')
    check(not c.found(os.urandom(4096)), 'found where it is not')


@test('a daemon at its most talkative tells no key, whatever it is told and refuses')
def _():
    with Lab('can') as lab:
        c = Canary()
        t = Tunnel(lab, psk=c.secret('preshared', preshared_key()))
        left, right = t.left, t.right
        c.secret('private', left.private)
        left.stop()
        log = os.path.join(lab.folder, 'log')
        left.process = lab.start(left.ns, [OURS, '-f', left.ifname], env={'LOG_LEVEL': 'debug'}, log=log)
        wait_until(lambda: is_listening(left.ifname), 'its socket answers')
        left.configure(right, f'{WIRE[4][1]}:{PORT}', base64.b64encode(c.keys['preshared']).decode())
        left.up()
        check(left.ping(), 'the tunnel works')
        private, psk, public = c.keys['private'].hex(), c.keys['preshared'].hex(), base64.b64decode(right.public).hex()
        for text in (f'set=1\nprivate_key={private}x\n\n', f'set=1\nprivate_key={private[:-1]}\n\n', f'set=1\nprivate_key={private}{private}\n\n',
                     f'set=1\nprivate_key {private}\n\n', f'set=1\n{private}=1\n\n', f'set=1\nlisten_port={private}\n\n',
                     f'set=1\npublic_key={public}\npreshared_key={psk}0\n\n', f'set=1\npublic_key={public}\nallowed_ip={psk}\n\n',
                     f'set=1\npublic_key={public}\nendpoint={psk}\n\n', f'set=1\nfwmark={psk}\n\n', f'get={private}\n\n', f'{private}\n\n',
                     f'set=1\npreshared_key={psk}\n\n'):
            c.hears('control socket', uapi(left.ifname, text))
        s, to = udp_socket(right.ns), (WIRE[4][0], PORT)
        for _ in range(20):
            s.sendto(os.urandom(148), to)
            s.sendto(initiation(left.public), to)
            s.sendto(struct.pack('<IIQ', 4, 1, 0) + bytes(32), to)
        left.set('private-key', left.secret(c.secret('second', key_pair()[0])))
        check(left.process.poll() is None, 'it has ended')
        proc(c, left.process.pid)
        lab.stop(left.process)
        c.hears('log', open(log, 'rb').read())
        check(b'interface up' in c.said[-1][1], 'the log is empty')
        c.silent()


def memory(pid):
    """What a process may write to, piece by piece. Root sees it, also of one that is not dumpable."""
    with open(f'/proc/{pid}/maps') as maps, open(f'/proc/{pid}/mem', 'rb', 0) as mem:
        for line in maps:
            span, rights = line.split()[:2]
            if rights.startswith('rw'):
                start, end = (int(x, 16) for x in span.split('-'))
                mem.seek(start)
                yield mem.read(end - start)


def session_keys(pid, own, other):
    """The keys a session keeps behind its two numbers: to send with, to receive with."""
    numbers = re.compile(re.escape(struct.pack('<II', own, other)), re.S)
    return [(piece[m.end():m.end() + 32], piece[m.end() + 32:m.end() + 64]) for piece in memory(pid)
            for m in numbers.finditer(piece)]


def new_session(t, seen):
    """A handshake, begun by the left; its numbers (left, right) as they pass on the wire."""
    for state in ('down', 'up'):
        t.left.lab.ip(t.left.ns, 'link', 'set', state, 'dev', t.left.ifname)
    check(t.left.ping(), 'a ping')
    while True:
        message = seen.recv(65536)[28:]
        if message[:4] == b'\2\0\0\0' and len(message) == 92:
            right, left = struct.unpack('<II', message[4:12])
            return left, right


@test('session keys, as read out of the memory of both ends, are told by neither')
def _():
    with Lab('can') as lab:
        c = Canary()
        t = Tunnel(lab, right=OURS, psk=c.secret('preshared', preshared_key()))
        ends = [t.left, t.right]
        logs = [os.path.join(lab.folder, f'log{i}') for i in (0, 1)]
        psk = base64.b64encode(c.keys['preshared']).decode()
        for side, log in zip(ends, logs):
            side.stop()
            side.process = lab.start(side.ns, [OURS, '-f', side.ifname], env={'LOG_LEVEL': 'debug'}, log=log)
            wait_until(lambda: is_listening(side.ifname), 'its socket answers')
            side.configure(ends[1 - side.which], f'{WIRE[4][1 - side.which]}:{PORT}', psk)
        seen = sniffer(t.left.ns, 'wire')
        for side in ends:
            side.up()
        for n in range(3):
            left, right = new_session(t, seen)
            ours, theirs = session_keys(t.left.process.pid, left, right), session_keys(t.right.process.pid, right, left)
            both = [k for k in ours if (k[1], k[0]) in theirs]
            check(both and any(both[0][0]), f'no session in memory: {len(ours)}, {len(theirs)}')
            c.keys.update({f'session {n}, sends': both[0][0], f'session {n}, receives': both[0][1]})
            for side in ends:
                for args in (['show', side.ifname], ['show', side.ifname, 'dump'], ['show', side.ifname, 'drops'], ['showconf', side.ifname]):
                    r = command([FAIRLEAD, 'wg'] + args, ns=side.ns)
                    # The private and the preshared key are asked for here: it is the others that are looked for.
                    c.hears(' '.join(args), r.stdout.replace(side.private, '').replace(psk, '') + r.stderr)
                answer = uapi(side.ifname, 'get=1\n\n')
                c.hears('control socket', answer.replace(base64.b64decode(side.private).hex(), '').replace(c.keys['preshared'].hex(), ''))
                proc(c, side.process.pid)
        dead = [k for n in (0, 1) for k in (c.keys[f'session {n}, sends'], c.keys[f'session {n}, receives'])]
        for side, log in zip(ends, logs):
            left_over = [i for i, k in enumerate(dead[:2]) if any(k in piece for piece in memory(side.process.pid))]
            check(not left_over, f'the session before the last is still in the memory of {side.ifname}')
            lab.stop(side.process)
            c.hears('log', open(log, 'rb').read())
        check(len(c.keys) == 7, str(list(c.keys)))
        c.silent()


@test('commands tell no key, whether they succeed or are used wrongly')
def _():
    with Lab('can') as lab:
        c = Canary()
        t = Tunnel(lab, psk=c.secret('preshared', preshared_key()))
        ns, dev = t.left.ns, t.left.ifname
        key, psk, public = c.secret('private', t.left.private), base64.b64encode(c.keys['preshared']).decode(), t.right.public
        for args in (['show'], ['show', 'all'], ['show', dev], ['show', dev, 'peers'], ['show', dev, 'endpoints'], ['show', dev, 'transfer'],
                     ['show', dev, 'drops'], ['show', 'interfaces']):
            run(c, ns, args, ok=True)
        # Keys where the name of a file belongs, which is how it goes wrong mostly.
        for args in (['set', dev, 'private-key', key], ['set', dev, 'peer', public, 'preshared-key', psk],
                     ['set', dev, 'fwmark', key], ['set', dev, 'listen-port', key], ['set', dev, 'private-key', key + 'x'],
                     ['set', dev, 'peer', key + 'x'], ['set', dev, 'peer', public, 'allowed-ips', psk], ['set', dev, 'peer', public, 'endpoint', psk],
                     ['set', dev, key, 'x'], ['show', key], ['show', dev, key], [key], ['setconf', dev, key],
                     ['set', dev, 'peer', public, 'persistent-keepalive', psk], ['up', key], ['down', key], ['strip', key]):
            run(c, ns, args, ok=False)
        for n, text in enumerate((f'[Interface]\nPrivateKey = {key}x\n', f'[Interface]\nPrivateKey = {key[:-1]}\n', f'[Interface]\nPrivateKey {key}\n',
                                  f'[Interface]\n{key}\n', f'{key}\n', f'[Interface]\nPrivatKey = {key}\n', f'[{key}]\n', f'[Interface]\nListenPort = {key}\n',
                                  f'[Interface]\nPrivateKey = {key}\nFwMark = nonsense\n', f'[Interface]\nFwMark = {key}\n',
                                  f'[Peer]\nPublicKey = {public}\nPresharedKey = {psk} {psk}\n', f'[Peer]\nPublicKey = {public}\nAllowedIPs = {psk}\n',
                                  f'[Peer]\nPublicKey = {public}\nEndpoint = {psk}\n', f'[Peer]\nPublicKey = {public}\nPersistentKeepalive = {psk}\n')):
            for verb in ('setconf', 'addconf', 'syncconf'):
                run(c, ns, [verb, dev, file(lab, f'bad{n}.conf', text)], ok=False)
            run(c, ns, ['up', file(lab, f'bad{n}.conf', text)], ok=False)
        for text in (key + 'x\n', key[:-1] + '\n', key + key + '\n', key[:20] + '!' + key[21:] + '\n'):
            run(c, ns, ['pubkey'], stdin=text, ok=False)
            run(c, ns, ['set', dev, 'private-key', file(lab, 'bad.key', text)], ok=False)
        c.silent()


@test('hooks, children and the list of processes see no key while an interface comes up')
def _():
    with Lab('can') as lab:
        c = Canary()
        ns, name = lab.namespace('q'), f'flk{lab.tag}'
        key, psk, out = c.secret('private', key_pair()[0]), c.secret('preshared', preshared_key()), os.path.join(lab.folder, 'seen')
        look = f"env >> {out}; for p in /proc/[0-9]*; do cat $p/cmdline $p/environ >> {out} 2>/dev/null || true; done"
        path = file(lab, f'{name}.conf', f'[Interface]\nPrivateKey = {key}\nAddress = 10.79.0.1/24\nPreUp = {look}\nPostUp = {look}\nPreDown = {look}\nPostDown = {look}\n'
                    f'[Peer]\nPublicKey = {key_pair()[1]}\nPresharedKey = {psk}\nAllowedIPs = 10.79.0.0/16\nEndpoint = 127.0.0.1:9\n')
        run(c, ns, ['up', '--backend', 'user', path], ok=True)
        run(c, ns, ['down', path], ok=True)
        c.hears('hooks', open(out, 'rb').read())
        check(name.encode() in c.said[-1][1], 'hooks saw nothing')
        c.silent()


def killed(args, folder):
    """Whether a program that dies of a signal leaves a core, where it might."""
    p = subprocess.Popen(args, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30)))
    ifname = args[-1]
    wait_until(lambda: ifname.isdigit() or harmless(p.pid), 'it has started')
    os.kill(p.pid, signal.SIGSEGV)
    status = os.waitpid(p.pid, 0)[1]
    p.returncode = status
    return os.WCOREDUMP(status) or bool(glob.glob(os.path.join(folder, 'core*')))


@test('a crash leaves no core')
def _():
    with Lab('can') as lab:
        ns, name = lab.namespace('x'), f'flx{lab.tag}'
        inside = ['ip', 'netns', 'exec', ns]
        dumps = killed(['sleep', '100'], lab.folder)
        for core in glob.glob(os.path.join(lab.folder, 'core*')):
            os.unlink(core)
        left = killed(inside + [OURS, '-f', name], lab.folder)
        try:
            os.unlink(f'/var/run/wireguard/{name}.sock')
        except OSError:
            pass
        check(not left, 'it left one')
        if not dumps:
            raise Skip('nothing leaves a core here')


if __name__ == '__main__':
    sys.exit(run_tests())
