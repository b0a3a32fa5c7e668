#include "base/inherit.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>

enum { WORD_BITS = 64 };

static atomic_uint_fast64_t words[INHERIT_MAX / WORD_BITS];

static uint_fast64_t bit_of(int fd) {
    return UINT64_C(1) << (fd % WORD_BITS);
}

static bool is_number(int fd) {
    return fd >= 0 && fd < INHERIT_MAX;
}

int inherit_add(int fd, struct theseus_error *err) {
    if (!is_number(fd))
        return fail(err, ERR_LIMIT, "descriptor %d is too many: numbers end at %d", fd, INHERIT_MAX - 1);
    (void)atomic_fetch_or(&words[fd / WORD_BITS], bit_of(fd));
    return 0;
}

void inherit_drop(int fd) {
    if (is_number(fd))
        (void)atomic_fetch_and(&words[fd / WORD_BITS], ~bit_of(fd));
}

bool inherit_has(int fd) {
    return is_number(fd) && (atomic_load(&words[fd / WORD_BITS]) & bit_of(fd));
}

void inherit_set(bool stay_open) {
    for (int i = 0; i < INHERIT_MAX / WORD_BITS; i++)
        for (uint_fast64_t rest = atomic_load(&words[i]); rest; rest &= rest - 1)
            (void)fcntl(i * WORD_BITS + __builtin_ctzll(rest), F_SETFD, stay_open ? 0 : FD_CLOEXEC);
}
