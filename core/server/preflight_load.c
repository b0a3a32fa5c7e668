#include "server/preflight_load.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <theseus/plugin.h>

#include "plugin/apart.h"
#include "plugin/contract.h"
#include "plugin/guest.h"
#include "plugin/image.h"
#include "plugin/settings.h"
#include "server/program.h"

struct reading {
    struct subjects *subjects;
    struct ledger *ledger;
    const struct config *config;
};

static char *text_of(struct span span) {
    return xstrndup(span.len ? span.data : "", span.len);
}

/* What either kind of record says of an image. */
struct named {
    struct span plugin, file, path, hash;
};

static void add(struct reading *reading, const struct named *named) {
    struct subjects *subjects = reading->subjects;
    CLEANUP(free) char *name = text_of(named->plugin);

    if (named->path.len == 0 || config_matches(reading->config->plugins.disable, name))
        return;
    subjects->items = xreallocarray(subjects->items, subjects->count + 1, sizeof(struct subject));
    subjects->items[subjects->count++] = (struct subject){.name = TAKE_PTR(name),
                                                          .file = text_of(named->file),
                                                          .path = text_of(named->path),
                                                          .hash = text_of(named->hash),
                                                          .exe_fd = program_open()};
}

static void ignore(void *arg, const void *recorded) {
    (void)arg;
    (void)recorded;
}

static void read_served(void *arg, const void *recorded) {
    const struct image_record *record = recorded;
    const struct proposal_record proposal = {.plugin = record->plugin};
    struct reading *reading = arg;

    if (!ledger_find(reading->ledger, &proposal_kind, &proposal, ignore, NULL))
        add(reading, &(struct named){record->plugin, record->file, record->active_path, record->active_hash});
}

static void read_proposed(void *arg, const void *recorded) {
    const struct proposal_record *record = recorded;

    add(arg, &(struct named){record->plugin, record->file, record->path, record->hash});
}

void subjects_read(struct subjects *subjects, struct ledger *ledger, const struct config *config) {
    struct reading reading = {subjects, ledger, config};

    ledger_each(ledger, &image_kind, read_served, &reading);
    ledger_each(ledger, &proposal_kind, read_proposed, &reading);
}

void subjects_fini_cleanup(struct subjects *subjects) {
    for (size_t i = 0; i < subjects->count; i++) {
        free(subjects->items[i].name);
        free(subjects->items[i].file);
        free(subjects->items[i].path);
        free(subjects->items[i].hash);
        if (subjects->items[i].exe_fd >= 0)
            (void)close(subjects->items[i].exe_fd);
    }
    free(subjects->items);
    *subjects = (struct subjects){0};
}

/* ---- loading ---- */

static int check_contract(const struct image *image, struct theseus_error *err) {
    struct tool **tools;
    size_t count;

    if (contract_check(image_plugin(image), &tools, &count, err) < 0)
        return -1;
    contract_tools_free(tools, count);
    return 0;
}

/* One that does not do stays loaded: its destructors are not what is tested. */
static int load_file(struct subject *subject, const struct config *config, const char *path, const char *hash,
                     struct theseus_error *err) {
    const struct apart apart = apart_of_file(config, subject->file);
    struct image *image = NULL;

    if (image_adopt(&image, path, subject->file, hash, err) < 0)
        return -1;
    image_keep_file(image); /* it is the server's */
    subject->image = image;
    if (apart.wanted) { /* here as there: nothing of it in this process, and nothing is written */
        const struct guest_spec spec = {.exe_fd = subject->exe_fd, .memory = apart.memory, .limit_ms = apart.limit_ms};
        image_set_apart(image, &spec);
    }
    if (image_load(image, err) < 0 || check_contract(image, err) < 0)
        return -1;
    if (strcmp(image_plugin(image)->name, subject->name) != 0)
        return fail(err, ERR_INVALID, "'%s' is now the plugin '%s'", path, image_plugin(image)->name);
    return 0;
}

static int check_settings(const struct subject *subject, const struct config *config, struct theseus_error *err) {
    const struct settings_extra none = {0};
    json_auto_t *settings = NULL;

    return settings_new(&settings, image_plugin(subject->image), config, &none, err);
}

int subject_load(struct subject *subject, const struct config *config, struct theseus_error *err) {
    struct theseus_error newer = {0}; /* what is wrong with the file says nothing about the image */

    if (load_file(subject, config, subject->path, subject->hash, err) == 0)
        return check_settings(subject, config, err);
    if (subject->file[0] && load_file(subject, config, subject->file, NULL, &newer) == 0) {
        *err = (struct theseus_error){0};
        return check_settings(subject, config, err);
    }
    subject->image = NULL;
    return -1;
}
