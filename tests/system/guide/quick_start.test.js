/* The first steps: is the server well, may it restart, and restart it – while the client stays connected. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { generations, hosting } from '../lib/sdk.js';

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

for (const [name, build] of Object.entries(generations))
    describe(`the quick start with ${name}`, { concurrency: 4 }, () => {
        test('a restart without arguments is answered by the new process image', () => hosting(async (host) => {
            const before = await host.health();
            const report = await host.restart();
            const { success, graceful, preserve_state, timeout, phase, progress, restart_reason } = report;
            assert.deepEqual({ success, graceful, preserve_state, timeout, phase, progress, restart_reason }, {
                success: true, graceful: true, preserve_state: true, timeout: 30, phase: 'complete', progress: 100,
                restart_reason: 'manual_request',
            });
            assert.match(report.completed_at, TIME);
            assert.ok(report.message);
            assert.equal(report.mechanism, 'reexec');
            assert.deepEqual(report.pid, { before: before.pid, after: before.pid });
            assert.equal(report.boot_id.before, before.boot_id);
            const after = await host.health();
            assert.equal(after.boot_id, report.boot_id.after);
            assert.notEqual(after.boot_id, before.boot_id);
            assert.equal(after.pid, before.pid, 'the host never saw its child leave');
        }, { build }));

        test('health and readiness are told before it', () => hosting(async (host) => {
            const health = await host.health();
            assert.equal(health.healthy, true, JSON.stringify(health.issues));
            assert.deepEqual(Object.keys(health.checks).filter((key) => ['reboot_readiness', 'database', 'connections'].includes(key)).sort(),
                ['connections', 'database', 'reboot_readiness']);
            const only = await host.health({ include_connection_status: false, include_database_status: false });
            assert.equal(only.checks.reboot_readiness.ready, true);
            assert.equal(only.checks.connections, undefined);
            assert.equal(only.checks.database, undefined);
            const readiness = await host.readiness();
            assert.equal(typeof readiness.ready_for_shutdown, 'boolean');
            assert.deepEqual(Object.keys(readiness.checks).sort(), ['active_tasks', 'client_connections', 'database']);
            assert.equal(readiness.checks.active_tasks.count, 0);
        }, { build }));

        test('the status tells of a restart, and the session survives it', () => hosting(async (host) => {
            assert.equal((await host.status()).current_status.phase, 'idle');
            const [one] = (await host.ask('orchestrator_reconnect_test')).results.sessions;
            const single = await host.ask('orchestrator_reconnect_test', { session_id: one.session_id });
            assert.equal(single.results.session_test.reconnect_capable, true, JSON.stringify(single));
            await host.restart();
            const { current_status: current } = await host.status();
            assert.equal(current.phase, 'complete');
            assert.equal(current.progress, 100);
            assert.deepEqual(current.errors, []);
            const sessions = (await host.ask('orchestrator_reconnect_test')).results.sessions;
            assert.deepEqual(sessions.map((session) => session.session_id), [one.session_id]);
            assert.equal(await host.text('echo', { message: 'still here' }), 'still here');
        }, { build }));

        test('a time out of its range is refused with the range', () => hosting(async (host) => {
            for (const timeout of [9, 301]) {
                const refused = await host.result('orchestrator_restart_server', { timeout });
                assert.equal(refused.isError, true);
                assert.match(refused.content[0].text, /10.*300/);
            }
            assert.equal((await host.status()).current_status.phase, 'idle');
        }, { build }));
    });
