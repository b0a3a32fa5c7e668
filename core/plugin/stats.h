/* How a plugin's calls went: counts, and a histogram of their durations from which a percentile is read. Any thread. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Powers of two of nanoseconds, each in four steps: a percentile is right within a quarter. */
enum { STATS_STEPS = 4, STATS_BUCKETS = 48 * STATS_STEPS };

struct stats {
    atomic_uint_fast64_t served, failed, total_ns;
    atomic_uint_fast32_t buckets[STATS_BUCKETS];
};

void stats_add(struct stats *stats, int64_t ns, bool failed);
double stats_mean_ms(const struct stats *stats);                          /* 0 where there was no call */
uint64_t stats_up_to(const struct stats *stats, int power);               /* calls of less than 2^power ns */
double stats_percentile_ms(const struct stats *stats, double percentile); /* upper border of its bucket */
