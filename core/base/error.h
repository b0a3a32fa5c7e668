/* Errors inside the core: struct theseus_error with a code that says what kind of failure it is. */
#pragma once

#include <theseus/error.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(string, first) __attribute__((__format__(printf, string, first)))

/* What went wrong, in words of the core; core/rpc/codes.c says which become which JSON-RPC code. */
enum errc {
    ERR_UNSET = 0,
    ERR_PARSE,       /* bytes that are not JSON */
    ERR_REQUEST,     /* JSON that is not a request */
    ERR_NO_METHOD,   /* unknown, removed or not offered */
    ERR_PARAMS,      /* a request's parameters */
    ERR_VERSION,     /* a protocol version that is not served */
    ERR_CAPABILITY,  /* the client lacks what the request needs */
    ERR_INTERNAL,    /* a fault of ours or of a plugin */
    ERR_INVALID,     /* a file, a setting or an argument that does not hold */
    ERR_SYSTEM,      /* the operating system said no; the message has its words */
    ERR_MEMORY,      /* no memory */
    ERR_LIMIT,       /* larger, deeper or more than is allowed */
    ERR_TIMEOUT,     /* took longer than is allowed */
    ERR_ACCESS,      /* not permitted */
    ERR_MISSING,     /* named, and not there */
    ERR_NO_RESOURCE, /* the same of a resource, in the words of older revisions */
    ERR_BUSY,        /* cannot be done at this moment */
    ERR_NEWER,       /* written by, or built for, a newer version of ours */
};

/* Fills `err` (may be NULL) unless it already holds an error (the first one wins), and returns -1. */
int fail(struct theseus_error *err, enum errc code, const char *format, ...) PRINTF_LIKE(3, 4);

/* The same for a failed system call: adds errno's text and keeps errno. */
int fail_errno(struct theseus_error *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* Puts context in front: error_prefix(err, "plugin '%s': ", name). Returns -1. */
int error_prefix(struct theseus_error *err, const char *format, ...) PRINTF_LIKE(2, 3);
