#include "wireguard/msg.h"

#include "base/err.h"

int wg_msg_kind(struct span d)
{
	if (d.n < 4)
		return ERR_SHORT;

	uint32_t type = le32_at(d.p);

	switch (type) {
	case WG_MSG_INITIATION:
		return d.n == WG_INITIATION_LEN ? WG_MSG_INITIATION : ERR_MALFORMED;
	case WG_MSG_RESPONSE:
		return d.n == WG_RESPONSE_LEN ? WG_MSG_RESPONSE : ERR_MALFORMED;
	case WG_MSG_COOKIE:
		return d.n == WG_COOKIE_LEN ? WG_MSG_COOKIE : ERR_MALFORMED;
	case WG_MSG_DATA:
		return d.n >= WG_DATA_OVERHEAD ? WG_MSG_DATA : ERR_MALFORMED;
	default:
		return ERR_VERSION;
	}
}
