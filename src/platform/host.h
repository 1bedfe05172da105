#pragma once
/* What the machine is: for the coordinator, which shows it to the tailnet's owner. */
#include <stdbool.h>
#include <sys/types.h>

enum { HOST_TEXT_MAX = 128 };

struct host_facts {
	char hostname[HOST_TEXT_MAX]; /* first label */
	char kernel[HOST_TEXT_MAX];   /* release */
	char machine[HOST_TEXT_MAX];  /* uname -m */
	char distro[HOST_TEXT_MAX], distro_version[HOST_TEXT_MAX], distro_code_name[HOST_TEXT_MAX];
	bool container;
};

void host_facts(struct host_facts *ret);

/* -errno; ERR_UNKNOWN: no such user */
int host_user_id(const char *name, uid_t *ret);
