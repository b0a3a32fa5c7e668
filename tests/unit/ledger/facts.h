/* What the ledger's tests share: short ways to write, to read and to come back. */
#pragma once

#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ledger/inner.h"

#define DONE(call)                             \
    do {                                       \
        struct theseus_error err_ = {0};       \
        int r_ = (call);                       \
        if (r_ != 0)                           \
            print_error("%s\n", err_.message); \
        assert_int_equal(r_, 0);               \
    } while (0)

static inline struct counter_record counter(const char *name, uint64_t value) {
    return (struct counter_record){span_of(name), value};
}

static inline void put_counter(struct ledger *ledger, const char *name, uint64_t value) {
    struct counter_record record = counter(name, value);

    DONE(ledger_put(ledger, &counter_kind, &record, &err_));
}

static inline void drop_counter(struct ledger *ledger, const char *name) {
    struct counter_record record = counter(name, 0);

    DONE(ledger_drop(ledger, &counter_kind, &record, &err_));
}

static inline void take_value(void *arg, const void *record) {
    *(uint64_t *)arg = ((const struct counter_record *)record)->value;
}

/* 0: there is none. */
static inline uint64_t counter_of(struct ledger *ledger, const char *name) {
    struct counter_record record = counter(name, 0);
    uint64_t value = 0;

    (void)ledger_find(ledger, &counter_kind, &record, take_value, &value);
    return value;
}

static inline uint64_t digest_of(struct ledger *ledger) {
    uint64_t digest;

    ledger_digest(ledger, &digest);
    return digest;
}

/* What the next process image would find. */
static inline struct ledger *come_back(const struct ledger *ledger) {
    struct ledger *again = NULL;

    DONE(ledger_open(&again, dup(ledger_fd(ledger)), &err_));
    return again;
}

static inline size_t log_bytes(const struct ledger *ledger) {
    return place_offset(journal_end(&ledger->journal));
}

/* Sums up the offsets of requests, in their order. */
static inline void hash_request(void *arg, const void *record) {
    const struct request_record *request = record;
    uint64_t *sum = arg;

    *sum = *sum * 31 + request->conn * 7 + request->offset * 3 + request->index + request->text.len;
}
