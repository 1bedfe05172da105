#pragma once
/* Where we are installed, and what we hold of memory. */

/*
 * The path of a program of ours: the one in our own folder, or its plain name
 * if there is none. The caller frees it.
 */
char *self_sibling(const char *name);

/*
 * Lets go of what only the start needed: free heap, and code of the program and
 * its libraries, which comes back page by page as it runs (the kernel maps much
 * around each page that is touched once). For a daemon that is idle now.
 */
void self_trim(void);
