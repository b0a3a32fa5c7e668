/* Sections with a name of their own, [plugin:NAME] and [tool:NAME], in arrays that grow and are sorted at the end. */
#pragma once

#include "config/config.h"
#include "config/document.h"

/* What stands behind "tool:" in "tool:x"; NULL: the section is not of that kind. */
const char *section_behind(const char *name, const char *kind);

/* Reports a NAME that a plugin or a tool cannot have. */
bool section_check_name(const struct document_section *from, const char *file, struct problems *problems);

/*
 * Appends the section, whose name was checked; one without a line (from --set) goes into that of its name where there
 * is one, and replaces keys that are there already.
 */
void sections_put(struct config_section **sections, size_t *count, const struct document_section *from,
                  const char *file);
void sections_sort(struct config_section *sections, size_t count);
