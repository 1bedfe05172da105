#pragma once
/*
 * The program fairlead-wg: a WireGuard device in user space, started and spoken
 * to like wireguard-go.
 *
 *	fairlead-wg [-f|--foreground] IFACE
 *	fairlead-wg --version
 *
 * WG_PROCESS_FOREGROUND=1	as -f
 * WG_TUN_FD, WG_UAPI_FD	descriptors opened by whoever starts it
 * LOG_LEVEL		verbose or debug, error, silent
 * FAIRLEAD_DISABLE	for machines where one is broken, a list with commas:
 *			udp-gso, udp-gro, tun-gro, udp-tail (platform/udp.h)
 */
int wg_main(int argc, char **argv);
