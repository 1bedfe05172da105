#pragma once
/* Where we are installed. */

/*
 * The path of a program of ours: the one in our own folder, or its plain name
 * if there is none. The caller frees it.
 */
char *self_sibling(const char *name);
