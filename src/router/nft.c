/*
 * The nftables table. An accept in a chain of ours does not overrule a drop in
 * somebody else's; what we drop is dropped. Bits of marks that are not ours are
 * kept. Counters: a named one for each reason to drop, and one for each peer's
 * address and direction, as elements of sets.
 *
 * Source: tailscale v1.102.5 util/linuxfw; nft(8).
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/via6.h"
#include "router/priv.h"

static void chain(struct buf *out, const char *name, const char *hook)
{
	buf_fmt(out, "\tchain %s {\n", name);
	if (*hook)
		buf_fmt(out, "\t\ttype %s; policy accept;\n", hook);
}

static void end(struct buf *out)
{
	buf_add_str(out, "\t}\n");
}

static void rule(struct buf *out, const char *text)
{
	buf_fmt(out, "\t\t%s\n", text);
}

static void own_addresses(struct buf *out, const struct router_plan *p, const char *dev_rule)
{
	char text[IP_TEXT_MAX];

	vec_each(const struct prefix *, a, &p->addresses)
		buf_fmt(out, "\t\tiifname \"lo\" %s saddr %s %s\n", prefix_is4(a) ? "ip" : "ip6",
		        ip_text(&a->ip, text), dev_rule);
}

static void input(struct buf *out, const struct router_plan *p, const struct router_cfg *cfg,
                  const char *hook)
{
	chain(out, "input", hook);
	own_addresses(out, p, "accept");
	buf_fmt(out, "\t\tiifname \"%s\" jump count-in\n", cfg->dev);
	buf_fmt(out, "\t\tiifname \"%s\" accept\n", cfg->dev);
	if (cfg->udp_port)
		buf_fmt(out, "\t\tudp dport %u accept\n", cfg->udp_port);
	/* ChromeOS numbers its own machines from this part of 100.64.0.0/10. */
	rule(out, "ip saddr 100.115.92.0/23 return");
	if (cfg->cgnat_drop)
		rule(out, "ip saddr 100.64.0.0/10 counter name drop-forged-source drop");
	end(out);
}

static void forward(struct buf *out, const struct router_cfg *cfg, const char *hook)
{
	chain(out, "forward", hook);
	buf_fmt(out, "\t\tiifname \"%s\" jump count-in\n", cfg->dev);
	buf_fmt(out, "\t\toifname \"%s\" jump count-out\n", cfg->dev);
	buf_fmt(out, "\t\tiifname \"%s\" meta mark set meta mark & 0xff00ffff | 0x00040000\n",
	        cfg->dev);
	rule(out, "meta mark & 0x00ff0000 == 0x00040000 accept");
	buf_fmt(out,
	        "\t\toifname \"%s\" ip saddr 100.64.0.0/10 counter name drop-forged-forward drop\n",
	        cfg->dev);
	if (cfg->stateful)
		buf_fmt(out,
		        "\t\toifname \"%s\" ct state != { established, related, untracked } "
		        "counter name drop-new-forward drop\n",
		        cfg->dev);
	buf_fmt(out, "\t\toifname \"%s\" accept\n", cfg->dev);
	end(out);
}

static void output(struct buf *out, const struct router_cfg *cfg, const char *hook)
{
	chain(out, "output", hook);
	buf_fmt(out, "\t\toifname \"%s\" jump count-out\n", cfg->dev);
	end(out);
}

static void postrouting(struct buf *out, const struct router_cfg *cfg, const char *hook)
{
	char text[IP_TEXT_MAX];

	chain(out, "postrouting", hook);
	/* Nobody knows a way back to this address. */
	if (cfg->via6 && !cfg->snat)
		buf_fmt(out, "\t\tip saddr %s counter masquerade\n", ip_text(&VIA6_HOST, text));
	if (cfg->snat)
		rule(out, "meta mark & 0x00ff0000 == 0x00040000 counter masquerade");
	end(out);
}

/*
 * The mark of our own packets goes with their connection, so that answers pass
 * strict reverse path checks while an exit node is in use.
 */
static void connmark(struct buf *out)
{
	chain(out, "mark-restore", "filter hook prerouting priority mangle");
	rule(out, "ct state established,related ct mark & 0x00ff0000 == 0x00080000 "
	          "meta mark set meta mark & 0xff00ffff | 0x00080000");
	end(out);
	chain(out, "mark-save", "route hook output priority mangle");
	rule(out, "ct state new meta mark & 0x00ff0000 == 0x00080000 "
	          "ct mark set ct mark & 0xff00ffff | 0x00080000");
	end(out);
}

static void counters(struct buf *out)
{
	static const char *const named[] = { "drop-forged-source", "drop-forged-forward",
		                             "drop-new-forward" };
	static const char *const sets[] = { "in4", "in6", "out4", "out6" };

	for (size_t i = 0; i < ARRAY_LEN(named); i++)
		buf_fmt(out, "\tcounter %s {\n\t}\n", named[i]);
	for (size_t i = 0; i < ARRAY_LEN(sets); i++)
		buf_fmt(out, "\tset peers-%s {\n\t\ttype ipv%c_addr\n\t\tcounter\n\t}\n", sets[i],
		        strchr(sets[i], '4') ? '4' : '6');
	chain(out, "count-in", "");
	rule(out, "ip saddr @peers-in4");
	rule(out, "ip6 saddr @peers-in6");
	end(out);
	chain(out, "count-out", "");
	rule(out, "ip daddr @peers-out4");
	rule(out, "ip6 daddr @peers-out6");
	end(out);
}

static int by_ip(const void *a, const void *b)
{
	const struct router_counter *x = a, *y = b;

	return ip_cmp(&x->ip, &y->ip);
}

/* A name comes from the coordinator: only what cannot end the comment is kept. */
static void clean_name(char dst[static 64], const char *name)
{
	size_t n = 0;

	for (; name && *name && n + 1 < 64; name++)
		if (isalnum((unsigned char)*name) || strchr("-._ ", *name))
			dst[n++] = *name;
	dst[n] = '\0';
}

static void list_counters(struct router_plan *p, const struct router_cfg *cfg)
{
	size_t n = 0;

	for (size_t i = 0; i < cfg->n_peers; i++)
		for (size_t k = 0; k < cfg->peers[i].n_addrs; k++) {
			struct router_counter *c = vec_add(&p->counters);

			c->ip = cfg->peers[i].addrs[k];
			clean_name(c->name, cfg->peers[i].name);
		}
	if (p->counters.n)
		qsort(p->counters.v, p->counters.n, sizeof(*p->counters.v), by_ip);
	for (size_t i = 0; i < p->counters.n; i++)
		if (!n || !ip_eq(&p->counters.v[n - 1].ip, &p->counters.v[i].ip))
			p->counters.v[n++] = p->counters.v[i];
	p->counters.n = n;
}

void router_plan_nft(struct router_plan *p, const struct router_cfg *cfg)
{
	bool on = cfg->netfilter == ROUTER_NETFILTER_ON;
	struct buf *out = &p->nft;

	/* A table that is there, ours of an earlier time, is replaced whole. */
	buf_fmt(out, "table %s\ndelete table %s\ntable %s {\n", ROUTER_NFT_TABLE, ROUTER_NFT_TABLE,
	        ROUTER_NFT_TABLE);
	counters(out);
	input(out, p, cfg, on ? "filter hook input priority filter - 10" : "");
	forward(out, cfg, on ? "filter hook forward priority filter - 10" : "");
	output(out, cfg, on ? "filter hook output priority filter - 10" : "");
	postrouting(out, cfg, on ? "nat hook postrouting priority srcnat" : "");
	if (on)
		connmark(out);
	buf_add_str(out, "}\n");
	list_counters(p, cfg);
}

static void element(struct buf *out, const char *verb, const struct router_counter *c)
{
	static const char *const ways[] = { "in", "out" };
	char text[IP_TEXT_MAX];
	bool add = strcmp(verb, "add") == 0 && c->name[0];

	for (size_t i = 0; i < ARRAY_LEN(ways); i++)
		buf_fmt(out, "%s element %s peers-%s%c { %s%s%s%s }\n", verb, ROUTER_NFT_TABLE,
		        ways[i], ip_is4(&c->ip) ? '4' : '6', ip_text(&c->ip, text),
		        add ? " comment \"" : "", add ? c->name : "", add ? "\"" : "");
}

void router_counters_diff(struct buf *out, const struct router_counter *have, size_t n_have,
                          const struct router_counter *want, size_t n_want)
{
	size_t i = 0, k = 0;

	/* Both are sorted by address. */
	while (i < n_have || k < n_want) {
		int order = i == n_have ? 1 : k == n_want ? -1 : ip_cmp(&have[i].ip, &want[k].ip);

		if (order < 0) {
			element(out, "delete", &have[i++]);
		} else if (order > 0) {
			element(out, "add", &want[k++]);
		} else {
			i++;
			k++;
		}
	}
}
