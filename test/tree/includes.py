"""Includes go one way: the table in doc/architecture.md says which folder may include which."""
import os
import re
import sys

root = sys.argv[1]
allowed = {}
inside = False
for line in open(os.path.join(root, "doc/architecture.md"), encoding="utf-8"):
    if line.startswith("| folder |"):
        inside = True
    elif inside and line.startswith("|"):
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if cells[0].startswith("---"):
            continue
        for folder in re.split(r"[ ,]+", cells[0]):
            allowed[folder] = set(re.split(r"[ ,]+", cells[1])) | {folder}
    elif inside:
        break

src = os.path.join(root, "src")
bad = []
count = 0
for folder, _, names in os.walk(src):
    top = os.path.relpath(folder, src).split(os.sep)[0]
    for name in names:
        if not name.endswith((".c", ".h")):
            continue
        count += 1
        path = os.path.join(folder, name)
        for number, line in enumerate(open(path, encoding="utf-8"), 1):
            m = re.match(r'\s*#\s*include\s+"([^"/]+)/', line)
            if m and m.group(1) not in allowed.get(top, set()):
                bad.append(f"{os.path.relpath(path, root)}:{number}: {top} may not include {m.group(1)}")
            elif re.match(r'\s*#\s*include\s+"[^"/]*"', line):
                bad.append(f"{os.path.relpath(path, root)}:{number}: includes are rooted at src")

for b in bad:
    print("#", b)
known = len(allowed) >= 15 and count > 0
print(("ok" if known else "not ok") + " 1 - the table of layers is there")
print(("not ok" if bad else "ok") + f" 2 - includes of {count} files go one way")
print("1..2")
