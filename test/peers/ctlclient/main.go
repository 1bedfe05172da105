// A client of a control server for tests, over the library's own Noise: one that
// can be told what to ask, and how to come.
//
//	ctlclient -url URL [-ws [-ping]] [-keys FILE] join AUTHKEY [NAME]
//	ctlclient -url URL [-ws] -keys FILE call METHOD PATH [JSON]
//	ctlclient -url URL race AUTHKEY N
//	ctlclient -url URL storm FILE
//
// -ws comes as a browser does: Noise in the messages of a WebSocket.
// join registers, takes one whole map and prints {"Name", "Addresses", "Peers"}; FILE keeps its keys.
// call prints {"Status", "Body"}; NODEKEY in JSON stands for the node's key.
// race lets N machines register at once, each over its own connection, and prints {"In", "Errors"}.
// storm takes the keys in FILE, one a line; two machines want each and go on asking however often
// the connection breaks. Prints {KEY: {"In": [NAME...], "Errors": [TEXT...]}} when all have an answer.
package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"tailscale.com/control/controlbase"
	"tailscale.com/net/wsconn"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

const (
	protocol = "tailscale-control-protocol"
	hello    = "X-Tailscale-Handshake"
)

var (
	base  = flag.String("url", "", "of the server")
	ws    = flag.Bool("ws", false, "come by WebSocket")
	ping  = flag.Bool("ping", false, "send a WebSocket ping and want the pong")
	saved = flag.String("keys", "", "file of this machine's keys")
)

type keys struct {
	Machine key.MachinePrivate
	Node    key.NodePrivate
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

func loadKeys() (k keys) {
	if b, err := os.ReadFile(*saved); err == nil {
		if err := json.Unmarshal(b, &k); err != nil {
			log.Fatal(err)
		}
		return k
	}
	k = keys{key.NewMachine(), key.NewNode()}
	if *saved != "" {
		if err := os.WriteFile(*saved, must(json.Marshal(k)), 0600); err != nil {
			log.Fatal(err)
		}
	}
	return k
}

func tryServerKey() (key.MachinePublic, error) {
	var k struct {
		PublicKey key.MachinePublic `json:"publicKey"`
	}
	r, err := http.Get(fmt.Sprintf("%s/key?v=%d", *base, tailcfg.CurrentCapabilityVersion))
	if err != nil {
		return k.PublicKey, err
	}
	defer r.Body.Close()
	err = json.NewDecoder(r.Body).Decode(&k)
	return k.PublicKey, err
}

func serverKey() key.MachinePublic {
	return must(tryServerKey())
}

func dialWebSocket(ctx context.Context, first string) (net.Conn, error) {
	target := "ws" + strings.TrimPrefix(*base, "http") + "/ts2021?" + url.Values{hello: {first}}.Encode()
	c, _, err := websocket.Dial(ctx, target, &websocket.DialOptions{Subprotocols: []string{protocol}})
	if err != nil {
		return nil, err
	}
	if c.Subprotocol() != protocol {
		return nil, fmt.Errorf("subprotocol %q", c.Subprotocol())
	}
	if *ping {
		go func() {
			if err := c.Ping(ctx); err != nil {
				log.Fatalf("no pong: %v", err)
			}
			fmt.Fprintln(os.Stderr, "pong")
		}()
	}
	return wsconn.NetConn(ctx, c, websocket.MessageBinary, target), nil
}

func dialUpgrade(ctx context.Context, first string) (net.Conn, error) {
	u := must(url.Parse(*base))
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(c, "POST /ts2021 HTTP/1.1\r\nHost: %s\r\nUpgrade: %s\r\nConnection: upgrade\r\n%s: %s\r\nContent-Length: 0\r\n\r\n",
		u.Host, protocol, hello, first)
	// Byte by byte: what follows the head is Noise.
	head := make([]byte, 0, 512)
	for one := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, one[0]) {
		if _, err := c.Read(one); err != nil {
			c.Close()
			return nil, err
		}
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		return nil, fmt.Errorf("%s", head)
	}
	return c, nil
}

// An HTTP client inside Noise.
func tryConnect(ctx context.Context, server key.MachinePublic, machine key.MachinePrivate) (*http.Client, error) {
	first, cont, err := controlbase.ClientDeferred(machine, server, uint16(tailcfg.CurrentCapabilityVersion))
	if err != nil {
		return nil, err
	}
	dial := dialUpgrade
	if *ws {
		dial = dialWebSocket
	}
	carrier, err := dial(ctx, base64.StdEncoding.EncodeToString(first))
	if err != nil {
		return nil, err
	}
	conn, err := cont(ctx, carrier)
	if err != nil {
		carrier.Close()
		return nil, err
	}
	t := &http.Transport{Protocols: new(http.Protocols), MaxConnsPerHost: 1}
	t.Protocols.SetUnencryptedHTTP2(true)
	t.DialTLSContext = func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	return &http.Client{Transport: t}, nil
}

func connect(ctx context.Context, server key.MachinePublic, machine key.MachinePrivate) *http.Client {
	return must(tryConnect(ctx, server, machine))
}

func ask(ctx context.Context, c *http.Client, method, path string, body []byte) *http.Response {
	req := must(http.NewRequestWithContext(ctx, method, "https://unused"+path, bytes.NewReader(body)))
	return must(c.Do(req))
}

func hostinfo(name string) *tailcfg.Hostinfo {
	return &tailcfg.Hostinfo{OS: "js", Hostname: name, BackendLogID: strings.Repeat("0", 64)}
}

func registerRequest(k keys, authKey, name string) tailcfg.RegisterRequest {
	return tailcfg.RegisterRequest{
		Version:  tailcfg.CurrentCapabilityVersion,
		NodeKey:  k.Node.Public(),
		NLKey:    key.NewNLPrivate().Public(),
		Auth:     &tailcfg.RegisterResponseAuth{AuthKey: authKey},
		Hostinfo: hostinfo(name),
	}
}

func register(ctx context.Context, c *http.Client, k keys, authKey, name string) (answer tailcfg.RegisterResponse) {
	r := ask(ctx, c, "POST", "/machine/register", must(json.Marshal(registerRequest(k, authKey, name))))
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		log.Fatalf("register: %s: %v", r.Status, err)
	}
	return answer
}

func wholeMap(ctx context.Context, c *http.Client, k keys, name string) (m tailcfg.MapResponse) {
	r := ask(ctx, c, "POST", "/machine/map", must(json.Marshal(tailcfg.MapRequest{
		Version:  tailcfg.CurrentCapabilityVersion,
		NodeKey:  k.Node.Public(),
		DiscoKey: key.NewDisco().Public(),
		Hostinfo: hostinfo(name),
	})))
	defer r.Body.Close()
	var size uint32
	if err := binary.Read(r.Body, binary.LittleEndian, &size); err != nil {
		log.Fatalf("map: %s: %v", r.Status, err)
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, int64(size))).Decode(&m); err != nil {
		log.Fatal(err)
	}
	return m
}

func join(ctx context.Context, authKey, name string) {
	k := loadKeys()
	c := connect(ctx, serverKey(), k.Machine)
	if a := register(ctx, c, k, authKey, name); a.Error != "" || !a.MachineAuthorized {
		log.Fatalf("not registered: %+v", a)
	}
	m := wholeMap(ctx, c, k, name)
	out := struct {
		Name             string
		Addresses, Peers []string
	}{m.Node.Name, []string{}, []string{}}
	for _, a := range m.Node.Addresses {
		out.Addresses = append(out.Addresses, a.Addr().String())
	}
	for _, p := range m.Peers {
		out.Peers = append(out.Peers, p.Name)
	}
	fmt.Printf("%s\n", must(json.Marshal(out)))
}

func call(ctx context.Context, method, path, body string) {
	k := loadKeys()
	body = strings.ReplaceAll(body, "NODEKEY", k.Node.Public().String())
	r := ask(ctx, connect(ctx, serverKey(), k.Machine), method, path, []byte(body))
	defer r.Body.Close()
	out := struct {
		Status int
		Body   string
	}{r.StatusCode, string(must(io.ReadAll(r.Body)))}
	fmt.Printf("%s\n", must(json.Marshal(out)))
}

func race(ctx context.Context, authKey string, n int) {
	server := serverKey()
	answers := make([]tailcfg.RegisterResponse, n)
	start := make(chan struct{})
	var ready, done sync.WaitGroup
	for i := range n {
		ready.Add(1)
		done.Add(1)
		go func() {
			k := keys{key.NewMachine(), key.NewNode()}
			c := connect(ctx, server, k.Machine)
			ready.Done()
			<-start
			answers[i] = register(ctx, c, k, authKey, fmt.Sprintf("racer-%d", i))
			done.Done()
		}()
	}
	ready.Wait()
	close(start)
	done.Wait()
	out := struct {
		In     int
		Errors map[string]int
	}{Errors: map[string]int{}}
	for _, a := range answers {
		if a.Error == "" && a.MachineAuthorized {
			out.In++
		} else {
			out.Errors[a.Error]++
		}
	}
	fmt.Printf("%s\n", must(json.Marshal(out)))
}

// Asks until there is an answer.
func insist(ctx context.Context, server key.MachinePublic, k keys, authKey, name string) (a tailcfg.RegisterResponse) {
	body := must(json.Marshal(registerRequest(k, authKey, name)))
	for ctx.Err() == nil {
		if c, err := tryConnect(ctx, server, k.Machine); err == nil {
			req := must(http.NewRequestWithContext(ctx, "POST", "https://unused/machine/register", bytes.NewReader(body)))
			if r, err := c.Do(req); err == nil {
				err = json.NewDecoder(r.Body).Decode(&a)
				r.Body.Close()
				c.CloseIdleConnections()
				if err == nil {
					return a
				}
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	log.Fatalf("%s: no answer in time", name)
	return a
}

func storm(ctx context.Context, file string) {
	type outcome struct{ In, Errors []string }
	var mu sync.Mutex
	var done sync.WaitGroup
	out := map[string]*outcome{}
	slots := make(chan struct{}, 6)
	server, err := tryServerKey()
	for ; err != nil && ctx.Err() == nil; server, err = tryServerKey() {
		time.Sleep(20 * time.Millisecond)
	}
	for i, authKey := range strings.Fields(string(must(os.ReadFile(file)))) {
		out[authKey] = &outcome{In: []string{}, Errors: []string{}}
		for j := range 2 {
			done.Add(1)
			go func() {
				defer done.Done()
				slots <- struct{}{}
				defer func() { <-slots }()
				name := fmt.Sprintf("storm-%d-%d", i, j)
				a := insist(ctx, server, keys{key.NewMachine(), key.NewNode()}, authKey, name)
				mu.Lock()
				defer mu.Unlock()
				if o := out[authKey]; a.Error == "" && a.MachineAuthorized {
					o.In = append(o.In, name)
				} else {
					o.Errors = append(o.Errors, a.Error)
				}
			}()
		}
	}
	done.Wait()
	fmt.Printf("%s\n", must(json.Marshal(out)))
}

func main() {
	log.SetFlags(0)
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	switch {
	case flag.Arg(0) == "join" && flag.NArg() >= 2:
		name := "browser"
		if flag.NArg() > 2 {
			name = flag.Arg(2)
		}
		join(ctx, flag.Arg(1), name)
	case flag.Arg(0) == "call" && flag.NArg() >= 3:
		call(ctx, flag.Arg(1), flag.Arg(2), flag.Arg(3))
	case flag.Arg(0) == "race" && flag.NArg() == 3:
		race(ctx, flag.Arg(1), must(strconv.Atoi(flag.Arg(2))))
	case flag.Arg(0) == "storm" && flag.NArg() == 2:
		storm(ctx, flag.Arg(1))
	default:
		log.Fatal("ctlclient: join, call, race or storm; see the source")
	}
}
