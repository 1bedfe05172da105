#include "protocol/portmap.h"

#include "base/wire.h"
#include "test/check.h"

static struct portmap *p;
static struct portmap_out out;
static uint8_t bytes[65536];
static char path[UPNP_URL_MAX], action[64];
static mono now;
static const struct portmap_cfg cfg = { .gateway = { { [10] = 0xff, [11] = 0xff, 192, 168, 1, 1 } },
	                                .self = { { [10] = 0xff, [11] = 0xff, 192, 168, 1, 7 } },
	                                .local_port = 41641 };

static void start(void)
{
	struct rand_src rand;

	rand_seeded(&rand, 1);
	now = (mono){ US_PER_S };
	p = portmap_new(&rand);
	portmap_start(p, now, &cfg);
}

/* The next thing to do, copied; false at the end. */
static bool next(void)
{
	if (!portmap_next(p, &out))
		return false;
	if (out.bytes.n)
		memcpy(bytes, out.bytes.p, out.bytes.n);
	out.bytes.p = bytes;
	(void)snprintf(path, sizeof(path), "%s", out.path ? out.path : "");
	(void)snprintf(action, sizeof(action), "%s", out.soap_action ? out.soap_action : "");
	return true;
}

static unsigned drain(void)
{
	unsigned n = 0;

	while (next())
		n++;
	return n;
}

static void from_router(uint16_t port, const char *hex)
{
	uint8_t d[200];
	struct addr from = { .ip = cfg.gateway, .port = port };

	portmap_recv(p, now, &from, span(d, check_hex(d, sizeof(d), hex)));
}

static void pass(int64_t us)
{
	now = mono_after(now, us);
	portmap_timeout(p, now);
}

static const char *mapping(void)
{
	static char text[ADDR_TEXT_MAX + 8];
	static const char *const by[] = { "", "pmp", "pcp", "upnp" };
	struct addr a;
	enum portmap_by b;
	char buf[ADDR_TEXT_MAX];

	if (!portmap_mapping(p, now, &a, &b))
		return "none";
	(void)snprintf(text, sizeof(text), "%s %s", by[b], addr_text(&a, buf));
	return text;
}

static void a_router_with_nat_pmp_maps_and_is_renewed_at_half_time(void)
{
	start();
	CHECK_EQ(drain(), 5);
	from_router(5351, "0080000000000064"
	                  "cb007105");
	pass(250000);
	CHECK(next());
	CHECK_EQ(out.act, PORTMAP_SEND);
	CHECK_EQ(out.addr.port, 5351);
	CHECK_MEM(out.bytes.p, "\0\1\0\0\xa2\xa9\0\0\0\0\x1c\x20", 12);
	from_router(5351, "0081000000000065"
	                  "a2a9"
	                  "9c40"
	                  "00001c20");
	CHECK(next());
	CHECK_EQ(out.act, PORTMAP_CHANGED);
	CHECK_STR(mapping(), "pmp 203.0.113.5:40000");
	CHECK_EQ(mono_since(now, portmap_deadline(p)), 3600 * US_PER_S);
	pass(3600 * US_PER_S);
	CHECK_EQ(drain(), 5);
	CHECK_STR(mapping(), "pmp 203.0.113.5:40000");
	from_router(5351, "0080000000001064"
	                  "cb007105");
	pass(250000);
	CHECK(next());
	CHECK_MEM(out.bytes.p, "\0\1\0\0\xa2\xa9\x9c\x40\0\0\x1c\x20", 12);
	from_router(5351, "0081000000001065"
	                  "a2a9"
	                  "9c40"
	                  "00001c20");
	CHECK_EQ(drain(), 0);
	portmap_stop(p, now);
	CHECK(next());
	CHECK_MEM(out.bytes.p + 8, "\0\0\0\0", 4);
	CHECK_STR(mapping(), "none");
	portmap_free(p);
}

static void a_router_that_restarted_loses_the_mapping(void)
{
	start();
	from_router(5351, "0080000000000064"
	                  "cb007105");
	pass(250000);
	from_router(5351, "0081000000000065"
	                  "a2a9"
	                  "9c40"
	                  "00001c20");
	CHECK_STR(mapping(), "pmp 203.0.113.5:40000");
	pass(3600 * US_PER_S);
	from_router(5351, "0080000000000003"
	                  "cb007105");
	CHECK_STR(mapping(), "none");
	portmap_free(p);
}

static void pcp_answers_count_with_our_nonce_alone(void)
{
	uint8_t answer[60];
	struct addr from = { .ip = cfg.gateway, .port = 5351 };

	start();
	from_router(5351, "02800000"
	                  "00000000"
	                  "00000064"
	                  "000000000000000000000000");
	pass(250000);
	while (next() && out.bytes.n != 60)
		;
	CHECK_EQ(out.bytes.n, 60);
	memcpy(answer, out.bytes.p, 60);
	answer[1] = 0x81;
	put_be32(answer + 4, 3600);
	put_be32(answer + 8, 0x70);
	memset(answer + 12, 0, 12);
	put_be16(answer + 42, 50000);
	memcpy(answer + 44, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xcb\0\x71\x06", 16);
	answer[24] ^= 1;
	portmap_recv(p, now, &from, SPAN_OF(answer));
	CHECK_STR(mapping(), "none");
	answer[24] ^= 1;
	for (size_t cut = 0; cut < 60; cut++)
		portmap_recv(p, now, &from, span(answer, cut));
	CHECK_STR(mapping(), "none");
	from.ip = ip4(192, 168, 1, 9);
	portmap_recv(p, now, &from, SPAN_OF(answer));
	CHECK_STR(mapping(), "none");
	from.ip = cfg.gateway;
	portmap_recv(p, now, &from, SPAN_OF(answer));
	CHECK_STR(mapping(), "pcp 203.0.113.6:50000");
	portmap_free(p);
}

static const char ssdp[] = "HTTP/1.1 200 OK\r\n"
			   "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
			   "USN: uuid:1::urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
			   "LOCATION: http://10.9.9.9:5000/root/desc.xml\r\n\r\n";

static const char description[] =
	"<?xml version=\"1.0\"?><root xmlns=\"urn:x\"><device><serviceList><service>"
	"<serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType>"
	"<controlURL>/no</controlURL></service></serviceList><deviceList><device><serviceList>"
	"<service><serviceType>urn:schemas-upnp-org:service:WANPPPConnection:1</serviceType>"
	"<controlURL>/ctl/PPP</controlURL></service>"
	"<service><serviceType> urn:schemas-upnp-org:service:WANIPConnection:1 </serviceType>"
	"<controlURL>ctl/IPConn</controlURL></service></serviceList></device></deviceList></"
	"device></root>";

static void answer(unsigned status, const char *xml)
{
	portmap_http(p, now, status, span_str(xml));
}

static void say_upnp(void)
{
	struct addr from = { .ip = cfg.gateway, .port = 1900 };

	portmap_recv(p, now, &from, SPAN_LIT(ssdp));
}

static void find_upnp(void)
{
	start();
	(void)drain();
	say_upnp();
	say_upnp();
	pass(250000);
	CHECK(next());
	CHECK_EQ(out.act, PORTMAP_HTTP);
	CHECK_STR(path, "/root/desc.xml");
	/* The address is the router's, whatever the answer named. */
	CHECK(ip_eq(&out.addr.ip, &cfg.gateway));
	CHECK_EQ(out.addr.port, 5000);
	answer(200, description);
	CHECK(next());
	CHECK_STR(action, "GetStatusInfo");
	CHECK_STR(path, "/root/ctl/IPConn");
}

static void upnp_maps_through_the_connected_service_with_a_public_address(void)
{
	find_upnp();
	answer(200, "<r><NewConnectionStatus>Disconnected</NewConnectionStatus></r>");
	CHECK(next());
	CHECK_STR(action, "GetExternalIPAddress");
	answer(200, "<r><NewExternalIPAddress>0.0.0.0</NewExternalIPAddress></r>");
	CHECK(next());
	CHECK_STR(path, "/ctl/PPP");
	answer(200, "<u:r xmlns:u='x'><NewConnectionStatus>Connected</NewConnectionStatus></u:r>");
	CHECK(next());
	answer(200, "<r><NewExternalIPAddress>203.0.113.9</NewExternalIPAddress></r>");
	CHECK(next());
	CHECK_STR(action, "AddPortMapping");
	CHECK(memmem(out.bytes.p, out.bytes.n, "<NewInternalPort>41641<", 23));
	CHECK(memmem(out.bytes.p, out.bytes.n, "<NewLeaseDuration>7200<", 23));
	answer(500, "<s:Fault><detail><UPnPError><errorCode>725</errorCode></UPnPError></detail></"
	            "s:Fault>");
	CHECK(next());
	CHECK(memmem(out.bytes.p, out.bytes.n, "<NewLeaseDuration>0<", 20));
	answer(200, "<r/>");
	CHECK(strncmp(mapping(), "upnp 203.0.113.9:", 17) == 0);
	CHECK(next());
	CHECK_EQ(out.act, PORTMAP_CHANGED);
	portmap_stop(p, now);
	CHECK(next());
	CHECK_STR(action, "DeletePortMapping");
	portmap_free(p);
}

static void a_gateway_without_an_address_gets_no_lease(void)
{
	find_upnp();
	for (int i = 0; i < 2; i++) {
		answer(200, "<r><NewConnectionStatus>Connected</NewConnectionStatus></r>");
		CHECK(next());
		answer(200, i ? "<r><NewExternalIPAddress>127.0.0.1</NewExternalIPAddress></r>"
		              : "junk");
		CHECK(i ? !next() : next());
	}
	CHECK_STR(mapping(), "none");
	CHECK_EQ(mono_since(now, portmap_deadline(p)), 600 * US_PER_S);
	portmap_free(p);
}

static void a_router_that_answers_a_search_late_is_asked_all_the_same(void)
{
	start();
	(void)drain();
	pass(250000);
	CHECK_EQ(drain(), 0);
	pass(1500000);
	say_upnp();
	CHECK(next());
	CHECK_EQ(out.act, PORTMAP_HTTP);
	CHECK_EQ(drain(), 0);
	portmap_free(p);
	/* Not out of nowhere. */
	start();
	(void)drain();
	pass(250000);
	pass(5000000);
	say_upnp();
	CHECK_EQ(drain(), 0);
	portmap_free(p);
}

static void silence_is_tried_again_after_ten_minutes(void)
{
	start();
	(void)drain();
	pass(250000);
	CHECK_EQ(drain(), 0);
	CHECK_EQ(mono_since(now, portmap_deadline(p)), 600 * US_PER_S);
	pass(600 * US_PER_S);
	CHECK_EQ(drain(), 5);
	portmap_free(p);
}

static void a_public_gateway_is_left_alone(void)
{
	struct portmap_cfg other = cfg;

	start();
	(void)drain();
	other.gateway = ip4(8, 8, 8, 8);
	portmap_start(p, now, &other);
	CHECK_EQ(drain(), 0);
	CHECK_EQ(portmap_deadline(p).us, MONO_NEVER.us);
	portmap_free(p);
}

static void urls_that_could_smuggle_a_request_are_refused(void)
{
	struct upnp_found f;
	struct upnp_service s[UPNP_SERVICES_MAX];
	static const char *const bad[] = {
		"HTTP/1.1 200 OK\r\nST: a:InternetGatewayDevice:1\r\nLOCATION: "
		"https://1.2.3.4:5/\r\n",
		"HTTP/1.1 200 OK\r\nST: a:InternetGatewayDevice:1\r\nLOCATION: "
		"http://router:5/\r\n",
		"HTTP/1.1 200 OK\r\nST: a:InternetGatewayDevice:1\r\nLOCATION: http://1.2.3.4:5/a "
		"b\r\n",
		"HTTP/1.1 200 OK\r\nST: printer\r\nLOCATION: http://1.2.3.4:5/\r\n",
		"HTTP/1.1 200 OK\r\nST: a:InternetGatewayDevice:1\r\n",
		"M-SEARCH * HTTP/1.1\r\n",
	};
	static const char smuggle[] =
		"<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>"
		"<controlURL>/x HTTP/1.1\r\nHost: y</controlURL></service>";

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_EQ(upnp_found_read(span_str(bad[i]), &f), ERR_MALFORMED);
	CHECK_EQ(upnp_services_read(SPAN_LIT(smuggle), "/d.xml", s), 0);
}

int main(void)
{
	RUN(a_router_with_nat_pmp_maps_and_is_renewed_at_half_time);
	RUN(a_router_that_restarted_loses_the_mapping);
	RUN(pcp_answers_count_with_our_nonce_alone);
	RUN(upnp_maps_through_the_connected_service_with_a_public_address);
	RUN(a_gateway_without_an_address_gets_no_lease);
	RUN(a_router_that_answers_a_search_late_is_asked_all_the_same);
	RUN(silence_is_tried_again_after_ten_minutes);
	RUN(a_public_gateway_is_left_alone);
	RUN(urls_that_could_smuggle_a_request_are_refused);
	return check_done();
}
