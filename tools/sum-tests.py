"""Sums the TAP of meson test logs and prints "N passed, N failed, N skipped"; exits 1 on a failure."""
import json
import re
import sys

passed = failed = skipped = 0
for path in sys.argv[1:]:
    try:
        lines = open(path, encoding="utf-8").read().splitlines()
    except FileNotFoundError:
        print(f"{path}: no test ran", file=sys.stderr)
        failed += 1
        continue
    for line in lines:
        test = json.loads(line)
        bad = 0
        for tap in (test.get("stdout") or "").splitlines():
            m = re.match(r"\s*(not )?ok\b(.*)", tap)
            if not m:
                continue
            if re.search(r"#\s*skip", m.group(2), re.I):
                skipped += 1
            elif m.group(1):
                bad += 1
            else:
                passed += 1
        # A test that died, timed out or printed no plan has failed also if no line of it says so.
        if bad == 0 and test["result"] not in ("OK", "SKIP", "EXPECTEDFAIL"):
            bad = 1
        if bad:
            print(f"failed: {test['name']} ({test['result']})")
        failed += bad
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(1 if failed or passed == 0 else 0)
