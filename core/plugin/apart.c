#include "plugin/apart.h"

#include <stdlib.h>
#include <string.h>

#include <theseus/plugin.h>

#include "base/fs.h"
#include "config/config.h"
#include "plugin/guest.h"
#include "plugin/image.h"

/* What a plugin in that file should be called. Owned. */
static char *name_of(const char *file) {
    const char *base = path_base(file), *end = strstr(base, ".so");

    return xstrndup(base, end ? (size_t)(end - base) : strlen(base));
}

struct apart apart_of_file(const struct config *config, const char *file) {
    CLEANUP(free) char *name = name_of(file);
    struct apart apart = {
        .limit_ms = config->restart.process_startup * 1000 / 5 * 4, /* before a lane would give up its thread */
    };

    apart.wanted = config_isolation_of(config, name, &apart.memory) == ISOLATION_PROCESS;
    return apart;
}

int apart_check(const struct config *config, const struct image *image, struct theseus_error *err) {
    CLEANUP(free) char *name = name_of(image_file(image));
    const char *own = image_plugin(image)->name;
    size_t memory;

    if (strcmp(name, own) == 0)
        return 0;
    if (image_spec(image))
        return fail(err, ERR_INVALID,
                    "was isolated as [plugin:%s] wants it, and calls itself '%s'; name the file after the plugin, "
                    "'%s.so', and the section too",
                    name, own, own);
    if (config_isolation_of(config, own, &memory) == ISOLATION_PROCESS)
        return fail(
            err, ERR_INVALID,
            "is to be isolated ([plugin:%s] .isolation), which is decided by the file's name before anything in "
            "it is loaded; call the file '%s.so'",
            own, own);
    return 0;
}

bool apart_differs(const struct config *config, const struct image *image) {
    const struct guest_spec *spec = image_spec(image);
    struct apart apart = apart_of_file(config, image_file(image));

    return apart.wanted ? !spec || spec->memory != apart.memory : spec != NULL;
}

char *apart_dir(const char *database, const char *file) {
    CLEANUP(free) char *state_dir = path_dir(database);
    CLEANUP(free) char *name = name_of(file);

    return xasprintf("%s/isolated/%s", state_dir, name);
}
