/* Code of plugins that does not come back: each call has its answer, and the server goes on. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { pause, until, within } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { KEY, skip } from './lib/crash.js';
import { atMost } from './lib/home.js';
import { restart, restarts } from './lib/restart.js';

const health = (client) => client.value('orchestrator_health_check');
const stuck = async (client) => (await health(client)).checks.threads.stuck;
const gaveUp = /did not end within \d+ s and is given up/;
const release = (home) => writeFileSync(home.path('release'), '');

/* A server with the plugin `hang` whose calls get one second. */
const hanging = (sections, ...drops) => ({
    prepare: (home) => {
        ['hang', ...drops].forEach((name) => home.drop(name));
        home.configure({ 'plugin:hang': { '.call_timeout': 1 }, ...sections });
    },
});

const isStuck = (client, count = 1) =>
    until(`${count} stuck threads`, async () => (await stuck(client)).length === count);

describe('the time-out of one plugin', { concurrency: 4 }, () => {
    test('[plugin:NAME] .call_timeout goes before everything else, at once', () => serving(async (client, home) => {
        await client.appears('hang');
        const takes = async () => {
            const begin = Date.now();
            assert.match(await client.text('hang', { until: home.path('release') }), gaveUp);
            return Date.now() - begin;
        };
        const first = await takes();
        assert.ok(first >= 950 && first < atMost(5000), `${first} ms`);
        home.configure({ 'plugin:hang': { '.call_timeout': 2 } });
        await until('the change to be taken', async () => (await health(client)).checks.configuration.generation === 2);
        const second = await takes();
        assert.ok(second >= 1950 && second < atMost(5000), `${second} ms`);
        release(home);
    }, hanging()));

    test('goes before what the author of a tool has declared', () => serving(async (client) => {
        await client.appears('slow');
        const begin = Date.now();
        assert.match(await client.text('slow', { ms: 30_000 }), gaveUp);
        assert.ok(Date.now() - begin < atMost(5000));
    }, { prepare: (home) => {
        home.drop('slow');
        home.configure({ 'plugin:slow': { '.call_timeout': 1 } });
    } }));

    for (const [key, value, problem] of [
        ['.call_timeout', '0', /theseus\.ini:\d+: \[plugin:hang\] \.call_timeout: '0' is out of range \(1 to 86400\)/],
        ['.call_timeout', 'soon', /'soon' is not a whole number of seconds/],
        ['.call_timeot', '5', /unknown key '\.call_timeot' in \[plugin:hang\]; did you mean '\.call_timeout'\?/],
    ])
        test(`is refused where it is wrong: ${key} = ${value}`, () => serving(async (client, home) => {
            await client.appears('hang');
            home.configure({ 'plugin:hang': { [key]: value } });
            const { issues } = await until('the refusal', async () => {
                const report = await health(client);
                return report.healthy ? undefined : report;
            });
            assert.match(issues.join('\n'), problem);
        }, hanging()));
});

describe('a tool that does not come back', { concurrency: 8 }, () => {
    test('is shown as a stuck thread, until it does', () => serving(async (client, home) => {
        await client.appears('hang');
        assert.match(await client.text('hang', { until: home.path('release') }), gaveUp);
        assert.deepEqual(await stuck(client), [], 'it may still return');
        await isStuck(client);
        const { healthy, issues, checks: { threads } } = await health(client);
        assert.equal(healthy, false);
        assert.match(issues.join('\n'), /a thread is stuck in plugin 'hang', tool 'hang', for \d+ s now/);
        assert.equal(threads.workers, 4);
        assert.deepEqual({ ...threads.stuck[0], stuck_s: 0 }, { plugin: 'hang', tool: 'hang', stuck_s: 0 });
        assert.ok(threads.stuck[0].stuck_s >= 5);
        assert.equal((await client.value('theseus_plugins')).stuck.length, 1);
        assert.match(await client.text('theseus_plugins'), /stuck: a thread in tool 'hang' of hang, for \d+ s now/);
        await until('it to be said', () => /error .*a thread is stuck: tool 'hang' of plugin 'hang'/.test(home.log));
        release(home);
        await isStuck(client, 0);
        assert.equal((await health(client)).healthy, true);
        await until('it to be said', () => /a stuck thread has come back after all: tool 'hang' of plugin 'hang'/.test(home.log));
    }, hanging()));

    test('counts when its call was cancelled, and when it waits in a call of its own', () => serving(async (client, home) => {
        await client.appears('hang');
        const { id } = client.start('tools/call',
            { name: 'hang', arguments: { until: home.path('release') }, _meta: { progressToken: 'hang' } });
        await until('the call to run', () => client.notifications.some((one) => one.params?.progressToken === 'hang'));
        client.notify('notifications/cancelled', { requestId: id });
        assert.match(await client.text('hang_inside', { until: home.path('release') }), gaveUp);
        await isStuck(client, 2);
        assert.deepEqual((await stuck(client)).map((one) => one.tool).sort(), ['hang', 'hang_inside']);
        release(home);
        await isStuck(client, 0);
    }, hanging()));

    test('is busy and not stuck as long as somebody waits for it', () => serving(async (client, home) => {
        await client.appears('hang');
        const call = client.call('hang', { until: home.path('release') });
        const end = Date.now() + 6500; /* longer than a call that was given up may take */
        while (Date.now() < end)
            assert.deepEqual(await stuck(client), []);
        release(home);
        assert.equal((await call).result.content[0].text, 'came back');
    }, { ...hanging({ 'plugin:hang': {} }) }));

    test('costs no other tool its worker', () => serving(async (client, home) => {
        await client.appears('hang');
        await client.appears('parallel');
        await Promise.all([1, 2].map(() => client.text('hang', { until: home.path('release') })));
        await isStuck(client, 2);
        const most = async () => {
            const answers = await Promise.all(Array.from({ length: 9 }, () => client.value('parallel', { ms: 100 })));
            return Math.max(...answers.map((one) => one.most));
        };
        let seen = 0; /* of all times */
        await until('four to run beside one another', async () => (seen = await most()) >= 4);
        assert.equal(seen, 4);
        release(home);
        await isStuck(client, 0);
        await until('the threads that are too many to go', async () => (await client.value('parallel', { ms: 0 })).most >= 0);
    }, hanging({}, 'serial')));

    test('does not keep the server from leaving', () => serving(async (client) => {
        await client.appears('hang');
        assert.match(await client.text('hang'), gaveUp);
        await isStuck(client);
        const { code, ms } = await client.close();
        assert.equal(code, 0);
        assert.ok(ms < atMost(10_000), `${ms} ms`);
    }, hanging()));
});

describe('a tool that keeps the thread of everybody', { concurrency: 4, skip }, () => {
    test('is answered as a hang, and everybody else goes on', () => serving(async (client, home) => {
        await client.appears('hang_loop');
        await client.appears('version');
        const others = [client.call('version', { ms: 500 }), client.call('version', { ms: 20_000 })];
        const { id } = { id: client.lastId };
        const begin = Date.now();
        const { result } = await within('the answer', client.call('hang_loop'));
        const ms = Date.now() - begin;
        assert.ok(ms >= 950 && ms < atMost(8000), `${ms} ms`);
        assert.equal(result.isError, true);
        assert.match(result.content[0].text, /plugin 'hang' 1 did not come back, and kept everybody waiting.*may have executed/);
        assert.deepEqual(result._meta[KEY],
            { plugin: 'hang', version: '1', signal: 'SIGABRT', hang: true, may_have_executed: true, next: result._meta[KEY].next });
        assert.equal((await within('the short call', others[0])).result.content[0].text, 'one');
        client.notify('notifications/cancelled', { requestId: id });
        assert.equal((await health(client)).pid, client.pid);
        assert.match(home.log, /plugin 'hang' 1 did not come back, and kept everybody waiting in tool hang_loop; the server goes on/);
    }, hanging({}, 'version1')));

    test('has five seconds, and may use them', () => serving(async (client, home) => {
        await client.appears('hang_loop');
        const first = (await health(client)).boot_id;
        const call = client.call('hang_loop', { until: home.path('release') });
        await pause(2500); /* more than a second or two; and it is not over when the machine stands still for as long */
        release(home);
        assert.equal((await within('the answer', call)).result.content[0].text, 'came back');
        assert.equal((await health(client)).boot_id, first);
        const begin = Date.now();
        const { result } = await within('the other answer', client.call('hang_loop'));
        assert.equal(result._meta[KEY].hang, true);
        assert.ok(Date.now() - begin >= 4950);
    }, hanging({ 'plugin:hang': {} })));

    test('is not blamed for a process that was stopped', () => serving(async (client, home) => {
        await client.appears('hang_loop');
        const call = client.call('hang_loop', { until: home.path('release') });
        await pause(200);
        client.process.kill('SIGSTOP');
        await pause(4000); /* more than it has */
        release(home);
        client.process.kill('SIGCONT');
        assert.equal((await within('the answer', call)).result.content[0].text, 'came back');
    }, hanging({ 'plugin:hang': { '.call_timeout': 3 } })));
});

const boot = async (client) => (await health(client)).boot_id;

describe('more than half of the workers stuck', { concurrency: 4 }, () => {
    test('lead to another image, which has none; other calls go on', () => serving(async (client, home) => {
        await client.appears('hang');
        const first = await boot(client);
        const given = await Promise.all([1, 2].map(() => client.text('hang')));
        given.forEach((text) => assert.match(text, gaveUp));
        const other = client.call('hang', { until: home.path('release') }); /* is run by a thread in their stead */
        await until('another image', async () => (await boot(client)) !== first);
        const report = await health(client);
        assert.equal(report.pid, client.pid);
        assert.deepEqual(report.checks.threads.stuck, []);
        assert.equal(report.healthy, true, report.issues.join());
        const { result } = await within('the other call', other);
        assert.ok(result.isError);
        const [event] = await until('the history', async () => {
            const { history } = await client.value('orchestrator_restart_status', { include_history: true });
            return history.recent_restarts.length > 0 && history.recent_restarts;
        });
        assert.equal(event.reason, 'error_recovery');
        assert.equal(event.success, true);
        assert.match(JSON.stringify(event), /[23] of 3 workers are stuck: tool 'hang' of plugin 'hang', tool 'hang' of plugin 'hang'/);
    }, hanging({ server: { workers: 3 } })));

    test('do so again only after a call was served', () => serving(async (client, home) => {
        await client.appears('hang');
        const times = (pattern) => home.log.split('\n').filter((line) => pattern.test(line)).length;
        const hangs = async () => assert.match(await client.text('hang'), gaveUp);
        const restarted = (count) => until(`restart ${count}`, () => times(/restart: complete/) === count);
        await hangs();
        await restarted(1);
        await hangs();
        await until('the refusal to try again', () => times(/it is not tried again/) === 1);
        assert.equal(times(/the server restarts to be rid of that/), 1);
        assert.equal(await client.text('echo', { message: 'served' }), 'served');
        await restarted(2);
    }, hanging({ server: { workers: 1 } })));
});

describe('a slot that does not come back', { concurrency: 8 }, () => {
    const impatient = { restart: { process_startup: 1 } };
    const unhurried = { restart: { process_startup: 3 } }; /* where another image has to come up in that time */

    test('check: the configuration is refused, and the plugin is named', () => serving(async (client, home) => {
        await client.appears('hang');
        home.configure({ ...impatient, 'plugin:hang': { hang: 'check' } });
        const { issues } = await until('the refusal', async () => {
            const report = await health(client);
            return report.checks.configuration.refused && report.checks.threads.stuck.length > 0 ? report : undefined;
        });
        assert.match(issues.join('\n'), /plugin 'hang': its 'check' did not come back within 1000 ms/);
        assert.match(issues.join('\n'), /a thread is stuck in plugin 'hang', slot 'check'/);
        home.configure({ ...impatient, tools: { hide: 'hang_loop' } });
        await client.vanishes('hang_loop');
    }, hanging(impatient)));

    test('configure: the others go on', () => serving(async (client, home) => {
        await client.appears('hang');
        home.configure({ ...impatient, 'plugin:hang': { hang: 'configure' } });
        await isStuck(client);
        assert.match((await client.plugin('hang')).reason, /'configure' did not come back; the settings are uncertain/);
        assert.equal((await stuck(client))[0].slot, 'configure');
        home.drop('greet');
        await client.appears('greet');
    }, hanging(impatient)));

    for (const slot of ['start', 'selftest', 'activate', 'save', 'stop'])
        test(`${slot}: it is named among the stuck threads, and a restart sheds it`, () => serving(async (client, home) => {
            const config = { ...impatient, 'plugin:hangstop': { hang: slot } };
            const before = slot === 'save' || slot === 'stop'; /* the old one hangs, not the new one */
            if (before)
                home.configure(config);
            home.drop('hangstop');
            await client.appears('hangs');
            if (before)
                home.drop('hangstop');
            else
                home.configure(config);
            await isStuck(client);
            const [one] = await stuck(client);
            assert.deepEqual({ ...one, stuck_s: 0 }, { plugin: 'hangstop', slot, stuck_s: 0 });
            const generation = async () => (await health(client)).checks.configuration.generation, hurried = await generation();
            home.configure(unhurried);
            await until('it to be taken', async () => await generation() !== hurried);
            if (slot !== 'save') {
                await until('the plugin to be well', async () => (await client.plugin('hangstop')).state === 'active');
                await restarts(client, { reason: 'error_recovery' });
                assert.deepEqual(await stuck(client), []);
            }
            assert.equal(await client.text('hangs'), 'not here');
        }, { prepare: (home) => home.configure(impatient) }));

    test('save: a restart is called off, names it, and one that may lose its state goes on', () => serving(async (client, home) => {
        home.drop('hangstop');
        home.drop('counter'); /* is asked later */
        await client.appears('hangs');
        await client.appears('count');
        await client.value('count');
        const failed = await restart(client);
        assert.equal(failed.success, false);
        assert.match(failed.message, /plugin 'hangstop': its 'save' did not come back within 3000 ms/);
        assert.equal(await client.text('hangs'), 'not here');
        const report = await restarts(client, { reason: 'error_recovery' });
        assert.match(report.left_behind, /plugin 'hangstop': its state is not saved, for its 'save' has not come back/);
        assert.equal(await client.text('hangs'), 'not here');
        assert.equal((await client.value('counted')).count, 1, 'what the others have comes along');
        const second = await restarts(client, { reason: 'error_recovery' });
        assert.match(second.left_behind, /'save' did not come back within 3000 ms/);
        assert.equal((await client.value('counted')).count, 1);
    }, { prepare: (home) => home.configure({ ...unhurried, 'plugin:hangstop': { hang: 'save' } }) }));

    for (const slot of ['start', 'selftest', 'activate'])
        test(`${slot}, in a new image: the way back is taken, and the server goes on`, () => serving(async (client, home) => {
            home.drop('hangstop');
            await client.value('theseus_reload');
            await client.appears('hangs');
            home.configure({ ...unhurried, plugins: { watch: 'no' }, 'plugin:hangstop': { hang: slot } });
            const report = await restart(client);
            assert.equal(report.success, false);
            assert.match(report.message, /process_startup/);
            assert.equal(await client.text('echo', { message: 'well' }), 'well');
            await client.refused('hangstop.so', /did not come back within 3000 ms/);
            home.configure({ plugins: { watch: 'no' } });
            await client.value('theseus_reload');
            await client.appears('hangs');
            await restarts(client);
        }, { prepare: (home) => home.configure({ ...unhurried, plugins: { watch: 'no' } }) }));

    test('stop: the server leaves in time', () => serving(async (client, home) => {
        home.drop('hangstop');
        await client.appears('hangs');
        const { code, ms } = await client.close();
        assert.equal(code, 0);
        assert.ok(ms < atMost(10_000), `${ms} ms`);
    }, { prepare: (home) => home.configure({ 'plugin:hangstop': { hang: 'stop' } }) }));
});
