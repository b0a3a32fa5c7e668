#include "ledger/records.h"

#include "base/mem.h"

#define U64(record, field, number, flags) \
    { number, RECORD_U64, offsetof(struct record, field), flags }
#define BYTES(record, field, number, flags) \
    { number, RECORD_BYTES, offsetof(struct record, field), flags }
#define KIND(number, record, table) \
    { number, #record, sizeof(struct record), table, ARRAY_SIZE(table), 1 }

static const struct record_field conn_fields[] = {
    U64(conn_record, conn, 1, RECORD_KEY),
    BYTES(conn_record, transport, 2, 0),
    U64(conn_record, fd_in, 3, 0),
    U64(conn_record, fd_out, 4, 0),
    BYTES(conn_record, session, 5, 0),
    BYTES(conn_record, revision, 6, 0),
    U64(conn_record, initialized, 7, 0),
    BYTES(conn_record, client, 8, 0),
    BYTES(conn_record, capabilities, 9, 0),
    U64(conn_record, log_level, 10, 0),
    BYTES(conn_record, directory, 11, 0),
    U64(conn_record, blocks, 12, 0),
    BYTES(conn_record, subscriptions, 13, 0),
    U64(conn_record, uid, 14, RECORD_SPARSE),
    U64(conn_record, since_ms, 15, RECORD_SPARSE),
    BYTES(conn_record, secret, 16, RECORD_SPARSE),
    BYTES(conn_record, home, 17, RECORD_SPARSE),
    U64(conn_record, lost, 18, RECORD_SPARSE),
    U64(conn_record, away_ms, 19, RECORD_SPARSE),
    U64(conn_record, doubtful, 20, RECORD_SPARSE),
    U64(conn_record, resumptions, 21, RECORD_SPARSE),
    U64(conn_record, refused, 22, RECORD_SPARSE),
};
const struct record_kind conn_kind = KIND(1, conn_record, conn_fields);

static const struct record_field position_fields[] = {
    U64(position_record, conn, 1, RECORD_KEY),
    U64(position_record, cut, 2, 0),
    U64(position_record, skipping, 3, 0),
    U64(position_record, written, 4, 0),
    U64(position_record, acknowledged, 5, RECORD_SPARSE),
};
const struct record_kind position_kind = KIND(2, position_record, position_fields);

static const struct record_field input_fields[] = {
    U64(input_record, conn, 1, RECORD_KEY),
    U64(input_record, offset, 2, RECORD_KEY),
    BYTES(input_record, bytes, 3, 0),
};
const struct record_kind input_kind = KIND(3, input_record, input_fields);

static const struct record_field request_fields[] = {
    U64(request_record, conn, 1, RECORD_KEY),  U64(request_record, offset, 2, RECORD_KEY),
    U64(request_record, index, 3, RECORD_KEY), BYTES(request_record, text, 4, 0),
    U64(request_record, accepted_ns, 5, 0),
};
const struct record_kind request_kind = KIND(4, request_record, request_fields);

static const struct record_field run_fields[] = {
    U64(run_record, conn, 1, RECORD_KEY),       U64(run_record, offset, 2, RECORD_KEY),
    U64(run_record, index, 3, RECORD_KEY),      U64(run_record, attempts, 4, 0),
    U64(run_record, crashes, 5, RECORD_SPARSE), U64(run_record, counted, 6, RECORD_SPARSE),
    U64(run_record, later, 7, RECORD_SPARSE),   BYTES(run_record, plugin, 8, RECORD_SPARSE),
};
const struct record_kind run_kind = KIND(5, run_record, run_fields);

static const struct record_field output_fields[] = {
    U64(output_record, conn, 1, RECORD_KEY),
    U64(output_record, offset, 2, RECORD_KEY),
    BYTES(output_record, bytes, 3, 0),
    U64(output_record, answers, 4, RECORD_SPARSE),
};
const struct record_kind output_kind = KIND(6, output_record, output_fields);

static const struct record_field checkpoint_fields[] = {
    U64(checkpoint_record, conn, 1, RECORD_KEY),  U64(checkpoint_record, offset, 2, RECORD_KEY),
    U64(checkpoint_record, index, 3, RECORD_KEY), BYTES(checkpoint_record, state, 4, 0),
    U64(checkpoint_record, inner, 5, 0),
};
const struct record_kind checkpoint_kind = KIND(7, checkpoint_record, checkpoint_fields);

static const struct record_field progress_fields[] = {
    U64(progress_record, conn, 1, RECORD_KEY),
    U64(progress_record, offset, 2, RECORD_KEY),
    U64(progress_record, index, 3, RECORD_KEY),
    U64(progress_record, value, 4, 0),
};
const struct record_kind progress_kind = KIND(8, progress_record, progress_fields);

static const struct record_field listen_fields[] = {
    U64(listen_record, conn, 1, RECORD_KEY),  U64(listen_record, offset, 2, RECORD_KEY),
    U64(listen_record, index, 3, RECORD_KEY), BYTES(listen_record, id, 4, 0),
    U64(listen_record, wants, 5, 0),          BYTES(listen_record, topics, 6, 0),
};
const struct record_kind listen_kind = KIND(9, listen_record, listen_fields);

static const struct record_field state_fields[] = {
    BYTES(state_record, plugin, 1, RECORD_KEY),
    BYTES(state_record, name, 2, RECORD_KEY),
    BYTES(state_record, value, 3, 0),
};
const struct record_kind state_kind = KIND(10, state_record, state_fields);

/* 8 has been given out, and must not be again. */
static const struct record_field image_fields[] = {
    BYTES(image_record, plugin, 1, RECORD_KEY),
    BYTES(image_record, file, 2, 0),
    BYTES(image_record, active_path, 3, 0),
    BYTES(image_record, active_hash, 4, 0),
    BYTES(image_record, good_path, 5, 0),
    BYTES(image_record, good_hash, 6, 0),
    U64(image_record, generation, 7, 0),
    U64(image_record, since_ns, 9, 0),
    U64(image_record, calls, 10, 0),
    BYTES(image_record, version, 11, 0),
    BYTES(image_record, tools, 12, 0),
    U64(image_record, stored, 13, 0),
};
const struct record_kind image_kind = KIND(11, image_record, image_fields);

static const struct record_field child_fields[] = {
    U64(child_record, pid, 1, RECORD_KEY), U64(child_record, start_time, 2, 0), U64(child_record, conn, 3, 0),
    U64(child_record, offset, 4, 0),       U64(child_record, index, 5, 0),
};
const struct record_kind child_kind = KIND(12, child_record, child_fields);

static const struct record_field restart_fields[] = {
    U64(restart_record, number, 1, RECORD_KEY),
    U64(restart_record, conn, 2, 0),
    U64(restart_record, offset, 3, 0),
    U64(restart_record, index, 4, 0),
    BYTES(restart_record, reason, 5, 0),
    BYTES(restart_record, phase, 6, 0),
    U64(restart_record, started_ms, 7, 0),
    U64(restart_record, attempt, 8, 0),
    U64(restart_record, flags, 9, 0),
    U64(restart_record, timeout_ms, 10, 0),
    U64(restart_record, started_ns, 11, 0),
    BYTES(restart_record, asker, 12, 0),
    BYTES(restart_record, boot_before, 13, 0),
    BYTES(restart_record, version_before, 14, 0),
    U64(restart_record, stopped_ns, 15, 0),
    U64(restart_record, held_ns, 16, 0),
    U64(restart_record, suspend_ns, 17, 0),
    U64(restart_record, requests_held, 18, 0),
    U64(restart_record, calls_interrupted, 19, 0),
    U64(restart_record, bytes_carried, 20, 0),
    BYTES(restart_record, error, 21, 0),
    BYTES(restart_record, lost, 22, 0),
    BYTES(restart_record, cause, 23, 0),
    BYTES(restart_record, report, 24, 0),
};
const struct record_kind restart_kind = KIND(13, restart_record, restart_fields);

static const struct record_field counter_fields[] = {
    BYTES(counter_record, name, 1, RECORD_KEY),
    U64(counter_record, value, 2, 0),
};
const struct record_kind counter_kind = KIND(14, counter_record, counter_fields);

static const struct record_field saved_fields[] = {
    BYTES(saved_record, plugin, 1, RECORD_KEY),
    BYTES(saved_record, value, 2, 0),
};
const struct record_kind saved_kind = KIND(15, saved_record, saved_fields);

static const struct record_field kept_fields[] = {
    BYTES(kept_record, name, 1, RECORD_KEY),
    U64(kept_record, fd, 2, 0),
};
const struct record_kind kept_kind = KIND(16, kept_record, kept_fields);

static const struct record_field boot_fields[] = {
    U64(boot_record, number, 1, RECORD_KEY), BYTES(boot_record, origin, 2, 0),
    BYTES(boot_record, boot, 3, 0),          BYTES(boot_record, program, 4, 0),
    BYTES(boot_record, image_path, 5, 0),    U64(boot_record, started_ms, 6, 0),
    U64(boot_record, images, 7, 0),          BYTES(boot_record, tools, 8, 0),
    U64(boot_record, awake, 9, 0),           U64(boot_record, last_duration_ms, 10, 0),
    BYTES(boot_record, resources, 20, 0),
};
const struct record_kind boot_kind = KIND(17, boot_record, boot_fields);

static const struct record_field settings_fields[] = {
    U64(settings_record, number, 1, RECORD_KEY),
    BYTES(settings_record, file, 2, 0),
    BYTES(settings_record, text, 3, 0),
};
const struct record_kind settings_kind = KIND(32, settings_record, settings_fields);

static const struct record_field task_fields[] = {
    U64(task_record, conn, 1, RECORD_KEY),  U64(task_record, offset, 2, RECORD_KEY),
    U64(task_record, index, 3, RECORD_KEY), BYTES(task_record, id, 4, 0),
    U64(task_record, created_ms, 5, 0),     U64(task_record, kept, 6, 0),
    BYTES(task_record, call_key, 7, 0),     BYTES(task_record, client, 8, 0),
};
const struct record_kind task_kind = KIND(30, task_record, task_fields);

static const struct record_field outcome_fields[] = {
    U64(outcome_record, conn, 1, RECORD_KEY),
    U64(outcome_record, offset, 2, RECORD_KEY),
    U64(outcome_record, index, 3, RECORD_KEY),
    BYTES(outcome_record, line, 4, 0),
};
const struct record_kind outcome_kind = KIND(31, outcome_record, outcome_fields);

const struct record_kind state_aside_kind = KIND(18, state_record, state_fields);
const struct record_kind checkpoint_aside_kind = KIND(19, checkpoint_record, checkpoint_fields);
const struct record_kind saved_aside_kind = KIND(20, saved_record, saved_fields);

static const struct record_field crash_fields[] = {
    BYTES(crash_record, hash, 1, RECORD_KEY),
    BYTES(crash_record, plugin, 2, 0),
    U64(crash_record, total, 3, 0),
    BYTES(crash_record, times, 4, 0),
};
const struct record_kind crash_kind = KIND(21, crash_record, crash_fields);

static const struct record_field ban_fields[] = {
    BYTES(ban_record, hash, 1, RECORD_KEY),
    BYTES(ban_record, text, 2, 0),
};
const struct record_kind ban_kind = KIND(22, ban_record, ban_fields);

static const struct record_field event_fields[] = {
    U64(event_record, number, 1, RECORD_KEY),
    BYTES(event_record, text, 2, 0),
};
const struct record_kind event_kind = KIND(23, event_record, event_fields);

static const struct record_field proposal_fields[] = {
    BYTES(proposal_record, plugin, 1, RECORD_KEY),
    BYTES(proposal_record, file, 2, 0),
    BYTES(proposal_record, path, 3, 0),
    BYTES(proposal_record, hash, 4, 0),
    BYTES(proposal_record, replaced, 5, 0),
    U64(proposal_record, generation, 6, 0),
};
const struct record_kind proposal_kind = KIND(27, proposal_record, proposal_fields);
