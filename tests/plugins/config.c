/* Takes settings of every type in place. With `gate`, the path of a FIFO, its start lasts until somebody has opened and
 * closed the other end. */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <theseus/plugin.h>

struct settings {
    pthread_mutex_t lock;
    json_t *config; /* what tools may show */
    bool has_secret;
    long times; /* how often settings were taken */
};

static void take(struct settings *settings, const json_t *config) {
    json_t *next = config ? json_deep_copy(config) : json_object();

    (void)pthread_mutex_lock(&settings->lock);
    settings->has_secret = json_object_get(next, "secret") != NULL;
    (void)json_object_del(next, "secret");
    json_decref(settings->config);
    settings->config = next;
    settings->times++;
    (void)pthread_mutex_unlock(&settings->lock);
}

static int check(void *self, const json_t *config, struct theseus_error *err) {
    const char *text = json_string_value(json_object_get(config, "text"));

    (void)self;
    if (text && strcmp(text, "bad") == 0)
        return theseus_fail(err, "[plugin:config] text: may not be 'bad'");
    return 0;
}

static int configure(void *self, const json_t *config, struct theseus_error *err) {
    const char *text = json_string_value(json_object_get(config, "text"));

    if (text && strcmp(text, "too late") == 0) /* as when something changed after `check` */
        return theseus_fail(err, "the fixture does not take it after all");
    take(self, config);
    return 0;
}

static int pass(const char *gate, struct theseus_error *err) {
    int fd = open(gate, O_RDONLY | O_CLOEXEC);
    char byte;

    if (fd < 0)
        return theseus_fail(err, "cannot open '%s'", gate);
    while (read(fd, &byte, 1) > 0)
        ;
    (void)close(fd);
    return 0;
}

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    const char *gate = json_string_value(json_object_get(theseus_config(ctx), "gate"));
    struct settings *settings;

    if (gate && pass(gate, err) < 0)
        return -1;
    settings = calloc(1, sizeof(*settings));
    if (!settings)
        return theseus_fail(err, "no memory");
    if (check(settings, theseus_config(ctx), err) < 0) {
        free(settings);
        return -1;
    }
    (void)pthread_mutex_init(&settings->lock, NULL);
    take(settings, theseus_config(ctx));
    *ret_self = settings;
    return 0;
}

static void stop(void *self) {
    struct settings *settings = self;

    json_decref(settings->config);
    (void)pthread_mutex_destroy(&settings->lock);
    free(settings);
}

static int config_get(struct theseus_call *call, void *self, const json_t *args) {
    struct settings *settings = self;

    (void)args;
    (void)pthread_mutex_lock(&settings->lock);
    json_t *value = json_pack("{s:o, s:b, s:i}", "config", json_deep_copy(settings->config), "has_secret",
                              settings->has_secret, "times", (int)settings->times);
    (void)pthread_mutex_unlock(&settings->lock);
    return theseus_reply_json(call, value);
}

static const struct theseus_tool tools[] = {
    {.name = "config_get",
     .description = "Shows the settings, but for the secret.",
     .flags = THESEUS_READ_ONLY,
     .call = config_get},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "config",
    .version = "1",
    .start = start,
    .config_schema = "{\"type\":\"object\",\"properties\":{"
                     "\"text\":{\"type\":\"string\"},"
                     "\"gate\":{\"type\":\"string\"},"
                     "\"number\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":1000,\"default\":7},"
                     "\"switch\":{\"type\":\"boolean\",\"default\":false},"
                     "\"secret\":{\"type\":\"string\",\"writeOnly\":true}},"
                     "\"additionalProperties\":false}",
    .check = check,
    .configure = configure,
    .stop = stop,
    .tools = tools,
};
