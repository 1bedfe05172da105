#include "crypto/init.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

void crypto_start(void)
{
	if (sodium_init() < 0) {
		fputs("libsodium does not start\n", stderr);
		abort();
	}
}
