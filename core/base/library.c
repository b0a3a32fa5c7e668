#include "base/library.h"

#include <dlfcn.h>
#include <string.h>

#include "base/modules.h"

static int find_functions(const struct library *library, void *handle, struct theseus_error *err) {
    char *to = library->functions;

    for (const char *const *name = library->names; *name; name++, to += sizeof(void *)) {
        void *address = dlsym(handle, *name);
        if (!address)
            return fail(err, ERR_SYSTEM, "library '%s' has no '%s'; install the version that this server was built for",
                        library->file, *name);
        memcpy(to, &address, sizeof(address));
    }
    return 0;
}

static int map(const struct library *library, struct theseus_error *err) {
    void *handle = dlopen(library->file, RTLD_NOW | RTLD_LOCAL);

    if (!handle)
        return fail(err, ERR_SYSTEM, "a library cannot be loaded: %s; install it", dlerror());
    if (find_functions(library, handle, err) < 0) {
        (void)dlclose(handle);
        return -1;
    }
    modules_refresh();
    return 0;
}

int library_open(struct library *library, struct theseus_error *err) {
    int r = 0;

    if (atomic_load_explicit(&library->is_open, memory_order_acquire))
        return 0;
    (void)pthread_mutex_lock(&library->lock);
    if (!atomic_load_explicit(&library->is_open, memory_order_relaxed))
        r = map(library, err);
    if (r == 0)
        atomic_store_explicit(&library->is_open, true, memory_order_release);
    (void)pthread_mutex_unlock(&library->lock);
    return r;
}
