#include "ledger/gate.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* It is held for so short a time that looking again a few times is cheaper than going to sleep. */
enum { TRIES = 100, TRIES_FOR_EXEC = 20000, NAP_NS = 500000 };

static const uint32_t waiters = UINT32_C(1) << 31;

static uint32_t own_id(void) {
    static _Thread_local uint32_t id;

    if (!id)
        id = (uint32_t)gettid();
    return id;
}

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void sleep_on(_Atomic uint32_t *word, uint32_t while_value, const struct timespec *timeout) {
    int saved = errno;

    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, while_value, timeout, NULL, 0);
    errno = saved;
}

static void wake(_Atomic uint32_t *word, int count) {
    int saved = errno;

    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
    errno = saved;
}

static bool take(struct gate *gate, uint32_t as) {
    uint32_t nobody = 0;

    return atomic_compare_exchange_strong_explicit(&gate->word, &nobody, as, memory_order_acquire,
                                                   memory_order_relaxed);
}

static bool is_shut(const struct gate *gate) {
    return atomic_load_explicit(&gate->shut, memory_order_relaxed) != 0;
}

/* Until somebody leaves. Says so in the word first, which makes the one who leaves wake us. */
static void wait_for_leave(struct gate *gate, const struct timespec *timeout) {
    uint32_t seen = atomic_load_explicit(&gate->word, memory_order_relaxed);

    if (seen == 0)
        return;
    if (!(seen & waiters) && !atomic_compare_exchange_strong(&gate->word, &seen, seen | waiters))
        return;
    sleep_on(&gate->word, seen | waiters, timeout);
}

static void enter_late(struct gate *gate) {
    for (int i = 0; i < TRIES && !is_shut(gate); i++) {
        if (take(gate, own_id()))
            return;
        relax();
    }
    for (;;) {
        while (is_shut(gate))
            sleep_on(&gate->shut, 1, NULL);
        if (take(gate, own_id() | waiters)) /* there may be others asleep: whoever leaves has to look */
            return;
        wait_for_leave(gate, NULL);
    }
}

bool gate_is_own(const struct gate *gate) {
    return (atomic_load_explicit(&gate->word, memory_order_relaxed) & ~waiters) == own_id();
}

void gate_enter(struct gate *gate) {
    assert(!gate_is_own(gate));
    if (is_shut(gate) || !take(gate, own_id()))
        enter_late(gate);
}

void gate_leave(struct gate *gate) {
    if (atomic_exchange_explicit(&gate->word, 0, memory_order_release) & waiters)
        wake(&gate->word, 1);
}

void gate_give_up(struct gate *gate) {
    if (gate_is_own(gate))
        atomic_store(&gate->lost, own_id());
}

static bool is_lost(const struct gate *gate) {
    uint32_t lost = atomic_load(&gate->lost);

    return lost && (atomic_load(&gate->word) & ~waiters) == lost;
}

static int64_t now_ns(void) {
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int gate_take_for_exec(struct gate *gate, int timeout_ms) {
    const struct timespec nap = {0, NAP_NS};
    int64_t end = now_ns() + (int64_t)timeout_ms * 1000000;

    if (gate_is_own(gate))
        return GATE_OWN;
    if (atomic_exchange(&gate->shut, 1))
        return GATE_OTHER;
    for (int i = 0; i < TRIES_FOR_EXEC; i++) {
        if (take(gate, own_id() | waiters))
            return GATE_TAKEN;
        relax();
    }
    while (!take(gate, own_id() | waiters)) {
        if (is_lost(gate) || now_ns() >= end)
            return GATE_LATE;
        wait_for_leave(gate, &nap); /* in naps: the one who leaves may wake somebody else, who may not come in */
    }
    return GATE_TAKEN;
}

void gate_give_back(struct gate *gate, int taken) {
    if (taken != GATE_TAKEN && taken != GATE_LATE)
        return;
    atomic_store(&gate->shut, 0);
    wake(&gate->shut, INT32_MAX);
    if (taken == GATE_TAKEN)
        gate_leave(gate);
}
