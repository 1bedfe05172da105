#include "coordinator/oidc/pages.h"

#include <string.h>

/* Whose hash stands in LOGIN_PAGE_CSP: a test holds the two together. */
#define STYLE                                                                                     \
	":root{color-scheme:light dark;--page:#f3f4f6;--card:#fff;--line:#d4d8df;--text:#1a1e26;" \
	"--soft:#59616e;--act:#2060d0}\n"                                                         \
	"@media(prefers-color-scheme:dark){:root{--page:#121418;--card:#1c1f25;--line:#3a404b;"   \
	"--text:#eceff4;--soft:#a6aebb}}\n"                                                       \
	"*{box-sizing:border-box}\n"                                                              \
	"body{margin:0;padding:1rem;background:var(--page);color:var(--text);"                    \
	"font:1rem/1.5 system-ui,sans-serif}\n"                                                   \
	"main{max-width:34rem;margin:6vh auto;padding:1.5rem;background:var(--card);"             \
	"border:1px solid var(--line);border-radius:.75rem;overflow-wrap:anywhere}\n"             \
	"h1{margin:0 0 .75rem;font-size:1.4rem;line-height:1.25}\n"                               \
	"p{margin:.75rem 0}\n"                                                                    \
	"pre{margin:1rem 0;padding:.75rem;background:var(--page);border:1px solid var(--line);"   \
	"border-radius:.4rem;font-size:.9rem;white-space:pre-wrap}\n"                             \
	"dl{display:grid;grid-template-columns:max-content 1fr;gap:.35rem 1rem;margin:1rem 0}\n"  \
	"dt{color:var(--soft)}\ndd{margin:0}\n"                                                   \
	"button{width:100%;margin-top:.5rem;padding:.7rem 1rem;border:0;border-radius:.5rem;"     \
	"background:var(--act);color:#fff;font:inherit;font-weight:600;cursor:pointer}\n"         \
	"@media(max-width:22rem){dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}}\n"

const char LOGIN_PAGE_CSP[] =
	"default-src 'none'; style-src 'sha256-ttiFYG46rmYQnSkBAVthLc0MPYNzQAydlLVBtCu8w94='; "
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/* U+202A to U+202E and U+2066 to U+2069 turn round how what follows is read. */
static bool is_turn(struct span s)
{
	static const uint8_t first[] = { 0xe2, 0x80 }, second[] = { 0xe2, 0x81 };

	if (s.n < 3)
		return false;
	return (memcmp(s.p, first, 2) == 0 && s.p[2] >= 0xaa && s.p[2] <= 0xae) ||
	       (memcmp(s.p, second, 2) == 0 && s.p[2] >= 0xa6 && s.p[2] <= 0xa9);
}

void login_html_escape(struct buf *to, struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (is_turn(span_from(text, i))) {
			buf_add_str(to, "\xef\xbf\xbd"); /* U+FFFD */
			i += 2;
			continue;
		}
		switch (text.p[i]) {
		case '<':
			buf_add_str(to, "&lt;");
			break;
		case '>':
			buf_add_str(to, "&gt;");
			break;
		case '&':
			buf_add_str(to, "&amp;");
			break;
		case '"':
			buf_add_str(to, "&quot;");
			break;
		case '\'':
			buf_add_str(to, "&#39;");
			break;
		default:
			buf_add_u8(to, text.p[i]);
		}
	}
}

static void add(struct buf *to, const char *text)
{
	login_html_escape(to, span_str(text ? text : ""));
}

static void head(struct buf *html, const char *title)
{
	buf_add_str(html,
	            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	            "<meta name=\"robots\" content=\"noindex\">\n<title>");
	add(html, title);
	buf_add_str(html, "</title>\n<style>" STYLE "</style>\n</head>\n<body>\n<main>\n<h1>");
	add(html, title);
	buf_add_str(html, "</h1>\n");
}

static void tail(struct buf *html)
{
	buf_add_str(html, "</main>\n</body>\n</html>\n");
}

static void paragraph(struct buf *html, const char *text)
{
	buf_add_str(html, "<p>");
	add(html, text);
	buf_add_str(html, "</p>\n");
}

static void row(struct buf *html, const char *name, const char *value)
{
	if (!value || !*value)
		return;
	buf_add_str(html, "<dt>");
	add(html, name);
	buf_add_str(html, "</dt><dd>");
	add(html, value);
	buf_add_str(html, "</dd>\n");
}

static bool is_given(const char *text)
{
	return text && *text;
}

static void session_rows(struct buf *html, const char *to, const char *login)
{
	row(html, "Session to", to);
	row(html, "As", login);
}

void login_page_register(struct buf *html, const struct login_page_register *p)
{
	bool session = is_given(p->session_to);

	head(html, session ? "SSH session" : "Device registration");
	paragraph(html, session ? "A session asks to be let in. An administrator allows it by "
	                          "running, on the server:"
	                        : "This device asks to join the network. An administrator lets it "
	                          "in by running, on the server:");
	buf_add_str(html, session ? "<pre>fairlead-coordinator auth approve --auth-id "
	                          : "<pre>fairlead-coordinator auth register --auth-id ");
	add(html, p->auth_id);
	buf_add_str(html, session ? "</pre>\n<dl>\n" : " --user USERNAME</pre>\n<dl>\n");
	row(html, "Device", p->hostname);
	session_rows(html, p->session_to, p->session_login);
	row(html, "Network", p->server_name);
	buf_add_str(html, "</dl>\n");
	tail(html);
}

void login_page_confirm(struct buf *html, const struct login_page_confirm *p)
{
	bool session = is_given(p->session_to);

	head(html, session ? "Is this your session?" : "Is this your device?");
	paragraph(html, session ? "You are signed in. The SSH session below waits for your yes. If "
	                          "you did not just ask for it, close this page."
	                        : "You are signed in. The device below will join the network in "
	                          "your name, and reach what you may reach. If you did not just "
	                          "ask for this, close this page.");
	buf_add_str(html, "<dl>\n");
	row(html, "Account", *p->email ? p->email : p->user);
	row(html, "Device", p->hostname);
	row(html, "System", p->os);
	row(html, "Client", p->version);
	row(html, "Machine key", p->machine_key);
	row(html, "Asked from", p->from);
	session_rows(html, p->session_to, p->session_login);
	buf_add_str(html, "</dl>\n<form method=\"post\" action=\"");
	add(html, p->action);
	buf_add_str(html, "\">\n<input type=\"hidden\" name=\"csrf\" value=\"");
	add(html, p->csrf);
	buf_add_str(html, "\">\n<button type=\"submit\">");
	add(html, session ? "Yes, allow this session" : "Yes, connect this device");
	buf_add_str(html, "</button>\n</form>\n");
	tail(html);
}

void login_page_done(struct buf *html, const char *title, const char *sentence)
{
	head(html, title);
	paragraph(html, sentence);
	paragraph(html, "You can close this page.");
	tail(html);
}

/* Reasons come as they stand in the log: "this account may not join". */
void login_page_error(struct buf *html, const char *title, const char *reason)
{
	AUTO_DONE(buf) struct buf sentence = { 0 };

	buf_add_str(&sentence, reason);
	if (sentence.n && sentence.p[0] >= 'a' && sentence.p[0] <= 'z')
		sentence.p[0] = (uint8_t)(sentence.p[0] - 'a' + 'A');
	if (sentence.n && !strchr(".?!", sentence.p[sentence.n - 1]))
		buf_add_str(&sentence, ".");
	head(html, title);
	paragraph(html, buf_text(&sentence));
	tail(html);
}

void login_page_clients(struct buf *html, const char *server_url)
{
	head(html, "Connecting a device");
	paragraph(html, "Linux, macOS and Windows, in a terminal:");
	buf_add_str(html, "<pre>tailscale up --login-server ");
	add(html, server_url);
	buf_add_str(html, "</pre>\n");
	paragraph(html, "iOS and Android: in the app, open the account menu, choose to use an "
	                "alternate server, and enter:");
	buf_add_str(html, "<pre>");
	add(html, server_url);
	buf_add_str(html, "</pre>\n");
	tail(html);
}
