#pragma once
/*
 * TLS 1.3 records after the handshake: all that a connection needs once its keys
 * are agreed. OpenSSL shakes hands; a server that is to hold many idle clients
 * then takes the two traffic secrets and lets its SSL object go, which is some
 * 13 KB a connection, while this is 300 bytes.
 *
 * What is spoken here: application data, KeyUpdate (answered; sent by us before a
 * key has sealed too much), alerts. Nothing else may come after a handshake with
 * neither tickets nor client certificates. The ciphers are OpenSSL's.
 *
 * Pure: sealed bytes in, plain ones out, and the other way round. A record that has
 * come in part lies in a buffer of the gear's; nothing else is allocated.
 *
 * Source: RFC 8446 s.4.6.3, 5, 6, 7.1 to 7.3; RFC 8448 s.3 has the vectors.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/own.h"
#include "base/span.h"

enum {
	TLS_RECORD_HEAD = 5,
	TLS_RECORD_TAG = 16,
	TLS_RECORD_PLAIN_MAX = 1 << 14,
	TLS_RECORD_BODY_MAX = TLS_RECORD_PLAIN_MAX + 256,
	TLS_RECORD_OVERHEAD = TLS_RECORD_HEAD + 1 + TLS_RECORD_TAG,
	TLS_CONTROL_MAX = TLS_RECORD_OVERHEAD + 5, /* a KeyUpdate, an alert */
	TLS_SECRET_MAX = 48,
	TLS_EMPTY_MAX = 32, /* records in a row that carry no data */
};

/* s.5.5 allows 2^24.5 records of AES-GCM for one key; all ciphers are held to less. */
#define TLS_KEY_RECORDS_MAX (UINT64_C(1) << 24)

enum tls_record_type { TLS_RECORD_ALERT = 21, TLS_RECORD_HANDSHAKE = 22, TLS_RECORD_DATA = 23 };

enum tls_alert {
	TLS_ALERT_CLOSE = 0,
	TLS_ALERT_UNEXPECTED = 10,
	TLS_ALERT_BAD_MAC = 20,
	TLS_ALERT_OVERFLOW = 22,
	TLS_ALERT_ILLEGAL = 47,
	TLS_ALERT_DECODE = 50,
	TLS_ALERT_INTERNAL = 80,
	TLS_ALERT_CANCELED = 90,
};

/*
 * Cipher contexts and buffers, shared by all connections of a server: those in use
 * keep theirs, the idle ones have none.
 */
struct tls_gear;
struct tls_gear *tls_gear_new(void);
void tls_gear_free(struct tls_gear *g);

/* One direction. */
struct tls_way {
	uint8_t secret[TLS_SECRET_MAX], key[32], iv[12];
	uint64_t seq; /* of the next record */
	uint64_t id;  /* of this key in the gear */
};

struct tls_suite;

/* Embed it, wiped by tls_records_done; the fields are the implementation's. */
struct tls_records {
	struct tls_gear *gear;
	const struct tls_suite *suite;
	struct tls_way in, out;
	uint64_t key_max; /* records sealed with one key */
	uint8_t *part;    /* a record that has come in part, from its head on */
	uint32_t part_n;
	uint8_t head[TLS_RECORD_HEAD]; /* the same before its length is known */
	uint8_t update[5], update_n;   /* a KeyUpdate in pieces */
	uint8_t alert;                 /* to be sent */
	uint8_t empty;
	bool answer_update, over;
};

/*
 * The gear must outlive it. suite: as in the handshake (0x1301 to 0x1303);
 * secrets: the application traffic secrets of the other side and of ours.
 * ERR_UNKNOWN: another suite. ERR_TLS: the cipher library failed
 */
NODISCARD int tls_records_init(struct tls_records *r, struct tls_gear *gear, uint16_t suite,
                               struct span in_secret, struct span out_secret);
void tls_records_done(struct tls_records *r);

/*
 * Opens whatever is whole, and keeps the rest; all of `in` is taken. dst must have
 * room for in.n + TLS_RECORD_BODY_MAX; *ret_n is valid whatever is returned.
 *   0
 *   ERR_CLOSED	the other side sends no more
 *   ERR_TLS	against the rules, or its alert: nothing more is taken
 * Afterwards tls_records_control has the alert to be sent, if any.
 */
NODISCARD int tls_records_open(struct tls_records *r, struct span in, uint8_t *dst, size_t *ret_n);

/*
 * One record of at most TLS_RECORD_PLAIN_MAX bytes; dst has room for
 * plain.n + TLS_RECORD_OVERHEAD. Its length. ERR_TLS: the cipher library failed
 */
NODISCARD int tls_records_seal(struct tls_records *r, enum tls_record_type type, struct span plain,
                               uint8_t *dst);
/*
 * What must go before the next data: the length of a record, 0 for none. To be
 * asked before each tls_records_seal, and when an alert is due.
 */
size_t tls_records_control(struct tls_records *r, uint8_t dst[static TLS_CONTROL_MAX]);
/* close_notify: the last record. */
size_t tls_records_close(struct tls_records *r, uint8_t dst[static TLS_CONTROL_MAX]);
