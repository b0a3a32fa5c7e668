#include "loop/lack.h"

#include <stdlib.h>

#include <uv.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/inner.h"

void lacks_init(struct lacks *lacks) {
    (void)uv_mutex_init(&lacks->lock);
    list_init(&lacks->all);
}

void lacks_fini(struct lacks *lacks) {
    uv_mutex_destroy(&lacks->lock);
}

void lack_begin(struct loop *loop, struct lack *lack, const char *waits, const struct theseus_error *why) {
    struct lacks *lacks = loop_lacks(loop);

    uv_mutex_lock(&lacks->lock);
    bool is_new = !lack->text;
    if (is_new) {
        lack->text = xasprintf("%s: %s", waits, why->message);
        list_append(&lacks->all, &lack->link);
        log_error("%s; it is tried again until it can be done", lack->text);
    }
    uv_mutex_unlock(&lacks->lock);
}

void lack_end(struct loop *loop, struct lack *lack) {
    struct lacks *lacks = loop_lacks(loop);

    uv_mutex_lock(&lacks->lock);
    CLEANUP(free) char *text = TAKE_PTR(lack->text);
    if (text)
        list_remove(&lack->link);
    uv_mutex_unlock(&lacks->lock);
    if (text)
        log_warning("over: %s", text);
}

void lacks_each(struct loop *loop, lack_visit_fn *visit, void *arg) {
    struct lacks *lacks = loop_lacks(loop);

    uv_mutex_lock(&lacks->lock);
    list_for_each (link, &lacks->all)
        visit(arg, list_entry(link, struct lack, link)->text);
    uv_mutex_unlock(&lacks->lock);
}
