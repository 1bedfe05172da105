/* A relay's configuration file. */
#include "relay/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct relay_config c;
	struct fault why = { 0 };

	relay_config_init(&c);
	(void)!relay_config_read(&c, span(data, n), &why);
	relay_config_done(&c);
	return 0;
}
