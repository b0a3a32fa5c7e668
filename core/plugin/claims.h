/*
 * Names of tools that sections of the configuration claim while another plugin has them. That is found before anything
 * is changed; what is refused for it is tried again when the name is free (registry_on_free()).
 */
#pragma once

#include "plugin/inner.h"

/*
 * Looks at the settings that `slots` is to get of `config`. A section that is in force, but left out already or from
 * the beginning, is left out of `settings`. -1: one that is new in `config`, or stands in a file of a plugin directory,
 * claims a name of another plugin: the message begins with "FILE:LINE: ".
 */
MUST_CHECK int claims_settle(struct plugins *plugins, const struct theseus_plugin *slots, const struct config *config,
                             json_t *settings, struct theseus_error *err) ON_LOOP;

/* settings_new() for a new generation: what claims another plugin's name costs the others nothing. New reference. */
MUST_CHECK int claims_settings_new(json_t **ret_settings, struct plugins *plugins, const struct theseus_plugin *slots,
                                   struct theseus_error *err) ON_LOOP;

/* Appends {"file", "reason"} for each section of the configuration that is left out. */
void claims_report(struct plugins *plugins, json_t *refused) ON_LOOP;
