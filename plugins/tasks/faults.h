/* What is wrong with something that a caller has written: a list of sentences, each with the path that it is about. */
#pragma once

#include "work.h"

enum { FAULTS_MAX = 50 };

struct faults {
    json_t *list; /* owned: ["tasks.design.title: …"]; NULL: none yet */
    size_t count; /* those that are not in the list, too */
    bool failed;  /* memory ran out */
};

void faults_add(struct faults *faults, const char *format, ...) THESEUS_PRINTF_LIKE(2, 3);
void faults_fini(struct faults *faults);

/* Refuses the call if there are any: as many as the sentence holds. 0 or -1. */
int faults_refuse(const struct faults *faults, struct work *work, const char *what);
