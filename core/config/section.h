/* Sections with a name of their own, [plugin:NAME] and [tool:NAME], in arrays that grow and are sorted at the end. */
#pragma once

#include "config/config.h"
#include "config/document.h"

/* What stands behind "tool:" in "tool:x"; NULL: the section is not of that kind. */
const char *section_behind(const char *name, const char *kind);

/* Reports a NAME that a plugin or a tool cannot have. */
bool section_check_name(const struct document_section *from, const char *file, struct problems *problems);

/*
 * Appends the section, whose name was checked, or puts it into the one of its name where there is one: from --set, or
 * under its short name. Keys that are there already are replaced.
 */
void sections_put(struct config_section **sections, size_t *count, const struct document_section *from,
                  const char *file);
void sections_sort(struct config_section *sections, size_t count);
