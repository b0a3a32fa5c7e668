/* Configuration updates: an edit is validated, taken in place where that is enough, and refused as a whole if not. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { until } from '../../clients/lib/until.js';
import { generations, hosting } from '../lib/sdk.js';

const UPDATE = { reason: 'configuration_update' };
const hello = { 'tool:hello': { description: 'Use this in a test.', command: '/bin/echo hello', read_only: 'yes' } };
/* Only what is asked for by hand is looked at. */
const quiet = { plugins: { watch: 'no' } };
const configured = (home) => home.configure(quiet);
const update = (home, more) => home.configure({ ...quiet, ...more });
const names = async (host) => (await host.client.listTools()).tools.map((tool) => tool.name);

for (const [name, build] of Object.entries(generations))
    describe(`a configuration update with ${name}`, { concurrency: 4 }, () => {
        test('is taken in place where no new process image is needed', () => hosting(async (host, home) => {
            const before = await host.health();
            update(home, hello);
            assert.ok(!(await names(host)).includes('hello'), 'nothing happens by itself');
            const report = await host.restart(UPDATE);
            assert.equal(report.success, true, JSON.stringify(report));
            assert.equal(report.phase, 'complete');
            assert.equal(report.mechanism, 'reload');
            assert.ok((await names(host)).includes('hello'));
            assert.match(await host.text('hello'), /hello/);
            const after = await host.health();
            assert.equal(after.healthy, true);
            assert.equal(after.boot_id, before.boot_id);
            assert.ok(after.checks.configuration.generation > before.checks.configuration.generation);
            const history = await until('the history', async () => {
                const { history: all } = await host.status({ include_history: true });
                return all.total_restarts > 0 && all;
            });
            assert.deepEqual([history.total_restarts, history.total_reloads], [1, 0], 'one event, not two');
        }, { build, prepare: configured }));

        test('is refused with file and line, and nothing changes', () => hosting(async (host, home) => {
            home.write(`[server]\nstate_dir = ${home.path('state')}\nruntime_dir = ${home.path('run')}\nlog_levle = info\n`);
            const report = await host.restart(UPDATE);
            assert.equal(report.success, false);
            assert.equal(report.phase, 'failed');
            assert.equal(report.errors[0].file, home.config);
            assert.equal(report.errors[0].line, 4);
            assert.match(report.errors[0].text, /log_levle.*log_level/);
            const health = await host.health();
            assert.equal(health.healthy, false);
            assert.match(health.issues.join('\n'), /log_levle/);
            assert.equal(await host.text('echo', { message: 'as before' }), 'as before');
            update(home, hello);
            assert.equal((await host.restart(UPDATE)).success, true);
            assert.equal((await host.health()).healthy, true);
            assert.ok((await names(host)).includes('hello'));
        }, { build, prepare: configured }));

        test('leads to a new process image where only that can take it', () => hosting(async (host, home) => {
            const before = await host.health();
            home.configure({ ...quiet, server: { runtime_dir: home.path('elsewhere') } });
            const report = await host.restart(UPDATE);
            assert.equal(report.success, true, JSON.stringify(report));
            assert.equal(report.mechanism, 'reexec');
            const after = await host.health();
            assert.equal(after.pid, before.pid);
            assert.notEqual(after.boot_id, before.boot_id);
            assert.deepEqual(after.checks.configuration.pending_reexec, []);
        }, { build, prepare: configured }));

        test('is not possible for a client that may not restart', () => hosting(async (host) => {
            for (const args of [UPDATE, {}]) {
                const refused = await host.result('orchestrator_restart_server', args);
                assert.equal(refused.isError, true);
                assert.match(refused.content[0].text, /access\.restart/);
            }
            assert.equal((await host.status()).current_status.phase, 'idle');
        }, { build, prepare: (home) => home.configure({ access: { restart: 'no' } }) }));
    });
