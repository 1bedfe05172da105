#pragma once
/*
 * The size of segments that the ends of a TCP connection agree on at its start:
 * a path that carries less than they think makes itself known there, in both
 * directions, as its routers may say nothing later. Pure.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A packet that opens a TCP connection: SYN, with or without ACK. */
bool mss_is_syn(const uint8_t *p, size_t n);
/*
 * Lowers the maximum segment size of such a packet to what fits into mtu bytes,
 * its checksum with it. One that names none, or a smaller one, is left alone.
 */
void mss_clamp(uint8_t *p, size_t n, size_t mtu);
