/*
 * `theseus import FILE`: the tasks of the original system's database come into this server's. What tasks are is known
 * to the plugin that keeps them: it has a tool for that, which no list shows.
 */
#include <stdlib.h>

#include "base/fs.h"
#include "server/commands.h"

#define IMPORT_TOOL "orchestrator_import"

enum { EXIT_NO_NAME = 2 };

int command_import(const struct args *args, const struct config_source *source, const char *program) {
    CLEANUP(free) char *path = path_absolute(".", args->rest[0]);
    json_auto_t *arguments = json_pack("{s:s}", "file", path);

    if (arguments)
        return command_call_tool(source, program, IMPORT_TOOL, arguments);
    (void)fprintf(stderr, "theseus: the name of the file is no UTF-8\n");
    return EXIT_NO_NAME;
}
