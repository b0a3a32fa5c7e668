#include "plugin/sandbox.h"

#include <linux/capability.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/memlimit.h"

/* Each further arena of malloc would take 64 MiB of address space before it holds a byte. */
enum { ARENAS = 2 };

static int limit_memory(size_t memory, struct theseus_error *err) {
    const struct rlimit limit = {memory, memory};

    if (memory == 0 || !memlimit_works())
        return 0; /* a sanitizer maps terabytes before anything is loaded */
    if (setrlimit(RLIMIT_AS, &limit) < 0)
        return fail_errno(err, "cannot limit the memory");
    if (memlimit_set_addresses(memory, err) < 0)
        return -1;
    (void)mallopt(M_ARENA_MAX, ARENAS);
    return 0;
}

/* Of a server that root has started; for others there is nothing to drop. */
static int drop_capabilities(struct theseus_error *err) {
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

    return syscall(SYS_capset, &head, none) < 0 ? fail_errno(err, "cannot drop the capabilities") : 0;
}

int sandbox_enter(const struct sandbox_spec *spec, int *ret_path_rules, struct theseus_error *err) {
    int path_rules = SANDBOX_NO_PATH_RULES;

    if (limit_memory(spec->memory, err) < 0 || drop_capabilities(err) < 0)
        return -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fail_errno(err, "cannot rule out new privileges");
    if (!spec->no_path_rules && sandbox_limit_files(spec->dir, &path_rules, err) < 0)
        return -1;
    if (sandbox_filter_calls(path_rules == SANDBOX_NO_PATH_RULES, err) < 0)
        return -1;
    *ret_path_rules = path_rules;
    return 0;
}
