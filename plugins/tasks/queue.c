#include "queue.h"

#include <pthread.h>
#include <stdlib.h>

#include "tasks.h"

struct queue {
    struct tasks *tasks;
    queue_fn *run;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct work *first, **last;
    bool stopping;
    int thread; /* -1: not started */
};

static void queue_main(void *arg);

struct queue *queue_new(struct tasks *tasks, queue_fn *run) {
    struct queue *queue = calloc(1, sizeof(*queue));

    if (!queue)
        return NULL;
    queue->tasks = tasks;
    queue->run = run;
    queue->last = &queue->first;
    queue->thread = -1;
    (void)pthread_mutex_init(&queue->mutex, NULL);
    (void)pthread_cond_init(&queue->wake, NULL);
    return queue;
}

struct queue *queue_free(struct queue *queue) {
    if (!queue)
        return NULL;
    (void)pthread_mutex_lock(&queue->mutex);
    queue->stopping = true;
    (void)pthread_cond_signal(&queue->wake);
    (void)pthread_mutex_unlock(&queue->mutex);
    if (queue->thread >= 0)
        theseus_thread_join(queue->tasks->ctx, queue->thread);
    (void)pthread_cond_destroy(&queue->wake);
    (void)pthread_mutex_destroy(&queue->mutex);
    free(queue);
    return NULL;
}

bool queue_submit(struct queue *queue, struct work *works) {
    struct work *last = works;

    while (last->next)
        last = last->next;
    (void)pthread_mutex_lock(&queue->mutex);
    if (queue->thread < 0)
        queue->thread = theseus_thread(queue->tasks->ctx, queue_main, queue);
    bool runs = queue->thread >= 0;
    if (runs) {
        *queue->last = works;
        queue->last = &last->next;
        (void)pthread_cond_signal(&queue->wake);
    }
    (void)pthread_mutex_unlock(&queue->mutex);
    return runs;
}

/* All that is queued; NULL: the thread is to end. */
static struct work *take(struct queue *queue) {
    (void)pthread_mutex_lock(&queue->mutex);
    while (!queue->first && !queue->stopping)
        (void)pthread_cond_wait(&queue->wake, &queue->mutex);
    struct work *works = queue->first;
    queue->first = NULL;
    queue->last = &queue->first;
    (void)pthread_mutex_unlock(&queue->mutex);
    return works;
}

static void queue_main(void *arg) {
    struct queue *queue = arg;
    struct work *work;

    while ((work = take(queue)))
        for (struct work *next; work; work = next) {
            next = work->next;
            work->next = NULL;
            queue->run(work);
        }
}
