"""Sums the TAP of meson test logs and prints "N passed, N failed, N skipped"; exits 1 on a failure.

A test that stands in two logs of one build counts as the later log says: it was run again. With --failed FILE
prints the names of the tests that failed there, one a line, and nothing else.
"""
import json
import os
import re
import sys


def read(path):
    """{ test name: [passed, failed, skipped, result] }; None if there is no such log."""
    try:
        lines = open(path, encoding="utf-8").read().splitlines()
    except FileNotFoundError:
        return None
    found = {}
    for line in lines:
        test = json.loads(line)
        passed = failed = skipped = 0
        for tap in (test.get("stdout") or "").splitlines():
            # A whole file that skips itself says so in its plan.
            if re.match(r"1\.\.0\s*#\s*skip", tap, re.I):
                skipped += 1
                continue
            m = re.match(r"\s*(not )?ok\b(.*)", tap)
            if not m:
                continue
            if re.search(r"#\s*skip", m.group(2), re.I):
                skipped += 1
            elif m.group(1):
                failed += 1
            else:
                passed += 1
        # A test that died, timed out or printed no plan has failed also if no line of it says so.
        if failed == 0 and test["result"] not in ("OK", "SKIP", "EXPECTEDFAIL"):
            failed = 1
        found[test["name"]] = [passed, failed, skipped, test["result"]]
    return found


def name_for_meson(name):
    """"fairlead:interop / net/tunnel" is called "net/tunnel" on the command line."""
    return name.split(" / ")[-1]


if len(sys.argv) == 3 and sys.argv[1] == "--failed":
    for name, counts in (read(sys.argv[2]) or {}).items():
        if counts[1]:
            print(name_for_meson(name))
    sys.exit(0)

total = {}
missing = 0
for path in sys.argv[1:]:
    found = read(path)
    if found is None:
        print(f"{path}: no test ran", file=sys.stderr)
        missing += 1
        continue
    again = os.path.basename(path).endswith("-again.json")
    base = path[: -len("-again.json")] if again else path[: -len(".json")]
    for name, counts in found.items():
        key = (base, name)
        if again and key in total:
            print(f"run again, alone: {name}: {'passed' if counts[1] == 0 else 'failed'}")
        total[key] = counts

passed = sum(c[0] for c in total.values())
failed = sum(c[1] for c in total.values()) + missing
skipped = sum(c[2] for c in total.values())
for (_, name), counts in total.items():
    if counts[1]:
        print(f"failed: {name} ({counts[3]})")
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(1 if failed or passed == 0 else 0)
