// A small control server for tests: the library's, with the DERP map of a file.
//
//	testcontrol -listen ADDR:PORT -derpmap FILE [-dns SUFFIX] [-cert FILE -key FILE]
//		[-dnsconfig FILE] [-caps FILE] [-approve]
//
// The files are read again when the process gets SIGHUP; nodes hear of it with
// their next map response. -caps: { host name: { capability: [values] } }.
// -approve: what a node advertises is what others are told to send it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
)

func readMap(path string) *tailcfg.DERPMap {
	b, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	m := new(tailcfg.DERPMap)
	if err := json.Unmarshal(b, m); err != nil {
		log.Fatalf("%s: %v", path, err)
	}
	return m
}

func readJSON(path string, v any) {
	b, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		log.Fatalf("%s: %v", path, err)
	}
}

// follow brings routes and capabilities of the nodes up to what is wanted, again and again.
func follow(s *testcontrol.Server, approve bool, caps func() map[string]tailcfg.NodeCapMap) {
	routes := map[tailcfg.NodeID]string{}
	given := map[tailcfg.NodeID]string{}
	for ; ; time.Sleep(100 * time.Millisecond) {
		for _, n := range s.AllNodes() {
			r := n.Hostinfo.RoutableIPs().AsSlice()
			if t := fmt.Sprint(r); approve && t != routes[n.ID] && (len(r) > 0 || routes[n.ID] != "") {
				routes[n.ID] = t
				s.SetSubnetRoutes(n.Key, r)
			}
			c, ok := caps()[n.Hostinfo.Hostname()]
			if t := fmt.Sprint(n.Key, c); ok && t != given[n.ID] {
				given[n.ID] = t
				s.SetNodeCapMap(n.Key, c)
			}
		}
	}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on")
	derpmap := flag.String("derpmap", "", "file with the DERP map as JSON")
	dns := flag.String("dns", "", "suffix of MagicDNS names; empty: no DNS")
	cert := flag.String("cert", "", "certificate chain; empty: plain HTTP")
	key := flag.String("key", "", "its private key")
	base := flag.String("base", "", "URL that nodes are told; empty: http://LISTEN")
	authKey := flag.String("authkey", "", "the auth key every node must have")
	online := flag.Bool("all-online", true, "tell that every peer is online")
	dnsConfig := flag.String("dnsconfig", "", "file with the DNS configuration as JSON, beside -dns")
	capsFile := flag.String("caps", "", "file with capabilities of nodes as JSON")
	extra := flag.String("nodes", "", "file with a list of nodes as JSON that are told to all, beside those that register")
	approve := flag.Bool("approve", false, "approve every route that is advertised")
	relayGrants := flag.Bool("peer-relay", false, "let peers relay for each other")
	flag.Parse()

	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	s := &testcontrol.Server{
		DERPMap:         readMap(*derpmap),
		ExplicitBaseURL: *base,
		AllOnline:       *online,
		RequireAuthKey:  *authKey,
		PeerRelayGrants: *relayGrants,
		Logf:            log.Printf,
	}
	if s.ExplicitBaseURL == "" {
		s.ExplicitBaseURL = "http://" + ln.Addr().String()
	}
	if *dns != "" {
		s.MagicDNSDomain = *dns
		s.DNSConfig = &tailcfg.DNSConfig{Proxied: true, Domains: []string{*dns}}
	}
	var caps atomic.Pointer[map[string]tailcfg.NodeCapMap]
	read := func() {
		if *dnsConfig != "" {
			c := new(tailcfg.DNSConfig)
			readJSON(*dnsConfig, c)
			s.DNSConfig = c
		}
		c := map[string]tailcfg.NodeCapMap{}
		if *capsFile != "" {
			readJSON(*capsFile, &c)
		}
		caps.Store(&c)
		if *extra != "" {
			var nodes []*tailcfg.Node
			readJSON(*extra, &nodes)
			for _, n := range nodes {
				s.UpdateNode(n)
			}
		}
	}
	read()
	go follow(s, *approve, func() map[string]tailcfg.NodeCapMap { return *caps.Load() })
	go func() {
		ch := make(chan os.Signal, 1)
		signal.Notify(ch, syscall.SIGHUP)
		for range ch {
			s.DERPMap = readMap(*derpmap)
			read()
		}
	}()
	log.Printf("testcontrol: serving on %s", s.ExplicitBaseURL)
	if *cert != "" {
		log.Fatal(http.ServeTLS(ln, s, *cert, *key))
	}
	log.Fatal(http.Serve(ln, s))
}
