/*
 * A small web server for tests with other programs: pages over HTTP/1 and 2,
 * with and without TLS, the certificate of our own making or from an ACME server.
 *
 *	web_demo HTTP_PORT HTTPS_PORT NAME [ACME_DIRECTORY CA_FILE FOLDER CHALLENGES]
 *
 * Prints "certificate" whenever there is a new one.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "platform/acme_keep.h"
#include "platform/http_server.h"
#include "platform/listen.h"

static struct {
	struct ev *ev;
	struct http_server *srv;
	struct listener *http, *https;
	struct tls_server *tls;
	struct tls_cert *own;
	struct acme_keep *keep;
	struct resolver *resolver;
	struct http_client client;
	struct tls_client *trust;
} demo;

static void on_body(struct http_req *req, void *arg, struct span body)
{
	(void)arg;
	http_answer(req, 200, "application/octet-stream", body);
}

static void page_hello(struct http_req *req)
{
	http_answer_text(req, 200, "hello over %s", req->is_h2 ? "h2" : "h1");
}

static void page_echo(struct http_req *req)
{
	http_read_body(req, 4 << 20, on_body, NULL);
}

static void on_room(struct http_req *req, void *arg)
{
	(void)arg;
	http_finish(req);
}

static void page_big(struct http_req *req)
{
	static const struct http_later later = { .drained = on_room };
	AUTO_FREE uint8_t *bytes = mem_zalloc(1, 8 << 20);

	http_answer_later(req, &later);
	http_begin(req, 200, "application/octet-stream");
	if (http_send(req, span(bytes, 8 << 20)) != STREAM_FULL)
		http_finish(req);
}

static const struct page {
	struct route route;
	void (*answer)(struct http_req *req);
} pages[] = {
	{ { "GET", "/hello" }, page_hello },
	{ { "POST", "/echo" }, page_echo },
	{ { "GET", "/big" }, page_big },
};

static void on_request(void *owner, struct http_req *req)
{
	const char *proof = demo.keep ? acme_keep_http01(demo.keep, req->path) : NULL;
	struct route_match m;
	const char *allow = "";
	int r;

	(void)owner;
	if (proof) {
		http_answer(req, 200, "text/plain", span_str(proof));
		return;
	}
	r = ROUTE_FIND(pages, ARRAY_LEN(pages), req->head->method, req->path, &req->arena, &m,
	               &allow);
	if (r == 0) {
		((const struct page *)m.row)->answer(req);
		return;
	}
	http_put_field(req, "Allow", allow);
	http_answer_text(req, r == ERR_DENIED ? 405 : 404, "no");
}

static void on_accept(void *owner, struct listener *l, int fd, const struct addr *peer)
{
	(void)owner;
	http_server_accept(demo.srv, fd, peer, l == demo.https ? demo.tls : NULL);
}

static struct tls_cert *choose(void *owner, const struct tls_hello *hello)
{
	struct tls_cert *c = demo.keep ? acme_keep_choose(demo.keep, hello) : NULL;

	(void)owner;
	return c || hello->acme ? c : demo.own;
}

static void on_changed(void *owner, struct tls_cert *cert)
{
	(void)owner;
	(void)cert;
	(void)puts("certificate");
	(void)fflush(stdout);
}

static struct listener *listen_on(const char *port)
{
	static const struct listen_cfg cfg = { .accepted = on_accept };
	struct addr at = { .ip = ip4(127, 0, 0, 1), .port = (uint16_t)strtoul(port, NULL, 10) };
	struct listener *l = NULL;

	if (listener_tcp(demo.ev, &at, &cfg, &l) < 0)
		exit(2);
	return l;
}

static int start_acme(char **argv, const char *const *name)
{
	struct acme_keep_cfg cfg = { .ev = demo.ev,
		                     .client = &demo.client,
		                     .directory = argv[4],
		                     .folder = argv[6],
		                     .names = name,
		                     .n_names = 1,
		                     .challenges = (unsigned)strtoul(argv[7], NULL, 10),
		                     .changed = on_changed };
	int r = tls_client_new(argv[5], &demo.trust);

	if (r == 0)
		r = resolver_new(demo.ev, NULL, &demo.resolver);
	demo.client = (struct http_client){ .ev = demo.ev,
		                            .tls = demo.trust,
		                            .resolver = demo.resolver };
	return r < 0 ? r : acme_keep_new(&cfg, &demo.keep);
}

static void on_signal(struct ev_signal *s, int signo)
{
	(void)s;
	(void)signo;
	ev_stop(demo.ev, 0);
}

int main(int argc, char **argv)
{
	static const int signos[] = { SIGTERM, SIGINT };
	struct tls_server_cfg tls = { .alpn = TLS_ALPN_HTTP, .choose = choose };
	struct http_server_cfg cfg = { .request = on_request };
	struct ev_signal sig = { .fn = on_signal };
	wall now = wall_now();
	const char *name = argc > 3 ? argv[3] : "";

	if (argc != 4 && argc != 8)
		return 2;
	demo.ev = cfg.ev = ev_new();
	demo.srv = http_server_new(&cfg);
	if (tls_cert_self_signed(&name, 1, (wall){ now.us - US_PER_S },
	                         (wall){ now.us + 86400 * US_PER_S }, NULL, NULL, &demo.own) < 0 ||
	    tls_server_new(&tls, &demo.tls) < 0 ||
	    ev_signal_start(demo.ev, &sig, signos, ARRAY_LEN(signos)) < 0)
		return 2;
	demo.http = listen_on(argv[1]);
	demo.https = listen_on(argv[2]);
	if (argc == 8 && start_acme(argv, &name) < 0)
		return 2;
	(void)puts("ready");
	(void)fflush(stdout);
	(void)ev_run(demo.ev);
	acme_keep_free(demo.keep);
	listener_free(demo.http);
	listener_free(demo.https);
	http_server_free(demo.srv);
	resolver_free(demo.resolver);
	tls_client_unref(demo.trust);
	tls_server_unref(demo.tls);
	tls_cert_unref(demo.own);
	ev_signal_stop(demo.ev, &sig);
	ev_free(demo.ev);
	return 0;
}
