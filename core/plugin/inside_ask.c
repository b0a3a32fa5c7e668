/* How the code inside asks the server: on which channel. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memlimit.h"
#include "loop/thread.h"
#include "plugin/cord.h"
#include "plugin/inside.h"

/* The one whose question this thread serves: the server waits at its other end. */
static __thread struct channel *served;

/* Only a server that has gone, or does not understand us, is answered like this: nothing here is of use any more. */
static _Noreturn void give_up(void) {
    _exit(EXIT_FAILURE);
}

static struct channel *make_channel(struct inside *inside) {
    struct channel *channel;
    struct theseus_error err = {0};
    int other;

    if (channel_pair(&channel, &other, &err) < 0 || cord_send_channel(inside->control, other, &err) < 0)
        give_up();
    (void)close(other);
    return channel;
}

static struct channel *take_channel(struct inside *inside) {
    (void)pthread_mutex_lock(&inside->lock);
    struct channel *channel = list_first(&inside->channels, struct channel, link);
    if (channel)
        list_remove(&channel->link);
    (void)pthread_mutex_unlock(&inside->lock);
    return channel ? channel : make_channel(inside);
}

static void put_channel(struct inside *inside, struct channel *channel) {
    (void)pthread_mutex_lock(&inside->lock);
    list_append(&inside->channels, &channel->link);
    (void)pthread_mutex_unlock(&inside->lock);
}

int inside_ask_back(struct inside *inside, json_t *question, const struct channel_user *user, json_t **ret_answer,
                    struct theseus_error *err) {
    struct channel *channel = served ? served : take_channel(inside);
    int r = channel_ask(channel, question, user, ret_answer, err);

    if (r != 0 && r != CHANNEL_REFUSED)
        give_up();
    if (channel != served)
        put_channel(inside, channel);
    return r == 0 ? 0 : -1;
}

static json_t *serve_nothing(void *arg, struct channel *channel, const char *verb, const json_t *message) {
    (void)arg, (void)channel, (void)verb, (void)message;
    return NULL;
}

int inside_ask(struct inside *inside, json_t *question, json_t **ret_answer, struct theseus_error *err) {
    const struct channel_user user = {.serve = serve_nothing};

    return inside_ask_back(inside, question, &user, ret_answer, err);
}

int inside_tell(struct inside *inside, json_t *message, struct theseus_error *err) {
    const struct channel_user user = {.serve = serve_nothing};
    struct channel *channel = served ? served : take_channel(inside);
    int r = channel_tell(channel, message, &user, err);

    if (r != 0 && r != CHANNEL_REFUSED)
        give_up();
    if (channel != served)
        put_channel(inside, channel);
    return r == 0 ? 0 : -1;
}

int inside_tell_with_next(struct inside *inside, json_t *message, struct theseus_error *err) {
    if (!served)
        return inside_tell(inside, message, err);
    return channel_hold(served, message, err) == 0 ? 0 : -1;
}

/* A thread that serves one channel of the server's. */
struct serving {
    struct inside *inside;
    struct channel *channel;
};

static void serving_main(void *arg) {
    CLEANUP(free) struct serving *serving = arg;
    const struct channel_user user = {.serve = inside_serve, .arg = serving->inside};

    served = serving->channel;
    if (channel_serve(served, &user, NULL) < 0)
        give_up();
    served = channel_free(served);
}

/* A call may come when the plugin has used up all memory: that is not the call's fault. */
static int start_thread(struct thread **ret_thread, struct serving *serving) {
    if (thread_start(ret_thread, "calls", serving_main, serving, NULL) == 0)
        return 0;
    if (!memlimit_raise(true))
        return -1;
    int r = thread_start(ret_thread, "calls", serving_main, serving, NULL);
    memlimit_lower();
    return r;
}

void inside_begin_serving(struct inside *inside, int fd) {
    struct serving *serving = xcalloc(1, sizeof(*serving));
    struct thread *thread = NULL;

    *serving = (struct serving){inside, channel_new(fd)};
    if (start_thread(&thread, serving) < 0)
        give_up();
    (void)thread_detach(thread);
}
