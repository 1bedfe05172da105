#pragma once
/*
 * Worked examples of policies: users and nodes, a policy, and what must come of
 * it. The format is that of test/coordinator/policy-cases.json.
 */
#include "base/buf.h"
#include "base/fault.h"
#include "base/own.h"
#include "base/span.h"

/*
 * Runs every case of the file's text and writes one JSON object: case id -> what
 * came of it, under the keys that the case's "expect" has.
 *   ERR_MALFORMED	the text is no such file; reterr says where
 */
NODISCARD int policy_cases_run(struct span text, struct buf *out, struct fault *reterr);
