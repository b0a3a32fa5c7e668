/* Numbers as JSON Schema sees them: 1.0 is an integer and equals 1, and decimals are what is written, not the nearest
 * binary fraction. */
#pragma once

#include <stdbool.h>

#include <jansson.h>

struct number {
    bool is_whole; /* then `whole` is the value, else `real` */
    long long whole;
    double real;
};

/* digits * 10^exponent, with no zero at the end of the digits. The sign is dropped: nobody asks for it. */
struct decimal {
    unsigned long long digits;
    int exponent;
};

struct number number_of(const json_t *value); /* of a JSON number */
int number_compare(struct number a, struct number b);
bool number_is_integer(const json_t *value); /* of any JSON value */
bool number_to_count(const json_t *value,
                     size_t *ret_count); /* false: no integer from 0 on; too large becomes SIZE_MAX */
struct decimal number_to_decimal(struct number number);
bool number_is_multiple(struct number number, struct decimal divisor); /* the divisor is not 0 */
