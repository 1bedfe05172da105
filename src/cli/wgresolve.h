#pragma once
/* Names in WireGuard configurations, looked up as wg(8) does. Blocks. */
#include "base/ip.h"
#include "base/own.h"
#include "cli/cmd.h"
#include "wireguard/conf.h"

/*
 * The first address of an endpoint. What may be a passing trouble is tried again
 * after 1 s, growing to 20 s, WG_ENDPOINT_RESOLUTION_RETRIES times (default 15;
 * "infinity"). Says on cli->err what went wrong.   ERR_UNKNOWN
 */
NODISCARD int wg_resolve(const struct cli *cli, const struct wg_endpoint *e, struct addr *ret);
/* A port of UDP by the name of its service. ERR_UNKNOWN */
NODISCARD int wg_resolve_service(const char *service, uint16_t *ret);
/* Fills in what a parsed file left open; `file` is for messages. ERR_UNKNOWN */
NODISCARD int wg_resolve_conf(const struct cli *cli, const char *file, struct wg_conf *c);
