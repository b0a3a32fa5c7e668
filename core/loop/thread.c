#include "loop/thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <uv.h>

#include "base/fatal.h"
#include "base/mem.h"
#include "base/memlimit.h"

enum { THREAD_STACK = 1 << 20, THREAD_SIGNAL_STACK = 64 << 10, THREAD_NAME_BYTES = 16 };

struct thread {
    uv_thread_t id;
    work_fn *fn;
    void *arg;
    char name[THREAD_NAME_BYTES];
    char *signal_stack; /* owned mapping; a page that cannot be touched lies in front of it */
    stack_t stack_before;
    atomic_int owners; /* the thread itself, and whoever started it */
    uv_sem_t begin;    /* what it is to do is known */
};

static _Atomic(struct thread *) ahead; /* made, and without work yet */

static size_t page_size(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

static void thread_release(struct thread *thread) {
    if (atomic_fetch_sub(&thread->owners, 1) > 1)
        return;
    uv_sem_destroy(&thread->begin);
    free(thread);
}

static char *map_signal_stack(void) {
    char *memory = mmap(NULL, page_size() + THREAD_SIGNAL_STACK, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        return NULL;
    (void)mprotect(memory, page_size(), PROT_NONE);
    return memory + page_size();
}

int thread_give_signal_stack(struct theseus_error *err) {
    char *memory = map_signal_stack();

    const stack_t stack = {.ss_sp = memory, .ss_size = THREAD_SIGNAL_STACK};

    if (!memory || sigaltstack(&stack, NULL) < 0)
        return fail_errno(err, "cannot give the thread a stack for signals");
    fatal_use_stack(&stack);
    return 0;
}

static void unmap_signal_stack(char *signal_stack) {
    (void)munmap(signal_stack - page_size(), page_size() + THREAD_SIGNAL_STACK);
}

static void use_signal_stack(char *memory, stack_t *ret_before) {
    const stack_t ours = {.ss_sp = memory, .ss_size = THREAD_SIGNAL_STACK};

    (void)sigaltstack(&ours, ret_before);
    fatal_use_stack(&ours);
}

/* Also of one that ends where it is, as by pthread_exit(). */
static void thread_end(void *arg) {
    struct thread *thread = arg;

    fatal_thread_ends();
    fatal_use_stack(NULL);
    (void)sigaltstack(&thread->stack_before, NULL);
    unmap_signal_stack(thread->signal_stack);
    thread_release(thread);
}

static void thread_main(void *arg) {
    struct thread *thread = arg;

    pthread_cleanup_push(thread_end, thread);
    use_signal_stack(thread->signal_stack, &thread->stack_before);
    uv_sem_wait(&thread->begin);
    (void)pthread_setname_np(pthread_self(), thread->name);
    thread->fn(thread->arg);
    pthread_cleanup_pop(1);
}

/* The new thread inherits the mask, so that not even its first instruction can be interrupted. */
static int create_masked(struct thread *thread) {
    uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE, .stack_size = THREAD_STACK};
    sigset_t blocked, before;

    (void)sigfillset(&blocked);
    fatal_except(&blocked);
    (void)pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int r = uv_thread_create_ex(&thread->id, &options, thread_main, thread);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

static int need(void) {
    return THREAD_STACK + THREAD_SIGNAL_STACK + (int)page_size();
}

/* Why there is none, and what to do about it. */
static int blame(int error, struct theseus_error *err) {
    if (memlimit_lacks((size_t)need()))
        return fail(err, ERR_MEMORY,
                    "limits.memory leaves no room for its stack: %zu of %zu MiB are in use; raise it, or look which "
                    "plugin keeps so much",
                    memlimit_used() >> 20, memlimit_bytes() >> 20);
    errno = error;
    if (error == ENOMEM)
        return fail_errno(err, "the system gives the process no memory for its stack (see ulimit -v and memory.max)");
    return fail_errno(err, "the system gives this user or container no more (see ulimit -u, ulimit -v and pids.max)");
}

/* 0, or what errno would be. */
static int set_up(struct thread *thread) {
    thread->signal_stack = map_signal_stack();
    if (!thread->signal_stack)
        return errno;
    int r = create_masked(thread);
    if (r < 0)
        unmap_signal_stack(thread->signal_stack);
    return -r;
}

/* Under a limit on memory the core's own threads have part in its reserve. */
static int set_up_with_reserve(struct thread *thread) {
    int error = set_up(thread);

    if (error && memlimit_lacks((size_t)need()) && memlimit_raise(false)) {
        error = set_up(thread);
        memlimit_lower();
    }
    return error;
}

/* It comes up, and waits until it is told what to do. */
static int make(struct thread **ret_thread, bool is_core, struct theseus_error *err) {
    CLEANUP(free) struct thread *thread = xcalloc(1, sizeof(*thread));

    atomic_init(&thread->owners, 2);
    (void)uv_sem_init(&thread->begin, 0);
    int error = is_core ? set_up_with_reserve(thread) : set_up(thread);
    if (error) {
        uv_sem_destroy(&thread->begin);
        return blame(error, err);
    }
    *ret_thread = TAKE_PTR(thread);
    return 0;
}

static void begin(struct thread *thread, const char *name, work_fn *fn, void *arg) {
    thread->fn = fn;
    thread->arg = arg;
    (void)snprintf(thread->name, sizeof(thread->name), "%.15s", name);
    uv_sem_post(&thread->begin);
}

int thread_start(struct thread **ret_thread, const char *name, work_fn *fn, void *arg, struct theseus_error *err) {
    struct thread *thread = atomic_exchange(&ahead, NULL);

    if (!thread && make(&thread, true, err) < 0)
        return error_prefix(err, "cannot start the thread '%s': ", name);
    begin(thread, name, fn, arg);
    *ret_thread = thread;
    return 0;
}

int thread_start_for_plugin(struct thread **ret_thread, const char *name, work_fn *fn, void *arg,
                            struct theseus_error *err) {
    struct thread *thread;

    if (make(&thread, false, err) < 0)
        return error_prefix(err, "cannot start a thread for plugin '%s': ", name);
    begin(thread, name, fn, arg);
    *ret_thread = thread;
    return 0;
}

struct thread *thread_join(struct thread *thread) {
    if (!thread)
        return NULL;
    (void)uv_thread_join(&thread->id);
    thread_release(thread);
    return NULL;
}

struct thread *thread_detach(struct thread *thread) {
    if (!thread)
        return NULL;
    (void)pthread_detach(thread->id);
    thread_release(thread);
    return NULL;
}

/* ---- one ahead of its work ---- */

static void do_nothing(void *arg) {
    (void)arg;
}

static void drop(struct thread *thread) {
    if (!thread)
        return;
    begin(thread, "", do_nothing, NULL);
    (void)thread_join(thread);
}

void thread_make_ahead(void) {
    struct thread *thread = NULL;

    if (make(&thread, true, NULL) == 0)
        drop(atomic_exchange(&ahead, thread));
}

void thread_drop_ahead(void) {
    drop(atomic_exchange(&ahead, NULL));
}
