/* The policy commands as a program of their own, for tests that compare its output. */
#include "coordinator/policy/policy.h"

int main(int argc, char **argv)
{
	return policy_cmd_main(argc, argv);
}
