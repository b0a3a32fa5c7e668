/* The inputs of a tool: what the keys input.NAME declare. exec.c has the grammar. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include <theseus/error.h>

#include "text.h"

enum input_type { INPUT_STRING, INPUT_NUMBER, INPUT_INTEGER, INPUT_BOOLEAN, INPUT_ENUM, INPUT_ARRAY };

struct input {
    char *name; /* owned */
    enum input_type type;
    bool optional, dash;
    bool used;         /* a placeholder names it */
    json_t *choices;   /* owned; an enum's values */
    json_t *fallback;  /* owned; the default, NULL: none */
    char *description; /* owned; NULL: none */
};

struct inputs {
    struct input *items; /* owned */
    size_t count;
};

/* Adds the input `name` that `declaration` describes. 0, or -1 with the rule that it breaks. */
int inputs_add(struct inputs *inputs, const char *name, const char *declaration, struct theseus_error *err);
struct input *inputs_find(const struct inputs *inputs, const char *name, size_t len); /* borrowed; NULL: none */
json_t *inputs_schema(const struct inputs *inputs); /* new reference; NULL: no memory */
void inputs_fini(struct inputs *inputs);

/* What the caller gave for it, else the default. Borrowed; NULL: neither. */
const json_t *input_value(const struct input *input, const json_t *args);

/* The value as a program wants to read it: "true", "0.1", a string as it is. 0, or -1: of a type it cannot have. */
int input_print(const struct input *input, const json_t *value, struct text *text, struct theseus_error *err);

bool name_is_valid(const char *name, size_t len, const char *more); /* a letter or _, then also digits and `more` */
