/* The keys of [plugin:NAME] that begin with a point: what the host, not the plugin, is told about it. */
#pragma once

#include "config/config.h"
#include "config/document.h"
#include "config/problems.h"

/* Reports those that there are not, and values that they cannot have. */
void hostkey_check(const struct document_section *section, const char *file, struct problems *problems);
