#pragma once
/* What build.c makes and filter.c reads; nobody else. */
#include "base/mem.h"
#include "base/vec.h"
#include "filter/filter.h"

struct filter_dst {
	struct iprange range;
	uint16_t first, last;
};

/* One allowance: these sources may reach those destinations by those protocols. */
struct filter_rule {
	struct ipset src;
	uint64_t protos[4]; /* a bit each */
	bool default_protos;
	VEC(struct filter_dst) dst;
};

struct filter_grant {
	struct iprange dst;
	uint32_t src; /* the rule whose sources it is for */
	struct filter_cap cap;
};

/* From lo up to the next cut: the sources in `count` rules, listed from `first` on. */
struct filter_cut {
	struct ip lo;
	uint32_t first, count;
};

struct filter {
	struct arena arena; /* texts of the grants */
	struct ipset local;
	VEC(struct filter_rule) rules;
	VEC(struct filter_grant) grants;
	VEC(struct filter_cut) cuts;
	VEC(uint32_t) lists;
	bool linear; /* the lists would be too long: try every rule */
};
