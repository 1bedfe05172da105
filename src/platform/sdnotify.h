#pragma once
/*
 * Messages to the service manager over NOTIFY_SOCKET (sd_notify(3)): "READY=1",
 * "RELOADING=1", "STOPPING=1", "STATUS=...". Nothing happens without a manager.
 */
void sdnotify(const char *state);
