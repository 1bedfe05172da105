"""The manual and the programs agree: an option that a page, a guide or the README names is one that a program has, and
what fairleadd and fairlead-wg have stands in their pages (the others' pages take theirs from --help when they are built).

usage: manual.py SOURCE BUILD
"""
import glob
import os
import re
import sys

SOURCE, BUILD = map(os.path.abspath, sys.argv[1:3])
sys.path.insert(0, f'{SOURCE}/tools')
import manual

OPTION = re.compile(r'(?<![\w-])--[a-z][a-z0-9-]+')
# Of other programs that a guide tells to run, and of our scripts.
OTHERS = {'--help', '--now', '--yes', '--no-install-recommends', '--system', '--build', '--keep'}
PAGES = {'fairleadd': 'fairleadd.8', 'fairlead-wg': 'fairlead-wg.8'}
number, failed = 0, False


def check(left, sentence):
    """One line of TAP: good if nothing is left."""
    global number, failed
    number += 1
    failed |= bool(left)
    print('not ok' if left else 'ok', number, '-', sentence)
    for line in left:
        print('#', line)


def read(path):
    with open(path) as f:
        return f.read()


helps = {name: ''.join(manual.pages(f'{BUILD}/src/main/{name}', [], [])) for name in ('fairlead', 'fairleadd', 'fairlead-wg', 'fairlead-relay', 'fairlead-coordinator')}
known = OTHERS.union(*(OPTION.findall(text) for text in helps.values()))
texts = glob.glob(f'{SOURCE}/man/*.scd') + glob.glob(f'{SOURCE}/doc/**/*.md', recursive=True) + [f'{SOURCE}/README.md']
check([f'{os.path.relpath(path, SOURCE)}: {option}' for path in sorted(texts) for option in sorted(set(OPTION.findall(read(path))) - known)],
      'every option that a page names is one of a program')
for name, page in PAGES.items():
    check(sorted(set(OPTION.findall(helps[name])) - set(OPTION.findall(read(f'{SOURCE}/man/{page}.scd')))), f'{page} has every option of {name}')
print(f'1..{number}')
sys.exit(failed)
