#pragma once
/* The schema of the SQLite store, as steps from one user_version to the next. */

/* Step N brings the database from user_version N to N + 1. Never change one that was released. */
extern const char *const store_schema_steps[];
extern const unsigned store_schema_version;
