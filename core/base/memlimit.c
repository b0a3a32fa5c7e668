#include "base/memlimit.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#endif
#ifndef HAS_SANITIZER
#define HAS_SANITIZER 0
#endif

enum { MAPPED_BYTES = 128 << 10 };                /* as it is before malloc() adapts it */
enum { ROOM_AGAIN = MEMLIMIT_RESERVE_BYTES / 2 }; /* with less than that it would be short again at once */

static struct {
    pthread_mutex_t lock; /* while the limit is another one than it should be */
    _Atomic size_t bytes; /* 0: none */
    _Atomic bool is_short;
    bool known; /* `before` is */
    int resource;
    struct rlimit before;
    pthread_mutex_t telling; /* of the next two */
    memlimit_fn *tell;
    void *arg;
} limit = {.lock = PTHREAD_MUTEX_INITIALIZER, .telling = PTHREAD_MUTEX_INITIALIZER, .resource = RLIMIT_DATA};

bool memlimit_works(void) {
    return !HAS_SANITIZER;
}

static int set_soft(rlim_t soft) {
    struct rlimit now = {.rlim_cur = soft < limit.before.rlim_max ? soft : limit.before.rlim_max,
                         .rlim_max = limit.before.rlim_max};

    return setrlimit(limit.resource, &now);
}

/* What others than the core may use. */
static rlim_t common(void) {
    size_t bytes = atomic_load(&limit.bytes);

    return bytes ? bytes - MEMLIMIT_RESERVE_BYTES : limit.before.rlim_cur;
}

/* What was freed in a thread's own arena would count, and be of use to no other; and what was freed in the heap, below
 * something that stays, would be there for malloc() whatever the limit is by then. */
static void give_back_what_is_freed(void) {
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
}

static int set(size_t bytes, struct theseus_error *err) {
    if (!limit.known && getrlimit(limit.resource, &limit.before) < 0)
        return fail_errno(err, "cannot read the limit on memory");
    limit.known = true;
    atomic_store(&limit.bytes, bytes);
    if (bytes > 0)
        give_back_what_is_freed();
    if (bytes == 0)
        atomic_store(&limit.is_short, false);
    return set_soft(common()) < 0 ? fail_errno(err, "cannot set the limit on memory to %zu bytes", bytes) : 0;
}

int memlimit_set(size_t bytes, struct theseus_error *err) {
    if (HAS_SANITIZER || bytes == atomic_load(&limit.bytes))
        return 0;
    (void)pthread_mutex_lock(&limit.lock);
    int r = set(bytes, err);
    (void)pthread_mutex_unlock(&limit.lock);
    return r;
}

int memlimit_set_addresses(size_t bytes, struct theseus_error *err) {
    limit.resource = RLIMIT_AS;
    return memlimit_set(bytes, err);
}

void memlimit_lift(void) {
    if (limit.known)
        (void)setrlimit(limit.resource, &limit.before);
}

void memlimit_restore(void) {
    if (limit.known)
        (void)set_soft(common());
}

void memlimit_tell(memlimit_fn *fn, void *arg) {
    (void)pthread_mutex_lock(&limit.telling);
    limit.tell = fn;
    limit.arg = arg;
    (void)pthread_mutex_unlock(&limit.telling);
}

void memlimit_note(void) {
    if (atomic_load(&limit.bytes) == 0 || atomic_exchange(&limit.is_short, true))
        return;
    (void)pthread_mutex_lock(&limit.telling);
    if (limit.tell)
        limit.tell(limit.arg);
    (void)pthread_mutex_unlock(&limit.telling);
}

bool memlimit_raise(bool chosen_by_us) {
    size_t bytes = atomic_load(&limit.bytes);

    if (bytes == 0)
        return false;
    memlimit_note();
    (void)pthread_mutex_lock(&limit.lock);
    (void)set_soft(chosen_by_us ? bytes : bytes - MEMLIMIT_RESERVE_BYTES / 2);
    return true;
}

void memlimit_lower(void) {
    (void)set_soft(common());
    (void)pthread_mutex_unlock(&limit.lock);
}

bool memlimit_is_short(void) {
    return atomic_load_explicit(&limit.is_short, memory_order_relaxed);
}

static bool can_map(size_t bytes) {
    void *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (room == MAP_FAILED)
        return false;
    (void)munmap(room, bytes);
    return true;
}

bool memlimit_lacks(size_t bytes) {
    return atomic_load(&limit.bytes) > 0 && !can_map(bytes);
}

/* As addresses below the limit, or within the heap, where others have given it back. */
static bool has_room(void) {
    return can_map(ROOM_AGAIN) || mallinfo2().fordblks >= ROOM_AGAIN;
}

bool memlimit_look_again(void) {
    if (memlimit_is_short() && has_room())
        atomic_store(&limit.is_short, false);
    return memlimit_is_short();
}

size_t memlimit_bytes(void) {
    return atomic_load(&limit.bytes);
}

size_t memlimit_addresses_used(void) {
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    char text[64] = "";
    size_t pages = 0;

    (void)!read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    for (const char *digit = text; *digit >= '0' && *digit <= '9'; digit++)
        pages = pages * 10 + (size_t)(*digit - '0');
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

size_t memlimit_used(void) {
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    size_t kib = 0;

    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "VmData: %zu", &kib) == 1)
            break;
    if (file)
        (void)fclose(file);
    return kib << 10;
}
