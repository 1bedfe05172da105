/* DERP: the frame reader in pieces, the client's session, and every body. */
#include "protocol/derp_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void bodies(struct span body)
{
	static const struct node_priv relay = { { 1, 2, 3 } };
	struct derp_client_info ci;
	struct derp_present present;
	struct derp_forward forward;
	struct box_shared shared;
	struct derp_send send;
	struct node_pub pub;
	uint8_t reason;

	(void)!derp_client_info_parse(body, &relay, &pub, &shared, &ci);
	(void)!derp_server_key_parse(body, &pub);
	(void)!derp_send_parse(body, &send);
	(void)!derp_forward_parse(body, &forward);
	(void)!derp_present_parse(body, &present);
	(void)!derp_gone_parse(body, &pub, &reason);
	(void)derp_looks_disco(body);
}

/* The first byte: how long the pieces are in which the stream arrives. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct derp_client_cfg cfg = { .key.b = { 9 } };
	struct derp_client client;
	struct derp_event event;
	struct derp_reader reader;
	struct derp_frame frame;
	struct rand_src rnd;
	int r = 1;

	if (n == 0)
		return 0;
	rand_seeded(&rnd, 1);
	derp_reader_init(&reader, DERP_SERVER_FRAME_MAX);
	(void)!derp_client_init(&client, &cfg, &rnd);
	for (size_t at = 1, piece = data[0] + 1u; at < n; at += piece) {
		struct span in = span_first(span(data + at, n - at), piece), again = in;

		while ((r = derp_reader_next(&reader, &in, &frame)) > 0)
			bodies(frame.body);
		if (r < 0)
			break;
		while (derp_client_recv(&client, &again, &event) > 0)
			;
	}
	derp_reader_done(&reader);
	derp_client_done(&client);
	return 0;
}
