#pragma once
/*
 * Giving rights away. Before files are opened: another user, who keeps only the
 * right to bind low ports. Once the ports are bound: no capability, none to be
 * gained, no core file, only the files of the configuration (Landlock, where the
 * kernel has it) and only the system calls that serving takes.
 */
#include "coordinator/config.h"

/*
 * Root becomes this user; what we write is made for him where it is missing. A
 * process that is not root stays who it is. What is wrong was logged.
 */
NODISCARD int fence_become(const struct config *cfg, const char *user);
/* config_path: NULL if there is none; sandbox: files and system calls too. */
NODISCARD int fence_close(const struct config *cfg, const char *config_path, bool sandbox);
