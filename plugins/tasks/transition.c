#include "transition.h"

#include <string.h>

#define BIT(status) (1u << STATUS_##status)

static const struct {
    const char *name, *choices;
    unsigned next;
} table[STATUS_COUNT] = {
    [STATUS_PENDING] = {"pending", "in_progress, blocked, cancelled, archived",
                        BIT(IN_PROGRESS) | BIT(BLOCKED) | BIT(CANCELLED) | BIT(ARCHIVED)},
    [STATUS_IN_PROGRESS] = {"in_progress", "pending, completed, failed, blocked, cancelled",
                            BIT(PENDING) | BIT(COMPLETED) | BIT(FAILED) | BIT(BLOCKED) | BIT(CANCELLED)},
    [STATUS_BLOCKED] = {"blocked", "pending, in_progress, failed, cancelled, archived",
                        BIT(PENDING) | BIT(IN_PROGRESS) | BIT(FAILED) | BIT(CANCELLED) | BIT(ARCHIVED)},
    [STATUS_COMPLETED] = {"completed", "archived", BIT(ARCHIVED)},
    [STATUS_FAILED] = {"failed", "in_progress, archived", BIT(IN_PROGRESS) | BIT(ARCHIVED)},
    [STATUS_CANCELLED] = {"cancelled", "pending, archived", BIT(PENDING) | BIT(ARCHIVED)},
    [STATUS_ARCHIVED] = {"archived", "nothing", 0},
};

const char *status_name(enum status status) {
    return table[status].name;
}

enum status status_find(const char *name) {
    if (strcmp(name, "active") == 0)
        return STATUS_IN_PROGRESS;
    for (enum status status = 0; status < STATUS_COUNT; status++)
        if (strcmp(table[status].name, name) == 0)
            return status;
    return STATUS_COUNT;
}

bool status_is_over(enum status status) {
    return (BIT(COMPLETED) | BIT(CANCELLED) | BIT(ARCHIVED)) & 1u << status;
}

bool transition_allowed(enum status from, enum status to) {
    return table[from].next & 1u << to;
}

const char *transition_choices(enum status from) {
    return table[from].choices;
}
