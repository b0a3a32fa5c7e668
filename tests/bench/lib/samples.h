/* A heap of measured times and what is said of them. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct samples {
    int64_t *ns; /* owned */
    size_t count;
};

void samples_sort(struct samples *samples);

/* Of sorted samples: the smallest that at least `percent` of them do not exceed, in microseconds. 0: there are none. */
double samples_percentile_us(const struct samples *samples, double percent);

void samples_fini_cleanup(struct samples *samples);
