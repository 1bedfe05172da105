#include "cli/cli.h"
#include "crypto/init.h"

int main(int argc, char **argv)
{
	crypto_start();
	return cli_main(argc, argv);
}
