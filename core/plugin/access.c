#include "plugin/access.h"

#include <stdlib.h>

#include "plugin/registry.h"
#include "plugin/run.h"

int access_check(const struct run *run, const char *name, struct theseus_error *err) {
    const struct theseus_client_info *client = &run->request->client;
    struct theseus_error why = {0};
    CLEANUP(free) char *rule = NULL;

    enum registry_access access = registry_access(run->host->registry, name, client->uid, &rule);
    if (access == REGISTRY_FREE)
        return 0;
    if (access == REGISTRY_NO_CALLS)
        (void)fail(&why, ERR_ACCESS, "calls are not allowed to user %ld: access.call does not name it", client->uid);
    else
        (void)fail(&why, ERR_ACCESS, "tool '%.100s' is %s user %ld: access.%s has '%.100s'", name,
                   access == REGISTRY_DENIED ? "denied to" : "hidden from", client->uid,
                   access == REGISTRY_DENIED ? "deny" : "hide", rule);
    if (run->host->refused)
        run->host->refused(run->host->arg, run->request, name, why.message);
    if (access == REGISTRY_HIDDEN)
        return ACCESS_HIDDEN;
    return fail(err, ERR_ACCESS, "%s", why.message);
}
