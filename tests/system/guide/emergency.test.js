/* Emergency recovery: nothing is waited for and nothing is kept; afterwards the server works, and says what happened. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { until, within } from '../../clients/lib/until.js';
import { run } from '../lib/proc.js';
import { generations, hosting } from '../lib/sdk.js';

const EMERGENCY = { graceful: false, preserve_state: false, reason: 'emergency_shutdown', timeout: 15 };

function busy(home) {
    home.configure();
    home.drop('slow');
    home.drop('shared');
}

const tool = (host, name) => until(`tool '${name}' to appear`, async () =>
    (await host.client.listTools()).tools.some((one) => one.name === name));

const working = (host, count) => until(`${count} calls to run`, async () =>
    (await host.readiness()).checks.active_tasks.count === count);

for (const [name, build] of Object.entries(generations))
    describe(`an emergency with ${name}`, { concurrency: 4 }, () => {
        test('waits for nothing, and leaves no call without a word', () => hosting(async (host) => {
            await tool(host, 'slow');
            const stuck = [host.call('slow', { ms: 60_000 }), host.call('slow', { ms: 60_000 })];
            await working(host, 2);
            const begin = Date.now();
            const report = await host.restart(EMERGENCY);
            assert.ok(Date.now() - begin < 5000, 'it did not wait for the calls');
            assert.equal(report.success, true, JSON.stringify(report));
            assert.equal(report.graceful, false);
            assert.equal(report.preserve_state, false);
            assert.equal(report.timeout, 15);
            assert.equal(report.restart_reason, 'emergency_shutdown');
            for (const result of await within('the calls that ran', Promise.all(stuck))) {
                assert.equal(result.isError, true);
                assert.match(result.content[0].text, /may have executed/);
            }
            assert.equal(await host.text('echo', { message: 'back' }), 'back');
            assert.equal((await host.readiness()).checks.active_tasks.count, 0);
        }, { build, prepare: busy }));

        test('drops what plugins keep in memory, and keeps what is on disk', () => hosting(async (host) => {
            await tool(host, 'shared_count');
            const count = async () => (await host.ask('shared_count')).count;
            assert.equal(await count(), 1);
            await host.restart();
            assert.equal(await count(), 2, 'a graceful restart keeps it');
            await host.restart(EMERGENCY);
            assert.equal(await count(), 1);
            const history = await until('both to be in the history', async () => {
                const status = await host.status({ include_history: true });
                return status.history.total_restarts === 2 && status.history;
            });
            assert.deepEqual(history.recent_restarts.map((one) => one.reason).sort(), ['emergency_shutdown', 'manual_request']);
            assert.equal((await host.health()).healthy, true);
        }, { build, prepare: busy }));

        test('is in the history and in the audit, each one of several in a row', () => hosting(async (host, home) => {
            for (let i = 0; i < 5; i++)
                await host.restart(EMERGENCY);
            await until('the history', async () => (await host.status({ include_history: true })).history.total_restarts === 5);
            const audited = async () => (await run('sqlite3', [home.path('state', 'theseus.db'), 'SELECT count(*) FROM audit'])).out.trim();
            await until('the audit', async () => await audited() === '5');
        }, { build }));

        test('means it where the reason alone says so', () => hosting(async (host) => {
            const { graceful, preserve_state } = await host.restart({ reason: 'emergency_shutdown' });
            assert.deepEqual({ graceful, preserve_state }, { graceful: false, preserve_state: false });
        }, { build }));
    });
