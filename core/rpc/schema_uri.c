#include "rpc/schema_uri.h"

#include <ctype.h>
#include <stdlib.h>

/* A part with data NULL is absent, which is not the same as empty. Delimiters belong to no part. */
struct uri {
    struct span scheme, authority, path, query;
};

void uri_split(struct span uri, struct span *ret_rest, struct span *ret_fragment) {
    const char *hash = uri.len ? memchr(uri.data, '#', uri.len) : NULL;

    *ret_rest = uri;
    *ret_fragment = (struct span){0};
    if (!hash)
        return;
    ret_rest->len = (size_t)(hash - uri.data);
    *ret_fragment = (struct span){hash + 1, uri.len - ret_rest->len - 1};
}

static size_t scheme_length(struct span text) {
    if (text.len == 0 || !isalpha((unsigned char)text.data[0]))
        return 0;
    for (size_t i = 1; i < text.len; i++) {
        char c = text.data[i];
        if (c == ':')
            return i;
        if (!isalnum((unsigned char)c) && c != '+' && c != '-' && c != '.')
            return 0;
    }
    return 0;
}

static struct span skip(struct span text, size_t count) {
    return (struct span){text.data + count, text.len - count};
}

static size_t length_until(struct span text, const char *ends) {
    size_t len = 0;

    while (len < text.len && !strchr(ends, text.data[len]))
        len++;
    return len;
}

static struct uri parse(struct span text) {
    struct uri uri = {0};
    size_t len = scheme_length(text);

    if (len > 0) {
        uri.scheme = (struct span){text.data, len};
        text = skip(text, len + 1);
    }
    if (text.len >= 2 && text.data[0] == '/' && text.data[1] == '/') {
        text = skip(text, 2);
        uri.authority = (struct span){text.data, length_until(text, "/?")};
        text = skip(text, uri.authority.len);
    }
    uri.path = (struct span){text.data, length_until(text, "?")};
    text = skip(text, uri.path.len);
    if (text.len > 0)
        uri.query = skip(text, 1);
    return uri;
}

/* Takes "." and ".." out of a path, in place. */
static void remove_dots(char *path) {
    char *out = path;
    const char *in = path;

    while (*in) {
        size_t len = 1 + strcspn(in + 1, "/"); /* a segment with its leading slash, if it has one */
        bool last = in[len] == '\0';
        if (len == 2 && memcmp(in, "/.", 2) == 0) {
            if (last)
                *out++ = '/';
        } else if (len == 3 && memcmp(in, "/..", 3) == 0) {
            while (out > path && *--out != '/')
                ;
            if (last)
                *out++ = '/';
        } else {
            memmove(out, in, len);
            out += len;
        }
        in += len;
    }
    *out = '\0';
}

static char *merge(const struct uri *base, struct span path) {
    size_t keep = base->path.len;

    while (keep > 0 && base->path.data[keep - 1] != '/')
        keep--;
    if (base->authority.data && base->path.len == 0)
        return xasprintf("/%.*s", (int)path.len, path.data);
    return xasprintf("%.*s%.*s", (int)keep, base->path.data, (int)path.len, path.data);
}

static char *compose(const struct uri *uri, const char *path) {
    return xasprintf("%.*s%s%s%.*s%s%s%.*s", (int)uri->scheme.len, uri->scheme.data ? uri->scheme.data : "",
                     uri->scheme.data ? ":" : "", uri->authority.data ? "//" : "", (int)uri->authority.len,
                     uri->authority.data ? uri->authority.data : "", path, uri->query.data ? "?" : "",
                     (int)uri->query.len, uri->query.data ? uri->query.data : "");
}

char *uri_resolve(const char *base, struct span reference) {
    CLEANUP(free) char *path = NULL;

    if (reference.len == 0)
        return xstrdup(base);
    struct uri from = parse(span_of(base));
    struct uri to = parse(reference);
    if (to.scheme.data || to.authority.data || (to.path.len > 0 && to.path.data[0] == '/'))
        path = xstrndup(to.path.data, to.path.len);
    else if (to.path.len > 0)
        path = merge(&from, to.path);
    else
        path = xstrndup(from.path.data, from.path.len);
    if (path[0] == '/')
        remove_dots(path);
    if (!to.scheme.data) {
        to.scheme = from.scheme;
        if (!to.authority.data)
            to.authority = from.authority;
    }
    return compose(&to, path);
}

static int hex_digit(char c) {
    return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

char *uri_decode(struct span text) {
    CLEANUP(free) char *out = xcalloc(text.len + 1, 1);
    size_t used = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != '%') {
            out[used++] = text.data[i];
            continue;
        }
        int high = text.len - i > 2 ? hex_digit(text.data[i + 1]) : -1;
        int low = text.len - i > 2 ? hex_digit(text.data[i + 2]) : -1;
        if (high < 0 || low < 0 || high + low == 0)
            return NULL;
        out[used++] = (char)(16 * high + low);
        i += 2;
    }
    return TAKE_PTR(out);
}

char *uri_pointer_next(const char **pointer) {
    const char *in = *pointer + 1;
    size_t len = strcspn(in, "/");
    char *token = xstrndup(in, len);
    char *out = token;

    *pointer = in + len;
    for (const char *at = token; *at; at++) {
        bool escape = *at == '~' && (at[1] == '0' || at[1] == '1');
        *out++ = escape ? (at[1] == '0' ? '~' : '/') : *at;
        at += escape;
    }
    *out = '\0';
    return token;
}
