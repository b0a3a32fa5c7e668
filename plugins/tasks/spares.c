#include "spares.h"

#include <pthread.h>
#include <stdlib.h>

#include "work.h"

enum {
    KEPT_MAX = 128,
    ROOM_MAX = 4096, /* bytes of one text that are worth keeping */
};

struct spares {
    pthread_mutex_t mutex;
    struct work *first; /* work::next, owned */
    unsigned count;
};

static struct work *drop(struct work *work) {
    text_fini(&work->text);
    text_fini(&work->stored);
    free(work);
    return NULL;
}

struct spares *spares_new(void) {
    struct spares *spares = calloc(1, sizeof(*spares));

    if (spares)
        (void)pthread_mutex_init(&spares->mutex, NULL);
    return spares;
}

struct spares *spares_free(struct spares *spares) {
    if (!spares)
        return NULL;
    for (struct work *work = spares->first, *next; work; work = next) {
        next = work->next;
        (void)drop(work);
    }
    (void)pthread_mutex_destroy(&spares->mutex);
    free(spares);
    return NULL;
}

struct work *spares_take(struct spares *spares) {
    (void)pthread_mutex_lock(&spares->mutex);
    struct work *work = spares->first;
    if (work) {
        spares->first = work->next;
        spares->count--;
        work->next = NULL;
    }
    (void)pthread_mutex_unlock(&spares->mutex);
    return work ? work : calloc(1, sizeof(*work));
}

void spares_put(struct spares *spares, struct work *work) {
    *work = (struct work){.text = work->text, .stored = work->stored};
    if (work->text.capacity > ROOM_MAX || work->stored.capacity > ROOM_MAX)
        work = drop(work);
    (void)pthread_mutex_lock(&spares->mutex);
    bool is_kept = work && spares->count < KEPT_MAX;
    if (is_kept) {
        work->next = spares->first;
        spares->first = work;
        spares->count++;
    }
    (void)pthread_mutex_unlock(&spares->mutex);
    if (work && !is_kept)
        (void)drop(work);
}
