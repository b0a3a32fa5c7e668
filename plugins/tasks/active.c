#include "active.h"

#include "sql.h"
#include "tasks.h"

void active_change(struct tasks *tasks, int64_t session, int64_t more) {
    if (tasks->active.session == session)
        tasks->active.count += more;
}

void active_forget(struct tasks *tasks) {
    tasks->active.session = 0;
}

int active_begin(struct work *work) {
    struct active_memo *active = &work->tasks->active;
    int64_t version = 0;

    if (!active->session)
        return 0;
    if (sql_number(work, 0, &version, "PRAGMA data_version", "") < 0)
        return -1;
    if (version != active->version)
        active_forget(work->tasks);
    return 0;
}

/* `data_version` is this connection's own affair: it says that another one has written since. */
static int count(struct work *work, struct active_memo *ret_counted) {
    *ret_counted = (struct active_memo){.session = work->session.id};
    if (sql_number(work, 0, &ret_counted->version, "PRAGMA data_version", "") < 0)
        return -1;
    return sql_number(work, 0, &ret_counted->count,
                      "SELECT count(*) FROM tasks WHERE session = ?1 AND status IN ('pending', 'in_progress', "
                      "'blocked', 'failed')",
                      "i", work->session.id);
}

int active_check(struct work *work, int64_t more) {
    int64_t max = atomic_load(&work->tasks->max_active);
    struct active_memo active = {0};

    if (work->writing)
        active = work->tasks->active;
    if (max > 0 && (!active.session || active.session != work->session.id) && count(work, &active) < 0)
        return -1;
    if (max > 0 && work->writing)
        work->tasks->active = active;
    if (max == 0 || active.count + more <= max)
        return 0;
    return work_refuse(work,
                       "session '%s' has %lld open tasks, and with %lld more it would have more than tasks.max_active "
                       "(%lld): complete, cancel or archive some, or raise max_active in [tasks]",
                       work->session.session_id, (long long)active.count, (long long)more, (long long)max);
}
