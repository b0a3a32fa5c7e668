/*
 * A sealed file: arbitrary bytes; or, when the first byte is odd, a sound one in which the rest of the input, three
 * bytes at a time, changes single bytes. What is read is exactly what was sealed. The input is taken apart as the
 * content of a snapshot as well.
 *
 * The corpus was made with printf: `whole` is '\001'; `changes` is '\001' and triples of place (two bytes) and mask;
 * `content` is '\000', "thcarry\n", the version and the number of records.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "ledger/carry.h"
#include "ledger/seal.h"

enum { CONTENT_BYTES = 90 << 10, MAX_BYTES = 1 << 20 }; /* two pieces: nothing in it can be compressed */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char content[CONTENT_BYTES];
static const struct seal_key key = {.bytes = {1, 2, 3}, .id = {4, 5, 6}};

static void need(bool held) {
    if (!held)
        abort();
}

static void fill_content(void) {
    uint64_t random = UINT64_C(88172645463325252); /* xorshift */

    for (size_t i = 0; i < sizeof(content); i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        content[i] = (char)random;
    }
}

static int sound(void) {
    const struct seal_info info = {.boot_id = "fuzz", .server_version = "1", .records = 1};
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    fill_content();
    need(fd >= 0 && seal_write(&key, &info, (struct span){content, sizeof(content)}, fd, NULL) == 0);
    return fd;
}

/* Each change hits one byte, every other one in the head. Changes of one place may undo each other. */
static bool change(int fd, const uint8_t *data, size_t size) {
    off_t len = lseek(fd, 0, SEEK_END);
    bool changed = false;

    for (; size >= 3; data += 3, size -= 3) {
        off_t at = (off_t)((data[0] | data[1] << 8) * 2) % ((data[1] & 1) ? (off_t)SEAL_HEADER_BYTES : len);
        char byte;
        need(pread(fd, &byte, 1, at) == 1);
        byte = (char)(byte ^ data[2]);
        need(pwrite(fd, &byte, 1, at) == 1);
        changed |= data[2] != 0;
    }
    return changed;
}

static void read_back(int fd, bool whole) {
    CLEANUP(sealed_fini) struct sealed sealed = {0};
    struct theseus_error err = {0};

    if (seal_read(&key, fd, MAX_BYTES, &sealed, &err) < 0) {
        need(!whole && err.message[0]);
        return;
    }
    need(sealed.content.len == sizeof(content));
    need(memcmp(buf_span(&sealed.content).data, content, sizeof(content)) == 0);
}

static void visit(void *arg, const struct record_kind *kind, const void *record) {
    (void)arg;
    (void)kind;
    (void)record;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    CLEANUP(fd_close) int fd = -1;

    if (size == 0)
        return 0;
    (void)(carry_unpack((struct span){(const char *)data + 1, size - 1}, visit, NULL, NULL) < 0);
    if (data[0] & 1) {
        fd = sound();
        read_back(fd, !change(fd, data + 1, size - 1));
    } else {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        need(fd >= 0 && write(fd, data + 1, size - 1) == (ssize_t)(size - 1));
        read_back(fd, false);
    }
    return 0;
}
