#include "server/onlooker.h"

#include <stdio.h>

static void warn(void *arg, const char *file, int line, const char *text) {
    (void)arg;
    if (line > 0)
        (void)fprintf(stderr, "theseus: warning: %s:%d: %s\n", file, line, text);
    else
        (void)fprintf(stderr, "theseus: warning: %s\n", text);
}

int onlooker_load(struct config **ret_config, const struct config_source *source, struct theseus_error *err) {
    int r = config_load_readable(ret_config, source, warn, NULL, err);

    if (r == CONFIG_IN_PART && (*ret_config)->file_exists)
        (void)fprintf(
            stderr,
            "theseus: warning: '%s' is read as far as it can be; servers are looked for in '%s', the database "
            "in '%s'\n",
            (*ret_config)->file, (*ret_config)->server.runtime_dir, (*ret_config)->server.state_dir);
    return r < 0 ? -1 : 0;
}
