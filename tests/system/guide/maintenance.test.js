/* Planned maintenance: look, restart for a reason, look again – with work going on meanwhile. */
import assert from 'node:assert/strict';
import { copyFileSync, renameSync } from 'node:fs';
import { describe, test } from 'node:test';

import { until, within } from '../../clients/lib/until.js';
import { binary } from '../lib/home.js';
import { generations, hosting } from '../lib/sdk.js';

/* The server is started from a file of the test's, which can be replaced as an upgrade does it. */
function installed(home) {
    home.configure({ access: { call_by_name: 'yes' } });
    home.drop('slow');
    home.drop('shared');
    copyFileSync(binary, home.path('theseus'));
    Object.defineProperty(home, 'command', { value: { ...home.command, command: home.path('theseus') } });
}

function upgrade(home) {
    copyFileSync(binary, home.path('theseus.new'));
    renameSync(home.path('theseus.new'), home.path('theseus'));
}

const tool = (host, name) => until(`tool '${name}' to appear`, async () =>
    (await host.client.listTools()).tools.some((one) => one.name === name));

for (const [name, build] of Object.entries(generations))
    describe(`planned maintenance with ${name}`, { concurrency: 4 }, () => {
        test('goes through all four steps', () => hosting(async (host) => {
            assert.equal((await host.health()).healthy, true);
            const readiness = await host.readiness();
            assert.deepEqual(readiness.checks.database.transactions_pending, 0);
            const report = await host.restart({ reason: 'configuration_update', timeout: 60 });
            assert.equal(report.success, true, JSON.stringify(report));
            assert.equal(report.timeout, 60);
            assert.equal(report.restart_reason, 'configuration_update');
            assert.equal(report.mechanism, 'reload', 'nothing needed a new process image');
            const { current_status: current } = await host.status();
            assert.equal(current.phase, 'complete');
            assert.equal((await host.health()).healthy, true);
        }, { build }));

        test('an upgrade under running work loses none of it', () => hosting(async (host, home) => {
            await tool(host, 'slow');
            await tool(host, 'shared_count');
            for (let i = 1; i <= 3; i++)
                assert.equal((await host.ask('shared_count')).count, i);
            const told = [];
            const batch = host.call('batch', {
                calls: Array.from({ length: 12 }, () => ({ tool: 'shared_count' }))
                    .flatMap((one) => [one, { tool: 'slow', arguments: { ms: 150 } }]),
            }, { onprogress: ({ progress }) => told.push(progress) });
            const running = host.call('slow', { ms: 2500 });
            await until('the batch to be on its way', () => told.length > 2);
            const { checks, explain } = await host.readiness({ explain: true });
            assert.ok(checks.active_tasks.count >= 2);
            assert.ok(explain);
            upgrade(home);
            const report = await host.restart({ reason: 'manual_request' });
            assert.equal(report.success, true, JSON.stringify(report));
            assert.equal(report.mechanism, 'reexec');
            assert.equal(report.calls_interrupted, 0);
            assert.match((await within('the call that ran', running)).content[0].text, /^slept 2500 ms/);
            const result = await within('the batch', batch, 30_000);
            assert.notEqual(result.isError, true, JSON.stringify(result.structuredContent));
            const { completed, total, resumed } = result.structuredContent;
            assert.deepEqual({ completed, total }, { completed: 24, total: 24 });
            assert.equal(resumed, 1);
            assert.equal((await host.ask('shared_count')).count, 16, 'every count was made once');
            assert.deepEqual(told, [...told].sort((a, b) => a - b));
            assert.equal((await host.health()).healthy, true);
        }, { build, prepare: installed }));

        test('the phases are told to who asks for progress', () => hosting(async (host) => {
            const { structuredContent: report } = await host.result('orchestrator_restart_server', {}, { onprogress: () => {} });
            assert.equal(report.success, true);
            assert.deepEqual(host.progress.map((one) => one.message), [
                'preparing', 'maintenance_mode', 'suspending_tasks', 'serializing_state', 'starting_process',
                'loading_state', 'restoring_database', 'resuming_tasks', 'enabling_connections', 'complete',
            ]);
            assert.deepEqual(host.progress.map((one) => one.progress), [5, 10, 25, 50, 60, 70, 80, 90, 95, 100]);
        }, { build }));
    });
