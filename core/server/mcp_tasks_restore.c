/* Behind a restart: tasks are taken up as the ledger has them. */
#include <stdio.h>

#include "rpc/jsontext.h"
#include "server/mcp_tasks_inner.h"

struct search {
    struct call_key key;
    struct call *found; /* borrowed */
};

static void match(void *arg, struct call *call) {
    struct search *search = arg;

    if (call->key.conn == search->key.conn && call->key.offset == search->key.offset &&
        call->key.index == search->key.index)
        search->found = call;
}

struct restoring {
    struct mcp_tasks *tasks;
    struct clients *clients;
};

static void take_up(struct task *task, const struct task_record *record) ON_LOOP {
    struct mcp_tasks *tasks = task->tasks;
    struct theseus_error err = {0};

    task->call->has_steps = true;
    if (record->call_key.len) {
        json_auto_t *client = record->client.len ? jsontext_read(record->client, &err) : NULL;
        adopt_mark(task->call, record->call_key, client);
    }
    if (task->file)
        atomic_store(&task->call->journal, task_file_journal(task->file));
    mcp_tasks_keep_ticking(tasks);
}

static void restore_one(void *arg, const void *recorded) ON_LOOP {
    const struct task_record *record = recorded;
    struct restoring *restoring = arg;
    struct mcp_tasks *tasks = restoring->tasks;
    struct search search = {.key = {record->conn, record->offset, record->index}};

    struct conn *conn = clients_find(restoring->clients, record->conn);
    if (conn)
        conn_each_call(conn, match, &search);
    const json_t *params = search.found ? search.found->message.params : NULL;
    const char *tool = json_string_value(json_object_get(params, "name"));
    struct task *task = task_new(tasks, search.found, tool ? tool : "");
    (void)snprintf(task->id, sizeof(task->id), "%.*s", (int)record->id.len, record->id.data);
    if (record->created_ms)
        task->created_ms = (int64_t)record->created_ms;
    if (record->kept)
        task->file = task_file_new(tasks->dir, task->id, tasks->origin.may_be_stored, tasks->origin.arg);
    task->key = search.key;
    task->conn = conn;
    task->state = TASK_WORKING;
    if (search.found)
        take_up(task, record);
    else if (!task_take_outcome(
                 task)) /* neither at work nor over: nothing can be said of it but what the database has */
        task_free(task);
    else
        mcp_tasks_keep_ticking(tasks);
}

void mcp_tasks_restore(struct mcp_tasks *tasks, struct clients *clients) {
    struct restoring restoring = {tasks, clients};

    ledger_each(tasks->origin.ledger, &task_kind, restore_one, &restoring);
}
