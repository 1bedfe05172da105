#pragma once
/* What the machine is: for the coordinator, which shows it to the tailnet's owner. */
#include <stdbool.h>
#include <sys/types.h>

enum { MACHINE_TEXT_MAX = 128 };

struct machine_facts {
	char name[MACHINE_TEXT_MAX];     /* as the kernel has it */
	char hostname[MACHINE_TEXT_MAX]; /* its first label */
	char kernel[MACHINE_TEXT_MAX];   /* release */
	char machine[MACHINE_TEXT_MAX];  /* uname -m */
	char distro[MACHINE_TEXT_MAX], distro_version[MACHINE_TEXT_MAX],
		distro_code_name[MACHINE_TEXT_MAX];
	bool container;
};

void machine_facts(struct machine_facts *ret);

/* -errno; ERR_UNKNOWN: no such user */
int machine_user_id(const char *name, uid_t *ret);
