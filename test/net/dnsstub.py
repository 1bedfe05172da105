"""A DNS server that misbehaves as it is told, by the first label of the name asked for, and writes down every question.

	dnsstub.py LOG ADDRESS[:PORT]...

Each line of LOG is "ADDRESS udp|tcp NAME TYPE CLIENT FLAGS". What the labels make it do:

	silent		no answer
	cut		by UDP an answer cut short (TC); the whole of it by TCP
	cutonly		cut by TCP too
	wrongid		an answer to another query
	wrongname	an answer to another question
	wrongsource	an answer from another port
	forged		a wrong one of each kind, then the true one
	servfail refused nx empty	what they say
	slow-MS		an answer after so many milliseconds
	big-N		N addresses
	ttl-N		an answer with this TTL
	junk		bytes that are no DNS
	half		half of an answer
	cname		an alias and its address
	poison		an answer that tells of other names, too: victim.corp.test, www.example.com, ours.ts.test
	udponly		an answer by UDP; by TCP the connection is closed
	tcponly		an answer by TCP; nothing by UDP
	atN-LABEL	the server whose address ends in N is honest, the others do as LABEL says

DOH=CERTIFICATE,KEY in the environment: also DNS over HTTPS at port 443 of each address, noted as "doh".

Any other name has the A record 192.0.2.N, N being the last byte of the server's address, an AAAA record, a TXT and an MX.
"""
import asyncio, os, re, socket, ssl, struct, sys

TYPES = {'A': 1, 'NS': 2, 'CNAME': 5, 'SOA': 6, 'PTR': 12, 'MX': 15, 'TXT': 16, 'AAAA': 28, 'SRV': 33, 'OPT': 41}
NAMES = {v: k for k, v in TYPES.items()}


def wire_name(name):
    return b''.join(bytes([len(l)]) + l.encode() for l in name.rstrip('.').split('.') if l) + b'\0'


def read_question(msg):
    at, labels = 12, []
    while msg[at]:
        labels.append(msg[at + 1:at + 1 + msg[at]].decode('latin-1'))
        at += 1 + msg[at]
    kind, cls = struct.unpack_from('>HH', msg, at + 1)
    return '.'.join(labels), kind, cls, at + 5


class Answer:
    def __init__(self, query, end):
        self.id, self.flags = struct.unpack_from('>HH', query)
        self.question = query[12:end]
        self.sections = [[], [], []]
        self.rcode, self.cut = 0, False
        extra = struct.unpack_from('>H', query, 10)[0]
        if extra and query[end:end + 3] == b'\0\0\x29':
            self.sections[2].append(b'\0\0\x29' + struct.pack('>HIH', 1232, 0, 0))

    def add(self, kind, ttl, data, section=0, owner=b'\xc0\x0c'):
        self.sections[section].append(owner + struct.pack('>HHIH', TYPES[kind], 1, ttl, len(data)) + data)

    def soa(self, zone, ttl):
        data = wire_name('ns.' + zone) + wire_name('root.' + zone) + struct.pack('>IIIII', 7, 100, 100, 100, ttl)
        self.add('SOA', ttl, data, 1, wire_name(zone))

    def wire(self, id=None):
        flags = 0x8080 | self.flags & 0x0110 | (0x0200 if self.cut else 0) | self.rcode
        head = struct.pack('>HHHHHH', self.id if id is None else id, flags, 1, *(len(s) for s in self.sections))
        return head + self.question + b''.join(b''.join(s) for s in self.sections)


def fill(a, name, kind, ttl, last, many=1):
    for i in range(many):
        if kind in (1, 255):
            a.add('A', ttl, bytes([192, 0, 2 + i // 256, last if many == 1 else i % 256]))
        elif kind == 28:
            a.add('AAAA', ttl, socket.inet_pton(socket.AF_INET6, f'2001:db8::{last:x}:{i:x}'))
        elif kind == 16:
            a.add('TXT', ttl, bytes([len(name[:200])]) + name[:200].encode())
        elif kind == 15:
            a.add('MX', ttl, struct.pack('>H', 10) + wire_name('mail.' + name))
        elif kind == 12:
            a.add('PTR', ttl, wire_name('host.example'))
        elif kind == 33:
            a.add('SRV', ttl, struct.pack('>HHH', 1, 2, 443) + wire_name('srv.' + name))
        else:
            a.soa('.'.join(name.split('.')[-2:]), 60)
            break


def whole(query, last):
    """The honest answer, and what the first label asks for."""
    name, kind, _, end = read_question(query)
    label = name.split('.')[0].lower()
    only = re.match(r'at(\d+)-(.*)', label)
    if only:
        label = 'honest' if int(only[1]) == last else only[2]
    a = Answer(query, end)
    zone = '.'.join(name.split('.')[-2:])
    if label in ('servfail', 'refused', 'nx'):
        a.rcode = {'servfail': 2, 'refused': 5, 'nx': 3}[label]
        if label == 'nx':
            a.soa(zone, 60)
    elif label == 'empty':
        a.soa(zone, 60)
    elif label == 'cname':
        a.add('CNAME', 300, wire_name('target.' + zone))
        if kind == 1:
            a.add('A', 60, bytes([192, 0, 2, last]), owner=wire_name('target.' + zone))
    elif label == 'poison':
        fill(a, name, kind, 300, last)
        for other in ('victim.corp.test', 'www.example.com', 'ours.ts.test'):
            for section in (0, 2):
                a.add('A', 300, bytes([203, 0, 113, 66]), section, wire_name(other))
    else:
        number = int(label.split('-')[1]) if label.startswith(('big-', 'ttl-')) else 0
        fill(a, name, kind, number if label.startswith('ttl-') else 300, last, number if label.startswith('big-') else 1)
    return label, a


class Server:
    def __init__(self, log, address):
        host, _, port = address.partition(':')
        self.log, self.host, self.port, self.last = log, host, int(port or 53), int(host.split('.')[-1])

    def note(self, proto, query, who):
        name, kind, _, _ = read_question(query)
        flags = struct.unpack_from('>H', query, 2)[0]
        self.log.write(f'{self.host} {proto} {name.lower()} {NAMES.get(kind, kind)} {who} {flags:04x}\n')
        self.log.flush()

    async def udp(self):
        loop = asyncio.get_running_loop()
        server = self

        class Protocol(asyncio.DatagramProtocol):
            def connection_made(self, transport):
                self.transport = transport

            def datagram_received(self, query, who):
                server.note('udp', query, who[0])
                asyncio.ensure_future(server.answer_udp(self.transport, query, who))

        await loop.create_datagram_endpoint(Protocol, local_addr=(self.host, self.port))

    async def answer_udp(self, transport, query, who):
        label, a = whole(query, self.last)
        size = self.size_of(query)
        if label.startswith('slow-'):
            await asyncio.sleep(int(label.split('-')[1]) / 1000)
        wrong_id = a.wire(a.id ^ 0x5555)
        wrong_name = a.wire().replace(a.question[:3], bytes([a.question[0]]) + b'zz', 1)
        if label in ('silent', 'tcponly'):
            return
        if label == 'wrongid':
            return transport.sendto(wrong_id, who)
        if label == 'wrongname':
            return transport.sendto(wrong_name, who)
        if label in ('wrongsource', 'forged'):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.bind((self.host, 0))
                bad = Answer(query, read_question(query)[3])
                bad.add('A', 300, bytes([203, 0, 113, 66]))
                other.sendto(bad.wire(), who)
            if label == 'wrongsource':
                return
            transport.sendto(wrong_id, who)
            transport.sendto(wrong_name, who)
            await asyncio.sleep(0.2)
        if label == 'junk':
            return transport.sendto(b'\xff' * 40, who)
        if label == 'half':
            return transport.sendto(a.wire()[:len(a.question) + 10], who)
        if label in ('cut', 'cutonly') or len(a.wire()) > size:
            a.sections, a.cut = [[], [], a.sections[2]], True
        transport.sendto(a.wire(), who)

    @staticmethod
    def size_of(query):
        end = read_question(query)[3]
        return struct.unpack_from('>H', query, end + 3)[0] if query[end:end + 3] == b'\0\0\x29' else 512

    async def tcp(self):
        await asyncio.start_server(self.on_tcp, self.host, self.port)

    async def on_tcp(self, reader, writer):
        try:
            while True:
                n = struct.unpack('>H', await reader.readexactly(2))[0]
                query = await reader.readexactly(n)
                self.note('tcp', query, writer.get_extra_info('peername')[0])
                label, a = whole(query, self.last)
                if label.startswith('slow-'):
                    await asyncio.sleep(int(label.split('-')[1]) / 1000)
                if label == 'silent':
                    continue
                if label == 'udponly':
                    break
                if label == 'cutonly':
                    a.sections, a.cut = [[], [], []], True
                answer = a.wire(a.id ^ 0x5555 if label == 'wrongid' else None)
                writer.write(struct.pack('>H', len(answer)) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()


    async def doh(self, files):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*files)
        await asyncio.start_server(self.on_https, self.host, 443, ssl=context)

    async def on_https(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b'\r\n\r\n')
                n = int(re.search(rb'content-length: *(\d+)', head, re.I)[1])
                query = await reader.readexactly(n)
                self.note('doh', query, writer.get_extra_info('peername')[0])
                answer = whole(query, self.last)[1].wire()
                writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/dns-message\r\nContent-Length: %d\r\n\r\n' % len(answer) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, TypeError, ssl.SSLError):
            pass
        writer.close()


async def main():
    log = open(sys.argv[1], 'a')
    for address in sys.argv[2:]:
        s = Server(log, address)
        await s.udp()
        await s.tcp()
        if os.environ.get('DOH'):
            await s.doh(os.environ['DOH'].split(','))
    print('ready', flush=True)
    await asyncio.Event().wait()


if __name__ == '__main__':
    asyncio.run(main())
