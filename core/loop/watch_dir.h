/* One watched directory: where it is found now, and what was last seen in it. Nobody but watch.c uses it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/map.h"
#include "loop/dirnotify.h"
#include "loop/settle.h"

/* What is in a directory under one name. */
struct watch_file {
    struct settle_item item;
    struct watch_dir *dir;
    char *name;        /* NULL: the directory as a whole */
    uint64_t state;    /* size, times and so on, hashed; 0: not there */
    uint64_t seen;     /* number of the look that saw it last */
    int64_t writes_ms; /* when somebody was last seen writing it */
};

struct watch_dir {
    struct list link;
    char *path;              /* as it was added */
    char *clean;             /* the same without superfluous slashes */
    char *awaited;           /* the name in the directory `outer_id` that leads to it; NULL: nothing is awaited */
    int id;                  /* its own; -1: it is not there, or the system cannot watch it */
    int outer_id;            /* the nearest one that exists above, or the one that holds its symbolic link; -1: none */
    uint64_t identity;       /* device, inode, owner and mode, hashed; 0: not there */
    struct watch_file whole; /* embedded: to report the directory itself */
    struct map *files;       /* name to watch_file, owned */
    uint64_t looks;
    bool warned; /* that the system cannot watch it */
};

struct watch_dir *watch_dir_new(const char *path);
struct watch_dir *watch_dir_free(struct watch_dir *dir);

/* Where is it now? Fills ids, `awaited` and `identity`; `notify` may be NULL. True: it is another one than before. */
bool watch_dir_locate(struct watch_dir *dir, struct dirnotify *notify) ON_LOOP;

/* Takes note of all that is in it; true: something had changed that no event has announced. */
bool watch_dir_look(struct watch_dir *dir, int64_t now_ms);

/* The file of that name, made when it is new. */
struct watch_file *watch_dir_file(struct watch_dir *dir, const char *name);

/* Takes note of the one file; forgets it when it is gone. `file` must not be used afterwards. */
void watch_dir_refresh(struct watch_dir *dir, struct watch_file *file);

/* A new name that will see no closing of a writer: a symbolic link, or a further link to a file. */
bool watch_dir_is_link(const struct watch_dir *dir, const char *name);

DEFINE_CLEANUP(struct watch_dir *, watch_dir_free)
