/* Who asks for a restart, and what becomes of the asking: another one, a cancellation, a time that is too short. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { run } from './lib/proc.js';
import { beginRestart, restart, restarts, settledTable, settles } from './lib/restart.js';

const WORKERS = 4;
const drops = (...names) => ({ prepare: (home) => { names.forEach((name) => home.drop(name)); home.configure({ server: { workers: WORKERS } }); } });
const bootOf = async (client) => (await client.value('orchestrator_health_check')).boot_id;
const running = (client, plugin) => until('the call to run', async () => (await client.plugin(plugin)).in_flight > 0);

describe('a restart that is asked for', { concurrency: 4 }, () => {
    test('while another is under way is told so, with its phase', () => serving(async (client) => {
        await client.appears('slow');
        const call = client.call('kind_once', { file: '/dev/null', tag: 'x', ms: 2500 });
        await running(client, 'kinds');
        const first = beginRestart(client);
        await first.reaches('suspending_tasks');
        const second = await restart(client);
        assert.deepEqual([second.success, second.phase], [false, 'suspending_tasks']);
        assert.match(second.message, /under way/);
        const { current_status: now } = await client.value('orchestrator_restart_status');
        assert.deepEqual([now.phase, now.progress, now.maintenance_mode], ['suspending_tasks', 25, true]);
        assert.equal((await first.report).success, true);
        assert.equal((await call).result.isError, undefined);
        await restarts(client);
    }, drops('slow', 'kinds')));

    test('does not wait for a free worker', () => serving(async (client, home) => {
        await client.appears('kind_once');
        const file = home.path('effects');
        const calls = Array.from({ length: 20 }, (_, i) => client.call('kind_once', { file, tag: `${i}`, ms: 60_000 }));
        await until('every worker to be busy', () => existsSync(file) && readFileSync(file, 'utf8').split('\n').length > WORKERS);
        const report = await restarts(client, { reason: 'emergency_shutdown' });
        assert.ok(report.duration_ms < 5000);
        const answers = await within('the answers', Promise.all(calls));
        assert.ok(answers.every((one) => one.result.isError));
    }, drops('kinds')));

    test('is answered also by the tools that say how the server is, past calls that hold every worker', () => serving(async (client, home) => {
        await client.appears('kind_once');
        const file = home.path('effects');
        const calls = Array.from({ length: 20 }, (_, i) => client.call('kind_once', { file, tag: `${i}`, ms: 60_000 }));
        await until('every worker to be busy', () => existsSync(file) && readFileSync(file, 'utf8').split('\n').length > WORKERS);
        assert.equal((await client.value('orchestrator_health_check')).healthy, true);
        assert.equal((await client.value('orchestrator_shutdown_prepare')).checks.active_tasks.count, 20);
        assert.ok((await client.plugin('kinds')).in_flight > 0);
        await restarts(client, { reason: 'emergency_shutdown' });
        await within('the answers', Promise.all(calls));
    }, drops('kinds')));

    test('and refused, by a client or by a signal, is noted in the audit', () => serving(async (client, home) => {
        await client.appears('kind_once');
        const call = client.call('kind_once', { file: '/dev/null', tag: 'x', ms: 3000 });
        await running(client, 'kinds');
        const first = beginRestart(client);
        await first.reaches('suspending_tasks');
        assert.equal((await restart(client)).success, false);
        client.process.kill('SIGUSR2');
        await until('the signal to be heard', () => /signal: no restart: a restart is under way/.test(home.log));
        assert.equal((await first.report).success, true);
        await call;
        const lines = async () => (await run('sqlite3', [home.path('state', 'theseus.db'),
            "SELECT transport || ' ' || result || ' ' || coalesce(detail, '') FROM audit WHERE action = 'restart' ORDER BY id"])).out.trim().split('\n');
        const [accepted, again, signal] = await until('the audit to be written', async () => {
            const all = await lines();
            return all.length === 3 && all;
        });
        assert.equal(accepted, 'stdio accepted ');
        assert.match(again, /^stdio refused a restart is under way already, in phase suspending_tasks/);
        assert.match(signal, /^signal refused a restart is under way already/);
    }, drops('kinds')));

    test('many times at once happens once', () => serving(async (client) => {
        await client.names();
        client.process.stdin.cork(); /* in one piece: else the first may be over before the last is said */
        const asked = Array.from({ length: 20 }, () => restart(client));
        client.process.stdin.uncork();
        const reports = await Promise.all(asked);
        assert.equal(reports.filter((one) => one.success).length, 1, JSON.stringify(reports.map((one) => one.message)));
    }));

    test('and cancelled by its client before the exec or behind it leaves a server that serves', () => serving(async (client) => {
        await restarts(client);
        const before = await settledTable(client);
        for (const phase of ['preparing', 'suspending_tasks', 'starting_process', 'loading_state', 'complete']) {
            const mine = beginRestart(client);
            await mine.reaches(phase);
            client.notify('notifications/cancelled', { requestId: mine.id });
            await until('it to be over', async () => {
                const { current_status: now } = await client.value('orchestrator_restart_status');
                return ['complete', 'failed', 'idle'].includes(now.phase);
            });
            assert.equal(await client.text('echo', { message: phase }), phase);
            await restarts(client);
        }
        await settles(client, before);
    }));

    test('with little time interrupts a call that would take longer', () => serving(async (client) => {
        await client.appears('kind_once');
        await restarts(client);
        const boot = await bootOf(client), before = await settledTable(client);
        const call = client.call('kind_once', { file: '/dev/null', tag: 'long', ms: 60_000 });
        const held = running(client, 'kinds').then(() => client.call('echo', { message: 'held' }));
        await running(client, 'kinds');
        const report = await restart(client, { timeout: 10 });
        assert.equal(report.success, true, JSON.stringify(report));
        assert.match((await call).result.content[0].text, /may have executed/);
        assert.equal((await held).result.content[0].text, 'held');
        assert.notEqual(await bootOf(client), boot);
        await settles(client, before);
    }, { prepare: (home) => { home.drop('kinds'); home.configure({ restart: { shutdown_timeout: 60 } }); } }));

    test('and whose state takes too long to save fails, names the phase, and is undone', () => serving(async (client) => {
        await client.appears('found');
        const boot = await bootOf(client), mine = beginRestart(client, { timeout: 10 });
        await mine.reaches('serializing_state');
        const held = client.call('echo', { message: 'held' });
        const report = await mine.report;
        assert.deepEqual([report.success, report.phase, report.phase_reached], [false, 'failed', 'serializing_state']);
        assert.match(report.errors[0].message, /saves|serializing_state/);
        assert.equal((await held).result.content[0].text, 'held');
        assert.equal(await client.text('echo', { message: 'on' }), 'on');
        assert.equal(await bootOf(client), boot);
    }, {
        prepare: (home) => {
            home.drop('saves');
            home.configure({ 'plugin:saves': { slow_ms: 12_000 } });
        },
    }));
});
