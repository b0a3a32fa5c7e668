/* Crashes when it is started. */
#include <stdlib.h>

#include <theseus/plugin.h>

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    (void)ctx;
    (void)ret_self;
    (void)err;
    abort();
}

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "startcrashes",
    .version = "1",
    .start = start,
};
