#include "environment.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

static const char *value_of(const struct strings *environment, const char *name) {
    size_t len = strlen(name);

    for (size_t i = 0; i < environment->count; i++)
        if (strncmp(environment->items[i], name, len) == 0 && environment->items[i][len] == '=')
            return environment->items[i] + len + 1;
    return NULL;
}

/* Unless it is there: the section's own word counts. */
static void add(struct strings *environment, const char *name, const char *value) {
    struct text text = {0};

    if (!value || value_of(environment, name))
        return;
    text_printf(&text, "%s=%s", name, value);
    strings_add(environment, text_take(&text));
}

static void add_home(struct strings *environment) {
    struct passwd user, *found = NULL;
    char buffer[4096];

    if (getenv("HOME"))
        add(environment, "HOME", getenv("HOME"));
    else if (getpwuid_r(getuid(), &user, buffer, sizeof(buffer), &found) == 0 && found)
        add(environment, "HOME", found->pw_dir);
}

void environment_make(const struct section *section, struct strings *environment) {
    section_environment(section, environment);
    add(environment, "PATH", getenv("PATH") ? getenv("PATH") : DEFAULT_PATH);
    add_home(environment);
    /* Clients start servers without LANG; programs would then print '?' for what is not ASCII. */
    add(environment, "LANG", getenv("LANG") ? getenv("LANG") : "C.UTF-8");
}

/* directory/part/name without what is not needed. NULL: no memory. */
static char *joined(const char *directory, const char *part, size_t part_len, const char *name) {
    struct text path = {0};
    bool absolute = part_len ? *part == '/' : *name == '/';

    if (!absolute && directory)
        text_printf(&path, "%s/", directory);
    if (part_len)
        text_printf(&path, "%.*s/", (int)part_len, part);
    text_printf(&path, "%s", name);
    return text_take(&path);
}

/* 0: a program; EACCES: a file that is none; ENOENT. */
static int examine(const char *path) {
    struct stat st;

    if (stat(path, &st) < 0)
        return errno == EACCES ? EACCES : ENOENT;
    return S_ISREG(st.st_mode) && access(path, X_OK) == 0 ? 0 : EACCES;
}

static int not_found(const char *name, const char *path, int reason, struct theseus_error *err) {
    if (reason == EACCES)
        return theseus_fail(err, "the program '%.80s' may not be executed; mend it with chmod +x", name);
    if (!path)
        return theseus_fail(err, "the program '%.160s' does not exist", name);
    return theseus_fail(err, "the program '%.60s' was not found in PATH (%.110s); install it, or set env.PATH", name,
                        path);
}

int environment_find(const struct strings *environment, const char *directory, const char *name, char **ret_file,
                     struct theseus_error *err) {
    const char *path = strchr(name, '/') ? NULL : value_of(environment, "PATH");
    int reason = ENOENT;

    for (const char *part = path ? path : "";;) {
        size_t len = strcspn(part, ":");
        char *file = joined(directory, part, len, name);
        int r = file ? examine(file) : ENOMEM;
        if (r == 0) {
            *ret_file = file;
            return 0;
        }
        free(file);
        if (r == ENOMEM)
            return theseus_fail(err, "no memory");
        reason = r == EACCES ? r : reason;
        if (part[len] == '\0')
            return not_found(name, path, reason, err);
        part += len + 1;
    }
}
