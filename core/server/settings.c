#include "server/settings.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "ledger/records.h"
#include "server/inner.h"

struct kept {
    char *file, *text; /* owned; NULL: there are none */
};

static void kept_fini_cleanup(struct kept *kept) {
    free(kept->file);
    free(kept->text);
}

static void take(void *arg, const void *recorded) {
    const struct settings_record *record = recorded;
    struct kept *kept = arg;

    kept->file = xstrndup(record->file.data, record->file.len);
    kept->text = xstrndup(record->text.data, record->text.len);
}

int settings_load(struct config **ret_config, const struct config_source *source, struct ledger *ledger, bool *ret_kept,
                  struct theseus_error *err) {
    struct settings_record key = {.number = 1};
    struct theseus_error ignored = {0};
    CLEANUP(kept_fini) struct kept kept = {0};

    *ret_kept = false;
    if (config_load(ret_config, source, NULL, NULL, err) == 0)
        return 0;
    if (!ledger || !ledger_find(ledger, &settings_kind, &key, take, &kept))
        return -1;
    struct config_source before = *source;
    before.text = span_of(kept.text);
    before.text_file = kept.file;
    if (config_load(ret_config, &before, NULL, NULL, &ignored) < 0)
        return -1; /* what is wrong with the file is the better reason */
    *err = (struct theseus_error){0};
    *ret_kept = true;
    return 0;
}

void settings_keep(struct server *server) {
    const struct config *config = server->config;
    struct settings_record record = {
        .number = 1, .file = span_of(config->file), .text = span_of(config->text ? config->text : "")};
    struct theseus_error err = {0};

    loop_enter();
    if (ledger_put(server->ledger, &settings_kind, &record, &err) < 0)
        log_warning("the settings cannot be kept for an image that finds a mistake in their file: %s", err.message);
}
