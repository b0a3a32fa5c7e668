#include "plugin/stats.h"

static int bucket_of(int64_t ns) {
    uint64_t value = ns > 0 ? (uint64_t)ns : 1;
    int power = 63 - __builtin_clzll(value);
    int step = power >= 2 ? (int)(value >> (power - 2)) & (STATS_STEPS - 1) : 0;
    int bucket = power * STATS_STEPS + step;

    return bucket < STATS_BUCKETS ? bucket : STATS_BUCKETS - 1;
}

static double upper_ms(int bucket) {
    double base = (double)(1ull << (bucket / STATS_STEPS));

    return base * (STATS_STEPS + bucket % STATS_STEPS + 1) / STATS_STEPS / 1e6;
}

void stats_add(struct stats *stats, int64_t ns, bool failed) {
    (void)atomic_fetch_add_explicit(failed ? &stats->failed : &stats->served, 1, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&stats->total_ns, (uint64_t)(ns > 0 ? ns : 0), memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&stats->buckets[bucket_of(ns)], 1, memory_order_relaxed);
}

double stats_mean_ms(const struct stats *stats) {
    uint64_t count = atomic_load(&stats->served) + atomic_load(&stats->failed);

    return count ? (double)atomic_load(&stats->total_ns) / (double)count / 1e6 : 0;
}

uint64_t stats_up_to(const struct stats *stats, int power) {
    uint64_t count = 0;

    for (int i = 0; i < power * STATS_STEPS && i < STATS_BUCKETS; i++)
        count += atomic_load_explicit(&stats->buckets[i], memory_order_relaxed);
    return count;
}

double stats_percentile_ms(const struct stats *stats, double percentile) {
    uint64_t count = 0, seen = 0;

    for (int i = 0; i < STATS_BUCKETS; i++)
        count += atomic_load_explicit(&stats->buckets[i], memory_order_relaxed);
    if (count == 0)
        return 0;
    for (int i = 0; i < STATS_BUCKETS; i++) {
        seen += atomic_load_explicit(&stats->buckets[i], memory_order_relaxed);
        if ((double)seen >= (double)count * percentile / 100)
            return upper_ms(i);
    }
    return upper_ms(STATS_BUCKETS - 1);
}
