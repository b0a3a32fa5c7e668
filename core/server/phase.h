/* The phases of a restart, with their names and progress as clients know them. */
#pragma once

enum phase {
    PHASE_IDLE,
    PHASE_PREPARING,
    PHASE_MAINTENANCE,
    PHASE_SUSPENDING,
    PHASE_SERIALIZING,
    PHASE_STARTING,
    PHASE_LOADING,
    PHASE_RESTORING,
    PHASE_RESUMING,
    PHASE_ENABLING,
    PHASE_COMPLETE,
    PHASE_FAILED,
};

const char *phase_name(enum phase phase);
double phase_progress(enum phase phase); /* percent */
enum phase phase_find(const char *name); /* PHASE_IDLE where there is none of that name */
