#include "ledger/carry.h"

#include <stdlib.h>

#include "ledger/inner.h"

struct head {
    char magic[8];
    uint32_t version, unused;
    uint64_t records;
};

static const char magic[8] = {'t', 'h', 'c', 'a', 'r', 'r', 'y', '\n'};

static const struct record_kind *const kinds[] = {&request_kind, &run_kind, &checkpoint_kind, &state_kind, &task_kind};

enum { KINDS = ARRAY_SIZE(kinds), ROOM_BYTES = 256 };

static const struct record_kind *find_kind(uint16_t number) {
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i]->number == number)
            return kinds[i];
    return NULL;
}

bool carry_has_kind(uint16_t number) {
    return number != request_kind.number && find_kind(number);
}

/* The key without the kind. */
static struct span inner_key(const struct format_record *record) {
    struct span key = format_key(record);

    return (struct span){key.data + sizeof(record->kind), key.len - sizeof(record->kind)};
}

/* Into `room`, of ROOM_BYTES. */
static int decode(const struct record_kind *kind, const struct format_record *record, void *room) {
    return record_decode(kind, inner_key(record), format_payload(record), room, NULL);
}

_Static_assert(sizeof(struct request_record) <= ROOM_BYTES && sizeof(struct run_record) <= ROOM_BYTES &&
                   sizeof(struct checkpoint_record) <= ROOM_BYTES && sizeof(struct state_record) <= ROOM_BYTES &&
                   sizeof(struct task_record) <= ROOM_BYTES,
               "every kind that is carried has room");

/* ---- choosing ---- */

/* The records of a moment, in the order of their keys: by kind first. They lie still until the end. */
struct choice {
    struct ledger *ledger;
    struct item *items; /* owned */
    size_t count;
    int pin;
};

static void choice_init(struct choice *choice, struct ledger *ledger) {
    choice->ledger = ledger;
    choice->count = ledger_pin(ledger, 0, &choice->items, &choice->pin);
}

static void choice_fini_cleanup(struct choice *choice) {
    ledger_unpin(choice->ledger, choice->pin);
    free(choice->items);
}

static const struct format_record *record_at(const struct choice *choice, size_t index) {
    return journal_record(&choice->ledger->journal, choice->items[index].place);
}

static int compare(struct span a, struct span b) {
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.data, b.data, len) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Is there a run with the key of this request? Runs follow requests, in the same order. */
static bool has_run(const struct choice *choice, struct span key, size_t *next) {
    for (; *next < choice->count; ++*next) {
        const struct format_record *record = record_at(choice, *next);
        uint16_t number = format_kind(record);
        int order = number == run_kind.number ? compare(inner_key(record), key) : number < run_kind.number ? -1 : 1;
        if (order >= 0)
            return order == 0;
    }
    return false;
}

typedef int choice_fn(void *arg, const struct record_kind *kind, const struct format_record *record,
                      struct theseus_error *err);

static int each_chosen(const struct choice *choice, choice_fn *visit, void *arg, struct theseus_error *err) {
    size_t next_run = 0;

    for (size_t i = 0; i < choice->count; i++) {
        const struct format_record *record = record_at(choice, i);
        const struct record_kind *kind = find_kind(format_kind(record));
        if (!kind || (kind == &request_kind && !has_run(choice, inner_key(record), &next_run)))
            continue;
        if (visit(arg, kind, record, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- digest ---- */

struct summing {
    uint64_t digest, records;
};

static void add_to_digest(uint64_t *digest, const struct format_record *record) {
    *digest = format_body(*digest, record->check);
}

static int sum_up(void *arg, const struct record_kind *kind, const struct format_record *record,
                  struct theseus_error *err) {
    struct summing *summing = arg;

    (void)kind;
    (void)err;
    add_to_digest(&summing->digest, record);
    summing->records++;
    return 0;
}

void carry_digest(struct ledger *ledger, uint64_t *ret_digest, uint64_t *ret_records) {
    CLEANUP(choice_fini) struct choice choice = {0};
    struct summing summing = {0};

    choice_init(&choice, ledger);
    (void)each_chosen(&choice, sum_up, &summing, NULL);
    *ret_digest = summing.digest;
    *ret_records = summing.records;
}

/* ---- packing ---- */

struct packing {
    carry_wants_fn *wants;
    void *arg;
    struct carried *carried;
};

static int add(void *arg, const struct record_kind *kind, const struct format_record *record,
               struct theseus_error *err) {
    const struct packing *packing = arg;
    _Alignas(max_align_t) char room[ROOM_BYTES];

    add_to_digest(&packing->carried->digest, record);
    if (format_record_check(record) != record->check || decode(kind, record, room) < 0 ||
        !packing->wants(packing->arg, kind, room))
        return 0;
    packing->carried->records++;
    return buf_append(&packing->carried->content, (struct span){(const char *)record, format_record_bytes(record)},
                      err);
}

void carried_fini(struct carried *carried) {
    buf_fini(&carried->content);
    *carried = (struct carried){0};
}

void carried_fini_cleanup(struct carried *carried) {
    carried_fini(carried);
}

int carry_pack(struct ledger *ledger, carry_wants_fn *wants, void *arg, struct carried *ret_carried,
               struct theseus_error *err) {
    CLEANUP(carried_fini) struct carried carried = {0};
    CLEANUP(choice_fini) struct choice choice = {0};
    struct packing packing = {wants, arg, &carried};
    struct head head = {.version = CARRY_VERSION};

    choice_init(&choice, ledger);
    memcpy(head.magic, magic, sizeof(magic));
    if (buf_append(&carried.content, (struct span){(const char *)&head, sizeof(head)}, err) < 0 ||
        each_chosen(&choice, add, &packing, err) < 0)
        return -1;
    head.records = carried.records;
    memcpy(carried.content.data + carried.content.start, &head, sizeof(head));
    *ret_carried = carried;
    carried = (struct carried){0};
    return 0;
}

/* ---- unpacking ---- */

static int read_head(struct span content, struct head *ret_head, struct theseus_error *err) {
    *ret_head = (struct head){0};
    if (content.len >= sizeof(*ret_head))
        memcpy(ret_head, content.data, sizeof(*ret_head));
    if (memcmp(ret_head->magic, magic, sizeof(magic)) != 0 || ret_head->version == 0)
        return fail(err, ERR_INVALID, "its content is none of this server's");
    if (ret_head->version > CARRY_VERSION)
        return fail(err, ERR_NEWER, "its content has version %u; this server reads up to version %d", ret_head->version,
                    CARRY_VERSION);
    return 0;
}

/* The bytes of the next record of `rest`; not what is damaged. */
static bool next_record(struct span *rest, struct span *ret_record) {
    struct format_record head;

    if (rest->len < sizeof(head))
        return false;
    memcpy(&head, rest->data, sizeof(head));
    size_t len = format_record_bytes(&head);
    if (len > rest->len)
        return false;
    *ret_record = (struct span){rest->data, len};
    *rest = (struct span){rest->data + len, rest->len - len};
    return true;
}

/* A record at a place that is aligned for it: the content may lie anywhere. */
static int visit_record(struct span bytes, carry_visit_fn *visit, void *arg, struct theseus_error *err) {
    CLEANUP(free) struct format_record *record = try_malloc(bytes.len);
    _Alignas(max_align_t) char room[ROOM_BYTES];

    if (!record)
        return fail(err, ERR_MEMORY, "no memory for a record of %zu bytes", bytes.len);
    memcpy(record, bytes.data, bytes.len);
    if (format_record_check(record) != record->check)
        return fail(err, ERR_INVALID, "a record of its content is damaged");
    const struct record_kind *kind = find_kind(format_kind(record));
    if (kind && decode(kind, record, room) < 0)
        return fail(err, ERR_INVALID, "a %s of its content cannot be read", kind->name);
    if (kind && visit)
        visit(arg, kind, room);
    return 0;
}

static int each_record(struct span content, uint64_t records, carry_visit_fn *visit, void *arg,
                       struct theseus_error *err) {
    struct span rest = {content.data + sizeof(struct head), content.len - sizeof(struct head)}, record;

    for (uint64_t i = 0; i < records; i++) {
        if (!next_record(&rest, &record))
            return fail(err, ERR_INVALID, "its content ends in the middle of a record");
        if (visit_record(record, visit, arg, err) < 0)
            return -1;
    }
    return rest.len == 0 ? 0 : fail(err, ERR_INVALID, "there is something behind the last record of its content");
}

int carry_unpack(struct span content, carry_visit_fn *visit, void *arg, struct theseus_error *err) {
    struct head head;

    if (read_head(content, &head, err) < 0 || each_record(content, head.records, NULL, NULL, err) < 0)
        return -1;
    return each_record(content, head.records, visit, arg, err);
}
