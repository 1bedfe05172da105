/* A DNS message as a query, as an answer, aged, answered by the tailnet's names and forwarded. */
#include "dns/forward.h"
#include "dns/magic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void answer(const struct dns_query *q)
{
	struct dns_config *c = dns_config_new();
	struct dns_name zone;
	uint8_t out[DNS_UDP_MAX];

	if (dns_name_of(SPAN_LIT("tail.lab"), &zone) == 0)
		(void)!dns_config_route(c, &zone, NULL, 0);
	dns_config_seal(c);
	(void)magic_answer(c, q, out, q->udp_size);
	dns_config_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span msg = { data, n };
	struct dns_forward_env env = { 0 };
	struct dns_forward_out out;
	struct dns_query q;
	struct dns_result res;
	struct ip ips[4];

	if (n > DNS_TCP_MAX)
		return 0;
	if (dns_query_read(msg, &q) == 0)
		answer(&q);
	(void)!dns_result_read(msg, &q, &res);
	(void)dns_addresses(msg, ips, 4);

	uint8_t *copy = mem_dup(data, n);

	dns_age(copy, n, 7);
	free(copy);
	rand_seeded(&env.rand, 1);

	struct dns_forward *f = dns_forward_new(&env);

	(void)!dns_forward_query(f, (mono){ 0 }, 1, n & 1, msg);
	dns_forward_reply(f, (mono){ 0 }, 1, msg);
	while (dns_forward_next(f, &out))
		;
	dns_forward_free(f);
	return 0;
}
