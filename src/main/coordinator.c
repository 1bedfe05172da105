#include "coordinator/cmd.h"

int main(int argc, char **argv)
{
	return coordinator_main(argc, argv);
}
