#include "protocol/upnp.h"

#include <string.h>

#include "base/err.h"

enum { TAG_MAX = 64 };

static const char *const urns[UPNP_KINDS] = {
	[UPNP_WAN_IP_2] = "urn:schemas-upnp-org:service:WANIPConnection:2",
	[UPNP_WAN_IP_1] = "urn:schemas-upnp-org:service:WANIPConnection:1",
	[UPNP_WAN_PPP_1] = "urn:schemas-upnp-org:service:WANPPPConnection:1",
	[UPNP_LEGACY_PPP_1] = "urn:dslforum-org:service:WANPPPConnection:1",
	[UPNP_LEGACY_IP_1] = "urn:dslforum-org:service:WANIPConnection:1",
};

const char *upnp_kind_urn(enum upnp_kind kind)
{
	return urns[kind];
}

static bool copy_text(char *dst, size_t cap, struct span s)
{
	if (s.n >= cap || memchr(s.p, 0, s.n))
		return false;
	if (s.n)
		memcpy(dst, s.p, s.n);
	dst[s.n] = '\0';
	/* It goes into a request line: nothing that could end one. */
	for (size_t i = 0; i < s.n; i++) {
		if ((uint8_t)dst[i] <= ' ' || (uint8_t)dst[i] >= 0x7f)
			return false;
	}
	return true;
}

/* "http://ADDRESS:PORT/path", nothing else. */
static int split_url(struct span url, struct addr *ret_at, struct span *ret_path)
{
	if (!span_starts(url, "http://"))
		return ERR_MALFORMED;
	url = span_from(url, 7);

	size_t slash = span_find(url, '/');

	*ret_path = slash < url.n ? span_from(url, slash) : SPAN_LIT("/");
	return addr_parse(span_first(url, slash), ret_at);
}

int upnp_found_read(struct span datagram, struct upnp_found *ret)
{
	struct upnp_found f = { 0 };
	struct span rest = datagram;
	struct span line;
	bool gateway = false, located = false;

	if (!span_starts(datagram, "HTTP/1."))
		return ERR_MALFORMED;
	while (span_cut(&rest, '\n', &line)) {
		size_t colon = span_find(line, ':');
		struct span name = span_first(line, colon);
		struct span value = span_trim(span_from(line, colon + 1));
		struct span path;

		if (memmem(line.p, line.n, ":InternetGatewayDevice:", 23))
			gateway = true;
		if (span_is_nocase(name, "usn"))
			(void)copy_text(f.usn, sizeof(f.usn), value);
		if (span_is_nocase(name, "location"))
			located = split_url(value, &f.at, &path) == 0 &&
			          copy_text(f.path, sizeof(f.path), path);
	}
	if (!gateway || !located)
		return ERR_MALFORMED;
	*ret = f;
	return 0;
}

void upnp_search(struct buf *dst, const char *target)
{
	buf_fmt(dst,
	        "M-SEARCH * HTTP/1.1\r\n"
	        "HOST: 239.255.255.250:1900\r\n"
	        "ST: %s\r\n"
	        "MAN: \"ssdp:discover\"\r\n"
	        "MX: 2\r\n\r\n",
	        target);
}

/*
 * The next element whose local name is `name`, in *xml; its content is
 * *ret and *xml continues behind it. Comments and attributes are stepped over as
 * text: a gateway that hides tags in them fools only itself.
 */
static bool next_element(struct span *xml, const char *name, struct span *ret)
{
	char close[TAG_MAX];
	size_t len = strlen(name);

	while (xml->n) {
		size_t open = span_find(*xml, '<');
		struct span tag = span_from(*xml, open + 1);
		size_t end = span_find(tag, '>');
		struct span words = span_first(tag, end);

		*xml = span_from(tag, end + 1);
		if (end >= tag.n)
			return false;

		struct span full = span_first(words, span_find(words, ' '));
		struct span local = full;
		size_t colon = span_find(full, ':');

		if (colon < full.n)
			local = span_from(full, colon + 1);
		if (local.n != len || memcmp(local.p, name, len) != 0 || full.n + 4 > TAG_MAX ||
		    (words.n && words.p[words.n - 1] == '/'))
			continue;
		close[0] = '<';
		close[1] = '/';
		memcpy(close + 2, full.p, full.n);
		close[full.n + 2] = '>';

		const uint8_t *at = memmem(xml->p, xml->n, close, full.n + 3);

		if (!at)
			return false;
		*ret = span(xml->p, (size_t)(at - xml->p));
		*xml = span_from(*xml, (size_t)(at - xml->p));
		return true;
	}
	return false;
}

int upnp_value(struct span xml, const char *name, struct span *ret)
{
	struct span text;

	if (!next_element(&xml, name, &text))
		return ERR_UNKNOWN;
	*ret = span_trim(text);
	return 0;
}

/* The path of a control URL, absolute or relative to the description. */
static bool control_path(struct span url, const char *base, char dst[static UPNP_URL_MAX])
{
	struct addr at;
	struct span path;

	if (split_url(url, &at, &path) == 0)
		return copy_text(dst, UPNP_URL_MAX, path);
	if (url.n && url.p[0] == '/')
		return copy_text(dst, UPNP_URL_MAX, url);

	const char *slash = strrchr(base, '/');
	size_t n = slash ? (size_t)(slash - base) + 1 : 0;

	if (url.n == 0 || n + url.n >= UPNP_URL_MAX)
		return false;
	memcpy(dst, base, n);
	return copy_text(dst + n, UPNP_URL_MAX - n, url);
}

static size_t services_of_kind(struct span xml, const char *base, enum upnp_kind kind,
                               struct upnp_service *ret, size_t max)
{
	struct span service, type, url;
	size_t n = 0;

	while (n < max && next_element(&xml, "service", &service)) {
		if (upnp_value(service, "serviceType", &type) < 0 || !span_is(type, urns[kind]) ||
		    upnp_value(service, "controlURL", &url) < 0)
			continue;
		if (control_path(url, base, ret[n].path))
			ret[n++].kind = kind;
	}
	return n;
}

size_t upnp_services_read(struct span xml, const char *base,
                          struct upnp_service ret[static UPNP_SERVICES_MAX])
{
	size_t n = 0;

	for (unsigned kind = 0; kind < UPNP_KINDS; kind++)
		n += services_of_kind(xml, base, (enum upnp_kind)kind, ret + n,
		                      UPNP_SERVICES_MAX - n);
	return n;
}

void upnp_call(struct buf *dst, enum upnp_kind kind, const char *action,
               const struct upnp_arg *args)
{
	buf_fmt(dst,
	        "<?xml version=\"1.0\"?>\r\n"
	        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" "
	        "s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\">"
	        "<s:Body><u:%s xmlns:u=\"%s\">",
	        action, urns[kind]);
	for (; args && args->name; args++)
		buf_fmt(dst, "<%s>%s</%s>", args->name, args->value, args->name);
	buf_fmt(dst, "</u:%s></s:Body></s:Envelope>\r\n", action);
}

unsigned upnp_error(struct span xml)
{
	struct span text;
	uint64_t code;

	if (upnp_value(xml, "errorCode", &text) < 0 || span_u64(text, 9999, &code) < 0)
		return 0;
	return (unsigned)code;
}
