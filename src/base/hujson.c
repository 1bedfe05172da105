#include "base/hujson.h"

#include "base/err.h"
#include "base/json.h"

struct scan {
	uint8_t *text;
	size_t n, at;
	size_t comma; /* 1 + place of a comma with nothing but space after it; 0: none */
	uint8_t last; /* the first byte of the last token; 0: none yet */
};

/* The byte after the string's closing quote, or the end of the text. */
static size_t string_end(const struct scan *s)
{
	size_t i = s->at + 1;

	while (i < s->n && s->text[i] != '"')
		i += s->text[i] == '\\' ? 2 : 1;
	return i < s->n ? i + 1 : s->n;
}

static size_t line_end(const struct scan *s)
{
	size_t i = s->at;

	while (i < s->n && s->text[i] != '\n')
		i++;
	return i;
}

/* The byte after the closing mark; 0 if there is none. */
static size_t block_end(const struct scan *s)
{
	for (size_t i = s->at + 2; i + 1 < s->n; i++)
		if (s->text[i] == '*' && s->text[i + 1] == '/')
			return i + 2;
	return 0;
}

static void blank(struct scan *s, size_t end)
{
	for (; s->at < end; s->at++)
		if (s->text[s->at] != '\n' && s->text[s->at] != '\r')
			s->text[s->at] = ' ';
}

/* At a slash: 0, or the comment has no end. A lone slash is the parser's to refuse. */
static int comment(struct scan *s, struct fault *reterr)
{
	uint8_t next = s->at + 1 < s->n ? s->text[s->at + 1] : 0;
	size_t end = next == '/' ? line_end(s) : next == '*' ? block_end(s) : s->at + 1;

	if (next == '*' && end == 0) {
		struct js_place p = js_place_of(span(s->text, s->n), s->at);

		return fault_set(reterr, ERR_MALFORMED, p.line, p.column,
		                 "this comment has no end");
	}
	if (next == '/' || next == '*')
		blank(s, end);
	s->at = end;
	return 0;
}

/* A comma may be the trailing one only after a value: "[,]" keeps its comma, and is refused. */
static bool ends_value(uint8_t c)
{
	return c != 0 && c != '[' && c != '{' && c != ',' && c != ':';
}

static void token(struct scan *s, uint8_t c)
{
	if ((c == ']' || c == '}') && s->comma)
		s->text[s->comma - 1] = ' ';
	s->comma = c == ',' && ends_value(s->last) ? s->at + 1 : 0;
	s->last = c;
	s->at = c == '"' ? string_end(s) : s->at + 1;
}

int hujson_to_json(uint8_t *text, size_t n, struct fault *reterr)
{
	struct scan s = { .text = text, .n = n };

	while (s.at < n) {
		uint8_t c = text[s.at];
		int r = 0;

		if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
			s.at++;
		else if (c == '/')
			r = comment(&s, reterr);
		else
			token(&s, c);
		if (r < 0)
			return r;
	}
	return 0;
}
