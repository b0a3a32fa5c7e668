#include "test.h"

#include "ledger/records.h"

#include "ledger/samples.h"

static void gives_every_kind_a_number_and_every_field_one(void **state) {
    size_t count;
    const struct record_kind *const *kinds = all_kinds(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        bool had_value = false;
        int last = 0;
        assert_true(i == 0 || kinds[i]->number > kinds[i - 1]->number);
        assert_non_null(strstr(kinds[i]->name, "_record"));
        for (size_t j = 0; j < kinds[i]->count; j++) {
            const struct record_field *field = &kinds[i]->fields[j];
            bool is_key = field->flags & RECORD_KEY;
            assert_true(field->number > last); /* one that is left out was given out once */
            last = field->number;
            assert_false(is_key && had_value); /* the key's fields come first */
            had_value = !is_key;
            assert_true(field->offset + (field->type == RECORD_U64 ? 8 : sizeof(struct span)) <= kinds[i]->size);
        }
    }
}

static void has_a_field_for_every_byte_of_the_struct(void **state) {
    size_t count;
    const struct record_kind *const *kinds = all_kinds(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        size_t size = 0;
        for (size_t j = 0; j < kinds[i]->count; j++)
            size += kinds[i]->fields[j].type == RECORD_U64 ? sizeof(uint64_t) : sizeof(struct span);
        assert_int_equal(size, kinds[i]->size);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_every_kind_a_number_and_every_field_one),
        cmocka_unit_test(has_a_field_for_every_byte_of_the_struct),
    };

    return cmocka_run_group_tests_name("ledger/records", tests, NULL, NULL);
}
