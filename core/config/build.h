/* From sections and keys to struct config: what each of them means, where it may stand, and what is missing. */
#pragma once

#include "config/config.h"
#include "config/document.h"

struct build {
    struct config *config;              /* borrowed */
    const struct config_source *source; /* borrowed */
    struct problems *problems;          /* borrowed */
    int *lines;                         /* owned: per option 0 = not given, BUILD_FROM_SET, or the line */
};

enum { BUILD_FROM_SET = -1 };

void build_init(struct build *build, struct config *config, const struct config_source *source,
                struct problems *problems);
void build_fini(struct build *build);

void build_add_document(struct build *build, const struct document *document);
void build_add_set(struct build *build, const char *set); /* SECTION.KEY=VALUE */
void build_finish(struct build *build);                   /* defaults, order, and what options say about each other */

void build_fini_cleanup(struct build *build); /* CLEANUP(build_fini) struct build build = {0}; */
