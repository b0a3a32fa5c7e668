/*
 * The schema of the database: a newer plugin that brings steps along is served after a restart that the server makes by
 * itself, and until then, or when that fails, the one before goes on.
 */
import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { describe, test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { Client, serving } from './lib/client.js';
import { holdLock } from './lib/lock.js';
import { run } from './lib/proc.js';
import { restart, restarts } from './lib/restart.js';

const sql = async (home, text) => (await run('sqlite3', [home.path('state', 'theseus.db'), text])).out.trim();
const drops = (...names) => ({ prepare: (home) => names.forEach((name) => home.drop(name)) });
const count = (text, pattern) => text.match(pattern)?.length ?? 0;
const migrations = (home) => count(home.log, /a restart is asked for: schema_migration/g);
const backups = (home) => readdirSync(home.path('state', 'backups')).map((name) => home.path('state', 'backups', name));
const version = async (client, name) => (await client.plugin(name))?.version;
const becomes = (client, name, wanted) => until(`${name} ${wanted} to serve`, async () => await version(client, name) === wanted);
const bootOf = async (client) => (await client.value('orchestrator_health_check')).boot_id;
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
        const { history } = await client.value('orchestrator_restart_status', { include_history: true });
        assert.deepEqual([history.recent_restarts[0].reason, history.recent_restarts[0].success], ['schema_migration', true]);
        assert.equal(migrations(home), 1);
        assert.equal(count(home.log, /restart: complete/g), 1);
        await restarts(client);
        assert.equal(migrations(home), 1, 'and no other is asked for behind the next one');
        assert.equal(await version(client, 'database'), '2');
        assert.equal(readdirSync(home.path('run')).flatMap((dir) => readdirSync(home.path('run', dir)))
            .filter((name) => /^database/.test(name)).length, 1, 'no other copy is left');
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
    }, drops('database', 'second')));

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
        await until('the migration to be under way', () => /restart: restoring_database/.test(home.log) && backups(home).length === 1);
        await client.kill();
        assert.equal(await columns(home), 'key,value');
        assert.equal(await sql(home, 'PRAGMA integrity_check'), 'ok');
        home.drop('database2', 'database');
        await withClient(home, async (next) => {
            await becomes(next, 'database', '2');
            assert.deepEqual(await next.value('db_get', { key: 'a' }), { value: 'kept' });
        });
    }, drops('database')));

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
        assert.equal((await restart(client, { reason: 'schema_migration' })).success, true, 'asked for again, it is tried');
        assert.equal(await version(client, 'database'), '2');
    }, { prepare: (home) => {
        home.drop('database');
        home.configure({ restart: { process_startup: 1 } });
    } }));

    test('makes its first tables when it is loaded, without a restart', () => serving(async (client, home) => {
        await stored(client);
        const boot = await bootOf(client);
        home.drop('second2', 'second');
        await stored(client, 'second');
        assert.equal(await bootOf(client), boot);
        assert.throws(() => backups(home), /ENOENT/, 'there was nothing of it to keep');
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
        assert.equal(await sql(home, 'SELECT group_concat(component || version) FROM (SELECT * FROM schema_versions ORDER BY 1)'),
            'core2,database3,second2');
        assert.equal(migrations(home), 1);
    }, unwatched('database', 'second')));

    test('says that nothing was pending', () => serving(async (client, home) => {
        await stored(client);
        const report = await restarts(client, { reason: 'schema_migration' });
        assert.match(report.message, /no migration was pending/);
        assert.equal(report.migrations, undefined);
        assert.throws(() => backups(home), /ENOENT/);
        assert.deepEqual(await client.value('db_get', { key: 'a' }), { value: 'kept' });
    }, unwatched('database')));
});
