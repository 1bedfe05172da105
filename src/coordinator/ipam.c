#include "coordinator/ipam.h"

#include "base/err.h"
#include "base/wire.h"

enum { RANDOM_TRIES = 64 };

static const struct prefix tailnet4 = { .ip = { { [10] = 0xff, [11] = 0xff, 100, 64 } },
	                                .bits = 10 };
static const struct prefix tailnet6 = {
	.ip = { { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0 } },
	.bits = 48,
};

static const struct prefix reserved[] = {
	{ .ip = { { [10] = 0xff, [11] = 0xff, 100, 100, 100, 100 } }, .bits = 32 },
	{ .ip = { { [10] = 0xff, [11] = 0xff, 100, 115, 92, 0 } }, .bits = 23 },
	{ .ip = { { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, [15] = 0x53 } }, .bits = 128 },
	{ .ip = { { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, 0x0b, 0x1a } }, .bits = 64 },
};

int ipam_check(const struct prefix *p)
{
	const struct prefix *within = prefix_is4(p) ? &tailnet4 : &tailnet6;

	if (!prefix_covers(within, p))
		return ERR_DENIED;
	return p->bits > prefix_max_bits(p) - 2 ? ERR_LIMIT : 0;
}

/* How many addresses; ranges beyond 2^62 are used up to there. */
static uint64_t size_of(const struct prefix *p)
{
	unsigned host = prefix_max_bits(p) - p->bits;

	return UINT64_C(1) << (host > 62 ? 62 : host);
}

static struct ip at_offset(const struct prefix *p, uint64_t offset)
{
	struct ip ip = prefix_masked(*p).ip;
	uint64_t low = be64_at(ip.b + 8) + offset;

	put_be64(ip.b + 8, low);
	return ip;
}

static bool usable(const struct ipam_range *r, uint64_t offset, struct ip *ret)
{
	uint64_t size = size_of(&r->prefix);

	if (offset == 0 || offset >= size || (prefix_is4(&r->prefix) && offset == size - 1))
		return false;
	*ret = at_offset(&r->prefix, offset);
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (prefix_contains(&reserved[i], ret))
			return false;
	return true;
}

static int scan(struct ipam_range *r, bool (*taken)(const void *arg, const struct ip *ip),
                const void *arg, struct ip *ret)
{
	uint64_t size = size_of(&r->prefix);
	uint64_t offset = r->last;

	for (uint64_t tried = 0; tried < size; tried++) {
		offset = (offset + 1) % size;
		if (usable(r, offset, ret) && !taken(arg, ret)) {
			r->last = offset;
			return 0;
		}
	}
	return ERR_LIMIT;
}

int ipam_next(struct ipam *a, struct ipam_range *r, struct rand_src *rand,
              bool (*taken)(const void *arg, const struct ip *ip), const void *arg, struct ip *ret)
{
	for (unsigned i = 0; a->order == IPAM_RANDOM && i < RANDOM_TRIES; i++) {
		uint64_t offset = rand_src_below(rand, size_of(&r->prefix));

		if (usable(r, offset, ret) && !taken(arg, ret))
			return 0;
	}
	return scan(r, taken, arg, ret);
}
