/* A restart that takes longer than a client waits for an answer: it is told in time that the restart goes on. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describe, test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { Client } from './lib/client.js';
import { Clock } from './lib/clock.js';
import { Home } from './lib/home.js';
import { holdLock } from './lib/lock.js';
import { beginRestart, restarts } from './lib/restart.js';

const EARLY_MS = 45_000;

async function timed(body, { prepare = () => {}, restart = {} } = {}) {
    const home = new Home(), clock = new Clock(home.path('clock'));
    let client;
    try {
        home.configure({ plugins: { watch: 'no' }, restart: { total_restart: 300, process_startup: 200, shutdown_timeout: 200, ...restart } });
        prepare(home);
        client = await new Client(home, { env: clock.env }).initialize();
        await body(client, home, clock);
        await client.close();
        assert.deepEqual(client.problems, []);
        assert.doesNotMatch(client.stderr, /Sanitizer|runtime error/);
    } finally {
        await client?.kill();
        clock.close();
        home.dispose();
    }
}

const status = async (client) => (await client.value('orchestrator_restart_status')).current_status;
const isPending = (report, phase) => {
    assert.deepEqual([report.success, report.pending, report.phase], [false, true, phase], JSON.stringify(report));
    assert.match(report.message, /orchestrator_restart_status/);
};

/* A call that a restart waits for, until it is cancelled. */
async function runs(client, home) {
    const args = { file: home.path('effects'), tag: 'x', ms: 600_000 };
    const call = client.start('tools/call', { name: 'kind_once', arguments: args });
    await until('the call to run', () => existsSync(home.path('effects')));
    return call;
}

describe('a restart that takes long', { concurrency: 4 }, () => {
    test('is answered early, with its phase, and goes on', () => timed(async (client, home, clock) => {
        await client.appears('kind_once');
        const call = await runs(client, home);
        const mine = beginRestart(client, { timeout: 300 });
        await mine.reaches('suspending_tasks');
        clock.pass(EARLY_MS - 5000);
        await client.ask('ping');
        assert.equal((await status(client)).phase, 'suspending_tasks');
        assert.equal(client.open, 2, 'it is not answered before its time');
        clock.pass(6000);
        await client.ask('ping');
        isPending(await mine.report, 'suspending_tasks');
        client.notify('notifications/cancelled', { requestId: call.id }); /* so that it comes to its end */
        await until('it to be complete', async () => (await status(client)).phase === 'complete');
        assert.equal(client.open, 1, 'the one that was cancelled has no answer, the other has one');
        await restarts(client);
    }, { prepare: (home) => home.drop('kinds') }));

    test('is answered early by the image behind the exec, for what is left of the time', () => timed(async (client, home, clock) => {
        await client.appears('db_put');
        await client.appears('kind_once');
        await client.text('db_put', { key: 'a', value: 'kept' });
        const holder = await holdLock(home), call = await runs(client, home);
        home.drop('database2', 'database');
        const mine = beginRestart(client, { timeout: 300, reason: 'schema_migration' });
        await mine.reaches('suspending_tasks');
        clock.pass(EARLY_MS - 15_000);
        client.notify('notifications/cancelled', { requestId: call.id });
        await mine.reaches('restoring_database');
        assert.equal(client.open, 2, 'it is not answered before its time');
        clock.pass(16_000);
        client.process.kill('SIGHUP'); /* wakes it: its input is not read yet */
        isPending(await mine.report, 'restoring_database');
        await holder.release();
        await until('it to be complete', async () => (await status(client)).phase === 'complete');
        assert.equal((await client.plugin('database')).version, '2');
    }, { prepare: (home) => ['database', 'kinds'].forEach((name) => home.drop(name)) }));
});
