#include "ledger/space.h"

#include <errno.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "ledger/memfd.h"

enum {
    RESERVE_SEGMENTS = LIMIT_LEDGER_RESERVE / SEGMENT_BYTES,
    READY_SEGMENTS = RESERVE_SEGMENTS + 1,
    SPARE_SEGMENTS = READY_SEGMENTS + 8, /* more free ones than that give their memory back … */
    QUIET_SEGMENTS = READY_SEGMENTS + 1, /* … when little is in use, more than that */
    BLOCK_BYTES = 512,                   /* of st_blocks */
};

static off_t offset_of(size_t segment) {
    return (off_t)(sizeof(struct format_head) + segment * SEGMENT_BYTES);
}

static int map(struct space *space, off_t offset, size_t len) {
    void *at = mmap(space->base + offset, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, space->fd, offset);

    return at == MAP_FAILED ? -1 : 0;
}

/* Memory for all of these bytes, as far as they have none yet: a file may have been cut short, or have holes. */
static int fill(int fd, off_t offset, off_t len) {
    off_t hole = lseek(fd, offset, SEEK_HOLE);

    return hole >= offset + len ? 0 : memfd_allocate(fd, offset, len);
}

/* How much there is from the beginning on without a hole, as far as that can be told at once: where the file system's
 * count is exact, a file that has memory for all of its size has no hole. */
static off_t whole_until(int fd, const struct stat *stat) {
    struct statfs fs;

    if (fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
        return 0;
    return (off_t)stat->st_blocks * BLOCK_BYTES >= stat->st_size ? stat->st_size : 0;
}

static bool is_absent(const struct space *space, size_t segment) {
    off_t data = lseek(space->fd, offset_of(segment), SEEK_DATA);

    return data < 0 ? errno == ENXIO : data >= offset_of(segment + 1);
}

/* The segments that the file has; the last one is made whole. A look for the next hole goes through every page up to
 * there, so it is not repeated for what lies in front of it. */
static int map_present(struct space *space, off_t size, off_t hole, struct theseus_error *err) {
    size_t count = 0;

    while (count < space->bound && offset_of(count) < size) {
        if (hole < offset_of(count + 1) && !is_absent(space, count))
            hole = lseek(space->fd, offset_of(count), SEEK_HOLE);
        bool whole = hole >= offset_of(count + 1);
        if (whole || !is_absent(space, count)) {
            if ((!whole && memfd_allocate(space->fd, offset_of(count), SEGMENT_BYTES) < 0) ||
                map(space, offset_of(count), SEGMENT_BYTES) < 0)
                return fail_errno(err, "cannot map the ledger at byte %lld", (long long)offset_of(count));
            space->mapped[count] = true;
            space->states[count] = SEGMENT_FREE;
            atomic_fetch_add(&space->free_count, 1);
        }
        count++;
    }
    atomic_store(&space->absent_count, space->bound - atomic_load(&space->free_count));
    return 0;
}

int space_open(struct space *space, struct gate *gate, int fd, struct theseus_error *err) {
    const size_t range = sizeof(struct format_head) + (size_t)LIMIT_LEDGER;
    struct stat stat;

    *space = (struct space){.gate = gate, .fd = -1, .bound = SEGMENTS_MAX};
    if (fstat(fd, &stat) < 0)
        return fail_errno(err, "cannot look at the ledger's file");
    off_t whole = whole_until(fd, &stat);
    if (whole < (off_t)sizeof(struct format_head) && fill(fd, 0, sizeof(struct format_head)) < 0)
        return fail_errno(err, "no memory for a ledger");
    char *base = mmap(NULL, range, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return fail_errno(err, "cannot reserve %zu MiB of addresses for the ledger", range >> 20);
    space->base = base;
    space->fd = fd;
    int r = map(space, 0, sizeof(struct format_head));
    if (r < 0)
        r = fail_errno(err, "cannot map the ledger");
    if (r == 0)
        r = map_present(space, stat.st_size, whole, err);
    if (r < 0) {
        space->fd = -1; /* the caller's still */
        space_close(space);
    }
    return r;
}

void space_close(struct space *space) {
    if (space->base)
        (void)munmap(space->base, sizeof(struct format_head) + (size_t)LIMIT_LEDGER);
    if (space->fd >= 0)
        (void)close(space->fd);
    space->base = NULL;
    space->fd = -1;
}

static size_t count_below(const struct space *space, enum segment_state state) {
    size_t count = 0;

    for (size_t i = 0; i < space->bound; i++)
        count += space->states[i] == state;
    return count;
}

void space_set_bound(struct space *space, size_t bound) {
    gate_enter(space->gate);
    space->bound = bound < SEGMENTS_MAX ? bound : SEGMENTS_MAX;
    atomic_store(&space->free_count, count_below(space, SEGMENT_FREE));
    atomic_store(&space->absent_count, count_below(space, SEGMENT_ABSENT));
    gate_leave(space->gate);
}

static _Atomic size_t *counter_of(struct space *space, enum segment_state state) {
    return state == SEGMENT_FREE ? &space->free_count : state == SEGMENT_ABSENT ? &space->absent_count : NULL;
}

static void set_states(struct space *space, size_t first, size_t count, enum segment_state state) {
    for (size_t i = first; i < first + count; i++) {
        _Atomic size_t *from = counter_of(space, space->states[i]), *to = counter_of(space, state);
        space->states[i] = (uint8_t)state;
        if (i >= space->bound)
            continue;
        if (from)
            (void)atomic_fetch_sub_explicit(from, 1, memory_order_relaxed);
        if (to)
            (void)atomic_fetch_add_explicit(to, 1, memory_order_relaxed);
    }
}

/* The first run of `count` segments in this state; the lowest, whose memory was used last and is still in the caches.
 */
static int find_run(const struct space *space, size_t count, enum segment_state state) {
    size_t run = 0;

    for (size_t i = 0; i < space->bound; i++) {
        run = space->states[i] == state ? run + 1 : 0;
        if (run == count)
            return (int)(i + 1 - count);
    }
    return -1;
}

static bool leaves_enough(size_t available, size_t count, enum room_for what_for) {
    static const size_t left[] = {
        [ROOM_WORK] = RESERVE_SEGMENTS, [ROOM_ANSWER] = RESERVE_SEGMENTS / 2, [ROOM_NOTHING] = 1, [ROOM_MORE] = 0};

    return available >= count + left[what_for];
}

int space_take_locked(struct space *space, size_t count, enum room_for what_for) {
    if (!leaves_enough(atomic_load_explicit(&space->free_count, memory_order_relaxed), count, what_for))
        return -1;
    int first = find_run(space, count, SEGMENT_FREE);
    if (first >= 0)
        set_states(space, (size_t)first, count, SEGMENT_USED);
    return first;
}

void space_give_locked(struct space *space, size_t first, size_t count) {
    set_states(space, first, count, SEGMENT_FREE);
    atomic_store_explicit(&space->exhausted, false, memory_order_relaxed);
}

void space_mark_used_locked(struct space *space, size_t first, size_t count) {
    set_states(space, first, count, SEGMENT_USED);
}

static int claim_absent(struct space *space, size_t count, enum room_for what_for) {
    size_t available = atomic_load(&space->free_count) + atomic_load(&space->absent_count);

    if (!leaves_enough(available, count, what_for))
        return -1;
    int first = find_run(space, count, SEGMENT_ABSENT);
    if (first >= 0)
        set_states(space, (size_t)first, count, SEGMENT_USED);
    return first;
}

/* Memory and addresses for segments that nobody else looks at. -1: errno. */
static int back(struct space *space, size_t first, size_t count) {
    if (memfd_allocate(space->fd, offset_of(first), (off_t)count * SEGMENT_BYTES) < 0)
        return -1;
    for (size_t i = first; i < first + count; i++) {
        if (!space->mapped[i] && map(space, offset_of(i), SEGMENT_BYTES) < 0)
            return -1;
        space->mapped[i] = true;
    }
    return 0;
}

static void enter(struct space *space, bool inside) {
    if (!inside)
        gate_enter(space->gate);
}

static void leave(struct space *space, bool inside) {
    if (!inside)
        gate_leave(space->gate);
}

int space_add(struct space *space, bool inside, size_t count, enum room_for what_for, int *ret_first,
              struct theseus_error *err) {
    enter(space, inside);
    int first = claim_absent(space, count, what_for);
    leave(space, inside);
    if (first < 0)
        return fail(err, ERR_LIMIT, "the ledger is full: it has no room for %zu MiB more below its bound of %zu MiB",
                    count, space->bound);
    int r = back(space, (size_t)first, count);
    int saved = errno;
    if (r < 0) {
        atomic_store(&space->exhausted, true);
        enter(space, inside);
        set_states(space, (size_t)first, count, SEGMENT_ABSENT);
        leave(space, inside);
        return fail(err, ERR_MEMORY,
                    "the ledger cannot grow by %zu MiB: %s; free some memory, or make its tmpfs larger", count,
                    strerrordesc_np(saved));
    }
    *ret_first = first;
    return 0;
}

/* One more free segment. Running out shows when somebody needs one. */
static void add_free(struct space *space) {
    int first = -1;

    if (space_add(space, false, 1, ROOM_MORE, &first, NULL) < 0) {
        atomic_store(&space->exhausted, true);
        return;
    }
    gate_enter(space->gate);
    set_states(space, (size_t)first, 1, SEGMENT_FREE);
    gate_leave(space->gate);
}

/* The highest free segment gives its memory back: the lower ones are the ones in use. */
static void remove_free(struct space *space) {
    size_t last = space->bound;

    gate_enter(space->gate);
    while (last > 0 && space->states[last - 1] != SEGMENT_FREE)
        last--;
    if (last > 0)
        set_states(space, last - 1, 1, SEGMENT_USED);
    gate_leave(space->gate);
    if (last == 0)
        return;
    memfd_release(space->fd, offset_of(last - 1), SEGMENT_BYTES);
    gate_enter(space->gate);
    set_states(space, last - 1, 1, SEGMENT_ABSENT);
    gate_leave(space->gate);
}

void space_tend(struct space *space) {
    size_t free_count = atomic_load_explicit(&space->free_count, memory_order_relaxed);

    if (free_count < READY_SEGMENTS && !atomic_load_explicit(&space->exhausted, memory_order_relaxed))
        add_free(space);
    else if (free_count > SPARE_SEGMENTS)
        remove_free(space);
}

void space_tend_quiet(struct space *space) {
    if (atomic_load_explicit(&space->free_count, memory_order_relaxed) > QUIET_SEGMENTS)
        remove_free(space);
}
