#include "filer.h"

#include <pthread.h>
#include <stdlib.h>

#include "tasks.h"
#include "writer.h"

struct filer {
    struct tasks *tasks;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct work *first, **last; /* the queue */
    bool stopping;
    int thread; /* -1: not started */
};

static void filer_main(void *arg);

struct filer *filer_new(struct tasks *tasks) {
    struct filer *filer = calloc(1, sizeof(*filer));

    if (!filer)
        return NULL;
    filer->tasks = tasks;
    filer->last = &filer->first;
    filer->thread = -1;
    (void)pthread_mutex_init(&filer->mutex, NULL);
    (void)pthread_cond_init(&filer->wake, NULL);
    return filer;
}

struct filer *filer_free(struct filer *filer) {
    if (!filer)
        return NULL;
    (void)pthread_mutex_lock(&filer->mutex);
    filer->stopping = true;
    (void)pthread_cond_signal(&filer->wake);
    (void)pthread_mutex_unlock(&filer->mutex);
    if (filer->thread >= 0)
        theseus_thread_join(filer->tasks->ctx, filer->thread);
    (void)pthread_cond_destroy(&filer->wake);
    (void)pthread_mutex_destroy(&filer->mutex);
    free(filer);
    return NULL;
}

int filer_submit(struct filer *filer, struct work *work) {
    (void)pthread_mutex_lock(&filer->mutex);
    if (filer->thread < 0)
        filer->thread = theseus_thread(filer->tasks->ctx, filer_main, filer);
    bool runs = filer->thread >= 0;
    if (runs) {
        *filer->last = work;
        filer->last = &work->next;
        (void)pthread_cond_signal(&filer->wake);
    }
    (void)pthread_mutex_unlock(&filer->mutex);
    if (runs)
        return THESEUS_LATER;
    (void)work_refuse(work, "there is no thread to write the file with: %s", theseus_last_error(work->call->host));
    return work_reply(work);
}

/* NULL: the filer is to end. */
static struct work *next(struct filer *filer) {
    (void)pthread_mutex_lock(&filer->mutex);
    while (!filer->first && !filer->stopping)
        (void)pthread_cond_wait(&filer->wake, &filer->mutex);
    struct work *work = filer->first;
    if (work) {
        filer->first = work->next;
        if (!filer->first)
            filer->last = &filer->first;
        work->next = NULL;
    }
    (void)pthread_mutex_unlock(&filer->mutex);
    return work;
}

static void filer_main(void *arg) {
    struct filer *filer = arg;
    struct work *work;

    while ((work = next(filer)))
        if (theseus_cancelled(work->call) || work->kind->prepare(work) < 0)
            (void)work_reply(work);
        else
            (void)writer_submit(filer->tasks->writer, work);
}
