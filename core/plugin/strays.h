/*
 * Sections [plugin:NAME] of the configuration that are no plugin's: a name that is written wrongly, most likely, and
 * what stands there is not in force. It may be that the plugin is still to come, so this is no error.
 */
#pragma once

#include <jansson.h>

#include "base/thread.h"

struct plugins;

/* [{"file", "line", "text"}], the line 0 where there is none; empty while plugins are still looked for. New reference.
 */
json_t *strays_new(struct plugins *plugins) ON_LOOP;
