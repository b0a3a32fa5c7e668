#include "loop/settle.h"

#include <stdlib.h>

#include <uv.h>

#include "base/mem.h"
#include "loop/inner.h"

struct settle {
    uv_timer_t timer;
    int64_t quiet_ms;
    settle_fn *fn;
    void *arg;
    struct list items; /* settle_item::link, borrowed; the one that is due first is the first */
};

static int64_t now_ms(struct settle *settle) {
    uv_update_time(settle->timer.loop);
    return (int64_t)uv_now(settle->timer.loop);
}

static void settle_on_time(uv_timer_t *timer);

static void settle_arm(struct settle *settle) {
    struct settle_item *item = list_first(&settle->items, struct settle_item, link);

    if (!item)
        return;
    int64_t left = item->due_ms - now_ms(settle);
    (void)uv_timer_start(&settle->timer, settle_on_time, left > 0 ? (uint64_t)left : 0, 0);
}

static void settle_on_time(uv_timer_t *timer) {
    struct settle *settle = container_of(timer, struct settle, timer);
    int64_t now = now_ms(settle);

    loop_enter();
    for (struct settle_item *item; (item = list_first(&settle->items, struct settle_item, link));) {
        if (item->due_ms > now)
            break;
        list_remove(&item->link);
        loop_noticed(timer->loop);
        settle->fn(settle->arg, item);
        if (uv_is_closing((uv_handle_t *)timer))
            return; /* freed by its own callback; the memory is still ours until it is closed */
    }
    settle_arm(settle);
}

struct settle *settle_new(struct loop *loop, int64_t quiet_ms, settle_fn *fn, void *arg) {
    struct settle *settle = xcalloc(1, sizeof(*settle));

    (void)uv_timer_init(loop_uv(loop), &settle->timer);
    settle->quiet_ms = quiet_ms;
    settle->fn = fn;
    settle->arg = arg;
    list_init(&settle->items);
    return settle;
}

static void settle_on_closed(uv_handle_t *handle) {
    free(container_of((uv_timer_t *)handle, struct settle, timer));
}

struct settle *settle_free(struct settle *settle) {
    if (!settle)
        return NULL;
    list_for_each (link, &settle->items)
        list_remove(link);
    uv_close((uv_handle_t *)&settle->timer, settle_on_closed);
    return NULL;
}

void settle_set_quiet(struct settle *settle, int64_t quiet_ms) {
    settle->quiet_ms = quiet_ms;
    list_for_each (link, &settle->items)
        list_entry(link, struct settle_item, link)->due_ms = now_ms(settle) + quiet_ms;
    settle_arm(settle);
}

void settle_touch(struct settle *settle, struct settle_item *item) {
    bool running = uv_is_active((uv_handle_t *)&settle->timer);

    list_remove(&item->link);
    item->due_ms = now_ms(settle) + settle->quiet_ms;
    list_append(&settle->items, &item->link);
    if (!running)
        settle_arm(settle); /* else it fires too early at worst, and is armed again then */
}

bool settle_has(const struct settle_item *item) {
    return item->link.next && !list_empty(&item->link);
}

void settle_forget(struct settle_item *item) {
    list_remove(&item->link);
}
