#include "rpc/schema_number.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The least double that is above every long long; its negative is the least long long. */
static const double above_whole = 9223372036854775808.0;

static bool fits_whole(double real) {
    return real >= -above_whole && real < above_whole && real == trunc(real);
}

struct number number_of(const json_t *value) {
    if (json_is_integer(value))
        return (struct number){.is_whole = true, .whole = json_integer_value(value)};
    double real = json_real_value(value);
    if (fits_whole(real))
        return (struct number){.is_whole = true, .whole = (long long)real};
    return (struct number){.real = real};
}

static int compare_whole_real(long long whole, double real) {
    if (real >= above_whole)
        return -1;
    if (real < -above_whole)
        return 1;
    double cut = trunc(real);
    long long other = (long long)cut;
    if (whole != other)
        return whole < other ? -1 : 1;
    return cut < real ? -1 : cut > real;
}

int number_compare(struct number a, struct number b) {
    if (a.is_whole && b.is_whole)
        return a.whole < b.whole ? -1 : a.whole > b.whole;
    if (a.is_whole)
        return compare_whole_real(a.whole, b.real);
    if (b.is_whole)
        return -compare_whole_real(b.whole, a.real);
    return a.real < b.real ? -1 : a.real > b.real;
}

bool number_is_integer(const json_t *value) {
    if (!json_is_real(value))
        return json_is_integer(value);
    double real = json_real_value(value);
    return isfinite(real) && real == trunc(real);
}

bool number_to_count(const json_t *value, size_t *ret_count) {
    if (!number_is_integer(value))
        return false;
    struct number number = number_of(value);
    if (number.is_whole ? number.whole < 0 : number.real < 0)
        return false;
    *ret_count = number.is_whole ? (size_t)number.whole : SIZE_MAX;
    return true;
}

/* The shortest decimal that reads back as the same double: that is what was written, up to 15 digits. */
static struct decimal shortest_decimal(double real) {
    struct decimal decimal = {0};
    char text[64];

    for (int places = 14; places <= 16; places++) {
        (void)snprintf(text, sizeof(text), "%.*e", places, real);
        if (strtod(text, NULL) == real)
            break;
    }
    const char *at = text;
    int fraction = -1; /* digits behind the first one */
    for (; *at && *at != 'e'; at++) {
        if (*at < '0' || *at > '9')
            continue; /* the decimal point, whatever the locale makes of it */
        decimal.digits = decimal.digits * 10 + (unsigned long long)(*at - '0');
        fraction++;
    }
    decimal.exponent = (*at == 'e' ? (int)strtol(at + 1, NULL, 10) : 0) - fraction;
    return decimal;
}

struct decimal number_to_decimal(struct number number) {
    struct decimal decimal = {0};

    if (number.is_whole)
        decimal.digits = number.whole < 0 ? 0ULL - (unsigned long long)number.whole : (unsigned long long)number.whole;
    else
        decimal = shortest_decimal(fabs(number.real));
    if (decimal.digits == 0)
        return (struct decimal){0};
    while (decimal.digits % 10 == 0) {
        decimal.digits /= 10;
        decimal.exponent++;
    }
    return decimal;
}

/* value * 10^power modulo divisor */
static unsigned long long scaled_remainder(unsigned long long value, int power, unsigned long long divisor) {
    unsigned __int128 result = value % divisor;

    for (; power > 0 && result != 0; power--)
        result = result * 10 % divisor;
    return (unsigned long long)result;
}

bool number_is_multiple(struct number number, struct decimal divisor) {
    struct decimal value = number_to_decimal(number);

    if (value.digits == 0)
        return true;
    if (value.exponent >= divisor.exponent)
        return scaled_remainder(value.digits, value.exponent - divisor.exponent, divisor.digits) == 0;
    return false; /* the value's last digit is not 0 and stands behind every digit of any multiple */
}
