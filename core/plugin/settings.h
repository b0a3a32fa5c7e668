/*
 * A plugin's settings: the section [plugin:NAME] as the plugin's config_schema wants it. Strings become the declared
 * types, defaults are filled in, unknown keys are refused with the nearest name, and a reference to a secret becomes
 * the secret.
 */
#pragma once

#include <theseus/plugin.h>

#include "config/config.h"

/* Tools' sections beside those of the configuration: from *.ini files in plugin directories. Borrowed. */
struct settings_extra {
    const struct config_section *sections;
    size_t count;
};

/*
 * New reference: an object. Messages begin with "FILE:LINE: " where the setting stands in a file.
 */
MUST_CHECK int settings_new(json_t **ret_settings, const struct theseus_plugin *plugin, const struct config *config,
                            const struct settings_extra *extra, struct theseus_error *err);

/*
 * Visits what in `settings`, as settings_new() made them, is a secret: what stands elsewhere (env:, file:), and what
 * the plugin's config_schema marks so (writeOnly). `key` is for messages.
 */
typedef void settings_secret_fn(void *arg, const char *key, const json_t *value);
void settings_each_secret(const json_t *settings, const struct theseus_plugin *plugin, const struct config *config,
                          const struct settings_extra *extra, settings_secret_fn *visit, void *arg);

/*
 * A plugin's own refusal may begin with "[section:NAME] key: "; then the file and line of that setting are put in front
 * and the section is returned (borrowed; NULL: none is named).
 */
const struct config_section *settings_blame(const struct config *config, const struct settings_extra *extra,
                                            struct theseus_error *err);
