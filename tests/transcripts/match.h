/* Is a line of the server what the transcript expects? Structural: the order of an object's members is free. */
#pragma once

#include <stdbool.h>

#include <jansson.h>

/*
 * In `pattern` a string may be a placeholder:
 *
 *     "$any" "$string" "$number" "$integer" "$bool" "$object" "$array"    any value of that kind
 *     "$contains:TEXT"    a string with TEXT in it
 *     "$lacks:TEXT"       a string without
 *     "$longer:N"         a string of more than N bytes
 *     "$id:NAME"          any value; later, in patterns and as ${NAME}, the same one
 *
 * An object with the member "...": true may have further members, an array whose last element is "..." further
 * elements. Numbers are compared by value. `names` is changed only if all of it matches.
 */
bool match(const json_t *pattern, const json_t *value, json_t *names);
