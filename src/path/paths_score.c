#include "path/paths_priv.h"

enum { POINTS_LOOPBACK = 50, POINTS_LINK_LOCAL = 30, POINTS_PRIVATE = 20, POINTS_V6 = 10 };

static int place_points(const struct ip *ip)
{
	int points = ip_is4(ip) ? 0 : POINTS_V6;

	if (ip_is_loopback(ip))
		return points + POINTS_LOOPBACK;
	if (ip_is_link_local(ip))
		return points + POINTS_LINK_LOCAL;
	return ip_is_private(ip) ? points + POINTS_PRIVATE : points;
}

/* How much faster, in percent, 0..100. */
static int speed_points(int64_t mine_us, int64_t other_us)
{
	if (mine_us >= other_us || other_us <= 0)
		return 0;
	return (int)(100 - 100 * mine_us / other_us);
}

/*
 * Latency decides, with a thumb on the scale for near networks, and a lead of a
 * single point is none, so that two equal ways do not take turns.
 */
bool path_better(const struct best *a, const struct best *b)
{
	if (!b->set)
		return a->set;
	if (!a->set)
		return false;
	if (path_via_eq(&a->via, &b->via))
		return false;
	if (!a->via.vni != !b->via.vni)
		return !a->via.vni;

	int mine = place_points(&a->via.addr.ip) + speed_points(a->latency_us, b->latency_us);
	int other = place_points(&b->via.addr.ip) + speed_points(b->latency_us, a->latency_us);

	if (mine <= 1 && other == 0)
		return false;
	return mine > other;
}
