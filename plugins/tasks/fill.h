/* Parameters of a template: which values they take, and their place in texts. */
#pragma once

#include "faults.h"

#define FILL_TYPES "[\"string\", \"integer\", \"number\", \"boolean\", \"enum\", \"array\"]"

/* Is the value one that the parameter takes? What is wrong is said of `path`. */
void fill_check(const char *path, const json_t *parameter, const json_t *value, struct faults *faults);
/* Does every {{name}} of the text name a parameter? */
void fill_check_text(const char *path, const char *text, const json_t *parameters, struct faults *faults);

/*
 * What is given for the parameters as the texts that stand in for them: {name: text}. A parameter that is neither given
 * nor has a default is an empty text. New reference; NULL: no memory. What is wrong is said in `faults`.
 */
json_t *fill_values_new(const json_t *parameters, const json_t *given, struct faults *faults);
/* A copy of `value` with `values` in all its texts. New reference; NULL: no memory. */
json_t *fill_new(const json_t *value, const json_t *values);
