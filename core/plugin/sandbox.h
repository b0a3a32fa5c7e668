/*
 * What a process gives up for good before it loads code that nobody vouches for: privileges, other processes, the
 * network, files outside of one directory. Linux only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct sandbox_spec {
    const char *dir;    /* the one directory in which files may be made and written. NULL: none */
    size_t memory;      /* bytes of address space; 0: no limit */
    bool no_path_rules; /* do without Landlock, as on a kernel that lacks it: nothing is written anywhere then */
};

/* The version of Landlock's rules that hold; 0: there is none, and the system calls that write are denied instead. */
enum { SANDBOX_NO_PATH_RULES = 0 };

/* For the whole process, and whatever it loads. Fails rather than leave any of it out. */
MUST_CHECK int sandbox_enter(const struct sandbox_spec *spec, int *ret_path_rules, struct theseus_error *err);

/* The parts, in sandbox_files.c and sandbox_calls.c. */
MUST_CHECK int sandbox_limit_files(const char *dir, int *ret_path_rules, struct theseus_error *err);
MUST_CHECK int sandbox_filter_calls(bool deny_writing, struct theseus_error *err);
