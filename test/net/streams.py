"""Nodes with a stream of TCP between them, and how long it paused when something happened."""
import time
from concurrent.futures import ThreadPoolExecutor

from natlab import *

NODES = {'ours': 'restricted', 'ours2': 'fw', 'stock': 'fw'}
GAP = 15  # seconds
PAIRS = [('ours', 'ours2'), ('ours', 'stock'), ('stock', 'ours')]

SINK = '''
import socket, sys, time
s = socket.create_server((sys.argv[1], int(sys.argv[2])))
c, _ = s.accept()
last = time.monotonic()
while True:
    data = c.recv(65536)
    if not data:
        break
    now = time.monotonic()
    print(f'{now:.3f} {now - last:.3f}', flush=True)
    last = now
'''

SOURCE = '''
import socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
s.settimeout(60)
while True:
    s.sendall(b'x' * 200)
    time.sleep(0.05)
'''


class Stream:
    """Numbered lines from a to b, and how long the longest silence was."""
    port = 7000

    def __init__(self, lab, a, b):
        Stream.port += 1
        self.lab, self.log = lab, f'{lab.dir}/stream-{Stream.port}'
        self.sink = lab.start(lab.hosts[b], ['python3', '-c', SINK, lab.addresses[b], str(Stream.port)], log=self.log)
        time.sleep(1)
        self.source = lab.start(lab.hosts[a], ['python3', '-c', SOURCE, lab.addresses[b], str(Stream.port)], log=f'{self.log}-source')
        wait_until(lambda: len(self.lines()) > 10, f'a stream from {a} to {b} runs', 40)

    def lines(self):
        with open(self.log) as f:
            return [line.split() for line in f.read().splitlines() if line.count(' ') == 1]

    def settled(self, since, seconds=60):
        """The longest pause once it has run for a while after `since`; a failure if it stays silent."""
        def running():
            lines = [line for line in self.lines() if float(line[0]) > since]
            return len(lines) > 40 and time.monotonic() - since > 6 and sum(float(l[1]) for l in lines[-30:]) < 12
        wait_until(running, 'the stream goes on', seconds, 0.3)
        return max(float(gap) for at, gap in self.lines() if float(at) > since)

    def end(self):
        self.lab.stop(self.source)
        self.lab.stop(self.sink)


def survives(lab, pairs, what, happens, limit=GAP, undo=lambda: None):
    """Streams between these pairs go on after happens(); once more if it took too long: the machine may be busy."""
    for last in (False, True):
        gaps = pauses(lab, pairs, what, happens)
        long = [f'{a} to {b} paused {gap:.1f} s' for a, b, gap in gaps if gap >= limit]
        if not long:
            return
        check(not last, ', '.join(long))
        undo()
        direct(lab, *pairs)


def pauses(lab, pairs, what, happens):
    """(a, b, seconds) of each pair's stream."""
    streams = [(a, b, Stream(lab, a, b)) for a, b in pairs]
    try:
        time.sleep(1)
        since = time.monotonic()
        happens()
        gaps = [(a, b, stream.settled(since)) for a, b, stream in streams]
        for a, b, gap in gaps:
            print(f'# {what}: {a} to {b} paused {gap:.1f} s')
        return gaps
    finally:
        for _, _, stream in streams:
            stream.end()


def direct(lab, *pairs):
    for a, b in pairs:
        wait_until(lambda: lab.ping_path(a, lab.addresses[b], 4, '--until-direct') == 'direct', f'{a} reaches {b} directly', 60)


def join_all(lab):
    def start(name):
        lab.daemon(name, 'stock' in name)
        lab.up(name)
        lab.addresses[name] = lab.ip_of(name)
    lab.serve()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(start, NODES))
    direct(lab, *PAIRS)


class StreamLab(NatLab):
    def __init__(self, name):
        super().__init__(name)
        self.addresses = {}
        for host, kind in NODES.items():
            self.host(host, kind)
