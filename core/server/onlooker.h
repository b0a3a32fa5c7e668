/*
 * The configuration for commands that look at servers that run. They are wanted most by somebody who has just broken
 * it, so a mistake in the file is a warning on stderr: the directories are what matters, and they seldom have one.
 */
#pragma once

#include "config/config.h"

MUST_CHECK int onlooker_load(struct config **ret_config, const struct config_source *source, struct theseus_error *err);
