/* Memory behind a descriptor: what carries the ledger from one process image to the next. Linux only. */
#pragma once

#include <sys/types.h>

#include "base/mem.h"

/* A file without a name, close-on-exec; nobody can make it shorter. */
MUST_CHECK int memfd_new(const char *name, int *ret_fd, struct theseus_error *err);

/* Memory for this part of the file, now: what is written to it later cannot fail. -1: errno. May take a moment, does
 * not allocate in this process. */
MUST_CHECK int memfd_allocate(int fd, off_t offset, off_t len);

/* Gives the memory of this part back; the length of the file stays. Best effort. */
void memfd_release(int fd, off_t offset, off_t len);
