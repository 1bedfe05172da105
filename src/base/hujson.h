#pragma once
/*
 * HuJSON, the JSON people write by hand: comments and trailing commas. It is
 * turned into plain JSON of the same length, each byte of a comment a space and
 * each line end kept, so that a position in the one is a position in the other.
 *
 * Source: the grammar of github.com/tailscale/hujson: // to the end of the line,
 * slash-star without nesting, one comma before ] or }.
 */
#include "base/fault.h"
#include "base/own.h"
#include "base/span.h"

/*
 * In place. ERR_MALFORMED with line and column for a comment that does not end;
 * everything else that is wrong is left for the JSON parser to find.
 */
NODISCARD int hujson_to_json(uint8_t *text, size_t n, struct fault *reterr);
