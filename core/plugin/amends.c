#include "plugin/amends.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/blame.h"
#include "base/fatal.h"
#include "base/log.h"
#include "base/modules.h"

enum { REST_NS = 10 * 1000000 };

static _Thread_local int64_t before_ns, behind_ns; /* of the calls at which this thread looked last */

/* "plugin 'x' 1.0, in tool 'y'". Owned. */
static char *who_new(const struct blame *blame, const struct fatal_mended *mended) {
    const struct module *module = mended->handler ? modules_find((uint64_t)(uintptr_t)mended->handler) : NULL;

    if (module && module->plugin[0])
        return xasprintf("plugin '%s' %s", module->plugin, module->version);
    if (!blame)
        return xstrdup("a plugin");
    if (blame->tool)
        return xasprintf("plugin '%s' %s, in or before tool '%s',", blame->plugin, blame->version, blame->tool);
    return xasprintf("plugin '%s'%s%s, in or before its '%s',", blame->plugin, *blame->version ? " " : "",
                     blame->version, blame->slot ? blame->slot : "?");
}

static void say(const struct blame *blame, const struct fatal_mended *mended) {
    CLEANUP(free) char *who = who_new(blame, mended);

    if (mended->signum)
        log_warning("%s has changed what SIG%s does; that is put back. A plugin that handles such signals itself is to "
                    "be isolated",
                    who, sigabbrev_np(mended->signum));
    if (mended->blocked)
        log_warning("%s has blocked the signals of crashes in a thread of the server's; they are unblocked", who);
    if (mended->stack)
        log_warning("%s has taken the stack for handlers from a thread of the server's; it is put back", who);
    if (mended->broken)
        log_error("%s has closed descriptors of the server's, which cannot go on", who);
}

void amends_look(const struct blame *blame) {
    struct fatal_mended mended;

    if (!fatal_mend(&mended))
        return;
    say(blame, &mended);
    if (mended.broken)
        fatal_end_closed();
}

void amends_before_call(int64_t begun_ns) {
    if (begun_ns - before_ns < REST_NS)
        return;
    before_ns = begun_ns;
    amends_look(NULL);
}

void amends_behind_call(int64_t begun_ns) {
    if (begun_ns - behind_ns < REST_NS)
        return;
    behind_ns = begun_ns;
    amends_look(blame_current());
}
