#include "loop/stall.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include <uv.h>

#include "base/clock.h"

/* Between two looks. What lies between counts for no more than twice as much: a process may have been stopped. */
enum { LOOK_MS = 250, LOOK_MAX_MS = 2 * LOOK_MS };

struct stall {
    struct thread *thread; /* owned */
    stall_fn *fn;
    void *arg;
    atomic_uint_fast64_t turn; /* odd: inside */
    atomic_int_fast64_t limit_ms;
    atomic_bool asleep; /* it waits to be woken */
    uv_mutex_t lock;    /* of what follows, and for waking */
    uv_cond_t changed;
    bool quit;
};

/* What was seen of one stay. */
struct stay {
    uint_fast64_t turn;
    int64_t looked_ns, inside_ms;
    bool told;
};

static bool is_inside(uint_fast64_t turn) {
    return turn % 2 == 1;
}

/* With the lock. Whoever enters looks at `asleep` after the turn has changed; here it is the other way round. */
static void sleep_until_entered(struct stall *stall) {
    atomic_store(&stall->asleep, true);
    while (!is_inside(atomic_load(&stall->turn)) && !stall->quit)
        uv_cond_wait(&stall->changed, &stall->lock);
    atomic_store(&stall->asleep, false);
}

static bool is_overdue(const struct stall *stall, struct stay *stay) {
    int64_t now_ns = clock_now_ns(), since_ms = (now_ns - stay->looked_ns) / 1000000;

    stay->inside_ms += since_ms < LOOK_MAX_MS ? since_ms : LOOK_MAX_MS;
    stay->looked_ns = now_ns;
    return !stay->told && stay->inside_ms >= atomic_load(&stall->limit_ms);
}

/* With the lock, which is given away for the listener. */
static void look(struct stall *stall, struct stay *stay) {
    uint_fast64_t turn = atomic_load(&stall->turn);

    if (turn != stay->turn) {
        *stay = (struct stay){.turn = turn, .looked_ns = clock_now_ns()};
        return;
    }
    if (!is_inside(turn)) {
        sleep_until_entered(stall);
        return;
    }
    if (!is_overdue(stall, stay))
        return;
    stay->told = true;
    uv_mutex_unlock(&stall->lock);
    stall->fn(stall->arg);
    uv_mutex_lock(&stall->lock);
}

static void stall_main(void *arg) {
    struct stall *stall = arg;
    struct stay stay = {0};

    uv_mutex_lock(&stall->lock);
    while (!stall->quit) {
        look(stall, &stay);
        if (!stall->quit)
            (void)uv_cond_timedwait(&stall->changed, &stall->lock, LOOK_MS * UINT64_C(1000000));
    }
    uv_mutex_unlock(&stall->lock);
}

int stall_new(struct stall **ret_stall, stall_fn *fn, void *arg, struct theseus_error *err) {
    CLEANUP(free) struct stall *stall = xcalloc(1, sizeof(*stall));

    stall->fn = fn;
    stall->arg = arg;
    (void)uv_mutex_init(&stall->lock);
    (void)uv_cond_init(&stall->changed);
    if (thread_start(&stall->thread, "watch", stall_main, stall, err) < 0) {
        uv_cond_destroy(&stall->changed);
        uv_mutex_destroy(&stall->lock);
        return -1;
    }
    *ret_stall = TAKE_PTR(stall);
    return 0;
}

struct stall *stall_free(struct stall *stall) {
    if (!stall)
        return NULL;
    uv_mutex_lock(&stall->lock);
    stall->quit = true;
    uv_cond_signal(&stall->changed);
    uv_mutex_unlock(&stall->lock);
    stall->thread = thread_join(stall->thread);
    uv_cond_destroy(&stall->changed);
    uv_mutex_destroy(&stall->lock);
    free(stall);
    return NULL;
}

void stall_enter(struct stall *stall, int64_t limit_ms) {
    atomic_store_explicit(&stall->limit_ms, limit_ms, memory_order_relaxed);
    (void)atomic_fetch_add(&stall->turn, 1);
    if (!atomic_load(&stall->asleep))
        return;
    uv_mutex_lock(&stall->lock);
    uv_cond_signal(&stall->changed);
    uv_mutex_unlock(&stall->lock);
}

void stall_leave(struct stall *stall) {
    uint_fast64_t turn = atomic_load_explicit(&stall->turn, memory_order_relaxed);

    atomic_store_explicit(&stall->turn, turn + 1, memory_order_release); /* nobody else changes it */
}
