/*
 * A program that this process may become, held by descriptor: what was examined is what is executed, whatever happens
 * to the file's name meanwhile.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "base/mem.h"

struct binary {
    int fd;           /* owned; -1: none */
    char *path;       /* owned: for messages */
    struct stat seen; /* when it was examined */
};

/* Opens and examines: a regular file that may be executed, an ELF program for this machine, neither script nor setuid.
 */
MUST_CHECK int binary_open(struct binary *ret_binary, const char *path, struct theseus_error *err);
/* The image that runs now: it is not examined, and its file may have gone. */
MUST_CHECK int binary_open_own(struct binary *ret_binary, struct theseus_error *err);
/* One that an earlier image of this process had opened; takes the descriptor on success. */
MUST_CHECK int binary_adopt(struct binary *ret_binary, int fd, const char *path, struct theseus_error *err);
/*
 * Fails if the file behind the descriptor has been written, or its name taken away, since it was examined: its size and
 * the time of its last change of any kind tell. Not for the own image, which may well have been replaced.
 */
MUST_CHECK int binary_check_unchanged(const struct binary *binary, struct theseus_error *err);
bool binary_is_same(const struct stat *one, const struct stat *other); /* one file, not written between the two */
void binary_close(struct binary *binary);
void binary_close_cleanup(struct binary *binary);
