// A small control server for tests: the library's, with the DERP map of a file.
//
//	testcontrol -listen ADDR:PORT -derpmap FILE [-dns SUFFIX] [-cert FILE -key FILE]
//
// The map is read again when the process gets SIGHUP; nodes hear of it with
// their next map response.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

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

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on")
	derpmap := flag.String("derpmap", "", "file with the DERP map as JSON")
	dns := flag.String("dns", "", "suffix of MagicDNS names; empty: no DNS")
	cert := flag.String("cert", "", "certificate chain; empty: plain HTTP")
	key := flag.String("key", "", "its private key")
	base := flag.String("base", "", "URL that nodes are told; empty: http://LISTEN")
	authKey := flag.String("authkey", "", "the auth key every node must have")
	online := flag.Bool("all-online", true, "tell that every peer is online")
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
	go func() {
		ch := make(chan os.Signal, 1)
		signal.Notify(ch, syscall.SIGHUP)
		for range ch {
			s.DERPMap = readMap(*derpmap)
		}
	}()
	log.Printf("testcontrol: serving on %s", s.ExplicitBaseURL)
	if *cert != "" {
		log.Fatal(http.ServeTLS(ln, s, *cert, *key))
	}
	log.Fatal(http.Serve(ln, s))
}
