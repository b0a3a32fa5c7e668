/* Its tool leaves a destructor with the thread it ran on, as a C++ thread_local does: dlclose cannot unmap the file. */
#include <theseus/plugin.h>

extern int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *dso);
extern void *__dso_handle __attribute__((visibility("hidden")));

static _Thread_local int pinned;

static void unpin(void *object) {
    *(int *)object = 0;
}

static int pin(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    if (!pinned)
        (void)__cxa_thread_atexit_impl(unpin, &pinned, &__dso_handle);
    pinned = 1;
    return theseus_reply_text(call, "pinned");
}

static const struct theseus_tool tools[] = {
    {.name = "pin",
     .description = "Makes the code of this plugin stay mapped.",
     .flags = THESEUS_READ_ONLY,
     .call = pin},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "tls",
    .version = "1",
    .tools = tools,
};
