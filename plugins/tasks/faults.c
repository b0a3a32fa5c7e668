#include "faults.h"

#include <stdio.h>
#include <stdlib.h>

/* As JSON takes it: a sentence may quote what somebody else has cut in the middle of a character. */
static json_t *sentence_new(char *text) {
    json_t *sentence = json_string(text);

    for (char *at = text; !sentence && *at; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    return sentence ? sentence : json_string(text);
}

void faults_add(struct faults *faults, const char *format, ...) {
    char *printed = NULL;
    va_list args;

    if (!faults->list)
        faults->list = json_array();
    if (++faults->count > FAULTS_MAX)
        return;
    va_start(args, format);
    int len = vasprintf(&printed, format, args);
    va_end(args);
    if (len < 0 || json_array_append_new(faults->list, sentence_new(printed)) < 0)
        faults->failed = true;
    if (len >= 0)
        free(printed);
}

void faults_fini(struct faults *faults) {
    json_decref(faults->list);
    *faults = (struct faults){0};
}

int faults_refuse(const struct faults *faults, struct work *work, const char *what) {
    CLEANUP(text_fini) struct text all = {0};
    const json_t *one;
    size_t i;

    if (faults->failed)
        return work_no_memory(work);
    if (faults->count == 0)
        return 0;
    json_array_foreach (faults->list, i, one)
        text_print(&all, "%s%s", i ? "; " : "", json_string_value(one));
    if (all.failed)
        return work_no_memory(work);
    return work_refuse(work, "%s: %s", what, all.data);
}
