/* What the core says of itself: each field changes when what it tells of does. */
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { binary, shipped } from './lib/home.js';
import { run } from './lib/proc.js';

const ask = (client, verb, args = {}) => client.value('ask', { verb, args });
const withAsker = { prepare: (home) => home.drop('asker') };
const asking = (body, { prepare = () => {}, ...options } = {}) => serving(body, {
    prepare: (home) => {
        home.drop('asker');
        prepare(home);
    },
    ...options,
});
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/* Starts a call and waits until it runs. */
async function running(client, tool, ms = 60_000) {
    const count = async () => (await ask(client, 'prepare', { explain: true })).explain.calls
        .filter((call) => call.tool === tool && call.stage === 'running').length;
    const before = await count();
    const started = client.start('tools/call', { name: tool, arguments: { ms } });
    await until(`${tool} to run`, async () => await count() > before);
    return started;
}

const cancel = (client, { id }) => client.notify('notifications/cancelled', { requestId: id });

const sql = (home, text) => run('sqlite3', [home.path('state', 'theseus.db'), text]);

/* How the database is, of which nobody has kept a copy. A snapshot may be made meanwhile, which is not of it. */
const databaseOf = ({ checks }) => ({ ...checks.database, last_snapshot: 'any' });
const UNKEPT = { last_backup: null, last_snapshot: 'any' };

describe('the health of the server', { concurrency: 4 }, () => {
    test('is good on a fresh one, and tells who it is', () => asking(async (client, home) => {
        const first = await ask(client, 'health');
        assert.equal(first.healthy, true, JSON.stringify(first.issues));
        assert.deepEqual(first.issues, []);
        assert.match(first.timestamp, TIME);
        assert.equal(first.pid, client.pid);
        assert.match(first.boot_id, /^[0-9a-f]{16}$/);
        assert.equal(`theseus ${first.server_version}\n`, (await run(binary, ['--version'])).out);
        assert.deepEqual(first.checks.reboot_readiness, { ready: true, issues: [] });
        assert.deepEqual(databaseOf(first), { connected: false, exists: false, status: 'operational', ...UNKEPT });
        assert.deepEqual(first.checks.connections, { active_connections: 1, status: 'operational' });
        assert.deepEqual(first.checks.plugins.refused, []);
        assert.equal(first.checks.configuration.file, home.config);
        assert.equal(existsSync(home.path('state', 'theseus.db')), false, 'asking makes no database');
        const second = await until('time to pass', async () => {
            const now = await ask(client, 'health');
            return now.timestamp > first.timestamp && now;
        });
        assert.ok(second.uptime_s > first.uptime_s);
        assert.ok(second.uptime_s < 60);
        await serving(async (other) => {
            const third = await ask(other, 'health');
            assert.notEqual(third.boot_id, first.boot_id);
            assert.equal(third.pid, other.pid);
        }, withAsker);
    }));

    test('leaves out what is not asked for, but never what is wrong', () => asking(async (client) => {
        const { checks } = await ask(client, 'health', { include_reboot_readiness: false });
        assert.deepEqual(Object.keys(checks).sort(), ['configuration', 'connections', 'database', 'ledger', 'memory', 'plugins', 'threads']);
        const second = await ask(client, 'health', { include_connection_status: false });
        assert.equal(second.checks.connections, undefined);
        const third = await ask(client, 'health', { include_database_status: false });
        assert.equal(third.checks.database, undefined);
        assert.equal(third.healthy, false);
        assert.match(third.issues.join(), /database: .*theseus\.db.*chmod 600/);
    }, {
        prepare: (home) => {
            writeFileSync(home.path('state', 'theseus.db'), '');
            chmodSync(home.path('state', 'theseus.db'), 0o644);
        },
    }));

    test('tells of a database that is there, that is not one, and that somebody else keeps', () => asking(async (client, home) => {
        const database = async () => databaseOf(await ask(client, 'health'));
        assert.equal((await client.result('transaction', { ms: 1 })).isError, undefined);
        assert.deepEqual(await database(), { connected: true, exists: true, status: 'operational', ...UNKEPT });
        const busy = await running(client, 'transaction');
        const locked = await until('the lock', async () => {
            const health = await ask(client, 'health');
            return health.checks.database.status !== 'operational' && health;
        });
        assert.deepEqual(databaseOf(locked), { connected: true, exists: true, status: 'degraded', ...UNKEPT });
        assert.equal(locked.healthy, false);
        assert.match(locked.issues.join(), /database: .*cannot be written.*locked/);
        cancel(client, busy);
        await until('the lock to go', async () => (await database()).status === 'operational');
        assert.equal((await sql(home, 'PRAGMA user_version')).out, '0\n', 'nothing was left behind');
    }));

    test('calls a file that is no database unavailable', () => asking(async (client) => {
        const health = await ask(client, 'health');
        assert.deepEqual(databaseOf(health), { connected: false, exists: true, status: 'unavailable', ...UNKEPT });
        assert.equal(health.healthy, false);
    }, { prepare: (home) => writeFileSync(home.path('state', 'theseus.db'), 'no database'.repeat(1000), { mode: 0o600 }) }));

    test('sees that no database could be made', () => asking(async (client, home) => {
        assert.equal((await ask(client, 'health')).healthy, true);
        renameSync(home.path('state'), home.path('away'));
        writeFileSync(home.path('state'), '');
        const health = await ask(client, 'health');
        rmSync(home.path('state'));
        renameSync(home.path('away'), home.path('state'));
        assert.equal(health.checks.database.status, 'unavailable');
        assert.equal(health.healthy, false);
        assert.match(health.issues.join(), /no database can be made/);
    }));

    test('writes inside a transaction of the asking thread without ending it', () => asking(async (client) => {
        const health = await client.value('transaction', { ms: 0, verb: 'health', args: {} });
        assert.deepEqual(databaseOf(health), { connected: true, exists: true, status: 'operational', ...UNKEPT });
        assert.equal(health.still_inside, true);
    }));

    test('names an older schema', () => asking(async (client, home) => {
        assert.equal((await client.result('transaction', { ms: 1 })).isError, undefined);
        await sql(home, 'CREATE TABLE schema_versions (component TEXT PRIMARY KEY, version INTEGER NOT NULL);' +
            'INSERT INTO schema_versions VALUES (\'core\', 1)');
        const health = await ask(client, 'health');
        assert.equal(health.checks.database.status, 'degraded');
        assert.match(health.issues.join(), /schema_migration/);
    }));

    test('names plugins that are refused, and counts those that serve', () => asking(async (client, home) => {
        const before = await ask(client, 'health');
        home.drop('greet');
        await client.appears('greet');
        const more = await ask(client, 'health');
        assert.equal(more.checks.plugins.active, before.checks.plugins.active + 1);
        home.drop('startfails');
        await client.refused('startfails.so');
        const health = await ask(client, 'health');
        assert.equal(health.healthy, false);
        assert.match(health.checks.plugins.refused[0].file, /startfails\.so$/);
        assert.match(health.issues.join(), /plugin refused: .*startfails\.so: /);
        home.delete('startfails.so');
        await until('the server to be well again', async () => (await ask(client, 'health')).healthy);
    }));

    test('names a plugin whose image stays', () => asking(async (client, home) => {
        home.drop('tls', 'tls');
        await client.appears('pin');
        await client.text('pin');
        home.delete('tls.so');
        const quarantined = await until('tls to be quarantined', async () =>
            (await ask(client, 'health')).checks.plugins.quarantined[0]);
        assert.equal(quarantined.name, 'tls');
        assert.ok(quarantined.reason);
    }));

    test('shows an edit that was refused by file and line, and the configuration that goes on', () => asking(async (client, home) => {
        const { checks: { configuration: first } } = await ask(client, 'health');
        assert.match(first.loaded_at, TIME);
        assert.equal(first.generation, 1);
        assert.deepEqual([first.pending_reexec, first.refused], [[], null]);
        home.write('[server]\nlog_levle = debug\n');
        const health = await until('the edit to be refused', async () => {
            const now = await ask(client, 'health');
            return now.checks.configuration.refused && now;
        });
        const { refused, generation } = health.checks.configuration;
        assert.deepEqual([refused.file, refused.line, generation], [home.config, 2, 1]);
        assert.match(refused.text, /log_level/);
        assert.equal(health.healthy, false);
        assert.match(health.issues.join(), /configuration refused: .*theseus\.ini:2: /);
        home.configure({ limits: { call_timeout: 77 } });
        const mended = await until('the next edit to be taken', async () => {
            const { configuration } = (await ask(client, 'health')).checks;
            return configuration.generation === 2 && configuration;
        });
        assert.equal(mended.refused, null);
        assert.ok(mended.loaded_at > first.loaded_at);
    }));

    test('shows what a plugin refuses of an edit', () => asking(async (client, home) => {
        home.drop('config');
        await until('the plugin to serve', () => client.plugin('config'));
        home.configure({ 'plugin:config': { nonsense: 1 } });
        const refused = await until('the edit to be refused', async () =>
            (await ask(client, 'health')).checks.configuration.refused);
        assert.equal(refused.file, home.config);
        assert.ok(refused.line > 1);
        assert.match(refused.text, /nonsense/);
    }));

    test('lists what only another image will take, until it is taken back', () => asking(async (client, home) => {
        const pending = async () => (await ask(client, 'health')).checks.configuration.pending_reexec;
        home.configure({ server: { runtime_dir: home.path('elsewhere') } });
        await until('the change to be seen', async () => (await pending()).length > 0);
        assert.deepEqual(await pending(), ['server.runtime_dir']);
        home.configure({ limits: { call_timeout: 77 }, server: { runtime_dir: home.path('elsewhere') } });
        await until('the other edit to be taken', async () =>
            (await ask(client, 'health')).checks.configuration.generation === 3);
        assert.deepEqual(await pending(), ['server.runtime_dir']);
        home.configure();
        await until('the change to go', async () => (await pending()).length === 0);
    }));

    test('tells whether a restart may be asked for', () => asking(async (client, home) => {
        home.configure({ access: { restart: 'no' } });
        const readiness = await until('the server not to be ready', async () => {
            const { reboot_readiness } = (await ask(client, 'health')).checks;
            return !reboot_readiness.ready && reboot_readiness;
        });
        assert.match(readiness.issues.join(), /access\.restart/);
    }));
});

describe('preparing a restart', { concurrency: 4 }, () => {
    const prepare = (client, args) => ask(client, 'prepare', args);

    test('counts the calls in flight but not the asking one, and says which can go on', () => asking(async (client) => {
        const tasks = async () => (await prepare(client)).checks.active_tasks;
        assert.deepEqual(await tasks(), { count: 0, suspendable: true, status: 'ready' });
        const calls = [await running(client, 'sit_reading')];
        assert.deepEqual(await tasks(), { count: 1, suspendable: true, status: 'ready' });
        calls.push(await running(client, 'sit_again'));
        assert.deepEqual(await tasks(), { count: 2, suspendable: true, status: 'ready' });
        const plain = await running(client, 'sit');
        const blocked = await prepare(client);
        assert.deepEqual(blocked.checks.active_tasks, { count: 3, suspendable: false, status: 'blocked' });
        assert.equal(blocked.ready_for_shutdown, false);
        assert.match(blocked.blocking_issues.join(), /'sit'/);
        cancel(client, plain);
        await until('the call to end', async () => (await tasks()).count === 2);
        assert.equal((await prepare(client)).ready_for_shutdown, true);
        for (const call of calls)
            cancel(client, call);
    }, { prepare: (home) => home.configure({ server: { workers: 8 } }) }));

    test('counts calls that wait for a worker: nothing is lost with them', () => asking(async (client) => {
        const calls = [await running(client, 'sit_resumable')];
        const asked = client.value('ask', { verb: 'prepare', args: { explain: true },
            path: ['checks', 'active_tasks', 'count'], least: 4 });
        for (let i = 0; i < 3; i++)
            calls.push(client.start('tools/call', { name: 'sit', arguments: { ms: 60_000 } }));
        const { checks: { active_tasks }, explain } = await asked;
        assert.deepEqual(active_tasks, { count: 4, suspendable: true, status: 'ready' });
        assert.deepEqual(explain.calls.map((call) => [call.tool, call.stage, call.what_happens]).sort(), [
            ...Array(3).fill(['sit', 'held', 'finishes']), ['sit_resumable', 'running', 'resumes']]);
        for (const call of calls)
            cancel(client, call);
    }, { prepare: (home) => home.configure({ limits: { max_in_flight: 2 }, buffer: { max_buffer_size: 1 } }) }));

    test('counts transactions and connections of plugins', () => asking(async (client) => {
        const database = async () => (await prepare(client)).checks.database;
        assert.deepEqual(await database(), { transactions_pending: 0, connections_open: 0, status: 'ready' });
        const open = await running(client, 'transaction');
        await until('the transaction to be seen', async () => (await database()).transactions_pending === 1);
        const blocked = await prepare(client);
        assert.deepEqual(blocked.checks.database, { transactions_pending: 1, connections_open: 1, status: 'blocked' });
        assert.equal(blocked.ready_for_shutdown, false);
        assert.match(blocked.blocking_issues.join(), /1 transaction /);
        cancel(client, open);
        await until('the transaction to end', async () => (await database()).transactions_pending === 0);
        assert.equal((await database()).connections_open, 1);
    }));

    test('knows whether the client can be told, by its log level', () => asking(async (client) => {
        const clients = async () => (await prepare(client)).checks.client_connections;
        assert.deepEqual(await clients(),
            { active_connections: 1, notifiable: false, not_notifiable: 1, status: 'ready' });
        await client.ask('logging/setLevel', { level: 'warning' });
        assert.deepEqual(await clients(),
            { active_connections: 1, notifiable: true, not_notifiable: 0, status: 'ready' });
    }));

    test('knows whether the client can be told, by its open listen', () => asking(async (client) => {
        const meta = { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28',
            'io.modelcontextprotocol/clientCapabilities': {} } };
        const modern = async () => (await client.ask('tools/call', { name: 'ask', arguments: { verb: 'prepare' }, ...meta }))
            .result.structuredContent.checks.client_connections;
        assert.equal((await modern()).notifiable, false);
        const { id } = client.start('subscriptions/listen', { ...meta, notifications: { toolsListChanged: true } });
        await until('the listen to be open', async () => (await modern()).notifiable);
        client.notify('notifications/cancelled', { requestId: id });
        await until('the listen to be over', async () => !(await modern()).notifiable);
    }, { shake: false }));

    test('leaves out what is not asked for', () => asking(async (client) => {
        const keys = async (args) => Object.keys((await prepare(client, args)).checks);
        assert.deepEqual(await keys({ check_active_tasks: false }), ['database', 'client_connections']);
        assert.deepEqual(await keys({ check_database_state: false }), ['active_tasks', 'client_connections']);
        assert.deepEqual(await keys({ check_client_connections: false }), ['active_tasks', 'database']);
        const open = await running(client, 'sit');
        assert.equal((await prepare(client, { check_active_tasks: false })).ready_for_shutdown, true);
        assert.equal((await prepare(client)).ready_for_shutdown, false);
        assert.equal((await prepare(client)).explain, undefined);
        cancel(client, open);
    }));

    test('is blocked where restarts are not allowed', () => asking(async (client) => {
        const { ready_for_shutdown: ready, blocking_issues: issues } = await prepare(client);
        assert.equal(ready, false);
        assert.match(issues.join(), /access\.restart/);
    }, { prepare: (home) => home.configure({ access: { restart: 'no' } }) }));

    test('explains what would become of each call', () => asking(async (client) => {
        const started = [];
        for (const tool of ['sit', 'sit_reading', 'sit_again', 'sit_resumable'])
            started.push(await running(client, tool));
        const { calls } = (await prepare(client, { explain: true })).explain;
        const fates = Object.fromEntries(calls.map((call) => [call.tool, call.what_happens]));
        assert.deepEqual(fates, { sit: 'interrupted', sit_reading: 'runs_again', sit_again: 'runs_again',
            sit_resumable: 'resumes' });
        assert.ok(calls.every((call) => call.plugin === 'asker' && call.stage === 'running'));
        assert.equal(calls.find((call) => call.tool === 'sit').within_ms, 3000);
        for (const call of started)
            cancel(client, call);
    }, { prepare: (home) => home.configure({ server: { workers: 8 }, restart: { shutdown_timeout: 3 } }) }));

    test('explains what is different now: configuration, plugins, schema, blackout', () => asking(async (client, home) => {
        const explain = async () => (await prepare(client, { explain: true })).explain;
        const first = await explain();
        assert.deepEqual([first.configuration_differences, first.plugins_that_would_change, first.migrations_pending,
            first.problems], [[], [], [], []]);
        assert.equal(first.expected_blackout_ms, null);
        home.configure({ plugins: { watch: 'no' }, limits: { call_timeout: 77 }, server: { state_dir: home.path('other') } });
        home.drop('greet');
        home.drop('asker');
        const second = await explain();
        const differences = Object.fromEntries(second.configuration_differences.map((one) => [one.name, one.in_place]));
        assert.deepEqual([differences['limits.call_timeout'], differences['server.state_dir'], differences['plugins.path']],
            [true, false, undefined]);
        assert.deepEqual(second.plugins_that_would_change.map((one) => [one.file.split('/').pop(), one.change]).sort(),
            [['asker.so', 'changed'], ['greet.so', 'new']]);
        home.write('[server\n');
        assert.match((await explain()).problems.join(), /configuration: .*theseus\.ini:1/);
        home.delete('asker.so');
        assert.deepEqual((await explain()).plugins_that_would_change.map((one) => one.change).sort(), ['new', 'removed']);
    }, { prepare: (home) => home.configure({ plugins: { watch: 'no' } }) }));

    test('explains which steps of the schema are missing, and how long a restart has taken', () => asking(async (client, home) => {
        home.drop('database');
        await client.appears('db_put');
        await client.text('db_put', { key: 'a', value: 'b' });
        const made = await ask(client, 'prepare', { explain: true });
        assert.deepEqual(made.explain.migrations_pending, []);
        await sql(home, 'UPDATE schema_versions SET version = 0 WHERE component = \'database\'');
        assert.deepEqual((await prepare(client, { explain: true })).explain.migrations_pending,
            [{ component: 'database', applied: 0, pending: 1 }]);
    }));
});

/* A program of one's own, so that another can take its place. */
const ownProgram = (home) => {
    mkdirSync(home.path('bin'), { mode: 0o700 });
    copyFileSync(binary, home.path('bin', 'theseus'));
};
const replaceProgram = (home, text, mode = 0o755) => {
    writeFileSync(home.path('bin', 'new'), text, { mode });
    renameSync(home.path('bin', 'new'), home.path('bin', 'theseus'));
};
const withProgram = (body) => serving(async (client, home) => body(client, home), {
    prepare: (home) => {
        home.drop('asker');
        ownProgram(home);
        const { command } = home;
        Object.defineProperty(home, 'command', { value: { ...command, command: home.path('bin', 'theseus') } });
    },
});

describe('the program of the next restart', { concurrency: 4 }, () => {
    const candidate = async (client) => (await ask(client, 'prepare', { explain: true })).explain;

    test('says its version; another one at its place is seen', () => withProgram(async (client, home) => {
        const first = await candidate(client);
        assert.deepEqual(first.candidate, { path: home.path('bin', 'theseus'), changed: false,
            version: (await ask(client, 'health')).server_version });
        copyFileSync(binary, home.path('bin', 'same'));
        renameSync(home.path('bin', 'same'), home.path('bin', 'theseus'));
        assert.equal((await candidate(client)).candidate.changed, false, 'another file of the same content');
        copyFileSync('/bin/true', home.path('bin', 'true'));
        renameSync(home.path('bin', 'true'), home.path('bin', 'theseus'));
        const other = await candidate(client);
        assert.deepEqual([other.candidate.changed, other.candidate.version], [true, null]);
        assert.match(other.problems.join(), /candidate: it does not say its version/);
        replaceProgram(home, '#!/bin/sh\n');
        const script = await candidate(client);
        assert.deepEqual([script.candidate.changed, script.candidate.version], [null, null]);
        assert.match(script.problems.join(), /candidate: .*is a script/);
        const { reboot_readiness } = (await ask(client, 'health')).checks;
        assert.equal(reboot_readiness.ready, false);
        assert.match(reboot_readiness.issues.join(), /is a script/);
    }));

    test('reads the sessions; one that cannot fails the test, and is named', () => withProgram(async (client, home) => {
        assert.equal((await ask(client, 'reconnect_test')).overall_status, 'pass');
        copyFileSync('/bin/true', home.path('bin', 'true'));
        renameSync(home.path('bin', 'true'), home.path('bin', 'theseus'));
        const failed = await ask(client, 'reconnect_test');
        assert.deepEqual([failed.test_completed, failed.overall_status], [false, 'fail']);
        assert.match(failed.problem, /cannot read the sessions/);
        assert.deepEqual([failed.results.all_sessions.reconnect_capable, failed.results.all_sessions.status], [0, 'fail']);
        assert.match(failed.results.sessions[0].reason, /cannot read the sessions/);
        copyFileSync('/bin/cat', home.path('bin', 'cat'));
        renameSync(home.path('bin', 'cat'), home.path('bin', 'theseus'));
        assert.equal((await ask(client, 'reconnect_test')).test_completed, false);
        replaceProgram(home, 'x', 0o600);
        assert.match((await ask(client, 'reconnect_test')).problem, /may not be executed/);
    }));
});

describe('the status of restarts', { concurrency: 4 }, () => {
    const status = (client, args) => ask(client, 'restart_status', args);

    test('is idle before the first, and has a history when it is asked for', () => asking(async (client) => {
        const now = await status(client);
        assert.equal(now.current_status.phase, 'idle');
        assert.equal(now.current_status.progress, 0);
        assert.match(now.timestamp, TIME);
        assert.equal(now.history, undefined);
        assert.deepEqual(now.current_status.errors, []);
        const { current_status: short } = await status(client, { include_error_details: false });
        assert.deepEqual([short.errors, short.error_count], [undefined, 0]);
        const { history } = await status(client, { include_history: true });
        assert.deepEqual([history.recent_restarts, history.total_restarts, history.last_successful_restart, history.alerts],
            [[], 0, null, []]);
        assert.deepEqual([history.metrics.success_rate.value, history.metrics.success_rate.verdict], [null, null]);
    }));

    test('says so where the history cannot be read', () => asking(async (client) => {
        const { history } = await status(client, { include_history: true });
        assert.match(history.error, /theseus\.db/);
    }, { prepare: (home) => writeFileSync(home.path('state', 'theseus.db'), '', { mode: 0o644 }) }));
});

describe('the test of reconnection', { concurrency: 4 }, () => {
    test('finds the session, and every field of it', () => asking(async (client) => {
        const all = await ask(client, 'reconnect_test');
        assert.deepEqual([all.test_completed, all.overall_status], [true, 'pass']);
        assert.match(all.timestamp, TIME);
        assert.deepEqual(all.results.all_sessions,
            { total_sessions: 1, reachable_sessions: 1, reconnect_capable: 1, status: 'pass' });
        const [session] = all.results.sessions;
        assert.deepEqual([session.client, session.transport, session.state],
            [{ name: 'system', version: '1' }, 'stdio', 'active']);
        assert.deepEqual(all.results.reconnection_stats, { successful_reconnections: 0, failed_reconnections: 0,
            average_reconnection_time: null, status: 'pass' });
        const one = await ask(client, 'reconnect_test', { session_id: session.session_id });
        assert.deepEqual(one.results.session_test,
            { session_id: session.session_id, reachable: true, reconnect_capable: true, status: 'pass' });
        assert.equal(one.results.all_sessions, undefined);
        const unknown = await ask(client, 'reconnect_test', { session_id: 'nobody' });
        assert.match(unknown.error, new RegExp(`no session 'nobody'.* ${session.session_id}`));
    }));

    test('leaves out what is not asked for', () => asking(async (client) => {
        const keys = async (args) => Object.keys((await ask(client, 'reconnect_test', args)).results).sort();
        assert.deepEqual(await keys({ include_buffer_status: false }), ['all_sessions', 'reconnection_stats', 'sessions']);
        assert.deepEqual(await keys({ include_reconnection_stats: false }), ['all_sessions', 'buffer_status', 'sessions']);
    }));

    test('counts requests that wait', () => asking(async (client) => {
        const buffers = async () => (await ask(client, 'reconnect_test')).results.buffer_status;
        assert.deepEqual(await buffers(),
            { total_buffered_requests: 0, sessions_with_buffers: 0, max_buffer_size: 2, status: 'pass' });
        const sitting = await running(client, 'sit');
        const asked = client.value('ask', { verb: 'reconnect_test',
            path: ['results', 'buffer_status', 'total_buffered_requests'], least: 3 });
        const waiting = Array.from({ length: 3 }, () => client.start('tools/call', { name: 'sit', arguments: { ms: 1 } }));
        assert.deepEqual((await asked).results.buffer_status,
            { total_buffered_requests: 3, sessions_with_buffers: 1, max_buffer_size: 2, status: 'fail' });
        cancel(client, sitting);
        for (const call of waiting)
            await within('a call that waited', call.answer);
    }, { prepare: (home) => home.configure({ limits: { max_in_flight: 2 }, buffer: { max_buffer_size: 2 } }) }));
});

describe('what else may be asked', () => {
    test('tells of a tool what may be done with it', () => asking(async (client) => {
        assert.deepEqual(await ask(client, 'tool', { name: 'sit' }), { read_only: false, idempotent: false, resumable: false });
        assert.deepEqual(await ask(client, 'tool', { name: 'sit_reading' }), { read_only: true, idempotent: false, resumable: false });
        assert.deepEqual(await ask(client, 'tool', { name: 'sit_again' }), { read_only: false, idempotent: true, resumable: false });
        assert.deepEqual(await ask(client, 'tool', { name: 'sit_resumable' }), { read_only: false, idempotent: false, resumable: true });
        assert.match((await ask(client, 'tool', { name: 'nothing' })).error, /there is no tool 'nothing'/);
        assert.match((await ask(client, 'tool')).error, /'name' is missing/);
        assert.match((await ask(client, 'nonsense')).error, /no such service/);
    }));

    test('refuses to reload and to restart where that is not allowed', () => asking(async (client) => {
        assert.match((await ask(client, 'reload')).error, /access\.restart/);
    }, { prepare: (home) => home.configure({ access: { restart: 'no' } }) }));
});
