/* A restart with reason error_recovery: what hangs is shed, and what was refused or quarantined is tried again. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { describe, test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { mappings, restart, restarts } from './lib/restart.js';

const recover = (client) => restarts(client, { reason: 'error_recovery' });
/* Those that run the slots of plugins: one, and those that hang in one. */
const threads = (pid) => readdirSync(`/proc/${pid}/task`)
    .filter((task) => readFileSync(`/proc/${pid}/task/${task}/comm`, 'utf8') === 'plugins\n').length;
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
        const { history } = await client.value('orchestrator_restart_status', { include_history: true });
        assert.deepEqual(history.recent_restarts.slice(0, 2).map((one) => [one.reason, one.success]),
            [['error_recovery', true], ['manual_request', false]]);
    }, drops({ restart: { shutdown_timeout: 1 } }, 'keeper')));

    test('tries a plugin again whose start has hung, and is rid of its thread', () => serving(async (client, home) => {
        const hanging = { restart: { process_startup: 1 }, 'plugin:hangstop': { hang: 'start' } };
        await client.names();
        home.configure(hanging);
        home.drop('hangstop');
        await client.refused('hangstop.so', /did not come back within 1000 ms/);
        assert.match((await client.plugin('hangstop', 'quarantined')).reason, /did not come back/);
        await client.text('echo', { message: 'on' });
        home.drop('greet');
        await client.appears('greet');
        assert.equal(threads(client.pid), 2, 'one of them hangs in it');
        home.configure({ restart: { process_startup: 5 } });
        await recover(client);
        await client.appears('hangs');
        assert.equal(await client.text('hangs'), 'not here');
        assert.equal(await client.plugin('hangstop', 'quarantined'), undefined);
        assert.equal(threads(client.pid), 1);
        assert.equal((await client.value('orchestrator_health_check')).healthy, true);
    }, drops({ restart: { process_startup: 5 } })));

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
