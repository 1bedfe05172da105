"""The demonstration behind ./quickstart: a whole tailnet in network namespaces, made with our own programs.

                          coordinator, relay   192.0.2.10
                                  |
        home router ------- the internet ------- office router
        203.0.113.1         192.0.2.0/24          198.51.100.1
             |                    |                    |         (a web site: 198.18.0.80)
        laptop 10.1.0.2     server 192.0.2.20     nas 10.2.0.2
                                                       |
                                                  printer 10.2.0.9

usage: demo.py PROGRAMS STATE up|down|show
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

PROGRAMS, STATE = os.path.abspath(sys.argv[1]), sys.argv[2]
PREFIX = "fl-quick-"
HOSTS = {"net": None, "home": None, "office": None, "coordinator": None, "server": None, "laptop": None,
         "nas": None, "printer": None, "site": None}
NODES = {"laptop": [], "nas": ["--advertise-routes=10.2.0.0/24"], "server": ["--advertise-exit-node"]}
TAILNET = "tail.lab"
POLICY = """// Who reaches what. "*" would be everything.
{
  "groups": {},
  "tagOwners": {"tag:lab": ["lab@"]},
  "acls": [
    // Everybody reaches the NAS by ssh and its web page, and may ping it ...
    {"action": "accept", "src": ["*"], "dst": ["*:22,80,5201"]},
    {"action": "accept", "proto": "icmp", "src": ["*"], "dst": ["*:*"]},
    // ... the printer behind it ...
    {"action": "accept", "src": ["*"], "dst": ["10.2.0.0/24:*"]},
    // ... and the internet through an exit node.
    {"action": "accept", "src": ["*"], "dst": ["autogroup:internet:*"]},
  ],
  "autoApprovers": {
    "routes": {"10.2.0.0/24": ["lab@"]},
    "exitNode": ["lab@"],
  },
}
"""


class Failure(Exception):
    pass


def say(text):
    print(f"==> {text}", flush=True)


def saw(text):
    print(f"    {text}", flush=True)


def ns(host):
    return PREFIX + host


def run(args, ok=True, timeout=30, stdin=None, env=None):
    r = subprocess.run(args, capture_output=True, text=True, timeout=timeout, input=stdin,
                       env=dict(os.environ, **(env or {})))
    if ok and r.returncode:
        raise Failure(f"{' '.join(args)}: {(r.stderr or r.stdout).strip() or r.returncode}")
    return r


def enter(host):
    """How a program gets onto a host. A node has an /etc of its own, for its resolver; the others only a network."""
    return [f"{STATE}/on-{host}"] if host in NODES else ["ip", "netns", "exec", ns(host)]


def on(host, *args, **kw):
    return run([*enter(host), *args], **kw)


def ip(host, *args):
    return run(["ip", "-n", ns(host), *args])


def wire(a, name_a, address_a, b, name_b, address_b):
    run(["ip", "link", "add", name_a, "netns", ns(a), "type", "veth", "peer", "name", name_b, "netns", ns(b)])
    for host, name, address in ((a, name_a, address_a), (b, name_b, address_b)):
        if address:
            ip(host, "addr", "add", address, "dev", name)
        ip(host, "link", "set", name, "up")


def start(host, name, args, env=None):
    """A program in the background, until `down`."""
    log = open(f"{STATE}/{name}.log", "w")
    p = subprocess.Popen([*enter(host), *args], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                         start_new_session=True, env=dict(os.environ, **(env or {})))
    return p


def wait(what, seconds, condition, step=0.1):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds} s")
        time.sleep(step)


def fairlead(host, *args, **kw):
    return on(host, f"{PROGRAMS}/fairlead", f"--socket={STATE}/{host}.sock", *args, **kw)


def coordinator(*args, **kw):
    return on("coordinator", f"{PROGRAMS}/fairlead-coordinator", "-c", f"{STATE}/coordinator.yaml", *args, **kw)


# ---- the network ------------------------------------------------------------------------


def nat(router, inside, outside):
    """A home router: masquerading, and nothing unasked from outside."""
    on(router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    on(router, "nft", "-f", "-", stdin=f"""
table ip home {{
  chain out {{ type nat hook postrouting priority 100; oifname "{outside}" masquerade; }}
  chain through {{ type filter hook forward priority 0; policy drop;
    iifname "{inside}" accept; ct state established,related accept; }}
  chain in {{ type filter hook input priority 0; policy drop;
    iifname {{ "lo", "{inside}" }} accept; ct state established,related accept; }}
}}
""")


def own_etc(host):
    """A copy of /etc that only this host sees, held by a process that sleeps; on-HOST runs a program there."""
    d, ready = f"{STATE}/etc-{host}", f"{STATE}/{host}.ready"
    run(["cp", "-a", "/etc", d], ok=False)  # a file may vanish meanwhile
    for name, text in (("resolv.conf", "nameserver 192.0.2.1\n"), ("hosts", "127.0.0.1 localhost\n"), ("nsswitch.conf", "hosts: files dns\n")):
        if os.path.lexists(f"{d}/{name}"):
            os.unlink(f"{d}/{name}")
        with open(f"{d}/{name}", "w") as f:
            f.write(text)
    p = subprocess.Popen(["ip", "netns", "exec", ns(host), "unshare", "-m", "sh", "-c",
                          f"mount --make-rprivate / && mount --bind {d} /etc && touch {ready} && exec sleep infinity"],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    with open(f"{STATE}/on-{host}", "w") as f:
        f.write(f'#!/bin/sh\n# Runs a command on the {host}.\nPATH={PROGRAMS}:$PATH exec nsenter -t {p.pid} -m -n -r -w -- "$@"\n')
    os.chmod(f"{STATE}/on-{host}", 0o755)
    wait(f"the {host} has its own /etc", 10, lambda: os.path.exists(ready))


def make_network():
    for host in HOSTS:
        run(["ip", "netns", "add", ns(host)])
        ip(host, "link", "set", "lo", "up")
    for host in NODES:
        own_etc(host)
    ip("net", "link", "add", "wire", "type", "bridge")
    ip("net", "addr", "add", "192.0.2.1/24", "dev", "wire")
    ip("net", "addr", "add", "203.0.113.254/24", "dev", "wire")
    ip("net", "addr", "add", "198.51.100.254/24", "dev", "wire")
    ip("net", "link", "set", "wire", "up")
    on("net", "sysctl", "-qw", "net.ipv4.ip_forward=1")
    for host, address, gateway in (("coordinator", "192.0.2.10/24", "192.0.2.1"), ("server", "192.0.2.20/24", "192.0.2.1"),
                                   ("home", "203.0.113.1/24", "203.0.113.254"), ("office", "198.51.100.1/24", "198.51.100.254")):
        wire("net", f"to-{host}"[:15], None, host, "eth0", address)
        ip("net", "link", "set", f"to-{host}"[:15], "master", "wire")
        ip(host, "route", "add", "default", "via", gateway)
    wire("net", "to-site", "198.18.0.1/24", "site", "eth0", "198.18.0.80/24")
    ip("site", "route", "add", "default", "via", "198.18.0.1")
    wire("home", "lan", "10.1.0.1/24", "laptop", "eth0", "10.1.0.2/24")
    ip("laptop", "route", "add", "default", "via", "10.1.0.1")
    ip("office", "link", "add", "lan", "type", "bridge")
    ip("office", "addr", "add", "10.2.0.1/24", "dev", "lan")
    ip("office", "link", "set", "lan", "up")
    for host, address in (("nas", "10.2.0.2/24"), ("printer", "10.2.0.9/24")):
        wire("office", f"to-{host}", None, host, "eth0", address)
        ip("office", "link", "set", f"to-{host}", "master", "lan")
        ip(host, "route", "add", "default", "via", "10.2.0.1")
    nat("home", "lan", "eth0")
    nat("office", "lan", "eth0")
    on("nas", "sysctl", "-qw", "net.ipv4.ip_forward=1")
    on("server", "sysctl", "-qw", "net.ipv4.ip_forward=1")


# ---- the tailnet -------------------------------------------------------------------------


def make_certificate():
    d = STATE
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=192.0.2.10", "-addext", "subjectAltName=IP:192.0.2.10,DNS:coordinator.lab",
         "-keyout", f"{d}/tls.key", "-out", f"{d}/tls.crt"])


def start_coordinator():
    make_certificate()
    with open(f"{STATE}/coordinator.yaml", "w") as f:
        f.write(f"""server_url: https://192.0.2.10
listen_addr: 192.0.2.10:443
tls_cert_path: {STATE}/tls.crt
tls_key_path: {STATE}/tls.key
unix_socket: {STATE}/coordinator.sock
noise: {{private_key_path: {STATE}/noise.key}}
database: {{type: sqlite, sqlite: {{path: {STATE}/coordinator.db}}}}
derp:
  urls: []
  server: {{enabled: true, private_key_path: {STATE}/relay.key, stun_listen_addr: "192.0.2.10:3478", ipv4: 192.0.2.10}}
policy: {{mode: database}}
dns: {{magic_dns: true, base_domain: {TAILNET}, override_local_dns: false, nameservers: {{global: []}}}}
""")
    start("coordinator", "coordinator", [f"{PROGRAMS}/fairlead-coordinator", "serve", "-c", f"{STATE}/coordinator.yaml"])
    wait("the coordinator answers", 15, lambda: coordinator("health", ok=False).returncode == 0)
    coordinator("users", "create", "lab")
    with open(f"{STATE}/policy.hujson", "w") as f:
        f.write(POLICY)
    coordinator("policy", "set", "--file", f"{STATE}/policy.hujson")
    key = json.loads(coordinator("preauthkeys", "create", "--user", "1", "--reusable", "--expiration", "24h", "-o", "json").stdout)
    return key["key"]


def join(key):
    with open(f"{STATE}/key", "w") as f:
        f.write(key)
    for host in NODES:
        start(host, host, [f"{PROGRAMS}/fairleadd", f"--tun={host[:6]}0", f"--state={STATE}/{host}.state",
                           f"--socket={STATE}/{host}.sock", "--port=41641"], env={"SSL_CERT_FILE": f"{STATE}/tls.crt"})
    for host, flags in NODES.items():
        wait(f"fairleadd on {host} answers", 10, lambda: os.path.exists(f"{STATE}/{host}.sock"))
        began = time.monotonic()
        fairlead(host, "up", "--login-server=https://192.0.2.10", f"--auth-key=file:{STATE}/key", f"--hostname={host}", *flags, timeout=60)
        address = fairlead(host, "ip", "-4").stdout.strip()
        saw(f"{host}: {address}, after {time.monotonic() - began:.1f} s")


def address_of(host):
    return fairlead(host, "ip", "-4").stdout.strip()


def ping_direct():
    # A path that is not direct yet says so and goes on; the last line is the one that counts.
    out = fairlead("laptop", "ping", "--c=15", "nas", ok=False, timeout=60)
    lines = [line for line in out.stdout.splitlines() if line.startswith("pong")]
    if not lines:
        raise Failure(f"no answer from the NAS: {out.stdout}{out.stderr}")
    for line in (lines[:1] + lines[-1:]) if len(lines) > 1 else lines:
        saw(line)
    if "via DERP" in lines[-1]:
        raise Failure("the laptop and the NAS found no direct path through their NATs")


def fetch(host, url, ok=True):
    r = on(host, "curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", url, ok=False)
    if ok and r.stdout != "200":
        raise Failure(f"{url} from {host}: {r.stdout} {r.stderr}")
    return r.stdout


def serve_page(host, port):
    start(host, f"{host}-web-{port}", [sys.executable, "-c", f"""
import socket
s = socket.create_server(('', {port}))
while True:
    c, _ = s.accept()
    c.recv(4096)
    seen = c.getpeername()[0].encode()
    c.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\n' + seen)
    c.close()
"""])


def throughput(name):
    r = on("laptop", "iperf3", "-c", address_of("nas"), "-t", "2", "-J", ok=False, timeout=30)
    try:
        bits = json.loads(r.stdout)["end"]["sum_received"]["bits_per_second"]
    except (ValueError, KeyError):
        raise Failure(f"iperf3 {name}: {r.stdout[-300:]}{r.stderr}")
    saw(f"{name}: {bits / 1e6:.0f} Mbit/s")


def block_direct(yes):
    for router in ("home", "office"):
        if yes:
            on(router, "nft", "-f", "-", stdin="""
table ip block {
  chain through { type filter hook forward priority -10; meta l4proto udp drop; }
}
""")
        else:
            on(router, "nft", "delete", "table", "ip", "block")


def up():
    say("a small internet: two homes behind NAT, a server and a coordinator in the open")
    make_network()
    say("the coordinator, with its relay and its database; one policy")
    key = start_coordinator()
    say("three machines join with a key")
    join(key)
    say("the laptop pings the NAS: through both NATs")
    ping_direct()
    for host, port in (("nas", 80), ("nas", 8080), ("printer", 80), ("site", 80)):
        serve_page(host, port)
    start("nas", "iperf", ["iperf3", "-s"])
    time.sleep(0.5)
    nas = address_of("nas")
    say("what the policy allows, and what it does not")
    fetch("laptop", f"http://{nas}/")
    saw("port 80 of the NAS: allowed, it answers")
    if fetch("laptop", f"http://{nas}:8080/", ok=False) == "200":
        raise Failure("port 8080 answers, and no rule allows it")
    saw("port 8080 of the NAS: refused")
    say("the NAS shares its LAN: the printer behind it")
    fairlead("laptop", "set", "--accept-routes")
    wait("the printer is reached", 15, lambda: fetch("laptop", "http://10.2.0.9/", ok=False) == "200", 0.5)
    saw("http://10.2.0.9/ from the laptop: it answers")
    say("by name: the laptop's own resolver knows the tailnet")
    answer = on("laptop", "getent", "ahostsv4", f"nas.{TAILNET}", ok=False).stdout.split()
    if not answer or answer[0] != nas:
        raise Failure(f"nas.{TAILNET} is {answer!r}, not {nas}")
    fetch("laptop", "http://nas/")
    saw(f"nas.{TAILNET} is {nas}; http://nas/ answers")
    say("the server is the laptop's exit: all its traffic goes that way")
    saw(f"before: a web site sees the laptop come from {seen_by_site()}")
    fairlead("laptop", "set", "--exit-node=server")
    wait("traffic leaves by the server", 15, lambda: seen_by_site() == "192.0.2.20", 0.5)
    saw("after: it sees 192.0.2.20, the server")
    fairlead("laptop", "set", "--exit-node=")
    wait("traffic goes straight again", 15, lambda: seen_by_site() == "203.0.113.1", 0.5)
    say("how fast: TCP from the laptop to the NAS, everything on this machine")
    throughput("direct")
    say("UDP blocked at both homes: over the relay")
    block_direct(True)
    wait("the relay takes over", 20, relayed, 0.5)
    throughput("relayed")
    block_direct(False)


def relayed():
    out = fairlead("laptop", "ping", "--c=1", "--timeout=3s", "nas", ok=False)
    return "via DERP" in out.stdout


def seen_by_site():
    """The address a web site sees the laptop come from."""
    return on("laptop", "curl", "-s", "-m", "3", "http://198.18.0.80/", ok=False).stdout


def show():
    for host in NODES:
        print(f"--- {host}")
        print(fairlead(host, "status", ok=False).stdout)


def running():
    """Who runs on the hosts."""
    return [int(pid) for host in HOSTS for pid in run(["ip", "netns", "pids", ns(host)], ok=False).stdout.split()]


def end(sig):
    for pid in running():
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            pass


def down():
    end(signal.SIGTERM)
    try:
        wait("all programs end", 3, lambda: not running())
    except Failure:
        end(signal.SIGKILL)
    for host in HOSTS:
        run(["ip", "netns", "del", ns(host)], ok=False)
    shutil.rmtree(STATE, ignore_errors=True)


def main():
    what = sys.argv[3]
    if what == "down":
        down()
        return 0
    if what == "show":
        show()
        return 0
    os.makedirs(STATE, mode=0o700, exist_ok=True)
    try:
        up()
    except (Failure, subprocess.TimeoutExpired) as e:
        print(f"failed: {e}", file=sys.stderr)
        for name in sorted(os.listdir(STATE)):
            if name.endswith(".log") and os.path.getsize(f"{STATE}/{name}"):
                print(f"--- the end of {name}", file=sys.stderr)
                sys.stderr.write("".join(open(f"{STATE}/{name}", errors="replace").readlines()[-12:]))
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    return 0


sys.exit(main())
