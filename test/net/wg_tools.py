"""fairlead wg against Debian's wg and wg-quick, on the same devices run by wireguard-go.

    namespace fl-wgt-PID:  v0 192.0.2.2/24 (mtu 1450) ---- v1, default route through v0

Usage: wg_tools.py BUILD-FOLDER. Needs root; prints TAP.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

FAIRLEAD = os.path.join(os.path.abspath(sys.argv[1]), "src/main/fairlead")
PEERS = os.environ.get("FAIRLEAD_PEERS", "/var/cache/fairlead-peers/bin")
WIREGUARD_GO = os.path.join(PEERS, "wireguard")
NS = f"fl-wgt-{os.getpid()}"
DEV = f"flt{os.getpid() % 100000}"
KEY = "i3K2Be2PWBygy4TJX2z8YTzbBU9EMeG7CYjSbth4bg4="
PEER_A = "GtL7fZc/bLnqZldpVofMCD6hDjrK28SsdLxevJ+qtKU="
PEER_B = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
OURS, THEIRS, QUICK = [FAIRLEAD, "wg"], ["wg"], ["wg-quick"]

ran = failed = 0


def run(args, stdin="", check=False, env=None):
    """A command in the namespace; its exit status, output and errors."""
    p = subprocess.run(["ip", "netns", "exec", NS] + args, input=stdin, capture_output=True,
                       text=True, timeout=120, env=dict(os.environ, **(env or {})))
    if check and p.returncode:
        raise RuntimeError(f"{args}: {p.stderr}")
    return p.returncode, p.stdout, p.stderr


def verdict(name, ok, note=""):
    global ran, failed
    ran += 1
    failed += not ok
    for line in str(note).splitlines() if not ok else []:
        print("#", line)
    print(("ok" if ok else "not ok"), ran, "-", name, flush=True)


def same(name, a, b):
    verdict(name, a == b, f"theirs: {a}\nours: {b}")


def missing():
    if os.geteuid() != 0:
        return "root is needed"
    for tool in ("wg", "wg-quick", "ip", "nft"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    return None if os.access(WIREGUARD_GO, os.X_OK) else "wireguard-go is not built"


def until(condition, seconds=30):
    """Whether it came true in time."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def ended():
    """The daemon removes its socket as it ends; another of the same name must not come before."""
    return until(lambda: not os.path.exists(f"/var/run/wireguard/{DEV}.sock"))


def start_device(name):
    d = subprocess.Popen(["ip", "netns", "exec", NS, WIREGUARD_GO, "-f", name],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                         env=dict(os.environ, WG_PROCESS_FOREGROUND="1"))
    if until(lambda: os.path.exists(f"/var/run/wireguard/{name}.sock")):
        return d
    raise RuntimeError("wireguard-go did not start")


def settled(text):
    """wireguard-go tells its peers in a new order each time: lines within, and paragraphs, sorted."""
    return sorted("\n".join(sorted(part.splitlines())) for part in text.strip().split("\n\n"))


def outcome(result):
    return result[0], settled(result[1]), result[2]


FIELDS = ["public-key", "private-key", "listen-port", "fwmark", "peers", "preshared-keys",
          "endpoints", "allowed-ips", "latest-handshakes", "transfer", "persistent-keepalive",
          "dump"]


def compare_outputs(what):
    for field in [None] + FIELDS:
        args = ["show", DEV] + ([field] if field else [])
        same(f"{what}: wg {' '.join(args[:1] + args[2:])} prints the same",
             outcome(run(THEIRS + args)), outcome(run(OURS + args)))
    for env in ({"WG_COLOR_MODE": "always"}, {"WG_HIDE_KEYS": "never"}):
        same(f"{what}: wg show prints the same with {env}", outcome(run(THEIRS + ["show"], env=env)), outcome(run(OURS + ["show"], env=env)))
    same(f"{what}: wg showconf prints the same", outcome(run(THEIRS + ["showconf", DEV])),
         outcome(run(OURS + ["showconf", DEV])))


def file_in(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o600)
    return path


FULL = f"""[Interface]
PrivateKey = {KEY}
ListenPort = 5678
FwMark = 0x2a
[Peer]
PublicKey = {PEER_A}
PresharedKey = {PEER_B}
AllowedIPs = 10.0.0.0/24, fd00::/64, ::1:2:0:0/96
Endpoint = 192.0.2.1:51820
PersistentKeepalive = 25
[Peer]
PublicKey = {PEER_B}
AllowedIPs = 0.0.0.0/0
Endpoint = [2001:db8::1]:7
"""
LESS = f"""[Interface]
PrivateKey = {KEY}
ListenPort = 5678
[Peer]
PublicKey = {PEER_A}
PresharedKey = {PEER_B}
AllowedIPs = 10.1.0.0/24
PersistentKeepalive = 5
"""
MORE = f"[Peer]\nPublicKey = {PEER_B}\nAllowedIPs = 10.9.0.0/16\n"


def state():
    """What a device is set to, without what time changes."""
    keep = ["private-key", "listen-port", "fwmark", "preshared-keys", "endpoints", "allowed-ips",
            "persistent-keepalive"]
    return [settled(run(THEIRS + ["show", DEV, f])[1]) for f in keep]


def compare_changes(folder):
    full, less, more = (file_in(folder, n, t) for n, t in
                        [("full", FULL), ("less", LESS), ("more", MORE)])
    key = file_in(folder, "key", KEY + "\n")
    commented = file_in(folder, "commented", "# of\n" + LESS.replace("\n", "  # a comment\r\n"))
    steps = [["setconf", DEV, full], ["syncconf", DEV, commented], ["syncconf", DEV, less], ["addconf", DEV, more],
             ["set", DEV, "listen-port", "6000", "fwmark", "0x10", "peer", PEER_A,
              "preshared-key", key, "endpoint", "127.0.0.1:9", "allowed-ips",
              "10.2.0.0/16, fd01::/64", "persistent-keepalive", "7", "peer", PEER_B, "remove"],
             ["set", DEV, "fwmark", "off", "private-key", "/dev/null", "peer", PEER_A,
              "preshared-key", "/dev/null", "persistent-keepalive", "off", "allowed-ips", ""]]
    results = {}
    for who in (THEIRS, OURS):
        run(THEIRS + ["setconf", DEV, file_in(folder, "none", "[Interface]\nListenPort=1\n")])
        results[who[0]] = []
        for step in steps:
            results[who[0]].append((run(who + step)[0], state()))
            if step is steps[0]:
                compare_outputs("full device" if who is OURS else "full device set by wg")
    for i, step in enumerate(steps):
        same(f"wg {step[0]} leaves the device as wg does ({i})", results["wg"][i],
             results[FAIRLEAD][i])


def check_refusals(folder):
    run(OURS + ["setconf", DEV, file_in(folder, "full", FULL)], check=True)
    before = state()
    bad = file_in(folder, "bad", FULL + "AllowedIPs = 10.0.0.0/99\n")
    code, _, err = run(OURS + ["setconf", DEV, bad])
    verdict("a bad file is refused with its line", code == 1 and f"{bad}:15: AllowedIPs" in err, err)
    same("a bad file changes nothing", before, state())
    code, _, err = run(OURS + ["set", DEV, "listen-port", "99999"])
    verdict("a bad setting is refused", code == 1 and "listen-port: expected" in err, err)
    same("a bad setting changes nothing", before, state())
    for args in (["show", "nothere"], ["showconf", "nothere"], ["set", "nothere", "fwmark", "1"], ["nothing"], ["set", DEV],
                 ["show", DEV, "nothing"], ["show", "interfaces", "x"], ["setconf", DEV], ["setconf", DEV, "/nonexistent"], ["genkey", "x"]):
        same(f"{args} fails as wg's", run(THEIRS + args)[0], run(OURS + args)[0])
    for port in ("0", "65536"):
        code, _, err = run(OURS + ["set", DEV, "peer", PEER_A, "endpoint", f"127.0.0.1:{port}"])
        verdict(f"{port} is no port of an endpoint", code == 1 and port in err, err)


def check_keys():
    private = run(OURS + ["genkey"])[1]
    same("pubkey agrees", run(THEIRS + ["pubkey"], private), run(OURS + ["pubkey"], private))
    for text in ("", "short\n", KEY + "x\n", KEY[:-2] + "!=\n"):
        same(f"pubkey of {text[:8]!r} fails in the same way", run(THEIRS + ["pubkey"], text)[:2],
             run(OURS + ["pubkey"], text)[:2])
    verdict("two private keys differ", private != run(OURS + ["genkey"])[1])


QUICK_CONF = f"""[Interface]
PrivateKey = {KEY}
Address = 10.77.0.1/24, fd77::1/64
ListenPort = 5678
%s
PreUp = echo pre %%i >> %s
PostUp = echo up %%i >> %s
PreDown = echo down %%i >> %s
PostDown = echo gone %%i >> %s

[Peer]
PublicKey = {PEER_A}
AllowedIPs = %s
Endpoint = 192.0.2.1:51820
"""
LAYOUTS = {
    "a few networks": ("", "10.77.0.2/32, 10.99.0.0/16, fd99::/64"),
    "all traffic": ("", "0.0.0.0/0, ::/0, 10.99.0.0/16"),
    "IPv4 alone": ("FwMark = 0xca6d", "0.0.0.0/0"),
    "a table": ("Table = 1234", "0.0.0.0/0, 10.99.0.0/16"),
    "no table": ("Table = off\nMTU = 1300", "0.0.0.0/0"),
}


def snapshot():
    def lines(*args):
        return [l for l in run(list(args))[1].splitlines() if "fe80" not in l and "ff00::" not in l]
    links = [l.split("qdisc")[0].split(":", 1)[1] for l in lines("ip", "-o", "link")]
    return {"links": links, "addresses": [l.split(None, 1)[1] for l in lines("ip", "-o", "addr")],
            "routes": lines("ip", "route", "show", "table", "all"),
            "routes6": sorted(lines("ip", "-6", "route", "show", "table", "all")),
            "rules": lines("ip", "rule"), "rules6": lines("ip", "-6", "rule"),
            "nft": lines("nft", "list", "ruleset"), "wg": settled(run(THEIRS + ["show", DEV])[1]),
            "mark": lines("sysctl", "-n", "net.ipv4.conf.all.src_valid_mark")}


def clean():
    run(["sysctl", "-q", "net.ipv4.conf.all.src_valid_mark=0"])


def up_down(folder, layout, up, down):
    log = os.path.join(folder, "log")
    extra, allowed = LAYOUTS[layout]
    path = file_in(folder, DEV + ".conf", QUICK_CONF % (extra, log, log, log, log, allowed))
    if os.path.exists(log):
        os.unlink(log)
    env = {"WG_QUICK_USERSPACE_IMPLEMENTATION": WIREGUARD_GO}
    clean()
    result = [run(up + ["up", path], env=env)[0], snapshot(),
              run(down + ["down", path], env=env)[0]]
    ended()
    clean()
    return result + [snapshot(), open(log).read() if os.path.exists(log) else None,
                     run(up + ["strip", path])[1]]


def compare_quick(folder):
    before = snapshot()
    for layout in LAYOUTS:
        theirs, ours = (up_down(folder, layout, p, p) for p in (QUICK, OURS))
        for what, a, b in zip(["up", "state", "down", "state after", "hooks", "strip"], theirs, ours):
            same(f"{layout}: {what} is as wg-quick's", a, b)
        same(f"{layout}: nothing is left", before, ours[3])
    for up, down in ((QUICK, OURS), (OURS, QUICK)):
        result = up_down(folder, "all traffic", up, down)
        same(f"{down[-1]} takes down what {up[-1]} brought up", before, result[3])


RESOLVCONF = """#!/bin/sh
echo "resolvconf $*" >> {log}
case $1 in -a) cat >> {log} ;; esac
"""


def compare_dns(folder):
    """What resolvconf is told, by one that only writes it down."""
    log, tools = os.path.join(folder, "told"), os.path.join(folder, "bin")
    os.mkdir(tools)
    os.chmod(file_in(tools, "resolvconf", RESOLVCONF.format(log=log)), 0o755)
    env = {"WG_QUICK_USERSPACE_IMPLEMENTATION": WIREGUARD_GO}
    # Ours looks into the folders of the system alone: there it lies, for who runs inside.
    inside = ["unshare", "-m", "sh", "-c", f'mount --bind {tools} /usr/local/sbin && exec "$@"', "sh"]
    for dns in ("10.0.0.53, fd00::53", "10.0.0.53, example.com,corp.example", "10.0.0.53\nDNS = 10.0.0.54, example.com"):
        told = []
        path = file_in(folder, DEV + ".conf", QUICK_CONF % ((f"DNS = {dns}",) + ("/dev/null",) * 4 + ("10.99.0.0/16",)))
        for who in (QUICK, OURS):
            if os.path.exists(log):
                os.unlink(log)
            up, down = run(inside + who + ["up", path], env=env), run(inside + who + ["down", path], env=env)
            ended()
            told.append((up[0], down[0], open(log).read() if os.path.exists(log) else str(up) + str(down)))
        verdict(f"resolvconf is told of DNS = {dns!r}", "nameserver 10.0.0.53" in told[1][2], told[1][2])
        same(f"resolvconf is told the same: DNS = {dns!r}", *told)


def check_undo(folder):
    env = {"WG_QUICK_USERSPACE_IMPLEMENTATION": WIREGUARD_GO}
    before = snapshot()
    text = QUICK_CONF % (("",) + ("/dev/null",) * 4 + ("0.0.0.0/0, ::/0",))
    path = file_in(folder, DEV + ".conf", text.replace("PostUp =", "PostUp = false\nPostUp ="))
    code, _, err = run(OURS + ["up", path], env=env)
    verdict("up fails when a hook does", code == 1, err)
    ended()
    same("a failed up leaves nothing behind", before, snapshot())
    path = file_in(folder, DEV + ".conf", text.replace("PublicKey", "PublcKey"))
    code, _, err = run(OURS + ["up", path], env=env)
    verdict("a faulty file names its line", code == 1 and f"{path}:12: PublcKey" in err, err)
    ended()
    code, _, err = run(OURS + ["up", "--backend", "kernel",
                               file_in(folder, DEV + ".conf", text)], env=env)
    if not os.path.exists("/sys/module/wireguard"):
        verdict("no kernel WireGuard is said so", code == 1 and "--backend user" in err, err)
    same("a refused up leaves nothing behind", before, snapshot())


def compare_save(folder):
    env = {"WG_QUICK_USERSPACE_IMPLEMENTATION": WIREGUARD_GO}
    text = QUICK_CONF % (("MTU = 1380\nSaveConfig = true\nTable = 99",) + ("/dev/null",) * 4 +
                         ("10.99.0.0/16",))
    path = file_in(folder, DEV + ".conf", text)
    run(OURS + ["up", path], env=env, check=True)
    run(THEIRS + ["set", DEV, "peer", PEER_B, "allowed-ips", "10.3.0.0/16"], check=True)
    saved = []
    for who in (QUICK, OURS):
        file_in(folder, DEV + ".conf", text)
        run(who + ["save", path], env=env)
        saved.append(settled(open(path).read()))
    same("save writes what wg-quick writes", *saved)
    verdict("save keeps the file private", os.stat(path).st_mode & 0o777 == 0o600)
    run(OURS + ["down", path], env=env, check=True)
    ended()


def check_own_program(folder):
    """The interface run by fairlead-wg, which `up` finds beside itself."""
    before = snapshot()
    text = QUICK_CONF % (("",) + ("/dev/null",) * 4 + ("0.0.0.0/0, ::/0, 10.99.0.0/16",))
    path = file_in(folder, DEV + ".conf", text)
    clean()
    code, _, err = run(OURS + ["up", "--backend", "user", path])
    verdict("up starts fairlead-wg", code == 0 and "fairlead-wg " + DEV in err, err)
    verdict("its interface is in the list", DEV in run(OURS + ["show", "interfaces"])[1].split())
    compare_outputs("fairlead-wg")
    out = run(OURS + ["show", DEV, "drops"])[1]
    names = [line.split("\t")[0] for line in out.splitlines()]
    verdict("drops are counted by reason", "replay" in names and "mac1" in names, out)
    same("a name that is taken is refused", 1, run(OURS + ["up", path])[0])
    same("down takes it down", 0, run(OURS + ["down", path])[0])
    clean()
    verdict("its socket is gone", ended())
    same("nothing is left of it", before, snapshot())
    for then in ("down", "up"):
        run(OURS + ["up", "--backend", "user", path], check=True)
        kill_daemon()
        verdict("a kill leaves rules behind", snapshot()["rules"] != before["rules"])
        if then == "up":
            same("up again", 0, run(OURS + ["up", "--backend", "user", path])[0])
        same("down takes down what a kill left", 0, run(OURS + ["down", path])[0])
        clean()
        same(f"nothing is left after a kill and {then}", before, snapshot())
    ended()
    same("what is down is not taken down twice", 1, run(OURS + ["down", path])[0])


def kill_daemon():
    """The fairlead-wg of our interface, at once; the interface goes with it."""
    for pid in run(["ip", "netns", "pids", NS])[1].split():
        try:
            if open(f"/proc/{pid}/cmdline").read().split("\0")[1:2] == [DEV]:
                os.kill(int(pid), signal.SIGKILL)
        except (ProcessLookupError, FileNotFoundError):
            pass  # the one that binds its ports ends with it
    until(lambda: DEV not in run(["ip", "link"])[1])


RESOLVER = """
set -e
root=$1 name=$2 top=$3; shift 3
mount -t tmpfs tmpfs /run; mkdir -p /run/resolvconf/interface /run/upper /run/work $top
cp -a $root/usr/. $root/sbin $top/; [ ! -d $root/lib ] || cp -a $root/lib $top/
mount -t overlay overlay -o lowerdir=$top:/usr /usr
mount -t overlay overlay -o lowerdir=$root/etc:/etc,upperdir=/run/upper,workdir=/run/work /etc
rm -f /etc/resolv.conf
if [ $name = resolvconf ]; then
    : >/run/resolvconf/enable-updates; ln -s /run/resolvconf/resolv.conf /etc/resolv.conf
else
    echo '# Generated by resolvconf' >/etc/resolv.conf
fi
echo nameserver 10.88.0.2 | resolvconf -a eth0.inet
grep -v '^#' /etc/resolv.conf; echo ==; "$@" up --backend user "$CONF" 2>/dev/null
grep -v '^#' /etc/resolv.conf; echo ==; "$@" down "$CONF" 2>/dev/null
grep -v '^#' /etc/resolv.conf
"""


def check_resolvers(folder):
    """DNS = by the real resolvconf and openresolv, laid over the system for one shell."""
    path = file_in(folder, DEV + ".conf", QUICK_CONF % (("DNS = 10.0.0.53, corp.example",) + ("/dev/null",) * 4 + ("10.99.0.0/16",)))
    for name in ("resolvconf", "openresolv"):
        root = os.path.join(PEERS, "debian", name)
        if not os.path.isdir(root) and os.environ.get("FAIRLEAD_REQUIRE_PEERS") != "1":
            continue
        code, out, err = run(["unshare", "-m", "sh", "-c", RESOLVER, "sh", root, name, os.path.join(folder, name)] + OURS, env={"CONF": path})
        before, up, down = (out.split("==\n") + ["", "", ""])[:3]
        verdict(f"{name} has the tunnel's resolver while it is up", code == 0 and "nameserver 10.0.0.53" in up and "corp.example" in up, out + err)
        same(f"{name} has what was before when it is down", before, down)
        ended()


def main():
    why = missing()
    if why and os.environ.get("FAIRLEAD_REQUIRE_PEERS") != "1":
        print(f"1..0 # SKIP {why}")
        return 0
    if why:
        print(f"not ok 1 - the peers are there ({why})\n1..1")
        return 1
    subprocess.run(["ip", "netns", "add", NS], check=True)
    device = None
    try:
        with tempfile.TemporaryDirectory() as folder:
            for step in ("ip link set lo up", "ip link add v0 type veth peer name v1",
                         "ip addr add 192.0.2.2/24 dev v0", "ip link set v0 mtu 1450 up",
                         "ip link set v1 up", "ip route add default via 192.0.2.1"):
                run(step.split(), check=True)
            # Duplicate address detection: addresses stay the same from here on.
            until(lambda: "fe80" in run(["ip", "-6", "addr"])[1] and "tentative" not in run(["ip", "-6", "addr"])[1])
            device = start_device(DEV)
            compare_outputs("new device")
            compare_changes(folder)
            check_refusals(folder)
            check_keys()
            device.terminate()
            device.wait(30)
            device = None
            ended()
            compare_quick(folder)
            compare_dns(folder)
            check_undo(folder)
            compare_save(folder)
            check_own_program(folder)
            check_resolvers(folder)
    finally:
        if device:
            device.terminate()
            device.wait(10)
        subprocess.run(["ip", "netns", "del", NS], check=False)
    print(f"1..{ran}")
    return 1 if failed else 0


sys.exit(main())
