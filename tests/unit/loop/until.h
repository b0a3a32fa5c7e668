/* Turns the loop until a condition holds, and fails the test when that does not come about. */
#pragma once

#include "base/clock.h"
#include "loop/loop.h"

enum { UNTIL_SECONDS = 20, UNTIL_TURN_MS = 10 };

#define until(loop, condition)                                                     \
    do {                                                                           \
        int64_t until_end_ = clock_now_ns() + (int64_t)UNTIL_SECONDS * 1000000000; \
        loop_enter();                                                              \
        while (!(condition)) {                                                     \
            assert_true(clock_now_ns() < until_end_);                              \
            (void)loop_turn((loop), UNTIL_TURN_MS);                                \
        }                                                                          \
    } while (0)
