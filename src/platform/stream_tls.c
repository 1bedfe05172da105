#include "platform/stream.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "platform/tls_priv.h"

/* ---- OpenSSL's way to the bytes ---- */

static int bio_read(BIO *bio, char *dst, int n)
{
	struct stream *s = BIO_get_data(bio);
	size_t take = s->tls->win.n < (size_t)n ? s->tls->win.n : (size_t)n;

	BIO_clear_retry_flags(bio);
	if (take == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(dst, s->tls->win.p, take);
	s->tls->win = span_from(s->tls->win, take);
	return (int)take;
}

static int bio_write(BIO *bio, const char *src, int n)
{
	struct stream *s = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	outq_add(&s->out, src, n > 0 ? (size_t)n : 0);
	return n;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	(void)bio;
	(void)num;
	(void)ptr;
	return cmd == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_bio_new(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "stream");

	(void)BIO_meth_set_read(m, bio_read);
	(void)BIO_meth_set_write(m, bio_write);
	(void)BIO_meth_set_ctrl(m, bio_ctrl);
	return m;
}

/* ---- errors ---- */

/* A machine without a battery that starts in 1970 sees every certificate as one of the future. */
static bool is_about_time(long verify)
{
	return verify == X509_V_ERR_CERT_NOT_YET_VALID || verify == X509_V_ERR_CERT_HAS_EXPIRED;
}

static void note_error(struct tls_conn *c)
{
	unsigned long e = ERR_peek_error();
	long v = c->client ? SSL_get_verify_result(c->ssl) : X509_V_OK;

	if (c->error)
		return;
	if (v != X509_V_OK)
		c->error = str_fmt("certificate: %s%s", X509_verify_cert_error_string(v),
		                   is_about_time(v) ? " (is this machine's clock right?)" : "");
	else
		c->error = str_dup(e ? ERR_reason_error_string(e) : "connection ended");
}

/* The alert, if there is one, is in the queue: give it its chance to go. */
static void fail_tls(struct stream *s)
{
	note_error(s->tls);
	ERR_clear_error();
	stream_flush(s);
	stream_fail(s, ERR_TLS);
}

/* Whether the operation merely waits for bytes; otherwise the stream is lost. */
static bool only_waits(struct stream *s, int r)
{
	int e = SSL_get_error(s->tls->ssl, r);

	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
		return true;
	if (e != SSL_ERROR_ZERO_RETURN)
		fail_tls(s);
	return false;
}

/* ---- the filter ---- */

static void note_alpn(struct tls_conn *c)
{
	const unsigned char *p = NULL;
	unsigned n = 0;

	SSL_get0_alpn_selected(c->ssl, &p, &n);
	if (n < sizeof(c->alpn)) {
		if (n)
			memcpy(c->alpn, p, n);
		c->alpn[n] = '\0';
	}
}

static void forget_secrets(struct tls_conn *c)
{
	if (c->secrets)
		explicit_bzero(c->secrets, sizeof(*c->secrets));
	free(TAKE(c->secrets));
}

/*
 * The handshake of a TLS 1.3 client is over, and nothing but data, key updates and
 * alerts can follow: the secrets suffice, and the SSL object goes. Others keep it.
 */
static void let_go(struct tls_conn *c)
{
	const struct tls_secrets *k = c->secrets;
	const char *sni = SSL_get_servername(c->ssl, TLSEXT_NAMETYPE_host_name);
	const SSL_CIPHER *cipher = SSL_get_current_cipher(c->ssl);

	if (!k || !k->n_in || !k->n_out || SSL_version(c->ssl) != TLS1_3_VERSION ||
	    SSL_has_pending(c->ssl))
		return;

	struct tls_records *r = mem_new(struct tls_records);

	if (tls_records_init(r, c->server->gear, SSL_CIPHER_get_protocol_id(cipher),
	                     span(k->in, k->n_in), span(k->out, k->n_out)) < 0) {
		tls_records_done(r);
		free(r);
		return;
	}
	c->records = r;
	c->sni = str_dup(sni);
	SSL_free(TAKE(c->ssl));
}

static void shake_hands(struct stream *s)
{
	ERR_clear_error();

	int r = SSL_do_handshake(s->tls->ssl);

	if (r == 1) {
		s->tls->open = true;
		note_alpn(s->tls);
		let_go(s->tls);
		forget_secrets(s->tls);
	} else {
		(void)only_waits(s, r);
	}
}

static size_t read_records(struct stream *s, struct tls_input *in, uint8_t *dst, size_t cap)
{
	size_t n = 0;

	ERR_clear_error();
	while (n < cap) {
		size_t got = 0;
		int r = SSL_read_ex(s->tls->ssl, dst + n, cap - n, &got);

		if (r == 1) {
			n += got;
			continue;
		}
		if (!only_waits(s, r) && !s->failed)
			in->eof = true;
		break;
	}
	return n;
}

/* ---- the same without an SSL object ---- */

static void put_control(struct stream *s)
{
	uint8_t record[TLS_CONTROL_MAX];
	size_t n;

	while ((n = tls_records_control(s->tls->records, record)) > 0)
		outq_add(&s->out, record, n);
}

/* An answer waits until what is queued has gone: who reads nothing gets no more of them. */
static size_t open_records(struct stream *s, struct tls_input *in, uint8_t *dst)
{
	struct tls_conn *c = s->tls;
	size_t n;
	int r = tls_records_open(c->records, in->win, dst, &n);

	in->win = (struct span){ 0 };
	in->eof |= r == ERR_CLOSED;
	if (r == ERR_TLS || outq_len(&s->out) == 0)
		put_control(s);
	if (r == ERR_TLS) {
		c->error = c->error ? c->error : str_dup("a record broke the rules, or an alert");
		stream_flush(s);
		stream_fail(s, ERR_TLS);
	}
	return n;
}

size_t tls_conn_unseal(struct stream *s, struct tls_input *in, uint8_t *dst, size_t cap)
{
	struct tls_conn *c = s->tls;
	size_t n = 0;

	if (c->records)
		return open_records(s, in, dst);
	c->win = in->win;
	if (c->open) {
		n = read_records(s, in, dst, cap);
	} else {
		shake_hands(s);
		in->opened = c->open;
	}
	in->win = c->win;
	c->win = (struct span){ 0 };
	return n;
}

/*
 * The next piece for one record, at most cap bytes. Small pieces are put together
 * in dst, so that a record is worth its overhead; a piece that fills one is taken
 * where it is.
 */
static struct span gather(const struct iovec *iov, size_t n, size_t skip, uint8_t *dst, size_t cap)
{
	size_t len = 0;

	for (size_t i = 0; i < n && len < cap; i++) {
		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}

		const uint8_t *from = (const uint8_t *)iov[i].iov_base + skip;
		size_t take = iov[i].iov_len - skip;

		if (len == 0 && (take >= cap || i + 1 == n))
			return span(from, take < cap ? take : cap);
		take = take < cap - len ? take : cap - len;
		memcpy(dst + len, from, take);
		len += take;
		skip = 0;
	}
	return span(dst, len);
}

/* With an SSL object, somewhat more than there is. */
enum { RECORD_OVERHEAD = 64 };

/* What sealing so much will add to the queue, so that it grows once. */
static void reserve(struct stream *s, const struct iovec *iov, size_t n, size_t max)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += iov[i].iov_len;
	if (sum > max)
		sum = max;
	if (sum > SSL3_RT_MAX_PLAIN_LENGTH)
		outq_reserve(&s->out, sum + (sum / SSL3_RT_MAX_PLAIN_LENGTH + 1) * RECORD_OVERHEAD);
}

/* One record into the queue; what of the piece was taken, which is all of it. */
static int seal_piece(struct stream *s, struct span piece)
{
	struct tls_conn *c = s->tls;
	size_t done = 0;

	if (!c->records)
		return SSL_write_ex(c->ssl, piece.p, piece.n, &done) == 1 ? (int)done : ERR_TLS;
	put_control(s);
	outq_reserve(&s->out, piece.n + TLS_RECORD_OVERHEAD);

	int n = tls_records_seal(c->records, TLS_RECORD_DATA, piece, s->out.p + s->out.n);

	if (n < 0)
		return n;
	s->out.n += (size_t)n;
	return (int)piece.n;
}

int tls_conn_seal(struct stream *s, const struct iovec *iov, size_t n, size_t max)
{
	uint8_t record[SSL3_RT_MAX_PLAIN_LENGTH];
	size_t taken = 0;

	ERR_clear_error();
	reserve(s, iov, n, max);
	while (taken < max) {
		size_t room = max - taken < sizeof(record) ? max - taken : sizeof(record);
		struct span piece = gather(iov, n, taken, record, room);

		if (piece.n == 0)
			break;

		int done = seal_piece(s, piece);

		if (done < 0) {
			fail_tls(s);
			return ERR_TLS;
		}
		taken += (size_t)done;
	}
	return (int)taken;
}

bool tls_conn_is_open(const struct stream *s)
{
	return s->tls->open;
}

bool tls_conn_is_half(const struct stream *s)
{
	return s->tls->records && s->tls->records->part_n > 0;
}

void tls_conn_shutdown(struct stream *s)
{
	uint8_t record[TLS_CONTROL_MAX];

	if (s->tls->records) {
		outq_add(&s->out, record, tls_records_close(s->tls->records, record));
		return;
	}
	ERR_clear_error();
	if (s->tls->open)
		(void)SSL_shutdown(s->tls->ssl);
	ERR_clear_error();
}

void tls_conn_free(struct tls_conn *c)
{
	if (!c)
		return;
	SSL_free(c->ssl);
	if (c->records)
		tls_records_done(c->records);
	free(c->records);
	forget_secrets(c);
	tls_server_unref(c->server);
	tls_client_unref(c->client);
	tls_want_free(c->want);
	free(c->error);
	free(c->sni);
	free(c);
}

/* ---- starting ---- */

static int attach(struct stream *s, struct tls_conn *c, struct tls_ctx *ctx)
{
	BIO *bio = BIO_new(ctx->bio);

	c->ssl = SSL_new(ctx->ssl);
	if (!bio || !c->ssl) {
		BIO_free(bio);
		tls_conn_free(c);
		return -ENOMEM;
	}
	BIO_set_data(bio, s);
	BIO_set_init(bio, 1);
	SSL_set_bio(c->ssl, bio, bio);
	SSL_set_app_data(c->ssl, c);
	s->tls = c;
	return 0;
}

static bool may_start(const struct stream *s)
{
	return !s->tls && s->in_n == 0 && outq_len(&s->out) == 0 && !s->failed && !s->dead;
}

int stream_start_tls_server(struct stream *s, struct tls_server *tls)
{
	if (!may_start(s))
		return ERR_BADSTATE;

	struct tls_conn *c = mem_new(struct tls_conn);

	c->server = tls_server_ref(tls);
	if (tls->gear)
		c->secrets = mem_new(struct tls_secrets);

	int r = attach(s, c, &tls->ctx);

	if (r == 0)
		SSL_set_accept_state(c->ssl);
	return r;
}

static struct tls_want *want_of(const struct tls_peer *peer)
{
	struct tls_want *w = mem_new(struct tls_want);

	w->trust = peer->trust;
	w->name = str_dup(peer->name ? peer->name : peer->sni);
	if (peer->trust == TLS_TRUST_PINNED)
		free(w->name), w->name = str_dup(peer->name);
	w->pass_over = str_dup(peer->pass_over);
	memcpy(w->pin, peer->pin, sizeof(w->pin));
	return w;
}

static void offer(SSL *ssl, const struct tls_peer *peer)
{
	static const uint8_t http[] = "\x02h2\x08http/1.1";
	static const uint8_t http1[] = "\x08http/1.1";

	if (peer->sni && !tls_name_is_ip(peer->sni))
		(void)SSL_set_tlsext_host_name(ssl, (char *)(uintptr_t)peer->sni);
	if (peer->alpn == TLS_ALPN_HTTP)
		(void)SSL_set_alpn_protos(ssl, http, sizeof(http) - 1);
	else if (peer->alpn == TLS_ALPN_HTTP1)
		(void)SSL_set_alpn_protos(ssl, http1, sizeof(http1) - 1);
}

int stream_start_tls_client(struct stream *s, struct tls_client *tls, const struct tls_peer *peer)
{
	if (!may_start(s))
		return ERR_BADSTATE;

	int r = peer->trust == TLS_TRUST_ROOTS ? tls_client_read_roots(tls) : 0;

	if (r < 0)
		return r;

	struct tls_conn *c = mem_new(struct tls_conn);

	c->client = tls_client_ref(tls);
	c->want = want_of(peer);
	r = attach(s, c, &tls->ctx);
	if (r < 0)
		return r;
	SSL_set_connect_state(c->ssl);
	offer(c->ssl, peer);
	shake_hands(s);
	stream_flush(s);
	return 0;
}

/* ---- looking at it ---- */

bool stream_is_tls(const struct stream *s)
{
	return s->tls != NULL;
}

int stream_tls_info(const struct stream *s, struct stream_tls_info *ret)
{
	if (!s->tls || !s->tls->open)
		return ERR_BADSTATE;

	SSL *ssl = s->tls->ssl;
	const char *sni = ssl ? SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) : s->tls->sni;
	X509 *cert = ssl ? SSL_get0_peer_certificate(ssl) : NULL;
	struct stream_tls_info info = {
		.version = ssl ? SSL_get_version(ssl) : "TLSv1.3",
		.alpn = s->tls->alpn,
		.sni = sni ? sni : "",
		.has_cert = cert != NULL,
	};

	if (cert)
		(void)X509_digest(cert, EVP_sha256(), info.cert_sha256, NULL);
	*ret = info;
	return 0;
}

static int read_cn(X509 *cert, const char *prefix, char *dst, size_t cap)
{
	char name[256];
	int n = X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name,
	                                  sizeof(name));
	struct span cn = span(name, n > 0 ? (size_t)n : 0);

	if (!span_starts(cn, prefix))
		return ERR_UNKNOWN;
	cn = span_from(cn, strlen(prefix));
	if (cn.n >= cap)
		return ERR_LIMIT;
	memcpy(dst, cn.p, cn.n);
	dst[cn.n] = '\0';
	return 0;
}

static int read_serial(X509 *cert, unsigned *ret)
{
	int64_t v = 0;

	if (ASN1_INTEGER_get_int64(&v, X509_get0_serialNumber(cert)) != 1 || v < 0 || v > 255)
		return ERR_LIMIT;
	*ret = (unsigned)v;
	return 0;
}

int stream_tls_find_cn(const struct stream *s, const char *prefix, char *dst, size_t cap,
                       unsigned *ret_serial)
{
	STACK_OF(X509) *chain = s->tls && s->tls->ssl && s->tls->open
	                                ? SSL_get_peer_cert_chain(s->tls->ssl)
	                                : NULL;

	for (int i = 0; i < sk_X509_num(chain); i++) {
		X509 *cert = sk_X509_value(chain, i);
		int r = read_cn(cert, prefix, dst, cap);

		if (r == 0)
			r = read_serial(cert, ret_serial);
		if (r != ERR_UNKNOWN)
			return r;
	}
	return ERR_UNKNOWN;
}

const char *stream_tls_error(const struct stream *s)
{
	return s->tls && s->tls->error ? s->tls->error : "";
}
