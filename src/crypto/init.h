#pragma once
/* Call once at the start of each program, before any other thread: libsodium picks its code. */
void crypto_start(void);
