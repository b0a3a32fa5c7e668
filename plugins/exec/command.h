/* A command line, split into words once, when it is read; and the argument vector that a call makes of it. */
#pragma once

#include "template.h"

struct command {
    struct template *words; /* owned; the first is the program */
    size_t count;
};

int command_parse(struct command *command, const char *text, const struct inputs *inputs, struct theseus_error *err);
void command_fini(struct command *command);

/* The program and its arguments. An error is for the caller of the tool: an argument that may not be passed. */
int command_arguments(const struct command *command, const struct inputs *inputs, const json_t *args,
                      struct strings *argv, struct theseus_error *err);
