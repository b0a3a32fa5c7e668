/*
 * Code gone astray: `scribble` writes into the server's ledger, which it finds among the mappings of its process.
 * {"where": "sealed"} hits the first byte of what cannot be written to; {"where": "open", "find": [PARTS]} changes one
 * byte of each place where the joined parts stand, {"echo": true} in what is there a second time as well. `keep` and
 * `kept` are a value to look for. `haunt` goes on doing so on a thread of its own: what is written later is hit when it
 * comes.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <theseus/plugin.h>

enum { FRONT_BYTES = 448 << 10 }; /* of the ledger's file: head and echo */

struct mapping {
    char *from, *to;
    unsigned long offset;
    bool writable;
};

/* The next mapping of the ledger; false: there is none. */
static bool next_mapping(FILE *maps, struct mapping *ret_mapping) {
    char line[512], rights[8];

    while (fgets(line, sizeof(line), maps)) {
        void *from, *to;
        if (!strstr(line, "memfd:theseus-ledger") ||
            sscanf(line, "%p-%p %7s %lx", &from, &to, rights, &ret_mapping->offset) != 4)
            continue;
        ret_mapping->from = from;
        ret_mapping->to = to;
        ret_mapping->writable = rights[1] == 'w';
        return true;
    }
    return false;
}

static int change(const struct mapping *mapping, const char *what, size_t len) {
    char *at = mapping->from;
    int count = 0;

    while ((at = memmem(at, (size_t)(mapping->to - at), what, len))) {
        *at++ ^= 0x20;
        count++;
    }
    return count;
}

static void join(const json_t *parts, char *text, size_t size) {
    const json_t *part;
    size_t i;

    text[0] = '\0';
    json_array_foreach (parts, i, part)
        (void)snprintf(text + strlen(text), size - strlen(text), "%s", json_string_value(part));
}

static int write_over(const char *text, bool sealed, bool echo) {
    FILE *maps = fopen("/proc/self/maps", "re");
    struct mapping mapping;
    int count = 0;

    while (maps && next_mapping(maps, &mapping)) {
        if (sealed && !mapping.writable)
            *mapping.from = 1; /* which ends here */
        if (mapping.writable && !echo && mapping.offset < FRONT_BYTES)
            mapping.from += FRONT_BYTES - mapping.offset < (size_t)(mapping.to - mapping.from)
                                ? FRONT_BYTES - mapping.offset
                                : (size_t)(mapping.to - mapping.from);
        if (!sealed && mapping.writable)
            count += change(&mapping, text, strlen(text));
    }
    if (maps)
        (void)fclose(maps);
    return count;
}

static int scribble(struct theseus_call *call, void *self, const json_t *args) {
    bool sealed = strcmp(json_string_value(json_object_get(args, "where")), "sealed") == 0;
    char text[128];

    (void)self;
    join(json_object_get(args, "find"), text, sizeof(text));
    return theseus_reply_json(
        call, json_pack("{s:i}", "count", write_over(text, sealed, json_is_true(json_object_get(args, "echo")))));
}

static atomic_bool over;
static int ghost = -1;
static char haunted[128];

static void haunt_on(void *arg) {
    (void)arg;
    while (!atomic_load(&over))
        (void)write_over(haunted, false, true);
}

static int haunt(struct theseus_call *call, void *self, const json_t *args) {
    join(json_object_get(args, "find"), haunted, sizeof(haunted));
    if (ghost < 0)
        ghost = theseus_thread(self, haunt_on, NULL);
    return theseus_reply_text(call, ghost < 0 ? "no thread" : "haunted");
}

static void stop(void *self) {
    atomic_store(&over, true);
    if (ghost >= 0)
        theseus_thread_join(self, ghost);
}

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    (void)err;
    *ret_self = ctx;
    return 0;
}

static int keep(struct theseus_call *call, void *self, const json_t *args) {
    struct theseus_ctx *ctx = self;

    if (theseus_state_put(ctx, "value", json_incref(json_object_get(args, "value"))) < 0)
        return theseus_reply_error(call, "not kept: %s", theseus_last_error(ctx->host));
    return theseus_reply_text(call, "kept");
}

static int kept(struct theseus_call *call, void *self, const json_t *args) {
    json_t *value = theseus_state_get(self, "value");

    (void)args;
    return theseus_reply_json(call, json_pack("{s:o}", "value", value ? value : json_null()));
}

static const struct theseus_tool tools[] = {
    {.name = "scribble",
     .description = "Writes where it has no business.",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"where\":{\"enum\":[\"sealed\",\"open\"]},\"find\":{"
                     "\"type\":\"array\",\"items\":{\"type\":\"string\"}},\"echo\":{\"type\":\"boolean\"}},"
                     "\"required\":[\"where\"]}",
     .call = scribble},
    {.name = "haunt",
     .description = "Goes on writing where it has no business.",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"find\":{\"type\":\"array\",\"items\":{"
                     "\"type\":\"string\"}}},\"required\":[\"find\"]}",
     .call = haunt},
    {.name = "keep",
     .description = "Keeps a value.",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"value\":{}},\"required\":[\"value\"]}",
     .flags = THESEUS_IDEMPOTENT,
     .call = keep},
    {.name = "kept",
     .description = "The value that is kept.",
     .input_schema = "{\"type\":\"object\"}",
     .flags = THESEUS_READ_ONLY,
     .call = kept},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "scribbles",
    .version = "1.0",
    .flags = THESEUS_SHARED_STATE,
    .tools = tools,
    .start = start,
    .stop = stop,
};
