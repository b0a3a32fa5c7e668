/*
 * Translating ECMA-262 to PCRE2.
 *
 * A walk over the pattern that knows escapes, classes and groups, and copies the rest. The same text means something
 * else in the two languages in few places: `.`, `\s` and surrogate pairs, the long names of Unicode's categories, `[`
 * inside a class, `(?…` and `(*…`, a quantifier behind a quantifier. Escapes that ECMA-262 does not have are refused,
 * so that no author relies on one by accident.
 */
#include "rpc/schema_pattern.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

struct translation {
    struct span in;
    size_t at;
    bool in_class;
    bool quantified; /* the last thing was a quantifier: another one may not follow */
    struct buf *out;
    struct theseus_error *err;
};

static const struct {
    const char *name, *abbreviation;
} categories[] = {
    {"Letter", "L"},
    {"Cased_Letter", "L&"},
    {"Uppercase_Letter", "Lu"},
    {"Lowercase_Letter", "Ll"},
    {"Titlecase_Letter", "Lt"},
    {"Modifier_Letter", "Lm"},
    {"Other_Letter", "Lo"},
    {"Mark", "M"},
    {"Combining_Mark", "M"},
    {"Nonspacing_Mark", "Mn"},
    {"Spacing_Mark", "Mc"},
    {"Enclosing_Mark", "Me"},
    {"Number", "N"},
    {"Decimal_Number", "Nd"},
    {"digit", "Nd"},
    {"Letter_Number", "Nl"},
    {"Other_Number", "No"},
    {"Punctuation", "P"},
    {"punct", "P"},
    {"Connector_Punctuation", "Pc"},
    {"Dash_Punctuation", "Pd"},
    {"Open_Punctuation", "Ps"},
    {"Close_Punctuation", "Pe"},
    {"Initial_Punctuation", "Pi"},
    {"Final_Punctuation", "Pf"},
    {"Other_Punctuation", "Po"},
    {"Symbol", "S"},
    {"Math_Symbol", "Sm"},
    {"Currency_Symbol", "Sc"},
    {"Modifier_Symbol", "Sk"},
    {"Other_Symbol", "So"},
    {"Separator", "Z"},
    {"Space_Separator", "Zs"},
    {"Line_Separator", "Zl"},
    {"Paragraph_Separator", "Zp"},
    {"Other", "C"},
    {"Control", "Cc"},
    {"cntrl", "Cc"},
    {"Format", "Cf"},
    {"Surrogate", "Cs"},
    {"Private_Use", "Co"},
    {"Unassigned", "Cn"},
    {"LC", "L&"},
};

static int put(struct translation *t, const char *text) {
    return buf_append(t->out, span_of(text), t->err);
}

static int copy(struct translation *t, size_t count) {
    int r = buf_append(t->out, (struct span){t->in.data + t->at, count}, t->err);

    t->at += count;
    return r;
}

static char peek(const struct translation *t, size_t ahead) {
    return t->at + ahead < t->in.len ? t->in.data[t->at + ahead] : '\0';
}

static bool begins(const struct translation *t, const char *text) {
    size_t len = strlen(text);

    return t->in.len - t->at >= len && memcmp(t->in.data + t->at, text, len) == 0;
}

/* \p{…} and \P{…}, at the backslash. */
static int translate_property(struct translation *t) {
    const char *open = t->in.data + t->at + 3;
    size_t room = t->in.len - t->at;
    const char *close = peek(t, 2) == '{' ? memchr(open, '}', room - 3) : NULL;

    if (!close)
        return fail(t->err, ERR_INVALID, "\\%c needs a name in braces", peek(t, 1));
    struct span name = {open, (size_t)(close - open)};
    static const char *const prefixes[] = {"General_Category=", "gc="};
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
        size_t len = strlen(prefixes[i]);
        if (name.len > len && memcmp(name.data, prefixes[i], len) == 0)
            name = (struct span){name.data + len, name.len - len};
    }
    for (size_t i = 0; i < ARRAY_SIZE(categories); i++)
        if (span_equals(name, categories[i].name))
            name = span_of(categories[i].abbreviation);
    char negated = peek(t, 1);
    t->at = (size_t)(close - t->in.data) + 1;
    return buf_printf(t->out, t->err, "\\%c{%.*s}", negated, (int)name.len, name.data);
}

/* The four hexadecimal digits behind \u, or -1. */
static long unit_at(const struct translation *t, size_t ahead) {
    char digits[5] = "";

    for (size_t i = 0; i < 4; i++) {
        digits[i] = peek(t, ahead + i);
        if (!isxdigit((unsigned char)digits[i]))
            return -1;
    }
    return strtol(digits, NULL, 16);
}

/* \uXXXX, where two surrogates are one character. */
static int translate_unit(struct translation *t) {
    long high = unit_at(t, 2);

    if (peek(t, 2) == '{')
        return copy(t, 2); /* \u{…} is PCRE2's as well */
    if (high < 0)
        return fail(t->err, ERR_INVALID, "\\u needs four hexadecimal digits");
    if (high < 0xD800 || high > 0xDFFF)
        return copy(t, 6);
    long low = peek(t, 6) == '\\' && peek(t, 7) == 'u' ? unit_at(t, 8) : -1;
    if (high > 0xDBFF || low < 0xDC00 || low > 0xDFFF)
        return fail(t->err, ERR_INVALID, "\\u%04lx is half of a surrogate pair", high);
    t->at += 12;
    return buf_printf(t->out, t->err, "\\u{%lx}", 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00));
}

#define SPACES "\\t-\\r \\u{a0}\\u{1680}\\u{2000}-\\u{200a}\\u{2028}\\u{2029}\\u{202f}\\u{205f}\\u{3000}\\u{feff}"
#define NO_SPACES                                                                                 \
    "\\u{0}-\\u{8}\\u{e}-\\u{1f}!-\\u{9f}\\u{a1}-\\u{167f}\\u{1681}-\\u{1fff}\\u{200b}-\\u{2027}" \
    "\\u{202a}-\\u{202e}\\u{2030}-\\u{205e}\\u{2060}-\\u{2fff}\\u{3001}-\\u{fefe}\\u{ff00}-\\u{10ffff}"

static int translate_space(struct translation *t) {
    bool negated = peek(t, 1) == 'S';

    t->at += 2;
    if (t->in_class)
        return put(t, negated ? NO_SPACES : SPACES);
    return put(t, negated ? "[^" SPACES "]" : "[" SPACES "]");
}

static int translate_escape(struct translation *t) {
    char letter = peek(t, 1);

    switch (letter) {
    case 'p':
    case 'P':
        return translate_property(t);
    case 'u':
        return translate_unit(t);
    case 's':
    case 'S':
        return translate_space(t);
    default:
        break;
    }
    if (t->at + 1 >= t->in.len)
        return fail(t->err, ERR_INVALID, "\\ at the end of the pattern");
    bool in_either = !t->in_class && (strchr("Bk", letter) || isdigit((unsigned char)letter));
    if (letter == '\0' || (isalnum((unsigned char)letter) && !strchr("dDwWbfnrtvcx0", letter) && !in_either))
        return fail(t->err, ERR_INVALID, "\\%c is no escape of ECMA-262", letter ? letter : '0');
    return copy(t, 2);
}

static int translate_in_class(struct translation *t) {
    char c = peek(t, 0);

    if (c == '\\')
        return translate_escape(t);
    if (c == '[') {
        t->at++;
        return put(t, "\\[");
    }
    if (c == ']')
        t->in_class = false;
    return copy(t, 1);
}

static int translate_group(struct translation *t) {
    static const char *const allowed[] = {"(?:", "(?=", "(?!", "(?<"};

    if (peek(t, 1) == '*')
        return fail(t->err, ERR_INVALID, "nothing to repeat before *");
    if (peek(t, 1) != '?')
        return copy(t, 1);
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
        if (begins(t, allowed[i]))
            return copy(t, 3);
    return fail(t->err, ERR_INVALID, "(?%c is no group of ECMA-262",
                isprint((unsigned char)peek(t, 2)) ? peek(t, 2) : ' ');
}

/* The length of {n}, {n,} or {n,m} at the current place; 0: the brace is an ordinary character. */
static size_t braces_length(const struct translation *t) {
    size_t len = 1;

    if (!isdigit((unsigned char)peek(t, len)))
        return 0;
    while (isdigit((unsigned char)peek(t, len)) || peek(t, len) == ',')
        len++;
    return peek(t, len) == '}' ? len + 1 : 0;
}

static int translate_quantifier(struct translation *t, size_t len) {
    if (t->quantified)
        return fail(t->err, ERR_INVALID, "nothing to repeat before %c", peek(t, 0));
    t->quantified = true;
    if (copy(t, len) < 0)
        return -1;
    return peek(t, 0) == '?' ? copy(t, 1) : 0;
}

static int translate_outside_class(struct translation *t) {
    char c = peek(t, 0);
    size_t quantifier = c == '{' ? braces_length(t) : (c == '*' || c == '+' || c == '?');

    if (quantifier > 0)
        return translate_quantifier(t, quantifier);
    t->quantified = false;
    switch (c) {
    case '\\':
        return translate_escape(t);
    case '(':
        return translate_group(t);
    case '.':
        t->at++;
        return put(t, "[^\\n\\r\\u{2028}\\u{2029}]");
    case '[':
        t->in_class = true;
        return copy(t, peek(t, 1) == '^' ? 2 : 1);
    default:
        return copy(t, 1);
    }
}

int pattern_translate(struct span text, struct buf *ret_translated, struct theseus_error *err) {
    struct translation t = {.in = text, .out = ret_translated, .err = err};

    while (t.at < t.in.len)
        if ((t.in_class ? translate_in_class(&t) : translate_outside_class(&t)) < 0)
            return -1;
    return 0;
}
