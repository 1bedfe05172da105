#include "node/ctlplan.h"

#include "test/check.h"

/* clang-format off */
static const struct {
	const char *url;
	bool recent, force;
	const char *want; /* c: clear, s: HTTPS */
} cases[] = {
	{ "https://hs.example",         false, false, "c80 s443"    },
	{ "https://hs.example:8443",    false, false, "c80 s8443"   },
	{ "http://hs.example",          false, false, "c80 s443"    },
	{ "http://hs.example:8080",     false, false, "c8080 s443"  },
	{ "http://127.0.0.1:8080",      false, false, "c8080"       },
	{ "http://10.1.2.3",            false, false, "c80"         },
	{ "http://[fd00::1]:99",        false, false, "c99"         },
	{ "http://localhost:8080",      true,  false, "c8080"       },
	{ "https://hs.example",         true,  false, "s443 c80"    },
	{ "http://hs.example:8080",     true,  false, "s443 c8080"  },
	{ "https://hs.example",         false, true,  "s443"        },
	{ "http://127.0.0.1:8080",      false, true,  "c8080"       },
};
/* clang-format on */

static void each_url_has_its_ways_in_order(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_DONE(buf) struct buf got = { 0 };
		struct ctlplan p;
		struct url u;

		CHECK_OK(url_parse(span_str(cases[i].url), &u));
		p = ctlplan_of(&u, cases[i].recent, cases[i].force);
		for (size_t j = 0; j < p.n; j++)
			buf_fmt(&got, "%s%c%u", j ? " " : "", p.try[j].https ? 's' : 'c',
			        p.try[j].port);
		CHECK_STR(buf_text(&got), cases[i].want);
	}
}

int main(void)
{
	RUN(each_url_has_its_ways_in_order);
	return check_done();
}
