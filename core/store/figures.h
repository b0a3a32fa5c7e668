/*
 * What plugins have to say in numbers: each row of the view NAME_figures of a plugin that has one. Whoever looks reads
 * them from the database, so they are those of all servers that share it, and right when none runs.
 */
#pragma once

#include <jansson.h>

#include "base/error.h"

struct store;

/* One number. Text is good until the visit returns; `label` NULL: it needs none. */
struct figure {
    const char *component, *name, *label;
    double value;
};

typedef void figures_visit_fn(void *arg, const struct figure *figure);

enum { FIGURES_IN_PART = 1 }; /* outcome: what a plugin has for a view cannot be read, as `err` says of the first */

/* All of them: plugin → name → label ("": none) → value. New reference in `ret_figures`, also of a part. */
MUST_CHECK int figures_read(struct store *store, json_t **ret_figures, struct theseus_error *err);

/* In the order of the views. A database that does not exist has none, and none is made. */
MUST_CHECK int figures_each(struct store *store, figures_visit_fn *visit, void *arg, struct theseus_error *err);
