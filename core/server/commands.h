/* The commands beside `serve`; each returns the exit status. */
#pragma once

#include "config/config.h"
#include "server/args.h"

int command_check(const struct args *args, const struct config_source *source, const char *program);
int command_call(const struct args *args, const struct config_source *source, const char *program);
int command_client(const struct args *args, const struct config_source *source, const char *program);
int command_backup(const struct args *args, const struct config_source *source, const char *program);
int command_restore(const struct args *args, const struct config_source *source, const char *program);
int command_import(const struct args *args, const struct config_source *source, const char *program);
int command_status(const struct args *args, const struct config_source *source, const char *program);
int command_reload(const struct args *args, const struct config_source *source, const char *program);
int command_restart(const struct args *args, const struct config_source *source, const char *program);
int command_metrics(const struct args *args, const struct config_source *source, const char *program);
int command_audit(const struct args *args, const struct config_source *source, const char *program);

/* One call in a fresh server: what it answers is printed. Borrows `arguments`. */
int command_call_tool(const struct config_source *source, const char *program, const char *tool, json_t *arguments);
/* The same of a server that runs, by its socket. `pid` 0: the only one that has such. */
int command_call_running(const struct config_source *source, long pid, const char *tool, json_t *arguments);
