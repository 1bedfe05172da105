#include "datapath/wgmain.h"

int main(int argc, char **argv)
{
	return wg_main(argc, argv);
}
