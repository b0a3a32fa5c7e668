#include "conn/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "rpc/jsontext.h"

/* Digits that nobody guesses, and the end of the text. */
static void make_random(char *text, size_t size) {
    unsigned char random[(SESSION_SECRET_BYTES - 1) / 2];

    if (getentropy(random, (size - 1) / 2) < 0)
        abort(); /* so early at boot that the kernel has none: nothing of ours runs then */
    for (size_t i = 0; i < (size - 1) / 2; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", random[i]);
}

void session_init(struct session *session) {
    *session = (struct session){.log_level = -1};
    make_random(session->id, sizeof(session->id));
}

void session_make_secret(struct session *session) {
    make_random(session->secret, sizeof(session->secret));
}

static void forget(struct session *session) {
    json_decref(session->client);
    json_decref(session->capabilities);
    json_decref(session->subscriptions);
    free(session->directory);
    session->client = session->capabilities = session->subscriptions = NULL;
    session->directory = NULL;
    session->revision = NULL;
    session->initialized = false;
    session->log_level = -1;
}

void session_fini(struct session *session) {
    forget(session);
    free(TAKE_PTR(session->home));
}

void session_begin(struct session *session, const struct revision *revision, json_t *client, json_t *capabilities) {
    forget(session);
    session->revision = revision;
    session->client = json_incref(client);
    session->capabilities = json_incref(capabilities);
}

static int pack_json(const json_t *value, struct buf *text, struct span *ret_span, struct theseus_error *err) {
    if (value && jsontext_write(value, text, err) < 0)
        return -1;
    *ret_span = buf_span(text);
    return 0;
}

int session_pack(const struct session *session, struct conn_record *record, struct buf texts[SESSION_TEXTS],
                 struct theseus_error *err) {
    record->session = span_of(session->id);
    record->revision = span_of(session->revision ? session->revision->name : "");
    record->initialized = session->initialized;
    record->log_level = (uint64_t)(session->log_level + 1);
    record->directory = span_of(session->directory ? session->directory : "");
    record->home = span_of(session->home ? session->home : "");
    record->secret = span_of(session->secret);
    if (pack_json(session->client, &texts[0], &record->client, err) < 0 ||
        pack_json(session->capabilities, &texts[1], &record->capabilities, err) < 0)
        return -1;
    return pack_json(session->subscriptions, &texts[2], &record->subscriptions, err);
}

static json_t *unpack_json(struct span text) {
    struct theseus_error err = {0};
    json_t *value = text.len ? jsontext_read(text, &err) : NULL;

    if (text.len && !value)
        log_warning("a recorded value is left out: %s", err.message);
    return value;
}

void session_unpack(struct session *session, const struct conn_record *record) {
    CLEANUP(free) char *revision = xstrndup(record->revision.data ? record->revision.data : "", record->revision.len);

    session_fini(session);
    (void)snprintf(session->id, sizeof(session->id), "%.*s", (int)record->session.len, record->session.data);
    session->revision = revision_find(revision);
    session->initialized = record->initialized;
    session->log_level = (int)record->log_level - 1;
    session->client = unpack_json(record->client);
    session->capabilities = unpack_json(record->capabilities);
    session->subscriptions = unpack_json(record->subscriptions);
    if (record->directory.len)
        session->directory = xstrndup(record->directory.data, record->directory.len);
    if (record->home.len)
        session->home = xstrndup(record->home.data, record->home.len);
    (void)snprintf(session->secret, sizeof(session->secret), "%.*s", (int)record->secret.len, record->secret.data);
}
