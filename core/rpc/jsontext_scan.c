/*
 * Scanning strings.
 *
 * Nearly all bytes of nearly all strings are plain ASCII, so that is what is looked at in blocks: sixteen bytes with
 * SSE2 where there is SSE2, eight in a machine word for the rest. A block only says whether one of its bytes is
 * special. Other characters are checked one by one.
 */
#include "rpc/jsontext_scan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

static bool is_special(char c) {
    return c == '"' || c == '\\' || (unsigned char)c < 0x20 || (unsigned char)c >= 0x80;
}

/*
 * Subtracting borrows from the next byte only where this one is special already, so the answer for the whole word is
 * exact. Bytes at or above 0x80 count in any case.
 */
static bool word_has_special(uint64_t word) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t control = word - ones * 0x20;
    uint64_t quote = (word ^ ones * '"') - ones;
    uint64_t backslash = (word ^ ones * '\\') - ones;

    return ((control | quote | backslash | word) & ones * 0x80) != 0;
}

const char *jsontext_skip_ascii(const char *at, const char *end) {
    while (end - at >= (ptrdiff_t)sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        if (word_has_special(word))
            break;
        at += sizeof(word);
    }
    while (at < end && !is_special(*at))
        at++;
    return at;
}

#ifdef __SSE2__

/* Signed comparison: bytes at or above 0x80 are negative, so one comparison finds them and the control characters. */
static unsigned special_mask(__m128i block) {
    __m128i outside = _mm_cmplt_epi8(block, _mm_set1_epi8(0x20));
    __m128i quote = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
    __m128i backslash = _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(outside, _mm_or_si128(quote, backslash)));
}

static const char *skip_ascii_fast(const char *at, const char *end) {
    for (; end - at >= 16; at += 16) {
        unsigned mask = special_mask(_mm_loadu_si128((const __m128i *)(const void *)at));
        if (mask)
            return at + __builtin_ctz(mask);
    }
    return jsontext_skip_ascii(at, end);
}

#else

static const char *skip_ascii_fast(const char *at, const char *end) {
    return jsontext_skip_ascii(at, end);
}

#endif

/*
 * Length of the well-formed character at `at`, which is not ASCII; 0 if there is none. The second byte's range is what
 * keeps out overlong forms (E0, F0), surrogates (ED) and what is beyond U+10FFFF (F4).
 */
static size_t character_len(const char *at, const char *end) {
    unsigned char lead = (unsigned char)at[0];
    size_t len = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;

    if (len == 0 || (size_t)(end - at) < len)
        return 0;
    unsigned char second = (unsigned char)at[1];
    if (second < (lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80))
        return 0;
    if (second > (lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF))
        return 0;
    for (size_t i = 2; i < len; i++)
        if (((unsigned char)at[i] & 0xC0) != 0x80)
            return 0;
    return len;
}

const char *jsontext_skip_plain(const char *at, const char *end) {
    for (;;) {
        at = skip_ascii_fast(at, end);
        if (at == end || (unsigned char)*at < 0x80)
            return at;
        while (at < end && (unsigned char)*at >= 0x80) {
            size_t len = character_len(at, end);
            if (len == 0)
                return at;
            at += len;
        }
    }
}
