"""Runs every case of policy-cases.json through the policy tool and compares all it has to say.

Filters are compared by meaning: addresses become sets, rules that share sources, protocols and
ports are united, and order does not count.
"""
import ipaddress
import json
import subprocess
import sys

tool, path = sys.argv[1:3]
file = json.load(open(path, encoding="utf-8"))
run = subprocess.run([tool, "compile", "--case", path], capture_output=True, text=True, timeout=60)
if run.returncode != 0:
    print("Bail out!", run.stderr.strip().replace("\n", " "))
    sys.exit(1)
results = json.loads(run.stdout)


def ranges(text):
    """The (family, first, last) triples that an address text stands for."""
    if text == "*":
        return [(4, 0, 2**32 - 1), (6, 0, 2**128 - 1)]
    if "-" in text:
        a, b = (ipaddress.ip_address(t) for t in text.split("-"))
        return [(a.version, int(a), int(b))]
    n = ipaddress.ip_network(text)
    return [(n.version, int(n[0]), int(n[-1]))]


def union(texts):
    """A canonical set: sorted, disjoint, not adjacent."""
    out = []
    for family, a, b in sorted(r for t in texts for r in ranges(t)):
        if out and out[-1][0] == family and out[-1][2] + 1 >= a:
            out[-1] = (family, out[-1][1], max(b, out[-1][2]))
        else:
            out.append((family, a, b))
    return tuple(out)


def ports(text):
    if text == "*":
        return (0, 65535)
    first, _, last = text.partition("-")
    return (int(first), int(last or first))


def meaning(rules):
    network, grants = {}, set()
    for rule in rules:
        src = union(rule["SrcIPs"])
        proto = tuple(sorted(rule.get("IPProto", [])))
        for dst in rule.get("DstPorts", []):
            host, _, port = dst.rpartition(":")
            network.setdefault((src, proto, ports(port)), []).append(host.strip("[]"))
        for grant in rule.get("CapGrant", []):
            for dst in grant["Dsts"]:
                for cap, values in grant["CapMap"].items():
                    grants.add((src, dst, cap, json.dumps(values, sort_keys=True)))
    return {k: union(v) for k, v in network.items()}, grants


def same_rules(got, want):
    return all(meaning(got.get(n, [])) == meaning(want.get(n, [])) for n in set(got) | set(want))


def ssh_meaning(rules):
    return [(sorted(set(r["principals"])), r["sshUsers"], r["action"], r.get("acceptEnv", [])) for r in rules]


def same_ssh(got, want):
    return all(ssh_meaning(got.get(n, [])) == ssh_meaning(want.get(n, [])) for n in set(got) | set(want))


def same_error(got, want):
    return (all(got.get(k) == want[k] for k in ("line", "column", "code") if k in want)
            and want.get("about", "") in got.get("message", ""))


def same_failures(got, want):
    return [g[:len(w)] for g, w in zip(got, want)] == want and len(got) == len(want)


def same_listed(got, want):
    return all(got.get(v, {}).get(p) == want[v][p] for v in want for p in want[v])


compare = {"rules": same_rules, "ssh": same_ssh, "error": same_error, "tests_failed": same_failures,
           "ssh_tests_failed": same_failures, "peer_allowed": same_listed}
number = 0
for case in file["cases"]:
    number += 1
    got, want, bad = results.get(case["id"], {}), case["expect"], []
    for key, value in want.items():
        if key not in got or not compare.get(key, lambda a, b: a == b)(got[key], value):
            bad.append(key)
            print("#", key, "wanted", json.dumps(value))
            print("#", key, "   got", json.dumps(got.get(key)))
    if "error" in want and got.get("ok") is not False:
        bad.append("ok")
    if bad and got.get("error"):
        print("# error", json.dumps(got["error"]))
    print(("not ok" if bad else "ok"), number, "-", case["id"], case["title"].replace("#", "sharp"))
print(f"1..{number}")
