/*
 * Memory: what a configuration makes us allocate aborts when there is none (its lines are short); what a caller or a
 * program makes us allocate is text and strings (text.h), which remember that memory ran out.
 */
#pragma once

#include <stddef.h>

/* CLEANUP(foo_fini) struct foo foo = {0}; */
#define CLEANUP(function) __attribute__((cleanup(function)))

void *memory_grown(void *items, size_t count, size_t size); /* room for `count` + 1 of them, the last one zeroed */
char *memory_copied(const char *text, size_t len);          /* owned, NUL-terminated */
