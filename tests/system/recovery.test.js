/* A restart with reason error_recovery: what hangs is shed, and what was refused or quarantined is tried again. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { KEY, skip, unlimited } from './lib/crash.js';
import { ofThreads } from './lib/proc.js';
import { beginRestart, historyWith, mappings, restart, restarts } from './lib/restart.js';

const recover = (client) => restarts(client, { reason: 'error_recovery' });
/* Those that run the slots of plugins: one, and those that hang in one. */
const threads = (pid) => ofThreads(pid, 'comm').filter((name) => name === 'plugins\n').length;
const drops = (options, ...names) => ({
    prepare: (home) => {
        names.forEach((name) => home.drop(name));
        home.configure(options);
    },
});

describe('a restart with reason error_recovery', { concurrency: 4 }, () => {
    test('goes on without a call that does not come back, where another would fail', () => serving(async (client) => {
        await client.appears('keeper_add');
        await client.value('keeper_add');
        const call = client.call('keeper_add', { ms: 600_000, deaf: true });
        await until('the call to run', async () => (await client.plugin('keeper')).in_flight > 0);
        const refused = await restart(client, { timeout: 10 });
        assert.deepEqual([refused.success, refused.phase], [false, 'failed'], JSON.stringify(refused));
        assert.match(refused.errors[0].message, /keeper/);
        assert.match((await call).result.content[0].text, /may have executed/);
        assert.equal((await client.plugin('keeper')).in_flight, 1, 'it is still at work');
        const report = await recover(client);
        assert.equal(report.restart_reason, 'error_recovery');
        assert.match(report.left_behind, /keeper/, 'what is lost is said');
        assert.equal((await client.plugin('keeper')).in_flight, 0);
        assert.deepEqual(await client.value('keeper_add'), { count: 1 }, 'it begins anew, and serves');
        const history = await historyWith(client, 'both restarts', ({ recent_restarts: all }) => all.length >= 2);
        assert.deepEqual(history.recent_restarts.slice(0, 2).map((one) => [one.reason, one.success]),
            [['error_recovery', true], ['manual_request', false]]);
    }, drops({ restart: { shutdown_timeout: 1 } }, 'keeper')));

    test('tries a plugin again whose start has hung, and is rid of its thread', () => serving(async (client, home) => {
        const hanging = { restart: { process_startup: 3 }, 'plugin:hangstop': { hang: 'start' } };
        await client.names();
        home.configure(hanging);
        home.drop('hangstop');
        await client.refused('hangstop.so', /did not come back within 3000 ms/);
        assert.match((await client.plugin('hangstop', 'quarantined')).reason, /did not come back/);
        await client.text('echo', { message: 'on' });
        home.drop('greet');
        await client.appears('greet');
        await until('one thread that hangs in it beside another one', () => threads(client.pid) === 2);
        home.configure({ restart: { process_startup: 5 } });
        await recover(client);
        await client.appears('hangs');
        assert.equal(await client.text('hangs'), 'not here');
        assert.equal(await client.plugin('hangstop', 'quarantined'), undefined);
        await until('it to be rid of the thread', () => threads(client.pid) === 1);
        assert.equal((await client.value('orchestrator_health_check')).healthy, true);
    }, drops({})));

    test('is rid of an image that could not be unmapped', () => serving(async (client, home) => {
        const images = () => new Set(mappings(client.pid).map((line) => /\/tls\.[^ ]*$/.exec(line)?.[0]).filter(Boolean)).size;
        await client.appears('pin');
        await client.text('pin');
        home.drop('tls');
        await until('the quarantine', () => client.plugin('tls', 'quarantined'));
        assert.equal(images(), 2);
        await recover(client);
        assert.equal(await client.plugin('tls', 'quarantined'), undefined);
        assert.equal(images(), 1);
        assert.equal(await client.text('pin'), 'pinned');
    }, drops({}, 'tls')));
});

const notServing = (report) => report.not_serving.map((one) => [one.file.split('/').pop(), one.reason]);

describe('the answer to a restart with reason error_recovery', { concurrency: 4 }, () => {
    test('comes when what was refused serves', () => serving(async (client, home) => {
        await client.names();
        home.put('greet.so', 'no plugin yet');
        await client.refused('greet.so');
        home.put('late.so', 'nor this');
        await client.refused('late.so');
        home.drop('startfails');
        await client.refused('startfails.so');
        home.configure({ plugins: { watch: 'no' } });
        await client.value('theseus_reload');
        home.drop('greet');
        const report = await recover(client);
        assert.ok((await client.names()).includes('greet'), 'it serves when the answer comes');
        assert.deepEqual(notServing(report).map(([file]) => file).sort(), ['late.so', 'startfails.so']);
        for (const [, reason] of notServing(report))
            assert.ok(reason.length > 20, reason);
        assert.match(report.message, /2 of the plugin files that were tried again do not serve: see not_serving/);
        const other = await restarts(client);
        assert.equal(other.not_serving, undefined, 'a restart for another reason tries nothing again');
    }));

    test('says that everything serves', () => serving(async (client) => {
        const report = await recover(client);
        assert.deepEqual(report.not_serving, []);
        assert.match(report.message, /every plugin file serves/);
        assert.equal(report.phase, 'complete');
    }));

    /* It was refused, and now hangs for longer than the restart may take. */
    const hangs = async (client, home, seconds, more = {}) => {
        await client.names();
        /* One limit throughout: with another one it would be tried again before the restart, and hold that up. */
        home.configure({ restart: { process_startup: seconds }, 'plugin:hangstop': { hang: 'start' }, ...more });
        home.drop('hangstop');
        await client.refused('hangstop.so', /did not come back/);
        const restart = beginRestart(client, { reason: 'error_recovery', timeout: 10 });
        /* Of steps that follow each other fast only some are told: so it is asked for. */
        await until('plugins to be tried again', async () =>
            (await client.value('orchestrator_restart_status')).current_status.phase === 'enabling_connections');
        return restart;
    };
    const isNamed = (report) => {
        assert.equal(report.success, true, JSON.stringify(report));
        assert.deepEqual(notServing(report).map(([file]) => file), ['hangstop.so']);
        assert.match(report.not_serving[0].reason, /is still being tried/);
    };

    test('comes before the server ends', () => serving(async (client, home) => {
        const restart = await hangs(client, home, 6);
        await until('the plugin to be started', () => threads(client.pid) > 0);
        await client.text('echo', { message: 'served meanwhile' });
        client.process.kill('SIGTERM');
        isNamed(await restart.report);
        await client.exited;
    }, drops({})));

    test('comes behind crashes of which each comes before the server has gone on from the one before', { skip }, () =>
        serving(async (client, home) => {
            const restart = await hangs(client, home, 3, unlimited);
            await until('the plugin to be started', () => threads(client.pid) > 0);
            const dying = ['null', 'abort', 'ill'].map((way) => client.call(`inline_${way}`));
            const [first] = await Promise.all(dying.map(async (answer) => (await answer).result._meta[KEY]));
            assert.equal(first.plugin, 'dies');
            const report = await restart.report;
            assert.equal(report.success, true, JSON.stringify(report));
            assert.match(report.message, /went on behind a crash while it tried plugins again: plugin 'dies' 1\.0 crashed/);
            assert.deepEqual(notServing(report).map(([file]) => file), ['hangstop.so']);
        }, drops(unlimited, 'dies')));

    test('comes in its time when a plugin does not come back', { skip: !process.env.THESEUS_LONG }, () =>
        serving(async (client, home) => {
            const restart = await hangs(client, home, 12);
            const report = await restart.report;
            isNamed(report);
            assert.ok(report.duration_ms < 11_000, report.duration_ms);
        }, drops({})));
});

describe('a plugin that crashes when it is tried again', { skip, concurrency: 2 }, () => {
    const crashing = { crash: { probation: 3600 }, 'plugin:brittle': { crash_in_start: 'yes' } };

    test('is named, and the others serve', () => serving(async (client, home) => {
        await client.names();
        home.drop('brittle2', 'brittle');
        await client.refused('brittle.so', /SIGABRT/);
        home.drop('startcrashes');
        await client.refused('startcrashes.so', /SIGABRT/);
        const { recent_crashes: before } = await historyWith(client, 'both crashes', ({ recent_crashes: crashes }) => crashes.length >= 2);
        const report = await restart(client, { reason: 'error_recovery' });
        assert.deepEqual([report.success, report.phase, report.restart_reason], [true, 'complete', 'error_recovery'],
            JSON.stringify(report));
        assert.match(report.message, /went on behind a crash while it tried plugins again: plugin '.*' \S+ crashed with SIGABRT/);
        assert.deepEqual(notServing(report).map(([file]) => file).sort(), ['brittle.so', 'startcrashes.so']);
        for (const [, reason] of notServing(report))
            assert.match(reason, /crashed with SIGABRT in its 'start'/);
        const { recent_crashes: crashes, recent_restarts: all } = await historyWith(client, 'the recovery', (history) =>
            history.recent_crashes.length >= before.length + 2 && history.recent_restarts.some((one) => one.reason === 'error_recovery' && one.success));
        assert.equal(crashes.length, before.length + 2);
        assert.equal(all.filter((one) => one.reason === 'error_recovery' && one.kind === 'restart' && one.success).length, 1,
            JSON.stringify(all));
        assert.equal(await client.text('echo', { message: 'on' }), 'on');
    }, drops(crashing)));
});
