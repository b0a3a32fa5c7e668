#include "server/signs.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "call/proc.h"

enum { MAX_SIGN = 16 << 20 };

char *signs_dir(const char *runtime_dir) {
    return path_join(runtime_dir, "servers");
}

char *sign_path(const char *dir, pid_t process) {
    return xasprintf("%s/%d.json", dir, (int)process);
}

/* A process of that number may be another one by now. */
static bool is_running(const json_t *sign) {
    long pid = (long)json_integer_value(json_object_get(sign, "pid"));

    return pid > 0 && proc_lives(pid, (uint64_t)json_integer_value(json_object_get(sign, "start_time")));
}

/* Seconds since it was written: a server that stays silent is stuck. */
static json_t *with_age(json_t *sign, const char *path) {
    struct stat st;

    if (stat(path, &st) == 0)
        (void)json_object_set_new(sign, "age_s", json_integer((json_int_t)(time(NULL) - st.st_mtime)));
    return sign;
}

static void read_sign(const char *dir, const char *name, json_t *signs) {
    CLEANUP(free) char *path = path_join(dir, name);
    CLEANUP(buf_fini) struct buf text = {0};
    struct theseus_error err = {0};

    if (fs_read_file(path, MAX_SIGN, &text, &err) < 0) {
        (void)fprintf(stderr, "theseus: %s\n", err.message);
        return;
    }
    struct span bytes = buf_span(&text);
    json_auto_t *sign = json_loadb(bytes.data, bytes.len, 0, NULL);
    if (!sign)
        (void)fprintf(stderr, "theseus: '%s' is no JSON and is left alone\n", path);
    else if (is_running(sign))
        (void)json_array_append(signs, with_age(sign, path));
    else
        (void)unlink(path);
}

static int is_sign(const struct dirent *entry) {
    const char *end = strrchr(entry->d_name, '.');

    return entry->d_name[0] != '.' && end && strcmp(end, ".json") == 0;
}

json_t *signs_read(const char *runtime_dir) {
    CLEANUP(free) char *dir = signs_dir(runtime_dir);
    json_t *signs = json_array();
    struct dirent **entries = NULL;
    int count = scandir(dir, &entries, is_sign, versionsort);

    for (int i = 0; i < count; i++) {
        read_sign(dir, entries[i]->d_name, signs);
        free(entries[i]);
    }
    free(entries);
    return signs;
}

static int fail_which(const json_t *signs, struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf list = {0};
    const json_t *sign;
    size_t i;

    json_array_foreach (signs, i, sign)
        (void)!buf_printf(&list, NULL, "%s%d", i ? ", " : "", (int)json_integer_value(json_object_get(sign, "pid")));
    CLEANUP(free) char *text = buf_take_string(&list);
    return fail(err, ERR_MISSING, "say which server is meant, by its pid: %s", text ? text : "");
}

const json_t *signs_choose(const json_t *signs, long pid, struct theseus_error *err) {
    const json_t *sign;
    size_t i;

    if (json_array_size(signs) == 0) {
        (void)fail(err, ERR_MISSING, "no server runs with this configuration");
        return NULL;
    }
    if (pid == 0 && json_array_size(signs) == 1)
        return json_array_get(signs, 0);
    json_array_foreach (signs, i, sign)
        if (pid == json_integer_value(json_object_get(sign, "pid")))
            return sign;
    (void)fail_which(signs, err);
    return NULL;
}
