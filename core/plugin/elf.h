/* Looks at a file before it is mapped: is it a whole shared object for this machine, and safe to load from a copy? */
#pragma once

#include "base/error.h"

/*
 * `file` is for messages about reading only; those about the content say what is wrong with "it", and whoever asked
 * puts the name in front. Any bytes may be behind `fd`; its position is not moved.
 */
MUST_CHECK int elf_check(int fd, const char *file, struct theseus_error *err);
