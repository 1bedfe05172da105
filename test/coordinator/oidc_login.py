"""Logins through a real provider (oidc-provider-mock from PyPI), with a browser made of http.client.

The provider is installed once into a virtual environment in the build folder. Without it the test is
skipped, or fails if FAIRLEAD_REQUIRE_PEERS=1.
"""
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.parse

site, build = sys.argv[1:3]
os.environ["FAIRLEAD_BUILD"] = build
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../net"))
import oidc
from netlab import Failure, Skip

number = 0
failed = False


def check(ok, name, *why):
    global number, failed
    number += 1
    failed |= not ok
    if not ok:
        for w in why:
            print("#", str(w)[:600])
    print("ok" if ok else "not ok", number, "-", name, flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port):
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("Bail out! nothing listens on %d" % port)


class Browser:
    def __init__(self):
        self.cookies = {}

    def ask(self, method, url, form=None):
        u = urllib.parse.urlsplit(url)
        c = http.client.HTTPConnection(u.hostname, u.port, timeout=10)
        jar = self.cookies.setdefault(u.port, {})
        head = {"Cookie": "; ".join(f"{k}={v}" for k, v in jar.items())} if jar else {}
        body = None
        if form is not None:
            body = urllib.parse.urlencode(form)
            head["Content-Type"] = "application/x-www-form-urlencoded"
        c.request(method, u.path + ("?" + u.query if u.query else ""), body, head)
        r = c.getresponse()
        text = r.read().decode()
        for line in r.headers.get_all("Set-Cookie") or []:
            name, _, value = line.split(";")[0].partition("=")
            jar[name] = value
            if "Max-Age=0" in line or "Max-Age=-1" in line or value == "":
                jar.pop(name, None)
        return r.status, r.headers.get("Location"), text


def login(browser, base, sub):
    """From the device's link to the page that asks for a yes."""
    status, where, _ = browser.ask("GET", base + "/register/waiting")
    assert status == 302, status
    status, back, text = browser.ask("POST", where, {"sub": sub})
    assert back, (status, text)
    return back


try:
    mock = oidc.provider()
except (Failure, Skip) as why:
    print(f"not ok 1 - {why}" if isinstance(why, Failure) else f"ok 1 # SKIP {why}")
    print("1..1")
    sys.exit(0)

issuer_port = free_port()
issuer = f"http://127.0.0.1:{issuer_port}"
claims = json.dumps({"sub": "ann", "email": "ann@acme.test", "email_verified": True, "groups": ["eng", "ops"]})
provider = subprocess.Popen([mock, "-H", "127.0.0.1", "-p", str(issuer_port), "-n", "--user-claims", claims],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
sites = []


def start(*groups):
    port = free_port()
    p = subprocess.Popen([site, issuer, str(port), *groups], stdout=subprocess.PIPE, text=True)
    sites.append(p)
    wait_for(port)
    base = f"http://127.0.0.1:{port}"
    for _ in range(50):
        if Browser().ask("GET", base + "/register/waiting")[0] == 302:
            break
        time.sleep(0.1)
    return p, base


try:
    wait_for(issuer_port)
    p, base = start("ops")
    b = Browser()
    back = login(b, base, "ann")
    check(Browser().ask("GET", back)[0] == 403, "another browser cannot take over a login")
    status, _, text = b.ask("GET", back)
    check(status == 200 and "Is this your device?" in text and "&lt;laptop&gt;" in text
          and "ann@acme.test" in text, "after signing in a person is asked to confirm", status, text)
    check(b.ask("GET", back)[0] == 400, "the way back serves once")
    csrf = re.search(r'name="csrf" value="([^"]+)"', text).group(1)
    confirm = base + "/register/confirm/waiting"
    check(Browser().ask("POST", confirm, {"csrf": csrf})[0] == 403, "a yes from another browser is refused")
    check(b.ask("POST", confirm, {"csrf": "x" * 43})[0] == 403, "a yes without the page's token is refused")
    status, _, text = b.ask("POST", confirm, {"csrf": csrf})
    check(status == 200 and "Connected" in text, "a yes lets the device in", status, text)
    check(p.stdout.readline().strip() == f"joined {issuer}/ann ann@acme.test eng ops expires",
          "the identity is issuer and subject, with groups and the token's expiry")
    check(b.ask("POST", confirm, {"csrf": csrf})[0] == 403, "a yes serves once")
    check(b.ask("GET", base + "/register/waiting")[0] == 404, "the link is over when the device has joined")
    p, base = start("managers")
    b = Browser()
    status, _, text = b.ask("GET", login(b, base, "ann"))
    check(status == 403 and "none of the groups" in text, "who is in none of the groups is refused", status, text)
    status, _, text = b.ask("GET", base + "/oidc/callback?state=" + "a" * 43 + "&code=x")
    check(status == 400 and "start again" in text, "an unknown login says so", status, text)
    provider.terminate()
    provider.wait()
    status, where, _ = b.ask("GET", base + "/register/waiting")
    check(status == 302, "the provider's absence does not stop the site", status)
finally:
    for p in sites + [provider]:
        p.terminate()
        p.wait()
print(f"1..{number}")
