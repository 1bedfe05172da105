#include "coordinator/site_cert.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/url.h"
#include "platform/acme_keep.h"
#include "platform/http_server.h"
#include "platform/listen.h"

struct site_cert {
	const struct config *cfg;
	struct ev *ev;
	struct tls_server *tls;
	struct tls_cert *cert; /* of the files */
	int port80;            /* passed by the service manager; -1: none */
	struct acme_keep *acme;
	struct resolver *resolver;
	struct tls_client *trust;
	struct http_client client;
	char *contact;
	struct http_server *http; /* port 80: challenges, and redirects to https */
	struct listener *listener;
};

static bool wants_acme(const struct config *cfg)
{
	return *cfg->le_hostname;
}

static struct tls_cert *choose(void *owner, const struct tls_hello *hello)
{
	struct site_cert *s = owner;

	if (s->acme)
		return acme_keep_choose(s->acme, hello);
	return hello->acme ? NULL : s->cert;
}

/* ---- files ---- */

static int read_files(struct site_cert *s)
{
	struct tls_cert *cert = NULL;
	int r = tls_cert_load(s->cfg->tls_cert_path, s->cfg->tls_key_path, &cert);

	if (r < 0)
		return log_ret(r, "TLS certificate %s", s->cfg->tls_cert_path);
	tls_cert_unref(s->cert);
	s->cert = cert;
	return 0;
}

void site_cert_reload(struct site_cert *s)
{
	if (s && !s->acme)
		(void)read_files(s);
}

/* ---- port 80 ---- */

static void redirect(struct site_cert *s, struct http_req *req)
{
	AUTO_DONE(buf) struct buf to = { .max = URL_MAX };

	buf_fmt(&to, "https://%s%.*s", s->cfg->le_hostname, SPAN_FMT(req->head->target));
	if (to.full || req->head->target.n == 0 || req->head->target.p[0] != '/')
		http_answer_text(req, 400, "ask over https");
	else
		http_answer_redirect(req, 302, buf_text(&to));
}

static void on_request(void *owner, struct http_req *req)
{
	struct site_cert *s = owner;
	const char *proof = acme_keep_http01(s->acme, req->path);

	if (proof)
		http_answer(req, 200, "text/plain", span_str(proof));
	else if (span_is(req->head->method, "GET") || span_is(req->head->method, "HEAD"))
		redirect(s, req);
	else
		http_answer_text(req, 400, "ask over https");
}

static void on_accept(void *owner, struct listener *l, int fd, const struct addr *peer)
{
	struct site_cert *s = owner;

	(void)l;
	http_server_accept(s->http, fd, peer, NULL);
}

/* ":http", ":80", "0.0.0.0:http", "192.0.2.1:80" */
static int parse_listen(const char *text, struct addr *ret)
{
	struct span at = span_str(text), host;
	AUTO_DONE(buf) struct buf b = { 0 };

	if (span_starts(at, ":"))
		buf_add_str(&b, "[::]");
	if (span_ends(at, ":http"))
		at.n -= strlen(":http");
	buf_add_span(&b, at);
	*ret = (struct addr){ 0 };

	int r = host_port_parse(buf_span(&b), 80, &host, &ret->port);

	return r < 0 ? r : ip_parse(host, &ret->ip);
}

static int open_port(struct site_cert *s)
{
	struct http_server_cfg cfg = { .ev = s->ev, .request = on_request, .owner = s };
	struct listen_cfg lcfg = { .accepted = on_accept, .owner = s };
	struct addr at;
	int r = parse_listen(s->cfg->le_listen, &at);

	s->http = http_server_new(&cfg);
	if (s->port80 >= 0)
		r = listener_from_fd(s->ev, s->port80, &lcfg, &s->listener);
	else if (r == 0)
		r = listener_tcp(s->ev, &at, &lcfg, &s->listener);
	return r < 0 ? log_ret(r, "tls_letsencrypt_listen \"%s\"", s->cfg->le_listen) : 0;
}

/* ---- ACME ---- */

static int start_acme(struct site_cert *s)
{
	bool http01 = strcmp(s->cfg->le_challenge, "TLS-ALPN-01") != 0;
	struct acme_keep_cfg cfg = {
		.ev = s->ev,
		.client = &s->client,
		.directory = s->cfg->acme_url,
		.folder = s->cfg->le_cache_dir,
		.names = &s->cfg->le_hostname,
		.n_names = 1,
		.challenges = http01 ? ACME_HTTP_01 : ACME_TLS_ALPN_01,
	};
	int r = resolver_new(s->ev, NULL, &s->resolver);

	if (r == 0)
		r = tls_client_new(NULL, &s->trust);
	s->client = (struct http_client){ .ev = s->ev, .resolver = s->resolver, .tls = s->trust };
	if (*s->cfg->acme_email)
		s->contact = str_fmt("mailto:%s", s->cfg->acme_email);
	cfg.contact = s->contact;
	if (r == 0)
		r = acme_keep_new(&cfg, &s->acme);
	if (r < 0)
		return log_ret(r, "tls_letsencrypt_cache_dir %s", s->cfg->le_cache_dir);
	return http01 ? open_port(s) : 0;
}

int site_cert_new(struct ev *ev, const struct config *cfg, int port80, struct site_cert **ret)
{
	struct tls_server_cfg tls = { .alpn = TLS_ALPN_HTTP1, .choose = choose };
	struct site_cert *s;
	int r;

	*ret = NULL;
	if (!wants_acme(cfg) && !*cfg->tls_cert_path)
		return 0;
	s = mem_new(struct site_cert);
	s->ev = ev;
	s->cfg = cfg;
	s->port80 = port80;
	tls.owner = s;
	r = tls_server_new(&tls, &s->tls);
	if (r == 0)
		r = wants_acme(cfg) ? start_acme(s) : read_files(s);
	if (r < 0) {
		site_cert_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void site_cert_free(struct site_cert *s)
{
	if (!s)
		return;
	listener_free(s->listener);
	http_server_free(s->http);
	acme_keep_free(s->acme);
	resolver_free(s->resolver);
	tls_client_unref(s->trust);
	tls_server_unref(s->tls);
	tls_cert_unref(s->cert);
	free(s->contact);
	free(s);
}

struct tls_server *site_cert_tls(const struct site_cert *s)
{
	return s ? s->tls : NULL;
}
