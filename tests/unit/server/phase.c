#include "test.h"

#include "base/mem.h"
#include "server/phase.h"

static void finds_each_phase_by_its_name(void **state) {
    (void)state;
    for (enum phase phase = PHASE_IDLE; phase <= PHASE_FAILED; phase++)
        assert_int_equal(phase_find(phase_name(phase)), phase);
    assert_int_equal(phase_find("no such phase"), PHASE_IDLE);
}

static void gets_further_with_each_step(void **state) {
    (void)state;
    for (enum phase phase = PHASE_PREPARING; phase <= PHASE_COMPLETE; phase++)
        assert_true(phase_progress(phase) > phase_progress(phase - 1));
    assert_true(phase_progress(PHASE_COMPLETE) == 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_each_phase_by_its_name),
        cmocka_unit_test(gets_further_with_each_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
