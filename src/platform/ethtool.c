#include "platform/ethtool.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/mem.h"

enum { FEATURES_MAX = 1024 };

struct card {
	int fd;
	char dev[IFNAMSIZ];
};

static void card_done(struct card *c)
{
	fd_close(c->fd);
}

static int ask(const struct card *c, void *question)
{
	struct ifreq req = { 0 };

	memcpy(req.ifr_name, c->dev, sizeof(req.ifr_name));
	req.ifr_data = question;
	return ioctl(c->fd, SIOCETHTOOL, &req) < 0 ? -errno : 0;
}

static int count_features(const struct card *c, uint32_t *ret)
{
	union {
		struct ethtool_sset_info info;
		uint8_t room[sizeof(struct ethtool_sset_info) + sizeof(uint32_t)];
	} q = { .info = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1U << ETH_SS_FEATURES } };
	int r = ask(c, &q);

	if (r < 0)
		return r;
	if (!q.info.sset_mask)
		return -EOPNOTSUPP;
	memcpy(ret, q.room + sizeof(q.info), sizeof(*ret));
	return *ret <= FEATURES_MAX ? 0 : ERR_LIMIT;
}

/* The bit of the feature. */
static int find(const struct card *c, const char *name, uint32_t *ret_n, uint32_t *ret)
{
	AUTO_FREE struct ethtool_gstrings *names = NULL;
	int r = count_features(c, ret_n);

	if (r < 0)
		return r;
	names = mem_alloc(sizeof(*names) + (size_t)*ret_n * ETH_GSTRING_LEN);
	*names = (struct ethtool_gstrings){ .cmd = ETHTOOL_GSTRINGS,
		                            .string_set = ETH_SS_FEATURES,
		                            .len = *ret_n };
	r = ask(c, names);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < names->len && i < *ret_n; i++)
		if (strncmp((const char *)names->data + (size_t)i * ETH_GSTRING_LEN, name,
		            ETH_GSTRING_LEN) == 0) {
			*ret = i;
			return 0;
		}
	return ERR_UNKNOWN;
}

static int open_card(const char *dev, struct card *ret)
{
	*ret = (struct card){ .fd = -1 };
	if (snprintf(ret->dev, sizeof(ret->dev), "%s", dev) >= (int)sizeof(ret->dev))
		return -ENODEV;
	ret->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return ret->fd < 0 ? -errno : 0;
}

int ethtool_feature(const char *dev, const char *name, bool *ret)
{
	AUTO_DONE(card) struct card c = { .fd = -1 };
	AUTO_FREE struct ethtool_gfeatures *q = NULL;
	uint32_t n = 0, bit = 0;
	int r = open_card(dev, &c);

	if (r == 0)
		r = find(&c, name, &n, &bit);
	if (r < 0)
		return r;
	q = mem_alloc(sizeof(*q) + (n + 31) / 32 * sizeof(q->features[0]));
	*q = (struct ethtool_gfeatures){ .cmd = ETHTOOL_GFEATURES, .size = (n + 31) / 32 };
	r = ask(&c, q);
	if (r == 0)
		*ret = q->features[bit / 32].active >> bit % 32 & 1;
	return r;
}

int ethtool_set_feature(const char *dev, const char *name, bool on)
{
	AUTO_DONE(card) struct card c = { .fd = -1 };
	AUTO_FREE struct ethtool_sfeatures *q = NULL;
	uint32_t n = 0, bit = 0;
	size_t size;
	int r = open_card(dev, &c);

	if (r == 0)
		r = find(&c, name, &n, &bit);
	if (r < 0)
		return r;
	size = sizeof(*q) + (n + 31) / 32 * sizeof(q->features[0]);
	q = mem_alloc(size);
	memset(q, 0, size);
	q->cmd = ETHTOOL_SFEATURES;
	q->size = (n + 31) / 32;
	q->features[bit / 32].valid = 1U << bit % 32;
	q->features[bit / 32].requested = on ? 1U << bit % 32 : 0;
	return ask(&c, q);
}
