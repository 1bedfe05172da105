/* The table of `status`, as a person sees it. */
#include "cli/node.h"
#include "cli/show.h"

#include <stdlib.h>

#include "base/mem.h"
#include "cli/qr.h"
#include "test/check.h"

static char *shown(const char *json, bool header)
{
	struct arena a = { 0 };
	struct js *status = NULL;
	char *text = NULL;
	size_t n;
	FILE *to = open_memstream(&text, &n);
	struct cli cli = { .program = "fairlead", .out = to, .err = to };

	CHECK_OK(js_parse(&a, span_str(json), false, &status, NULL));
	node_print_status(&cli, status, true, true, false, header);
	(void)fclose(to);
	arena_done(&a);
	return text;
}

#define NODE(name, ip, more)                                         \
	"{\"DNSName\":\"" name ".ts.test.\",\"TailscaleIPs\":[\"" ip \
	"\"],\"OS\":\"linux\",\"UserID\":1" more "}"
#define STATUS(peers)                                   \
	"{\"Self\":" NODE(                              \
		"me", "100.64.0.1",                     \
		",\"Online\":true") ",\"Peer\":{" peers \
				    "},\"User\":{\"1\":{\"LoginName\":\"ann@acme.test\"}}}"
#define INTERNAL "\n# Only internal traffic goes through the network; the rest goes straight out.\n"

static void each_state_of_a_peer_has_its_words(void)
{
	static const struct {
		const char *more, *words;
	} rows[] = {
		{ ",\"Online\":true", "-" },
		{ ",\"Online\":false", "offline" },
		{ ",\"Online\":true,\"TxBytes\":5,\"RxBytes\":7", "idle, tx 5 rx 7" },
		{ ",\"Online\":true,\"Active\":true,\"CurAddr\":\"192.0.2.1:41641\",\"Relay\":"
		  "\"nyc\"",
		  "active; direct 192.0.2.1:41641" },
		{ ",\"Online\":true,\"Active\":true,\"CurAddr\":\"\",\"Relay\":\"nyc\"",
		  "active; relay \"nyc\"" },
		{ ",\"Online\":true,\"Active\":true,\"PeerRelay\":\"192.0.2.1:7:vni:3\",\"Relay\":"
		  "\"nyc\"",
		  "active; peer-relay 192.0.2.1:7:vni:3" },
		{ ",\"Online\":true,\"ExitNodeOption\":true", "idle; offers exit node" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *json = str_fmt("%s%s%s",
		                     "{\"Self\":" NODE("me", "100.64.0.1",
		                                       "") ",\"Peer\":{\"k\":{\"DNSName\":\"you.ts."
		                                           "test.\",\"TailscaleIPs\":[\"100.64.0."
		                                           "2\"],\"OS\":\"linux\",\"UserID\":1",
		                     rows[i].more,
		                     "}},\"User\":{\"1\":{\"LoginName\":\"ann@acme.test\"}}}");
		char *want = str_fmt("100.64.0.1  me   ann@  linux  -\n100.64.0.2  you  ann@  "
		                     "linux  %s\n" INTERNAL,
		                     rows[i].words);
		char *got = shown(json, false);

		CHECK_STR(got, want);
		free(json);
		free(want);
		free(got);
	}
}

static void columns_are_as_wide_as_they_need_to_be_and_peers_come_by_name(void)
{
	char *got = shown(
		STATUS("\"a\":" NODE("zebra-of-the-plain", "100.64.0.3",
	                             ",\"Online\":true") ",\"b\":" NODE("ant", "100.64.0.200",
	                                                                ",\"Online\":true,\"Tags\":"
	                                                                "[\"tag:x\"]")),
		true);

	CHECK_STR(got, "IP            Hostname            Owner           OS     Status\n"
	               "--            --------            -----           --     ------\n"
	               "100.64.0.1    me                  ann@            linux  -\n"
	               "100.64.0.200  ant                 tagged-devices  linux  -\n"
	               "100.64.0.3    zebra-of-the-plain  ann@            linux  -\n" INTERNAL);
	free(got);
}

static void an_exit_node_in_use_is_said_in_words(void)
{
	char *got = shown(
		STATUS("\"a\":" NODE("out", "100.64.0.3", ",\"Online\":true,\"ExitNode\":true")),
		false);

	CHECK(strstr(got, "idle; exit node\n"));
	CHECK(strstr(got, "\n# All traffic goes through out.\n"));
	free(got);
}

static void a_picture_of_a_link_is_a_png(void)
{
	AUTO_DONE(buf) struct buf png = { 0 };

	if (qr_png("https://login.test/a/1234567890", 128, &png) == 0) {
		CHECK(png.n > 100);
		CHECK_MEM(png.p, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
		CHECK(span_ends(buf_span(&png), "IEND\xae\x42\x60\x82"));
	}
}

int main(void)
{
	RUN(each_state_of_a_peer_has_its_words);
	RUN(columns_are_as_wide_as_they_need_to_be_and_peers_come_by_name);
	RUN(an_exit_node_in_use_is_said_in_words);
	RUN(a_picture_of_a_link_is_a_png);
	return check_done();
}
