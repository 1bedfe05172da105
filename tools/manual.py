"""The source of a manual page, and in it what the program itself says of its options and of its commands'.

usage: manual.py PAGE.scd PROGRAM [WORD...] [-COMMAND...]      prints the page

What `PROGRAM WORD... --help` says, and that of the commands it lists, but for -COMMAND, stands before SEE ALSO.
"""
import re
import subprocess
import sys


def help_of(program, words):
    r = subprocess.run([program, *words, '--help'], capture_output=True, text=True, timeout=20)
    if r.returncode:
        sys.exit(f"{program} {' '.join(words)} --help: exit {r.returncode}: {r.stderr}")
    return r.stdout


def commands(text):
    """Those that a help names: "  NAME  what it does" below "Commands:"; nested ones hold no blank."""
    listed = re.search(r'^Commands:\n((?:  .*\n)+)', text, re.M)
    return re.findall(r'^  ([a-z-]+)  +\S', listed[1], re.M) if listed else []


def pages(program, words, without):
    """The help of a command, and of all below it."""
    text = help_of(program, words)
    yield text
    for name in commands(text):
        if name not in without:
            yield from pages(program, [*words, name], without)


def main():
    page, program, *rest = sys.argv[1:]
    words = [w for w in rest if not w.startswith('-')]
    without = [w[1:] for w in rest if w.startswith('-')]
    with open(page) as f:
        body, mark, end = f.read().partition('# SEE ALSO')
    told = ''.join(f'```\n{text}```\n\n' for text in pages(program, words, without))
    print(f'{body}# COMMANDS AND OPTIONS\n\n{told}{mark}{end}', end='')


if __name__ == '__main__':
    main()
