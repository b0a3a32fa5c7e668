/* Says who asks. */
#include <theseus/plugin.h>

static int who(struct theseus_call *call, void *self, const json_t *args) {
    const struct theseus_client_info *client = theseus_client(call);

    (void)self;
    (void)args;
    return theseus_reply_json(call,
                              json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "name", client->name, "version",
                                        client->version, "transport", client->transport, "session", client->session,
                                        "directory", client->directory, "uid", (json_int_t)client->uid));
}

static const struct theseus_tool tools[] = {
    {.name = "who", .description = "Says who asks.", .flags = THESEUS_READ_ONLY | THESEUS_INLINE, .call = who},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "client",
    .version = "1",
    .tools = tools,
};
