#pragma once
/*
 * nftables by text: a rule set is read by people and by golden tests, and
 * applied as one transaction by nft(8), started with fixed arguments.
 */
#include <stdbool.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/span.h"

bool nft_have(void);

/*
 * All of the text, or nothing.
 *   -ENOENT		nft is not installed
 *   ERR_DENIED		nft refused; what it said is in *ret_said (may be NULL)
 */
NODISCARD int nft_apply(struct span text, struct buf *ret_said);

/* "family name" of a table; harmless if it is not there. */
NODISCARD int nft_remove(const char *table);
/* The table as text, each rule with its handle; false: it is not there. */
bool nft_list(const char *table, struct buf *ret);
/* Whether the table is there. */
bool nft_has(const char *table);
