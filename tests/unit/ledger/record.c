#include "test.h"

#include "ledger/record.h"

#include "ledger/samples.h"

struct encoded {
    struct buf key, payload;
};

static void encoded_fini_cleanup(struct encoded *encoded) {
    buf_fini(&encoded->key);
    buf_fini(&encoded->payload);
}

static struct encoded encode(const struct record_kind *kind, uint64_t seed) {
    CLEANUP(free) void *record = sample_new(kind, seed);
    struct encoded encoded = {{0}, {0}};

    assert_int_equal(record_key(kind, record, &encoded.key, NULL), 0);
    assert_int_equal(record_payload(kind, record, &encoded.payload, NULL), 0);
    return encoded;
}

/* The bytes in memory of their own exact size, so that reading past them is seen. */
static struct span exactly(struct span bytes, char **ret_copy) {
    *ret_copy = xcalloc(bytes.len ? bytes.len : 1, 1);
    if (bytes.len)
        memcpy(*ret_copy, bytes.data, bytes.len);
    return (struct span){*ret_copy, bytes.len};
}

static void touch(const struct record_kind *kind, const void *record) {
    volatile char sum = 0;

    for (size_t i = 0; i < kind->count; i++) {
        const struct span *bytes = (const void *)((const char *)record + kind->fields[i].offset);
        for (size_t j = 0; kind->fields[i].type == RECORD_BYTES && j < bytes->len; j++)
            sum = (char)(sum + bytes->data[j]);
    }
}

/* Any outcome will do but a crash; what was made out lies within the bytes. */
static void survives(const struct record_kind *kind, struct span key, struct span payload) {
    CLEANUP(free) void *record = xcalloc(1, kind->size);
    CLEANUP(free) char *key_copy = NULL, *payload_copy = NULL;
    struct theseus_error err = {0};

    key = exactly(key, &key_copy);
    payload = exactly(payload, &payload_copy);
    if (record_decode(kind, key, payload, record, &err) == 0)
        touch(kind, record);
    else
        assert_int_equal(err.code, ERR_PARSE);
}

static void comes_out_as_it_went_in(void **state) {
    size_t count;
    const struct record_kind *const *kinds = all_kinds(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        CLEANUP(encoded_fini) struct encoded encoded = encode(kinds[i], 0x123456789a);
        CLEANUP(free) void *record = xcalloc(1, kinds[i]->size);
        assert_int_equal(record_decode(kinds[i], buf_span(&encoded.key), buf_span(&encoded.payload), record, NULL), 0);
        assert_true(sample_is(kinds[i], record, 0x123456789a));
    }
}

static void survives_every_truncation(void **state) {
    size_t count;
    const struct record_kind *const *kinds = all_kinds(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        CLEANUP(encoded_fini) struct encoded encoded = encode(kinds[i], 7);
        struct span key = buf_span(&encoded.key), payload = buf_span(&encoded.payload);
        for (size_t len = 0; len < payload.len; len++)
            survives(kinds[i], key, (struct span){payload.data, len});
        for (size_t len = 0; len < key.len; len++) {
            CLEANUP(free) void *record = xcalloc(1, kinds[i]->size);
            assert_int_equal(record_decode(kinds[i], (struct span){key.data, len}, payload, record, NULL), -1);
            survives(kinds[i], (struct span){key.data, len}, payload);
        }
    }
}

static void survives_every_damaged_byte(void **state) {
    static const unsigned char damage[] = {0x01, 0x80, 0xff};
    size_t count;
    const struct record_kind *const *kinds = all_kinds(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        CLEANUP(encoded_fini) struct encoded encoded = encode(kinds[i], 7);
        struct buf *parts[] = {&encoded.key, &encoded.payload};
        for (size_t at = 0; at < 3 * (parts[0]->len + parts[1]->len); at++) {
            size_t byte = at / 3;
            struct buf *part = parts[byte >= parts[0]->len];
            char *damaged = part->data + part->start + byte - (part == parts[1] ? parts[0]->len : 0);
            *damaged = (char)(*damaged ^ damage[at % 3]);
            survives(kinds[i], buf_span(&encoded.key), buf_span(&encoded.payload));
            *damaged = (char)(*damaged ^ damage[at % 3]);
        }
    }
}

struct pair {
    uint64_t id, number;
    struct span text;
};

static const struct record_field old_fields[] = {
    {1, RECORD_U64, offsetof(struct pair, id), RECORD_KEY},
    {3, RECORD_BYTES, offsetof(struct pair, text), 0},
};
static const struct record_kind old_kind = {99, "old", sizeof(struct pair), old_fields, ARRAY_SIZE(old_fields), 1};
static const struct record_field new_fields[] = {
    {1, RECORD_U64, offsetof(struct pair, id), RECORD_KEY},
    {2, RECORD_U64, offsetof(struct pair, number), 0},
    {3, RECORD_BYTES, offsetof(struct pair, text), 0},
};
static const struct record_kind new_kind = {99, "new", sizeof(struct pair), new_fields, ARRAY_SIZE(new_fields), 1};

static struct pair through(const struct record_kind *writer, const struct record_kind *reader, struct buf *bytes) {
    const struct pair given = {5, 6, span_of("seven")};
    struct pair got;

    memset(&got, 0xaa, sizeof(got));
    assert_int_equal(record_key(writer, &given, bytes, NULL), 0);
    size_t key = bytes->len;
    assert_int_equal(record_payload(writer, &given, bytes, NULL), 0);
    struct span all = buf_span(bytes);
    assert_int_equal(
        record_decode(reader, (struct span){all.data, key}, (struct span){all.data + key, all.len - key}, &got, NULL),
        0);
    return got;
}

static void skips_a_field_that_it_does_not_know(void **state) {
    CLEANUP(buf_fini) struct buf bytes = {0};

    (void)state;
    struct pair got = through(&new_kind, &old_kind, &bytes);
    assert_int_equal(got.id, 5);
    assert_int_equal(got.number, 0);
    assert_true(span_equals(got.text, "seven"));
}

static void reads_a_field_that_is_not_there_as_zero(void **state) {
    CLEANUP(buf_fini) struct buf bytes = {0};

    (void)state;
    struct pair got = through(&old_kind, &new_kind, &bytes);
    assert_int_equal(got.id, 5);
    assert_int_equal(got.number, 0);
    assert_true(span_equals(got.text, "seven"));
}

static void keeps_keys_apart(void **state) {
    const struct state_record a = {.plugin = span_of("ab"), .name = span_of("c")};
    const struct state_record b = {.plugin = span_of("a"), .name = span_of("bc")};
    CLEANUP(buf_fini) struct buf left = {0}, right = {0};

    (void)state;
    assert_int_equal(record_key(&state_kind, &a, &left, NULL), 0);
    assert_int_equal(record_key(&state_kind, &b, &right, NULL), 0);
    assert_false(span_same(buf_span(&left), buf_span(&right)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_out_as_it_went_in),
        cmocka_unit_test(survives_every_truncation),
        cmocka_unit_test(survives_every_damaged_byte),
        cmocka_unit_test(skips_a_field_that_it_does_not_know),
        cmocka_unit_test(reads_a_field_that_is_not_there_as_zero),
        cmocka_unit_test(keeps_keys_apart),
    };

    return cmocka_run_group_tests_name("ledger/record", tests, NULL, NULL);
}
