/* Keeping the database: theseus backup, theseus restore and theseus check --deep. */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { Client, serving } from './lib/client.js';
import { Home } from './lib/home.js';
import { run } from './lib/proc.js';
import { Tasks } from './lib/tasks.js';

const prepare = (home) => home.drop('database');

/* theseus(...args) with the configuration of a home. */
const commandOf = (home) => {
    const { command, env, args } = home.command;
    return (...words) => run(command, [...words, ...args], { env: { PATH: process.env.PATH, ...env }, cwd: home.root });
};

const put = (client, key, value) => client.text('db_put', { key, value });
const get = async (client, key) => (await client.value('db_get', { key })).value;

describe('the database', { concurrency: 4 }, () => {
    test('is backed up under a running server, and restored when it has gone', () => serving(async (client, home) => {
        const theseus = commandOf(home), file = home.path('kept.db');
        await client.appears('db_put');
        await put(client, 'a', 'before');
        mkdirSync(home.path('state', 'artifacts'), { mode: 0o700 });
        writeFileSync(home.path('state', 'artifacts', 'one'), 'large', { mode: 0o600 });
        const health = async () => (await client.value('orchestrator_health_check')).checks.database;
        assert.equal((await health()).last_backup, null);
        const backup = await theseus('backup', file);
        assert.equal(backup.err, '');
        assert.equal(backup.code, 0);
        assert.equal(statSync(file).mode & 0o777, 0o600);
        const { last_backup: told } = await health();
        assert.equal(told.file, file);
        assert.ok(Math.abs(Date.parse(told.at) - statSync(file).mtimeMs) < 10_000, told.at);
        await put(client, 'a', 'after');
        writeFileSync(home.path('state', 'artifacts', 'one'), 'lost', { mode: 0o600 });

        const refused = await theseus('restore', file);
        assert.equal(refused.code, 1);
        assert.match(refused.err, /a server has '.*theseus\.db' open/);
        assert.equal(await get(client, 'a'), 'after', 'nothing has changed');

        await client.close();
        for (const name of ['theseus.db.4194305.new', 'theseus.db.4194305.new-journal', `theseus.db.${process.pid}.new`])
            writeFileSync(home.path('state', name), 'of a restore that was killed, and of one that goes on');
        const restored = await theseus('restore', file);
        assert.deepEqual(readdirSync(home.path('state')).filter((name) => /new/.test(name)), [`theseus.db.${process.pid}.new`]);
        rmSync(home.path('state', `theseus.db.${process.pid}.new`));
        assert.equal(restored.err, '');
        assert.equal(restored.code, 0);
        const aside = /kept as (.*)\n/.exec(restored.out)[1];
        assert.equal(statSync(aside).mode & 0o777, 0o600);
        assert.equal(readFileSync(home.path('state', 'artifacts', 'one'), 'utf8'), 'large');
        const answer = JSON.parse((await theseus('call', 'db_get', '{"key":"a"}')).out);
        assert.equal(answer.value, 'before');

        assert.equal((await theseus('restore', aside)).code, 0, 'and there is a way back from that, too');
        assert.equal(JSON.parse((await theseus('call', 'db_get', '{"key":"a"}')).out).value, 'after');
        assert.deepEqual(readdirSync(home.path('state')).filter((name) => name.endsWith('.new')), []);
    }, { prepare }));

    test('is not taken for a new one when it was emptied', () => serving(async (client, home) => {
        const theseus = commandOf(home), file = home.path('kept.db'), path = home.path('state', 'theseus.db');
        const again = async (body) => {
            const other = await new Client(home).initialize();
            try {
                await other.appears('orchestrator_health_check');
                await body(other, await other.value('orchestrator_health_check'));
                await other.close();
            } finally {
                await other.kill();
            }
        };
        await client.appears('db_put');
        await put(client, 'a', 'kept');
        assert.equal((await theseus('backup', file)).code, 0);
        for (let i = 0; i < 40; i++)
            await put(client, i % 2 ? `b${i}` : 'a', 'later'.repeat(500));
        const log = home.path('log');
        copyFileSync(`${path}-wal`, log);
        await client.close();
        for (const [damage, words] of [[() => truncateSync(path), /is empty: it was truncated.*theseus restore FILE/],
            [() => { rmSync(path); copyFileSync(log, `${path}-wal`); }, /is gone, and its log is not/]]) {
            damage();
            await again(async (other, health) => {
                assert.equal(health.healthy, false);
                assert.match(health.issues.join('\n'), words);
            });
            assert.match((await theseus('check')).err, new RegExp(`'${path}' ${words.source}`));
            const restored = await theseus('restore', file);
            assert.equal(restored.code, 0, restored.err);
            await again(async (other) => {
                await other.appears('db_get');
                assert.equal(await get(other, 'a'), 'kept');
            });
        }
        rmSync(path);
        rmSync(`${path}-wal`, { force: true });
        await again((other, health) => assert.equal(health.healthy, true, 'who removes it begins anew'));
    }, { prepare }));

    test('is not put in the place of one that was taken from under a server', () => serving(async (client, home) => {
        const theseus = commandOf(home), file = home.path('kept.db'), path = home.path('state', 'theseus.db');
        await client.appears('db_put');
        await put(client, 'a', 'kept');
        assert.equal((await theseus('backup', file)).code, 0);
        renameSync(path, `${path}.away`);
        const { code, err } = await theseus('restore', file);
        assert.equal(code, 1);
        assert.match(err, new RegExp(`a server \\(pid ${client.pid}\\) has '${path}' open, though it is gone; end it first`));
        renameSync(`${path}.away`, path);
        assert.equal(await get(client, 'a'), 'kept');
    }, { prepare }));

    test('is not replaced by what is no database', () => serving(async (client, home) => {
        const theseus = commandOf(home), file = home.path('notes.txt');
        await client.appears('db_put');
        await put(client, 'a', 'safe');
        await client.close();
        writeFileSync(file, 'not a database at all, however long this text may be');
        const { code, err } = await theseus('restore', file);
        assert.equal(code, 1);
        assert.match(err, /notes\.txt': .*not a database/);
        assert.equal(JSON.parse((await theseus('call', 'db_get', '{"key":"a"}')).out).value, 'safe');
    }, { prepare }));

    test('is not made by check --deep', async () => {
        const home = new Home();
        try {
            prepare(home);
            home.configure();
            assert.match((await commandOf(home)('check', '--deep')).out, /database: there is none yet/);
            assert.equal(existsSync(home.path('state', 'theseus.db')), false);
        } finally {
            home.dispose();
        }
    });

    test('is looked through as a whole by check --deep', () => serving(async (client, home) => {
        const theseus = commandOf(home), database = home.path('state', 'theseus.db');
        await client.appears('db_put');
        for (let i = 0; i < 200; i++)
            await put(client, `key ${i}`, 'v'.repeat(200));
        const good = await theseus('check', '--deep');
        assert.equal(good.err, '');
        assert.match(good.out, /every page, index and reference of .* holds/);
        await client.close();

        const bytes = readFileSync(database);
        const at = bytes.indexOf('key 150');
        assert.ok(at > 0);
        bytes.fill(0x5a, at - 40, at + 40);
        writeFileSync(database, bytes);
        const bad = await theseus('check', '--deep');
        assert.equal(bad.code, 1);
        assert.match(bad.err, /theseus\.db': it is damaged/);
        writeFileSync(database, bytes.fill(0x5a, 8192, 16384));
        assert.equal((await theseus('check', '--deep')).code, 1);
        assert.deepEqual(readdirSync(home.path('state')).filter((name) => name.includes('examined')), []);
    }, { prepare }));

    test('is compared with the artifacts beside it', () => serving(async (client, home) => {
        const theseus = commandOf(home), tasks = new Tasks(client);
        const dir = home.path('state', 'artifacts'), file = home.path('kept.db');
        await client.appears('orchestrator_plan_task');
        for (const letter of ['a', 'b', 'c'])
            await tasks.finish(await tasks.plan(letter), { detailed_work: letter.repeat(100_000) });
        const [missing, altered, whole] = readdirSync(dir);
        const good = await theseus('check', '--deep');
        assert.equal(good.err, '');
        assert.match(good.out, /artifacts: 3 files, each as its row says/);
        assert.equal((await theseus('backup', file)).code, 0);

        rmSync(`${dir}/${missing}`);
        writeFileSync(`${dir}/${altered}`, 'z'.repeat(100_000));
        writeFileSync(`${dir}/young`, 'a call may be about to write its row');
        writeFileSync(`${dir}/stray`, 'no row will ever name it');
        utimesSync(`${dir}/stray`, 1, 1);
        const bad = await theseus('check', '--deep');
        assert.equal(bad.code, 1);
        assert.deepEqual(bad.err.trim().split('\n').map((line) => /artifacts\/(\w+)' (.*?)[,:]? /.exec(line)?.[1]).sort(),
            [missing, altered, 'stray'].sort(), bad.err);
        assert.match(bad.err, new RegExp(`${missing}' is missing`));
        assert.match(bad.err, new RegExp(`${altered}' holds something else`));
        assert.match(bad.err, /stray' is named by no row/);
        const other = await theseus('backup', home.path('other.db'));
        assert.equal(other.code, 1, 'it is written, and said to be without them');
        assert.match(other.err, new RegExp(`${missing}' is missing`));
        assert.ok(statSync(home.path('other.db')).size > 0);

        await client.close();
        rmSync(dir, { recursive: true });
        const poor = await theseus('restore', home.path('other.db'));
        assert.equal(poor.code, 1);
        assert.match(poor.err, new RegExp(`${missing}' is missing`));
        assert.equal((await theseus('restore', file)).err, '');
        assert.deepEqual(readdirSync(dir).filter((name) => name.length === 64).sort(), [missing, altered, whole].sort());
        assert.match((await theseus('check', '--deep')).out, /artifacts: 3 files/);
    }));

    test('is never replaced or written without a word on how to mend what is wrong', () => serving(async (client, home) => {
        const theseus = commandOf(home), junk = home.path('junk');
        await client.appears('db_put');
        await put(client, 'a', 'safe');
        const nowhere = await theseus('backup', home.path('nowhere', 'kept.db'));
        assert.equal(nowhere.code, 1);
        assert.match(nowhere.err, /cannot write '.*': directory '.*nowhere': No such file or directory; name a file in a directory/);
        assert.doesNotMatch(nowhere.err, /database '/);
        await client.close();
        for (const content of ['', 'junk', 'junk '.repeat(1000)]) {
            writeFileSync(junk, content);
            const { code, err } = await theseus('restore', junk);
            assert.equal(code, 1);
            assert.match(err, /junk': it is not a database of this server; name a file that `theseus backup` has written/);
            assert.doesNotMatch(err, /PRAGMA/);
        }
        assert.equal(JSON.parse((await theseus('call', 'db_get', '{"key":"a"}')).out).value, 'safe');
    }, { prepare }));

    test('that is damaged is named by the health check, with what is to be done', () => serving(async (client, home) => {
        const theseus = commandOf(home), database = home.path('state', 'theseus.db');
        await client.appears('db_put');
        for (let i = 0; i < 400; i++)
            await put(client, `key ${i}`, 'v'.repeat(200));
        assert.equal((await theseus('backup', home.path('kept.db'))).code, 0);
        await client.close();
        const bytes = readFileSync(database);
        for (let at = -1; (at = bytes.indexOf('key 150', at + 1)) > 0;)
            bytes.fill(0x5a, at & ~4095, (at & ~4095) + 4096);
        writeFileSync(database, bytes);
        const next = await new Client(home).initialize();
        try {
            await next.appears('db_put');
            const health = () => next.value('orchestrator_health_check');
            assert.deepEqual((await health()).issues, [], 'nobody has come upon it');
            await next.call('db_get', { key: 'key 150' });
            const { healthy, issues, checks } = await health();
            assert.equal(healthy, false);
            assert.match(issues.join('\n'), /database: it is damaged; .*malformed.* run theseus check --deep, then theseus restore/);
            assert.equal(checks.database.status, 'degraded');
            assert.match(home.log, /a statement has come upon damage in the database/);
            await next.close();
            assert.match((await theseus('check', '--deep')).err, /it is damaged.*; end the servers, and put a backup back: theseus restore FILE/);
            assert.equal((await theseus('restore', home.path('kept.db'))).code, 0);
            assert.match((await theseus('check', '--deep')).out, /every page, index and reference/);
        } finally {
            await next.kill();
        }
    }, { prepare }));

    test('that is none any more is named by the health check', () => serving(async (client, home) => {
        await client.appears('db_put');
        await put(client, 'a', 'b');
        await client.close();
        writeFileSync(home.path('state', 'theseus.db'), 'what is left of it '.repeat(1000));
        const next = await new Client(home).initialize();
        try {
            const { healthy, issues } = await next.value('orchestrator_health_check');
            assert.equal(healthy, false);
            assert.match(issues.join('\n'), /database: it is damaged; .*not a database.* run theseus check --deep, then theseus restore/);
        } finally {
            await next.kill();
        }
    }, { prepare }));
});
