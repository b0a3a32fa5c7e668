/* Where things are when nobody says it: the configuration file, the runtime directory, the plugin directories. */
#pragma once

#include "config/config.h"

/* Every file that may hold the configuration, best first; one only if it was named. NULL: there is no current directory
 * for a relative name. */
MUST_CHECK int place_config_files(const struct config_source *source, char ***ret_files, struct theseus_error *err);

/* `user_dir` (/run/user/UID) if it is ours, else below the state directory. Owned. */
char *place_runtime_dir(const char *user_dir, const char *state_dir);

/* plugins/ beside the program where there is one, else the installed directory. Owned. */
char *place_shipped_plugins(const char *program);

/* The defaults of the option table that have to be found out. */
void place_set_runtime_dir(struct config *config, const struct config_source *source);
void place_set_socket(struct config *config, const struct config_source *source);
void place_set_key_file(struct config *config, const struct config_source *source);
void place_set_metrics_file(struct config *config, const struct config_source *source); /* nowhere */
void place_set_plugin_path(struct config *config, const struct config_source *source);
