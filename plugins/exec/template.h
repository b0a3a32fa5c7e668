/* Text with placeholders: a word of a command, or what a program reads. */
#pragma once

#include "input.h"

struct piece {
    struct text text; /* literal, where `input` is -1 */
    int input;        /* which input's value stands here */
};

struct template {
    struct piece *pieces; /* owned */
    size_t count;
};

void template_add_char(struct template *template, char c);

/*
 * Reads what stands at `at`, a '{': a placeholder {NAME}, or the literal brace that {{ means. Returns what follows it,
 * or NULL with the reason.
 */
const char *template_add_brace(struct template *template, const char *at, const struct inputs *inputs,
                               struct theseus_error *err);

/* A whole text, for which nothing but braces is special. */
int template_parse(struct template *template, const char *text, const struct inputs *inputs, struct theseus_error *err);

/* The input whose placeholder is all there is; borrowed. NULL: there is more, or other things. */
const struct input *template_alone(const struct template *template, const struct inputs *inputs);
bool template_has_placeholder(const struct template *template);
bool template_is(const struct template *template, const char *literal);

/*
 * Adds the text with the values of `args` to `text`. *ret_absent: a placeholder had no value, and nothing stands for
 * it.
 */
int template_expand(const struct template *template, const struct inputs *inputs, const json_t *args, struct text *text,
                    bool *ret_absent, struct theseus_error *err);
void template_fini(struct template *template);
