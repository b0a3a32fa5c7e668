/*
 * The schema of the database: a newer plugin that brings steps along is served after a restart that the server makes by
 * itself, and until then, or when that fails, the one before goes on.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { Client, serving } from './lib/client.js';
import { skip } from './lib/crash.js';
import { Installed, candidate } from './lib/installed.js';
import { holdLock } from './lib/lock.js';
import { descriptors, run } from './lib/proc.js';
import { restart, restarts } from './lib/restart.js';

const sql = async (home, text) => (await run('sqlite3', ['-cmd', '.timeout 10000', home.path('state', 'theseus.db'), text])).out.trim();
const drops = (...names) => ({ prepare: (home) => names.forEach((name) => home.drop(name)) });
const count = (text, pattern) => text.match(pattern)?.length ?? 0;
const migrations = (home) => count(home.log, /a restart is asked for: schema_migration/g);
const filesIn = (dir) => (existsSync(dir) ? readdirSync(dir).map((name) => join(dir, name)) : []);
const backups = (home) => filesIn(home.path('state', 'backups'));
const version = async (client, name) => (await client.plugin(name))?.version;
const becomes = (client, name, wanted) => until(`${name} ${wanted} to serve`, async () => await version(client, name) === wanted);
const bootOf = async (client) => (await client.value('orchestrator_health_check')).boot_id;
const historyOf = (client, events) => until('the history', async () => {
    const { history } = await client.value('orchestrator_restart_status', { include_history: true });
    return history[events].length > 0 && history;
});
const columns = (home) => sql(home, "SELECT group_concat(name) FROM pragma_table_info('fixture_values')");

async function stored(client, tools = 'db', key = 'a') {
    await client.appears(`${tools}_put`);
    assert.equal(await client.text(`${tools}_put`, { key, value: 'kept' }), 'stored');
}

/* Another server in the same home. */
async function withClient(home, body) {
    const client = new Client(home);
    try {
        await body(await client.initialize());
        await client.close();
        assert.deepEqual(client.problems, []);
    } finally {
        await client.kill();
    }
}

describe('a plugin that knows its tables', { concurrency: 4 }, () => {
    const opened = ({ pid }) => descriptors(pid).some((one) => one.endsWith('theseus.db'));

    test('does not have the database opened before it is used', () => serving(async (client, home) => {
        await stored(client);
        assert.ok(opened(client));
        await client.close();
        await withClient(home, async (next) => {
            await next.appears('db_get');
            assert.equal(await version(next, 'database'), '1');
            assert.equal(opened(next), false);
            assert.deepEqual(await next.value('db_get', { key: 'a' }), { value: 'kept' });
            assert.ok(opened(next));
        });
    }, drops('database')));
});

describe('a newer plugin with steps for its tables', { concurrency: 4 }, () => {
    test('is served after one restart, which the server makes by itself', () => serving(async (client, home) => {
        await stored(client);
        const boot = await bootOf(client), before = await client.plugin('database');
        home.drop('database2', 'database');
        await becomes(client, 'database', '2');
        assert.notEqual(await bootOf(client), boot);
        assert.deepEqual(await client.value('db_get', { key: 'a' }), { value: 'kept' });
        assert.equal(await columns(home), 'key,value,note');
        assert.equal(await sql(home, "SELECT note FROM fixture_values WHERE key = 'a'"), 'second');
        assert.equal(await sql(home, "SELECT version FROM schema_versions WHERE component = 'database'"), '2');
        const [backup] = backups(home);
        assert.equal(backups(home).length, 1);
        assert.equal(statSync(backup).mode & 0o777, 0o600);
        assert.equal((await run('sqlite3', [backup, 'SELECT * FROM fixture_values'])).out, 'a|kept\n', 'the database before');
        assert.ok((await client.plugin('database')).generation > before.generation);
        const history = await historyOf(client, 'recent_restarts');
        assert.deepEqual([history.recent_restarts[0].reason, history.recent_restarts[0].success], ['schema_migration', true]);
        assert.equal(migrations(home), 1);
        await until('the restart to be complete', () => count(home.log, /restart: complete/g) > 0);
        assert.equal(count(home.log, /restart: complete/g), 1);
        await restarts(client);
        assert.equal(migrations(home), 1, 'and no other is asked for behind the next one');
        assert.equal(await version(client, 'database'), '2');
        const copies = () => readdirSync(home.path('run')).flatMap((dir) => readdirSync(home.path('run', dir)))
            .filter((name) => /^database/.test(name));
        await until('no other copy to be left', () => copies().length === 1); /* the file is copied to be looked at again */
    }, drops('database')));

    test('is one of several that are dropped at once, and all of them are one restart', () => serving(async (client, home) => {
        await stored(client);
        await stored(client, 'second');
        home.drop('database2', 'database');
        home.drop('second2', 'second');
        await becomes(client, 'database', '2');
        await becomes(client, 'second', '2');
        assert.equal(migrations(home), 1, home.log);
        assert.equal(backups(home).length, 1);
        assert.deepEqual(await client.value('second_get', { key: 'a' }), { value: 'kept' });
    }, { prepare: (home) => {
        ['database', 'second'].forEach((name) => home.drop(name));
        home.configure({ plugins: { settle_ms: 1500 } }); /* both are there before anybody looks */
    } }));

    test('is served by a server that finds it when it starts, before its client sees a list of tools', () => serving(async (client, home) => {
        await stored(client);
        await client.close();
        home.drop('database2', 'database');
        await withClient(home, async (next) => {
            assert.ok((await next.names()).includes('db_get'), home.log);
            assert.equal(await version(next, 'database'), '2');
            assert.deepEqual(await next.value('db_get', { key: 'a' }), { value: 'kept' });
            assert.equal(migrations(home), 1);
        });
    }, drops('database')));

    test('finds its migration interrupted by a kill, and the tables as they were', () => serving(async (client, home) => {
        await stored(client);
        home.drop('databaseslow', 'database');
        await until('the migration to be under way', () => /restart: restoring_database/.test(home.log) && backups(home).length === 1, 60_000);
        await client.kill();
        assert.equal(await columns(home), 'key,value');
        assert.equal(await sql(home, 'PRAGMA integrity_check'), 'ok');
        home.drop('database2', 'database');
        await withClient(home, async (next) => {
            await becomes(next, 'database', '2');
            assert.deepEqual(await next.value('db_get', { key: 'a' }), { value: 'kept' });
        });
    }, { prepare: (home) => {
        home.drop('database');
        home.configure({ restart: { process_startup: 60, total_restart: 120 } });
    } }));

    test('finds its migration ended by a crash, and the way leads back', () => serving(async (client, home) => {
        await stored(client);
        home.drop('databaseslow', 'database');
        await until('the migration to be under way', () => /restart: restoring_database/.test(home.log) && backups(home).length === 1, 60_000);
        client.process.kill('SIGSEGV');
        await client.refused('database.so', /its schema was not migrated: the new server was ended by SIGSEGV/);
        assert.equal(await version(client, 'database'), '1');
        assert.deepEqual(await client.value('db_get', { key: 'a' }), { value: 'kept' });
        assert.equal(await columns(home), 'key,value');
        assert.equal(await client.text('db_put', { key: 'b', value: 'x' }), 'stored', 'nothing is locked');
        assert.equal(migrations(home), 1);
    }, { prepare: (home) => {
        home.drop('database');
        home.configure({ restart: { process_startup: 60, total_restart: 120 } });
    } }));

    test('cannot get the lock of the database in time, and the way leads back', () => serving(async (client, home) => {
        await stored(client);
        const boot = await bootOf(client);
        const holder = await holdLock(home);
        home.drop('database2', 'database');
        const why = await client.refused('database.so', /its schema was not migrated: the new server did not come up within/);
        assert.ok(why);
        assert.deepEqual(await client.value('db_get', { key: 'a' }), { value: 'kept' });
        await holder.release();
        assert.equal(await version(client, 'database'), '1');
        assert.notEqual(await bootOf(client), boot, 'there was an exec, to and fro');
        assert.equal(await columns(home), 'key,value');
        assert.equal(migrations(home), 1);
        const again = await restart(client, { reason: 'schema_migration' });
        assert.equal(again.success, true, `asked for again, it is tried: ${JSON.stringify(again)}`);
        assert.equal(await version(client, 'database'), '2');
    }, { prepare: (home) => {
        home.drop('database');
        home.configure({ restart: { process_startup: 3 } });
    } }));

    test('makes its first tables when it is loaded, without a restart', () => serving(async (client, home) => {
        await stored(client);
        const boot = await bootOf(client);
        home.drop('second2', 'second');
        await stored(client, 'second');
        assert.equal(await bootOf(client), boot);
        assert.deepEqual(backups(home), [], 'there was nothing of it to keep');
    }, drops('database')));

    test('whose step fails is refused before anything has happened, and is not tried again', () => serving(async (client, home) => {
        await stored(client);
        const boot = await bootOf(client);
        home.drop('databasefails', 'database');
        const why = await client.refused('database.so', /step 3: no such table: nowhere/);
        assert.match(why, /^its schema was not migrated: /);
        assert.equal(await bootOf(client), boot);
        assert.equal(await version(client, 'database'), '1');
        assert.deepEqual(await client.value('db_get', { key: 'a' }), { value: 'kept' });
        assert.equal(await columns(home), 'key,value');
        const health = await client.value('orchestrator_health_check');
        assert.equal(health.healthy, false);
        assert.match(health.issues.join(), /its schema was not migrated: .*no such table: nowhere/);
        assert.match(home.log, /the restart failed in phase preparing: .*no such table: nowhere/);
        home.drop('greet');
        await client.appears('greet');
        assert.equal(migrations(home), 1, 'another file does not bring it up again');
        const report = await restart(client, { reason: 'schema_migration' });
        assert.deepEqual([report.success, report.phase], [false, 'failed'], 'but who asks for it has it tried again');
        assert.match(report.errors[0].message, /no such table: nowhere/);
        assert.equal(migrations(home), 2);
        home.drop('database2', 'database');
        await becomes(client, 'database', '2');
        assert.equal((await client.value('orchestrator_health_check')).healthy, true);
        assert.deepEqual(await client.value('db_get', { key: 'a' }), { value: 'kept' });
    }, drops('database')));

    test('that fails when its schema is migrated is refused alone, and says where the database before is', () => serving(async (client, home) => {
        await stored(client, 'db', 'refuse');
        home.drop('database3', 'database');
        const why = await client.refused('database.so', /the database wants it refused; its schema stays migrated, the database before is in /);
        assert.equal(why.split(' is in ')[1], backups(home)[0]);
        assert.equal((await run('sqlite3', [backups(home)[0], 'SELECT * FROM fixture_values'])).out, 'refuse|kept\n');
        assert.equal(await client.text('echo', { message: 'on' }), 'on');
        assert.equal(await client.plugin('database'), undefined, 'what served before does not know this schema');
        assert.equal(migrations(home), 1);
        home.drop('database', 'database');
        await client.refused('database.so', /migrations: the database is newer \(component 'database': 3 steps, known 1\)/);
        assert.equal(await sql(home, 'SELECT note FROM fixture_values'), 'third', 'nothing is put back by itself');
    }, drops('database')));

    test('that crashes when it is started, behind its migration, is refused alone', { skip }, () => serving(async (client, home) => {
        await stored(client);
        await stored(client, 'second');
        home.drop('databasecrash', 'database');
        await client.refused('database.so', /plugin 'database' 2 crashed with SIGSEGV; its schema stays migrated/);
        assert.deepEqual(await client.value('second_get', { key: 'a' }), { value: 'kept' });
        assert.equal(await client.plugin('database'), undefined);
        assert.equal(await columns(home), 'key,value,note');
        assert.equal(count(home.log, /the server goes on in a new image/g), 1);
        home.drop('database2', 'database');
        await becomes(client, 'database', '2');
        assert.deepEqual(await client.value('db_get', { key: 'a' }), { value: 'kept' });
    }, { ...drops('database', 'second') }));

    test('that crashes later is not said to be reverted to a version that cannot be loaded any more', { skip }, () => serving(async (client, home) => {
        await stored(client);
        const { hash } = await client.plugin('database');
        await until('version 1 to be kept', () => filesIn(home.path('state', 'images')).some((file) => file.includes(hash)));
        home.drop('databasefalls', 'database');
        await becomes(client, 'database', '2');
        const put = await client.result('db_put', { key: 'a', value: 'lost' });
        assert.equal(put._meta['theseus/crash'].next, 'unloaded');
        assert.match(put.content[0].text, /its tools are gone until a new file of it is there/);
        const why = /version 2 of plugin 'database' crashed with SIGSEGV.*its tools are not served, since version 1, which is to serve instead, cannot be loaded \(migrations: the database is newer \(component 'database': 2 steps, known 1\)/;
        assert.match(await client.text('db_get', { key: 'a' }), why);
        await client.refused('database.so', why);
        assert.equal((await client.plugin('database', 'unloaded')).version, '2');
        const { recent_crashes: [crash] } = await historyOf(client, 'recent_crashes');
        assert.equal(crash.errors[0].next, 'unloaded');
        assert.match(crash.errors[0].message, /unloaded, for version 1, which was good, cannot be loaded: migrations: /);
        home.drop('database2', 'database');
        await becomes(client, 'database', '2');
        assert.deepEqual(await client.value('db_get', { key: 'a' }), { value: 'kept' });
    }, { prepare: (home) => {
        home.drop('database');
        home.configure({ crash: { probation: 0, probation_calls: 0, limit: 1 } });
    } }));

    test('finds another process at work, and waits for it', () => serving(async (client, home) => {
        await stored(client);
        await withClient(home, async (other) => {
            await other.appears('db_put');
            home.drop('database2', 'database');
            await Promise.all([becomes(client, 'database', '2'), becomes(other, 'database', '2')]);
            assert.equal(await columns(home), 'key,value,note');
            assert.equal(backups(home).length, 1, 'one of them migrated');
            assert.deepEqual(await other.value('db_get', { key: 'a' }), { value: 'kept' });
            assert.equal(await other.text('db_put', { key: 'b', value: 'x' }), 'stored');
            assert.deepEqual(await client.value('db_get', { key: 'b' }), { value: 'x' });
        });
    }, drops('database')));
});

describe('a restart with reason schema_migration', { concurrency: 4 }, () => {
    const unwatched = (...names) => ({ prepare: (home) => {
        names.forEach((name) => home.drop(name));
        home.configure({ plugins: { watch: 'no' } });
    } });

    test('migrates what is pending, and says what it did', () => serving(async (client, home) => {
        await stored(client);
        await stored(client, 'second');
        home.drop('database3', 'database');
        home.drop('second2', 'second');
        const report = await restarts(client, { reason: 'schema_migration' });
        assert.deepEqual(report.migrations.sort((a, b) => a.component < b.component ? -1 : 1), [
            { component: 'database', steps: 2, version: 3 }, { component: 'second', steps: 1, version: 2 }]);
        assert.match(report.message, /schema was migrated/);
        assert.deepEqual([report.backup], backups(home));
        assert.equal(report.restart_reason, 'schema_migration');
        assert.equal(report.mechanism, 'reexec');
        assert.deepEqual(report.plugins.find((one) => one.name === 'database'), { name: 'database', version: '3', state: 'active' });
        assert.equal(await sql(home, "SELECT group_concat(component || version) FROM (SELECT * FROM schema_versions " +
            "WHERE component <> 'core' ORDER BY 1)"), 'database3,second2');
        assert.equal(migrations(home), 1);
    }, unwatched('database', 'second')));

    test('says that nothing was pending', () => serving(async (client, home) => {
        await stored(client);
        const report = await restarts(client, { reason: 'schema_migration' });
        assert.match(report.message, /no migration was pending/);
        assert.equal(report.migrations, undefined);
        assert.deepEqual(backups(home), []);
        assert.deepEqual(await client.value('db_get', { key: 'a' }), { value: 'kept' });
    }, unwatched('database')));
});

describe('a database that is newer than the server', { concurrency: 4 }, () => {
    const unwatched = { prepare: (home) => {
        home.drop('database');
        home.drop('second');
        home.configure({ plugins: { watch: 'no' } });
    } };

    /* The core's tables are made when the first restart is written down. */
    const coreIsNewer = async (home) => {
        await until('a restart to be in the history', async () => await sql(home, 'SELECT count(*) FROM history') === '1');
        await sql(home, "UPDATE schema_versions SET version = 77 WHERE component = 'core'");
    };

    test('is not touched by the plugin that does not know it, and the others go on', () => serving(async (client, home) => {
        await stored(client);
        await stored(client, 'second');
        await sql(home, "UPDATE schema_versions SET version = 2 WHERE component = 'database'");
        const why = /no statement: the database is newer \(component 'database': 2 steps, known 1\)/;
        const refused = await client.result('db_put', { key: 'a', value: 'changed' });
        assert.equal(refused.isError, true);
        assert.match(refused.content[0].text, why);
        assert.match((await client.result('db_get', { key: 'a' })).content[0].text, why);
        assert.equal(await sql(home, 'SELECT value FROM fixture_values'), 'kept');
        assert.deepEqual(await client.value('second_get', { key: 'a' }), { value: 'kept' });
    }, unwatched));

    test('has the newer plugin taken that is there', () => serving(async (client, home) => {
        await stored(client);
        home.drop('database2', 'database');
        const boot = await bootOf(client);
        await sql(home, "ALTER TABLE fixture_values ADD COLUMN note TEXT NOT NULL DEFAULT 'other'; " +
            "UPDATE schema_versions SET version = 2 WHERE component = 'database'"); /* as another process does it */
        await client.result('db_get', { key: 'a' });
        await becomes(client, 'database', '2');
        assert.deepEqual(await client.value('db_get', { key: 'a' }), { value: 'kept' });
        assert.equal(await bootOf(client), boot, 'nothing was left to migrate');
    }, unwatched));

    test('of the core is answered with an error, and the others go on', () => serving(async (client, home) => {
        await stored(client);
        await restarts(client);
        await coreIsNewer(home);
        const history = await client.result('orchestrator_restart_status', { include_history: true });
        assert.match(JSON.stringify(history), /the database is newer \(component 'core': 77 steps/);
        assert.deepEqual(await client.value('db_get', { key: 'a' }), { value: 'kept' });
        const health = await client.value('orchestrator_health_check');
        assert.equal(health.healthy, false);
        assert.match(health.issues.join(), /the database is newer/);
        assert.equal(await sql(home, 'SELECT count(*) FROM history WHERE kind = \'restart\''), '1');
    }, unwatched));

    test('has the other program taken that stands where this one was started', () => serving(async (client, home) => {
        await stored(client);
        await restarts(client);
        const boot = await bootOf(client);
        await coreIsNewer(home);
        await client.value('orchestrator_restart_status', { include_history: true });
        assert.equal(await client.text('echo', { message: 'on' }), 'on');
        home.install(candidate('none'));
        await until('another image to serve', async () => {
            await client.result('orchestrator_restart_status', { include_history: true });
            return await bootOf(client) !== boot;
        });
        assert.equal(migrations(home), 1);
        assert.equal(count(home.log, /another one stands at/g), 1);
    }, { ...unwatched, Place: Installed }));
});

describe('older tables of the core', { concurrency: 4 }, () => {
    /* As the first version has left them. */
    const FIRST = `CREATE TABLE schema_versions (component TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT;
        INSERT INTO schema_versions VALUES ('core', 1), ('second', 1);
        CREATE TABLE second_values (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
        CREATE TABLE history (id INTEGER PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('restart', 'reload', 'crash')),
            reason TEXT, mechanism TEXT, phase TEXT, subject TEXT, success INTEGER NOT NULL, graceful INTEGER NOT NULL,
            preserve_state INTEGER NOT NULL, client_name TEXT, client_version TEXT, transport TEXT, uid INTEGER,
            boot_before TEXT, boot_after TEXT, version_before TEXT, version_after TEXT, started_ms INTEGER NOT NULL,
            duration_ms REAL, blackout_ms REAL, held_ms REAL, suspend_ms REAL, requests_held INTEGER,
            calls_resumed INTEGER, calls_interrupted INTEGER, bytes_carried INTEGER, records_differing INTEGER,
            requests_unanswered INTEGER, calls_lost INTEGER, connections_lost INTEGER, connections_resumed INTEGER,
            errors TEXT) STRICT;
        CREATE INDEX history_started ON history (started_ms);`;
    const older = (home) => {
        execFileSync('sqlite3', [home.path('state', 'theseus.db'), FIRST]);
        chmodSync(home.path('state', 'theseus.db'), 0o600);
    };

    test('are migrated by a restart as soon as the database is used', () => serving(async (client, home) => {
        const boot = await bootOf(client);
        await client.value('orchestrator_restart_status', { include_history: true });
        await until('another image to serve', async () => await bootOf(client) !== boot);
        assert.equal(await sql(home, "SELECT version > 1 FROM schema_versions WHERE component = 'core'"), '1');
        assert.equal(migrations(home), 1);
        assert.equal(backups(home).length, 1);
        assert.equal((await client.value('orchestrator_health_check')).healthy, true);
    }, { prepare: older }));

    test('that cannot be migrated are said, and left as they are', () => serving(async (client, home) => {
        await client.value('orchestrator_health_check');
        await until('the restart to fail', () => /the restart failed in phase preparing: .*table audit already exists/.test(home.log));
        await until('it to be said', async () =>
            /the database is of an older version/.test((await client.value('orchestrator_health_check')).issues.join()));
        assert.equal(await client.text('echo', { message: 'on' }), 'on');
        await client.value('orchestrator_restart_status', { include_history: true });
        await client.value('orchestrator_health_check');
        assert.equal(migrations(home), 1, 'it is tried once');
    }, { prepare: (home) => {
        older(home);
        execFileSync('sqlite3', [home.path('state', 'theseus.db'), 'CREATE TABLE audit (x)']);
    } }));
});
