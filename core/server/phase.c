#include "server/phase.h"

#include <string.h>

#include "base/mem.h"

static const struct {
    const char *name;
    double progress;
} phases[] = {
    [PHASE_IDLE] = {"idle", 0},
    [PHASE_PREPARING] = {"preparing", 5},
    [PHASE_MAINTENANCE] = {"maintenance_mode", 10},
    [PHASE_SUSPENDING] = {"suspending_tasks", 25},
    [PHASE_SERIALIZING] = {"serializing_state", 50},
    [PHASE_STARTING] = {"starting_process", 60},
    [PHASE_LOADING] = {"loading_state", 70},
    [PHASE_RESTORING] = {"restoring_database", 80},
    [PHASE_RESUMING] = {"resuming_tasks", 90},
    [PHASE_ENABLING] = {"enabling_connections", 95},
    [PHASE_COMPLETE] = {"complete", 100},
    [PHASE_FAILED] = {"failed", 0},
};

const char *phase_name(enum phase phase) {
    return phases[phase].name;
}

double phase_progress(enum phase phase) {
    return phases[phase].progress;
}

enum phase phase_find(const char *name) {
    for (size_t i = 0; i < ARRAY_SIZE(phases); i++)
        if (strcmp(phases[i].name, name) == 0)
            return (enum phase)i;
    return PHASE_IDLE;
}
