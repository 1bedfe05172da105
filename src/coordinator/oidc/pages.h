#pragma once
/*
 * The pages a person sees when a device joins: plain HTML, readable without
 * scripts, nothing loaded from elsewhere. Every text given is escaped here.
 */
#include "base/buf.h"
#include "base/span.h"

enum { PAGE_CSRF_LEN = 43 };

/* A device waits, and nobody can say who its owner is: the command for the administrator. */
struct login_page_register {
	const char *server_name; /* of the tailnet, or NULL */
	const char *auth_id, *hostname;
	const char *session_to,
		*session_login; /* an SSH session from the device, not its joining */
};
void login_page_register(struct buf *html, const struct login_page_register *p);

/* After the login and before the device joins: is it really this one? */
struct login_page_confirm {
	const char *user, *email;
	const char *hostname, *os, *version, *machine_key, *from; /* "": not known */
	const char *session_to,
		*session_login; /* an SSH session from the device, not its joining */
	const char *action;     /* where the form goes */
	const char *csrf;
};
void login_page_confirm(struct buf *html, const struct login_page_confirm *p);

/* It is done: "Signed in", and a sentence. */
void login_page_done(struct buf *html, const char *title, const char *sentence);
/* Something is wrong: a title, and what to do. */
void login_page_error(struct buf *html, const char *title, const char *reason);
/* How to point each client at this server. */
void login_page_clients(struct buf *html, const char *server_url);

void login_html_escape(struct buf *to, struct span text);
/* For Content-Security-Policy: what the pages above need and no more. */
extern const char LOGIN_PAGE_CSP[];
