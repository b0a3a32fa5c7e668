/*
 * Which thread may call what. The loop thread owns the core; a function marked ON_LOOP may be called there only, and
 * clang's -Wthread-safety (make lint) refuses a worker that does. A libuv callback says loop_enter() first.
 */
#pragma once

#if defined(__clang__)
#define THREAD_ATTRIBUTE(attribute) __attribute__((attribute))
#else
#define THREAD_ATTRIBUTE(attribute)
#endif

struct THREAD_ATTRIBUTE(capability("role")) thread_role {
    char unused;
};

extern struct thread_role loop_role;

#define ON_LOOP THREAD_ATTRIBUTE(requires_capability(loop_role))

/* Says, to the compiler only, that the code from here on runs on the loop thread. */
static inline void loop_enter(void) THREAD_ATTRIBUTE(assert_capability(loop_role));
static inline void loop_enter(void) {
}
