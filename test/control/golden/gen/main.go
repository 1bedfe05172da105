// Writes ../tailcfg.txt: a line "Type JSON" for each type of the control
// protocol, every field filled and none, as tailscale v1.102.5 encodes it.
//
//	go mod init gen && go get tailscale.com@v1.102.5 && go run . > ../tailcfg.txt
package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/types/opt"
)

var n int

func fill(v reflect.Value, depth int) {
	n++
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.Unix(1700000000+int64(n), 123000*int64(n%3)).UTC()
		return
	case *netip.Addr:
		*x = netip.MustParseAddr(fmt.Sprintf("100.64.0.%d", n%250+1))
		return
	case *netip.Prefix:
		*x = netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/16", n%250))
		return
	case *netip.AddrPort:
		*x = netip.MustParseAddrPort(fmt.Sprintf("[2001:db8::%x]:%d", n, 1000+n))
		return
	case *key.NodePublic:
		*x = key.NewNode().Public()
		return
	case *key.MachinePublic:
		*x = key.NewMachine().Public()
		return
	case *key.DiscoPublic:
		*x = key.NewDisco().Public()
		return
	case *key.NLPublic:
		*x = key.NewNLPrivate().Public()
		return
	case *key.ChallengePublic:
		*x = key.NewChallenge().Public()
		return
	case *key.HardwareAttestationPublic:
		return
	case *opt.Bool:
		*x = opt.NewBool(n%2 == 0)
		return
	case *tailcfg.RawMessage:
		*x = tailcfg.RawMessage(fmt.Sprintf(`{"a":[%d,"x"]}`, n))
		return
	case *tailcfg.HostinfoView:
		var h tailcfg.Hostinfo
		fill(reflect.ValueOf(&h).Elem(), depth+1)
		*x = h.View()
		return
	case *tailcfg.SignatureType:
		*x = tailcfg.SignatureV1
		return
	case *[]tailcfg.ProtoPortRange:
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64, reflect.Int32:
		v.SetInt(int64(n) + 9007199254740993)
	case reflect.Int16, reflect.Int8:
		v.SetInt(int64(n % 100))
	case reflect.Uint16, reflect.Uint8:
		v.SetUint(uint64(n%200 + 1))
	case reflect.Uint64, reflect.Uint, reflect.Uint32:
		v.SetUint(uint64(n + 1))
	case reflect.Float64:
		v.SetFloat(float64(n) + 0.25)
	case reflect.String:
		v.SetString(fmt.Sprintf("s%d <&> \u00e9\u2028", n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte{1, 2, byte(n)})
			return
		}
		s := reflect.MakeSlice(v.Type(), 2, 2)
		for i := range 2 {
			fill(s.Index(i), depth+1)
		}
		v.Set(s)
	case reflect.Map:
		m := reflect.MakeMap(v.Type())
		for range 2 {
			k := reflect.New(v.Type().Key()).Elem()
			e := reflect.New(v.Type().Elem()).Elem()
			fill(k, depth+1)
			if k.Kind() == reflect.Int64 || k.Kind() == reflect.Int {
				k.SetInt(int64(n + 100000))
			}
			fill(e, depth+1)
			m.SetMapIndex(k, e)
		}
		v.Set(m)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), depth+1)
			}
		}
	}
}

func main() {
	all := []any{
		new(tailcfg.MapRequest), new(tailcfg.MapResponse), new(tailcfg.RegisterRequest), new(tailcfg.RegisterResponse),
		new(tailcfg.OverTLSPublicKeyResponse), new(tailcfg.SetDNSRequest), new(tailcfg.TokenRequest), new(tailcfg.TokenResponse),
		new(tailcfg.QueryFeatureRequest), new(tailcfg.QueryFeatureResponse), new(tailcfg.WebClientAuthResponse),
		new(tailcfg.SetDeviceAttributesRequest), new(tailcfg.AuditLogRequest), new(tailcfg.HealthChangeRequest),
		new(tailcfg.PingResponse), new(tailcfg.SSHEventNotifyRequest), new(tailcfg.DERPAdmitClientRequest), new(tailcfg.DERPAdmitClientResponse),
	}
	for _, v := range all {
		name := reflect.TypeOf(v).Elem().Name()
		for _, kind := range []string{"full", "zero"} {
			if kind == "full" {
				fill(reflect.ValueOf(v).Elem(), 0)
			} else {
				v = reflect.New(reflect.TypeOf(v).Elem()).Interface()
			}
			b, err := json.Marshal(v)
			if err != nil {
				panic(err)
			}
			fmt.Println(name, string(b))
		}
	}
}
