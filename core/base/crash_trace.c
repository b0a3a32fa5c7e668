#include "base/crash_trace.h"

#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unwind.h>

#include "base/blame.h"
#include "base/mem.h"
#include "base/modules.h"

enum {
    STEPS_MAX = 512
}; /* of a stack that overflowed the innermost ones are enough, and the handler's own come first */

static void copy_text(char *to, size_t size, const char *from) {
    size_t len = from ? strnlen(from, size - 1) : 0;

    memcpy(to, from ? from : "", len);
    to[len] = '\0';
}

/* ---- the signal ---- */

static void note_blame(struct crash_note *note, const struct blame *blame) {
    copy_text(note->plugin, sizeof(note->plugin), blame->plugin);
    copy_text(note->version, sizeof(note->version), blame->version);
    copy_text(note->hash, sizeof(note->hash), blame->hash);
    copy_text(note->tool, sizeof(note->tool), blame->tool);
    copy_text(note->slot, sizeof(note->slot), blame->slot);
    note->structured = blame->structured;
    note->conn = blame->conn;
    note->offset = blame->offset;
    note->index = blame->index;
}

void crash_trace_begin(struct crash_note *note, int signum, const siginfo_t *info) {
    const struct blame *blame = blame_current();
    struct timespec now = {0};

    memset(note, 0, offsetof(struct crash_note, frames));
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    note->at_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    note->signum = signum;
    note->code = info->si_code;
    note->address = (uint64_t)(uintptr_t)info->si_addr;
    note->faults = 1;
    (void)prctl(PR_GET_NAME, note->thread);
    if (blame)
        note_blame(note, blame);
}

/* ---- the way there ---- */

enum { UNKNOWN_PC = 1 }; /* on this machine; no instruction is there */

/* Where the thread was. */
static uint64_t pc_of(const ucontext_t *context) {
#if defined(__x86_64__)
    return (uint64_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return context->uc_mcontext.pc;
#else
    (void)context;
    return UNKNOWN_PC;
#endif
}

/* The return address of a call that has jumped to where no code is. */
static uint64_t caller_of(const ucontext_t *context) {
#if defined(__x86_64__)
    return *(const uint64_t *)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return context->uc_mcontext.regs[30];
#else
    (void)context;
    return 0;
#endif
}

static void add_module(struct crash_note *note, uint64_t address) {
    const struct module *module = modules_find(address);

    for (uint32_t i = 0; module && i < note->module_count; i++)
        if (note->modules[i].base == module->base)
            return;
    if (!module || note->module_count == CRASH_MODULES_MAX)
        return;
    struct crash_module *to = &note->modules[note->module_count];
    to->base = module->base;
    to->end = module->end;
    copy_text(to->path, sizeof(to->path), module->path);
    note->module_count++;
}

/* With what lies there: whatever comes in between, what has been found so far is whole. */
static void add_frame(struct crash_note *note, uint64_t address) {
    if (note->frame_count == CRASH_FRAMES_MAX)
        return;
    note->frames[note->frame_count++] = address;
    add_module(note, address);
}

struct walk {
    struct crash_note *note;
    uint64_t from; /* UNKNOWN_PC: everything is of interest */
    int steps;
    bool found;
};

static _Unwind_Reason_Code on_frame(struct _Unwind_Context *context, void *arg) {
    struct walk *walk = arg;
    uint64_t address = _Unwind_GetIP(context);

    if (walk->found)
        add_frame(walk->note, address);
    walk->found |= address == walk->from; /* which stands there already */
    return ++walk->steps < STEPS_MAX && walk->note->frame_count < CRASH_FRAMES_MAX ? _URC_NO_REASON : _URC_END_OF_STACK;
}

/* Looks up what it needs through the linker's table without locks (_dl_find_object of glibc 2.35), and allocates
 * nothing. */
static void unwind(struct crash_note *note, uint64_t from) {
    struct walk walk = {.note = note, .from = from, .found = from == UNKNOWN_PC};

    (void)_Unwind_Backtrace(on_frame, &walk);
}

/* ---- whose it is ---- */

static bool blame_module(struct crash_note *note, uint64_t address) {
    const struct module *module = modules_find(address);

    if (!module || !module->plugin[0])
        return false;
    copy_text(note->plugin, sizeof(note->plugin), module->plugin);
    copy_text(note->version, sizeof(note->version), module->version);
    copy_text(note->hash, sizeof(note->hash), module->hash);
    return true;
}

static void blame_by_address(struct crash_note *note) {
    bool found = false;

    for (uint32_t i = 0; i < note->frame_count && !found; i++)
        found = blame_module(note, note->frames[i]);
}

void crash_trace_walk(struct crash_note *note, const ucontext_t *context) {
    uint64_t pc = context ? pc_of(context) : UNKNOWN_PC;

    modules_freeze();
    if (pc != UNKNOWN_PC)
        add_frame(note, pc);
    if (pc != UNKNOWN_PC && !modules_find(pc))
        add_frame(note, caller_of(context)); /* there is nothing that would lead on from here */
    else
        unwind(note, pc);
    add_module(note, note->address);
    if (!note->plugin[0])
        blame_by_address(note);
}

static _Unwind_Reason_Code on_any(struct _Unwind_Context *context, void *arg) {
    (void)context;
    (void)arg;
    return _URC_NO_REASON;
}

void crash_trace_prepare(void) {
    (void)_Unwind_Backtrace(on_any, NULL);
    modules_refresh();
}
