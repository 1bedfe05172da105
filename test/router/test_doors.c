#include "router/doors.h"

#include "test/check.h"

#define HEAD                                                         \
	"table ip filter { # handle 1\n\tchain INPUT { # handle 1\n" \
	"\t\ttype filter hook input priority filter; policy accept;\n"
#define PORT \
	"\t\tudp dport 41641 counter packets 0 bytes 0 accept comment \"fairlead\" # handle 6\n"
#define IN                                                                                       \
	"\t\tiifname \"tun0\" counter packets 3 bytes 200 accept comment \"fairlead\" # handle " \
	"7\n"
#define THEIRS "\t\tiifname \"tun0\" tcp dport 22 drop # handle 4\n"
#define MIDDLE                                  \
	"\t}\n\n\tchain FORWARD { # handle 2\n" \
	"\t\ttype filter hook forward priority filter; policy drop;\n"
#define IN2 \
	"\t\tiifname \"tun0\" counter packets 0 bytes 0 accept comment \"fairlead\" # handle 8\n"
#define OUT2 \
	"\t\toifname \"tun0\" counter packets 0 bytes 0 accept comment \"fairlead\" # handle 9\n"
#define TAIL "\t}\n\n\tchain DOCKER { # handle 3\n\t\tdrop # handle 5\n\t}\n}\n"
#define INSERT(chain, match) \
	"insert rule ip filter " chain " " match " counter accept comment \"fairlead\"\n"
#define INSERT_ALL(dev) INSERT_IN(dev) INSERT_FORWARD(dev)
#define INSERT_IN(dev) INSERT("INPUT", "iifname \"" dev "\"") INSERT("INPUT", "udp dport 41641")
#define INSERT_FORWARD(dev) \
	INSERT("FORWARD", "iifname \"" dev "\"") INSERT("FORWARD", "oifname \"" dev "\"")
#define DELETE(chain, n) "delete rule ip filter " chain " handle " n "\n"

static void check_doors(const char *listing, const char *dev, const char *want)
{
	AUTO_DONE(buf) struct buf out = { 0 };
	struct router_door door = { dev, 41641 };

	router_doors(&out, "ip filter", span_str(listing), dev ? &door : NULL);
	CHECK_STR(buf_text(&out), want);
}

static void chains_that_have_none_of_our_rules_get_them(void)
{
	check_doors(HEAD THEIRS MIDDLE TAIL, "tun0", INSERT_ALL("tun0"));
}

static void where_they_are_nothing_is_done(void)
{
	check_doors(HEAD IN PORT THEIRS MIDDLE IN2 OUT2 TAIL, "tun0", "");
	check_doors(HEAD PORT THEIRS IN MIDDLE OUT2 IN2 TAIL, "tun0", "");
	check_doors("", "tun0", "");
	check_doors("table ip filter { # handle 1\n}\n", "tun0", "");
}

static void one_that_is_missing_or_of_another_device_brings_them_anew(void)
{
	check_doors(HEAD IN PORT MIDDLE OUT2 TAIL, "tun0",
	            DELETE("FORWARD", "9") INSERT_FORWARD("tun0"));
	check_doors(HEAD IN PORT MIDDLE TAIL, "tun1",
	            DELETE("INPUT", "7") DELETE("INPUT", "6") INSERT_ALL("tun1"));
}

static void at_the_end_ours_go_and_theirs_stay(void)
{
	check_doors(HEAD IN PORT THEIRS MIDDLE IN2 OUT2 TAIL, NULL,
	            DELETE("INPUT", "7") DELETE("INPUT", "6") DELETE("FORWARD", "8")
	                    DELETE("FORWARD", "9"));
	check_doors(HEAD THEIRS MIDDLE TAIL, NULL, "");
}

static void a_listing_that_is_cut_off_is_survived(void)
{
	static const char whole[] = HEAD IN PORT THEIRS MIDDLE IN2 OUT2 TAIL;

	for (size_t n = 0; n < sizeof(whole); n++) {
		AUTO_DONE(buf) struct buf out = { 0 };

		router_doors(&out, "ip filter", span(whole, n),
		             &(struct router_door){ "tun0", 41641 });
		CHECK(out.n < sizeof(whole));
	}
}

int main(void)
{
	RUN(chains_that_have_none_of_our_rules_get_them);
	RUN(where_they_are_nothing_is_done);
	RUN(one_that_is_missing_or_of_another_device_brings_them_anew);
	RUN(at_the_end_ours_go_and_theirs_stay);
	RUN(a_listing_that_is_cut_off_is_survived);
	return check_done();
}
