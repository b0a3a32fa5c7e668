#include "samples.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

void samples_sort(struct samples *samples) {
    if (samples->count)
        qsort(samples->ns, samples->count, sizeof(int64_t), compare);
}

double samples_percentile_us(const struct samples *samples, double percent) {
    if (samples->count == 0)
        return 0;
    double rank = ceil(percent / 100 * (double)samples->count);
    return (double)samples->ns[rank < 1 ? 0 : (size_t)rank - 1] / 1000;
}

void samples_fini_cleanup(struct samples *samples) {
    free(samples->ns);
}
