/*
 * A ledger's file: arbitrary bytes; or, when the first byte is odd, a sound ledger in which the rest of the input, four
 * bytes at a time, changes single bytes. Without the first byte's second bit it has no echo. Whatever opens can be
 * used, and comes back the same.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "ledger/format.h"
#include "ledger/ledger.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool held) {
    if (!held)
        abort();
}

static void put(struct ledger *ledger, uint64_t offset, struct span text) {
    struct request_record record = {1, offset % 16, 0, text, 0};

    need(ledger_put(ledger, &request_kind, &record, NULL) == 0);
}

static int sound(bool echo) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    static const char text[1000];

    for (uint64_t i = 0; i < 40; i++)
        put(ledger, i, (struct span){text, i * 25});
    int fd = dup(ledger_fd(ledger));
    need(echo ||
         fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, sizeof(struct format_head), ECHO_BYTES) == 0);
    return fd;
}

/* Some of the changes hit the head, some the echo, the others the log behind them. */
static void change(int fd, const uint8_t *data, size_t size) {
    for (; size >= 4; data += 4, size -= 4) {
        size_t at = (size_t)data[0] << 8 | data[1];
        char byte;
        if (data[3] & 1)
            at += FORMAT_FRONT;
        else if (data[3] & 2)
            at += sizeof(struct format_head);
        need(pread(fd, &byte, 1, (off_t)at) == 1);
        byte = (char)(byte ^ data[2]);
        need(pwrite(fd, &byte, 1, (off_t)at) == 1);
    }
}

static void visit(void *arg, const void *record) {
    (void)arg;
    (void)record;
}

/* Closes `fd` in every case. */
static void use(int fd) {
    CLEANUP(ledger_free) struct ledger *ledger = NULL;
    CLEANUP(ledger_free) struct ledger *again = NULL;
    uint64_t before, after;

    if (ledger_open(&ledger, fd, NULL) < 0) {
        (void)close(fd);
        return;
    }
    ledger_each(ledger, &request_kind, visit, NULL);
    put(ledger, 1, (struct span){"x", 1});
    ledger_digest(ledger, &before);
    need(ledger_compact(ledger, NULL) == 0);
    need(ledger_open(&again, dup(ledger_fd(ledger)), NULL) == 0);
    ledger_digest(again, &after);
    need(before == after && ledger_damaged(again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    log_set_level(LOG_ERROR);
    if (size == 0)
        return 0;
    if (data[0] & 1) {
        int fd = sound(data[0] & 2);
        change(fd, data + 1, size - 1);
        use(fd);
    } else {
        int fd = memfd_create("fuzz", MFD_CLOEXEC);
        need(fd >= 0 && write(fd, data + 1, size - 1) == (ssize_t)(size - 1));
        use(fd);
    }
    return 0;
}
