/* What a request for /derp asks for. */
#include "relay/relay.h"

void relay_upgrade_of(const struct http_head *head, struct relay_upgrade *ret)
{
	struct span upgrade = http_find(head, "Upgrade");
	struct span ws_key = http_find(head, "Sec-WebSocket-Key");
	bool websocket = span_is_nocase(upgrade, "websocket");

	*ret = (struct relay_upgrade){ .way = RELAY_WAY_NONE };
	if (!span_is(head->method, "GET") || (!websocket && !span_is_nocase(upgrade, "derp")))
		return;
	ret->not_ideal = http_find(head, "Ideal-Node").n > 0;
	if (span_is(http_find(head, "Derp-Fast-Start"), "1")) {
		ret->way = RELAY_WAY_FAST;
		return;
	}
	ret->way = RELAY_WAY_DERP;
	/* Old clients say websocket and speak plain DERP: the subprotocol makes the difference. */
	if (!websocket || !http_has_token(head, "Sec-WebSocket-Protocol", "derp"))
		return;
	if (ws_check_request(head, "derp") < 0 || ws_key.n >= sizeof(ret->ws_key)) {
		ret->way = RELAY_WAY_NONE;
		return;
	}
	memcpy(ret->ws_key, ws_key.p, ws_key.n);
	ret->way = RELAY_WAY_WEBSOCKET;
}
