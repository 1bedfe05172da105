#include "relay/certs.h"

#include <errno.h>
#include <stdio.h>

#include "base/enc.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

enum {
	LOOK_US = 30 * 1000 * 1000,
	META_DAYS = 30,
	OWN_DAYS = 365,
	RENEW_DAYS = 30, /* an own certificate is made anew so long before its end */
};

#define DAY_US (INT64_C(86400) * US_PER_S)

struct certs {
	struct ev *ev;
	const struct relay_config *cfg;
	char *chain_path, *key_path;
	bool own;
	struct node_pub relay;
	struct tls_server *tls;
	uint64_t seen;  /* hash of the files in use */
	wall meta_made; /* the meta certificate is renewed with the rest */
	wall until;
	uint8_t hash[TLS_HASH_LEN];
	struct ev_timer look;
	struct acme_keep *acme; /* instead of files */
	const char *name;
};

static wall wall_plus(wall t, int64_t us)
{
	return (wall){ t.us + us };
}

static bool meta_is_stale(const struct certs *c)
{
	return ev_wall(c->ev).us - c->meta_made.us > META_DAYS / 2 * DAY_US;
}

static int add_meta(struct certs *c, struct tls_cert *cert)
{
	char name[sizeof(DERP_META_CERT_PREFIX) + HEX_LEN(KEY_LEN)] = DERP_META_CERT_PREFIX;

	(void)hex_encode(name + sizeof(DERP_META_CERT_PREFIX) - 1, c->relay.b, KEY_LEN);
	c->meta_made = ev_wall(c->ev);
	return tls_cert_set_meta(cert, name, DERP_VERSION,
	                         wall_plus(c->meta_made, -META_DAYS * DAY_US),
	                         wall_plus(c->meta_made, META_DAYS * DAY_US));
}

static uint64_t hash_of(const struct buf *a, const struct buf *b)
{
	static const uint64_t key[2] = { 1, 2 };

	return siphash(key, a->p, a->n) * 3 + siphash(key, b->p, b->n);
}

static int make_own(const struct certs *c)
{
	AUTO_DONE(buf) struct buf chain = { 0 }, key = { .secret = true };
	const char *name = c->cfg->hostname[0] ? c->cfg->hostname : "localhost";
	struct tls_cert *cert = NULL;
	wall now = ev_wall(c->ev);
	int r = tls_cert_self_signed(&name, 1, wall_plus(now, -DAY_US),
	                             wall_plus(now, OWN_DAYS * DAY_US), &chain, &key, &cert);

	tls_cert_unref(cert);
	if (r == 0)
		r = file_write_atomic(c->key_path, buf_span(&key), 0600);
	return r < 0 ? r : file_write_atomic(c->chain_path, buf_span(&chain), 0644);
}

static int use(struct certs *c, struct tls_cert *cert)
{
	wall from;
	int r;

	tls_cert_hash(cert, c->hash);
	tls_cert_validity(cert, &from, &c->until);
	r = add_meta(c, cert);
	if (r < 0)
		return r;
	if (!c->tls)
		return tls_server_new_cert(TLS_ALPN_HTTP1, cert, &c->tls);
	tls_server_set_cert(c->tls, cert);
	return 0;
}

int certs_reload(struct certs *c, bool force)
{
	AUTO_DONE(buf) struct buf chain = { 0 }, key = { .secret = true };
	AUTO(tls_cert_unref) struct tls_cert *cert = NULL;

	if (c->acme)
		return 0;

	int r = file_read(c->chain_path, TLS_FILE_MAX, &chain);

	if (r == 0)
		r = file_read(c->key_path, TLS_FILE_MAX, &key);
	if (r < 0)
		return r;

	uint64_t hash = hash_of(&chain, &key);

	if (!force && !meta_is_stale(c) && hash == c->seen)
		return 0;
	r = tls_cert_from_pem(buf_span(&chain), buf_span(&key), &cert);
	if (r == 0)
		r = use(c, cert);
	if (r == 0)
		c->seen = hash;
	return r;
}

/* A certificate by ACME outlives the meta certificate at its end. */
static void look_at_acme(struct certs *c)
{
	struct tls_cert *cert = acme_keep_cert(c->acme);

	if (cert && meta_is_stale(c) && add_meta(c, cert) < 0)
		log_warn("certificate: clients will not know our key beforehand");
}

static void on_look(struct ev_timer *t, mono now)
{
	struct certs *c = CONTAINER_OF(t, struct certs, look);
	uint64_t before = c->seen;
	int r = 0;

	(void)now;
	if (c->acme) {
		look_at_acme(c);
		ev_timer_after(c->ev, &c->look, LOOK_US);
		return;
	}
	if (c->own && c->until.us - ev_wall(c->ev).us < RENEW_DAYS * DAY_US)
		r = make_own(c);
	if (r == 0)
		r = certs_reload(c, false);
	if (r < 0)
		log_warn("certificate: cannot use %s: %s", c->chain_path, err_text(r));
	else if (c->seen != before)
		log_info("certificate: read anew");
	ev_timer_after(c->ev, &c->look, LOOK_US);
}

static void set_paths(struct certs *c, const struct relay_config *cfg)
{
	c->own = cfg->self_signed && !cfg->cert_file[0];
	if (c->own) {
		c->chain_path = str_fmt("%s.crt", cfg->key_file);
		c->key_path = str_fmt("%s.crt.key", cfg->key_file);
		return;
	}
	c->chain_path = str_dup(cfg->cert_file);
	c->key_path = str_dup(cfg->cert_key_file[0] ? cfg->cert_key_file : cfg->cert_file);
}

/* --- ACME --- */

static struct tls_cert *choose(void *owner, const struct tls_hello *hello)
{
	struct certs *c = owner;

	return acme_keep_choose(c->acme, hello);
}

static void on_acme(void *owner, struct tls_cert *cert)
{
	struct certs *c = owner;
	wall from;

	tls_cert_hash(cert, c->hash);
	tls_cert_validity(cert, &from, &c->until);
	if (add_meta(c, cert) < 0)
		log_warn("certificate: clients will not know our key beforehand");
	log_info("certificate: new, by ACME");
}

static int start_acme(struct certs *c, const struct http_client *client)
{
	const struct relay_config *cfg = c->cfg;
	struct tls_server_cfg tls = { .alpn = TLS_ALPN_HTTP1, .choose = choose, .owner = c };
	struct acme_keep_cfg keep = {
		.ev = c->ev,
		.client = client,
		.directory = strcmp(cfg->acme, "letsencrypt") == 0 ? NULL : cfg->acme,
		.contact = cfg->acme_contact[0] ? cfg->acme_contact : NULL,
		.folder = cfg->acme_folder,
		.names = &c->name,
		.n_names = 1,
		.challenges = strcmp(cfg->acme_challenge, "http") == 0  ? ACME_HTTP_01
		              : strcmp(cfg->acme_challenge, "tls") == 0 ? ACME_TLS_ALPN_01
		                                                        : 0,
		.changed = on_acme,
		.owner = c,
	};

	c->name = cfg->hostname;
	if (!c->name[0])
		return ERR_MALFORMED;

	int r = acme_keep_new(&keep, &c->acme);

	ev_timer_after(c->ev, &c->look, LOOK_US);
	/* One that was kept from before is not told as a change. */
	if (r == 0 && acme_keep_cert(c->acme) && !c->until.us)
		on_acme(c, acme_keep_cert(c->acme));
	return r < 0 ? r : tls_server_new(&tls, &c->tls);
}

const char *certs_http01(const struct certs *c, struct span path)
{
	return c && c->acme ? acme_keep_http01(c->acme, path) : NULL;
}

/* --- life --- */

static int start_files(struct certs *c)
{
	set_paths(c, c->cfg);

	int r = certs_reload(c, true);

	if (r == -ENOENT && c->own) {
		r = make_own(c);
		if (r == 0)
			r = certs_reload(c, true);
	}
	if (r == 0)
		ev_timer_after(c->ev, &c->look, LOOK_US);
	return r;
}

int certs_new(struct ev *ev, const struct relay_config *cfg, const struct node_pub *relay,
              const struct http_client *client, struct certs **ret)
{
	struct certs *c = mem_new(struct certs);

	c->ev = ev;
	c->cfg = cfg;
	c->relay = *relay;
	c->look.fn = on_look;

	int r = cfg->acme[0] ? start_acme(c, client) : start_files(c);

	if (r < 0) {
		certs_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void certs_free(struct certs *c)
{
	if (!c)
		return;
	ev_timer_stop(c->ev, &c->look);
	acme_keep_free(c->acme);
	tls_server_unref(c->tls);
	free(c->chain_path);
	free(c->key_path);
	free(c);
}

struct tls_server *certs_tls(const struct certs *c)
{
	return c->tls;
}

wall certs_until(const struct certs *c)
{
	return c->until;
}

const char *certs_pin(const struct certs *c, char dst[static CERTS_PIN_MAX])
{
	static const char prefix[] = "sha256-raw:";

	memcpy(dst, prefix, sizeof(prefix) - 1);
	(void)hex_encode(dst + sizeof(prefix) - 1, c->hash, TLS_HASH_LEN);
	return dst;
}
