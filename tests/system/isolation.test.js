/* The contract of plugins holds in a process of one's own: the same fixtures, with .isolation = process. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, test } from 'node:test';

import { pause, until, within } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { Home, binary } from './lib/home.js';
import { isolated, isolation, processOf } from './lib/isolated.js';
import { alive, children, run } from './lib/proc.js';
import { restart, restarts } from './lib/restart.js';

const HEALTH = 'orchestrator_health_check';

const mapped = (pid, name) => readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')
    .some((line) => basename(line.split(/\s+/)[5] ?? '').startsWith(`${name}.`));

const of = (kind) => (client) => client.notifications.filter((one) => one.method === kind).map((one) => one.params);
const progress = of('notifications/progress');
const messages = of('notifications/message');

const withToken = (client, name, args, token) =>
    client.start('tools/call', { name, arguments: args, _meta: { progressToken: token } });

describe('an isolated plugin', { concurrency: 4 }, () => {
    test('is loaded in a child of the server and nowhere else', () => isolated(['slow'], async (client) => {
        assert.equal(await client.text('slow', { ms: 0 }), 'slept 0 ms in 1 steps');
        const { isolation: kind, pid, restarts: times, memory, memory_limit: limit, state, files } =
            await processOf(client, 'slow');
        assert.deepEqual({ kind, times, limit, state }, { kind: 'process', times: 0, limit: 512 << 20, state: 'serving' });
        assert.match(files, /^(Landlock|no Landlock)/);
        assert.ok(memory > 1 << 20, `${memory} bytes`);
        await until('no other child', () => String(children(client.pid)) === String([pid]));
        assert.ok(mapped(pid, 'slow'), 'there it is');
        assert.ok(!mapped(client.pid, 'slow'), 'the server does not have it');
        assert.equal((await client.plugin('echo')).isolation, 'none');
        assert.ok(mapped(client.pid, 'echo'), 'as it has others');
        assert.match(await client.text('theseus_plugins'), new RegExp(`isolated: process ${pid}, [0-9.]+ MB, serving, 0 restarts\n`));
    }));

    test('runs calls beside one another', () => isolated(['serial'], async (client) => {
        const seen = await Promise.all(Array.from({ length: 4 }, () => client.value('parallel', { ms: 500 })));
        assert.ok(Math.max(...seen.map((one) => one.most)) >= 2, JSON.stringify(seen));
    }));

    test('answers later, from a thread of its own', () => isolated(['slow'], async (client) => {
        const texts = await Promise.all(Array.from({ length: 20 }, (_, ms) => client.text('slow_later', { ms, steps: 1 })));
        assert.deepEqual(texts, Array.from({ length: 20 }, (_, ms) => `slept ${ms} ms in 1 steps`));
    }));

    test('tells of progress, and hears that it is cancelled', () => isolated(['slow'], async (client) => {
        for (const [name, token] of [['slow', 'a'], ['slow_later', 'b']]) {
            const { answer } = withToken(client, name, { ms: 100, steps: 4 }, token);
            await within(name, answer);
            const told = progress(client).filter((one) => one.progressToken === token);
            assert.ok(told.length >= 2, `${told.length} steps`);
            assert.deepEqual(told.at(-1), { progressToken: token, progress: 4, total: 4, message: 'working' });
        }
        const { id } = client.start('tools/call', { name: 'slow', arguments: { ms: 600_000 } });
        await until('the call to run', async () => (await client.plugin('slow')).in_flight === 1);
        client.notify('notifications/cancelled', { requestId: id });
        await until('its handler to return', async () => (await client.plugin('slow')).in_flight === 0);
        assert.equal((await processOf(client, 'slow')).restarts, 0);
    }));

    test('knows who asks, and logs', () => isolated(['client', 'logger'], async (client) => {
        const who = await client.value('who');
        assert.equal(who.name, 'system');
        assert.equal(who.transport, 'stdio');
        await client.ask('logging/setLevel', { level: 'warning' });
        await client.text('say', { level: 'error', text: 'from inside' });
        await until('the message', () => messages(client).some((one) => JSON.stringify(one).includes('from inside')));
    }));

    test('calls other tools, those of its own too, and the core', () => isolated(['inner', 'asker'], async (client) => {
        assert.equal(await client.text('inner', { tool: 'echo', arguments: { message: 'x' } }), 'x');
        assert.equal(await client.text('inner_depth', { depth: 4 }), 'the bottom');
        assert.match(await client.text('inner_depth', { depth: 9 }), /8 deep/);
        assert.match(await client.text('inner', { tool: 'nowhere' }), /unknown tool 'nowhere'/);
        const refused = await client.result('inner', { tool: 'echo', arguments: {} });
        assert.match(refused.content[0].text, /invalid arguments/);
        const { plugins } = await client.value('ask', { verb: 'plugins' });
        assert.ok(plugins.some((one) => one.name === 'asker'));
    }));

    test('keeps state with the host', () => isolated(['shared', 'vault'], async (client, home) => {
        await Promise.all(Array.from({ length: 40 }, () => client.result('shared_count', {})));
        const { count } = await client.value('shared_counted');
        assert.equal(count, 40, 'none of the updates was lost');
        await restarts(client);
        assert.equal((await client.value('shared_counted')).count, 40);
        assert.ok(!existsSync(home.path('state', 'isolated', 'shared', 'state.db')), 'nobody asked for a database');
    }));

    test('hands its memory over to the next generation, and over a restart', () => isolated(['counter'], async (client, home) => {
        for (let i = 1; i <= 3; i++)
            assert.equal((await client.value('count')).count, i);
        const before = await processOf(client, 'counter');
        home.drop('counter');
        await until('the next generation', async () => (await processOf(client, 'counter'))?.pid !== before.pid);
        assert.equal((await client.value('count')).count, 4);
        await until('the process before to end', () => !alive(before.pid));
        const { pid } = await processOf(client, 'counter');
        await restarts(client);
        const after = await processOf(client, 'counter');
        assert.notEqual(after.pid, pid, 'a restart ends it and starts it again');
        assert.ok(!alive(pid));
        assert.equal((await client.value('count')).count, 5);
        await until('no zombie to be left', () => String(children(client.pid)) === String([after.pid]));
    }));

    test('goes on at its checkpoint behind a restart', () => isolated(['resumable'], async (client) => {
        const { answer } = withToken(client, 'resumable', { steps: 60, ms: 20 }, 'r');
        await until('some steps', () => progress(client).some((one) => one.progressToken === 'r' && one.progress >= 5));
        await restarts(client);
        assert.deepEqual((await within('the answer', answer)).result.structuredContent, { steps: 60 });
        const { effects } = await client.value('effects');
        assert.deepEqual(effects, Array.from({ length: 60 }, (_, i) => i), 'each effect once');
    }));

    test('adds and removes tools while it runs', () => isolated(['dynamic'], async (client) => {
        assert.equal(await client.text('grow'), 'grown_1');
        assert.equal(await client.text('grow'), 'grown_2');
        await client.appears('grown_2');
        assert.equal(await client.text('grown_2'), 'I am grown_2');
        await client.result('shrink');
        await client.vanishes('grown_2');
        assert.equal(await client.text('grown_1'), 'I am grown_1');
    }));

    test('takes settings in place', () => isolated(['config'], async (client, home) => {
        assert.equal((await client.value('config_get')).config.number, 7);
        const { pid } = await processOf(client, 'config');
        writeFileSync(home.path('hidden'), 'hush\n', { mode: 0o600 });
        home.configure(isolation(['config'], { number: 9, secret: 'file:hidden' }));
        await until('the settings', async () => (await client.value('config_get')).config.number === 9);
        assert.equal((await client.value('config_get')).has_secret, true);
        assert.equal((await processOf(client, 'config')).pid, pid, 'the same process has taken them');
    }));

    test('keeps a database of its own', () => isolated(['database'], async (client, home) => {
        await client.result('db_put', { key: 'a', value: 'b' });
        await restarts(client);
        assert.deepEqual(await client.value('db_get', { key: 'a' }), { value: 'b' });
        assert.ok(existsSync(home.path('state', 'isolated', 'database', 'state.db')));
        const own = home.path('state', 'theseus.db');
        assert.ok(!existsSync(own) || !readFileSync(own).includes('fixture_values'), 'the server has nothing of it');
    }));

    test('is never run beside itself where it says so', () => isolated(['serial'], async (client) => {
        const most = await Promise.all(Array.from({ length: 4 }, () => client.value('serial', { ms: 20 })));
        assert.ok(most.every((one) => one.most === 1), JSON.stringify(most));
    }));

    test('carries long arguments and results', () => isolated(['inner'], async (client) => {
        const message = 'long '.repeat(1 << 18);
        assert.equal(await client.text('inner', { tool: 'echo', arguments: { message } }), message);
    }));
});

describe('whether a plugin is isolated', { concurrency: 4 }, () => {
    test('can change while it serves, and its state comes along', () => serving(async (client, home) => {
        home.drop('counter');
        await client.appears('count');
        assert.equal((await client.value('count')).count, 1);
        assert.ok(mapped(client.pid, 'counter'));
        home.configure(isolation(['counter']));
        await until('its process', async () => (await processOf(client, 'counter'))?.isolation === 'process');
        assert.equal((await client.value('count')).count, 2);
        await until('the mapping to go', () => !mapped(client.pid, 'counter'));
        home.configure(isolation(['counter'], { '.memory': '256M' }));
        await until('the limit', async () => (await processOf(client, 'counter'))?.memory_limit === 256 << 20);
        assert.equal((await client.value('count')).count, 3);
        home.configure();
        await until('it to be back', async () => (await processOf(client, 'counter'))?.isolation === 'none');
        assert.equal((await client.value('count')).count, 4);
        await until('its process to end', () => children(client.pid).length === 0);
    }));

    test('is checked with the configuration', () => serving(async (client, home) => {
        await client.appears(HEALTH);
        for (const [key, value, said] of [
            ['.isolation', 'maybe', /\.isolation: 'maybe' is not none or process/],
            ['.isolatoin', 'process', /unknown key '\.isolatoin' .*did you mean '\.isolation'/],
            ['.memory', '1K', /\.memory: '1K' is out of range/],
        ]) {
            home.configure({ 'plugin:echo': { [key]: value } });
            await until(`${key} = ${value} to be refused`, async () =>
                said.test((await client.value(HEALTH)).checks.configuration.refused?.text ?? ''));
        }
        assert.equal((await client.plugin('echo')).isolation, 'none');
    }));

    test('is decided by the name of its file, which must be its own', () => serving(async (client, home) => {
        home.configure(isolation(['counter', 'another']));
        home.drop('counter', 'mislabelled');
        assert.match(await client.refused('mislabelled.so'), /call the file 'counter\.so'/);
        home.drop('counter', 'another');
        assert.match(await client.refused('another.so'), /calls itself 'counter'/);
        home.drop('counter');
        await client.appears('count');
        assert.equal((await processOf(client, 'counter')).isolation, 'process');
    }));

    test('holds for the check of a file, too', async () => {
        const home = new Home();
        try {
            home.configure({ ...isolation(['slow', 'ctorcrash']), restart: { process_startup: 10 } });
            home.drop('slow');
            home.drop('ctorcrash');
            const files = ['slow', 'ctorcrash'].map((name) => home.path('plugins', `${name}.so`));
            const { code, out, err } = await run(binary, ['check', '-c', home.config, ...files]);
            assert.equal(code, 1);
            assert.match(out, /1 plugin is good/);
            assert.match(err, /ctorcrash\.so: (its process )?crashed with SIG/, 'in its own process, not in one that tries plugins out');
            const all = await run(binary, ['check', '-c', home.config]);
            assert.match(all.err, /ctorcrash\.so: .*crashed with SIG/);
            assert.deepEqual(readdirSync(home.path('state')), [], 'nothing is left of it');
        } finally {
            home.dispose();
        }
    });
});

describe('what an isolated plugin cannot begin with', { concurrency: 4 }, () => {
    for (const [name, said] of [
        ['ctorcrash', /its process crashed with SIG|crashed with SIG/],
        ['ctorexit', /ended by itself/],
        ['startfails', /start: /],
        ['selftestfails', /selftest: /],
        ['activatefails', /activate: /],
        ['undefined', /undefined symbol/],
        ['nosymbol', /theseus_plugin/],
        ['badschema', /schema/],
    ])
        test(`${name} is refused, and the server goes on`, () => isolated([name], async (client) => {
            assert.match(await client.refused(`${name}.so`), said);
            assert.equal(await client.text('echo', { message: 'x' }), 'x');
            await until('its process to end', () => children(client.pid).length === 0);
        }));

    for (const slot of ['start', 'selftest', 'activate'])
        test(`a ${slot} that hangs is refused`, () => isolated(['hangstop'], async (client) => {
            await client.appears(HEALTH);
            assert.match(await client.refused('hangstop.so'), new RegExp(`${slot}: did not come back`));
            await until('its process to end', () => children(client.pid).length === 0);
            await until('nothing to be quarantined', async () => (await client.value(HEALTH)).checks.plugins.quarantined.length === 0);
        }, { more: { hang: slot }, sections: { restart: { process_startup: 2 } } }));

    for (const slot of ['start', 'selftest', 'activate'])
        test(`a ${slot} that hangs is refused, and goes, also where the server had no time to end it`, () => serving(async (client, home) => {
            await client.appears(HEALTH);
            home.drop('hangstop');
            const begin = Date.now();
            await until('its process', () => children(client.pid).length > 0 && Date.now() - begin > 1000);
            process.kill(client.pid, 'SIGSTOP'); /* its time and that of the server's thread are over behind it */
            await pause(2500);
            process.kill(client.pid, 'SIGCONT');
            assert.match(await client.refused('hangstop.so'), /did not come back/);
            await until('its process to end', () => children(client.pid).length === 0);
            await until('nothing to be quarantined', async () => (await client.value(HEALTH)).checks.plugins.quarantined.length === 0);
        }, { prepare: (home) => home.configure({ ...isolation(['hangstop'], { hang: slot }), restart: { process_startup: 2 } }) }));

    test('a constructor that hangs is refused', () => isolated(['ctorhang'], async (client) => {
        await client.appears('theseus_plugins');
        assert.match(await client.refused('ctorhang.so'), /did not come back/);
        await until('its process to end', () => children(client.pid).length === 0);
    }, { sections: { restart: { process_startup: 2 } } }));

    for (const slot of ['stop', 'save'])
        test(`a ${slot} that hangs costs its process`, () => isolated(['hangstop'], async (client, home) => {
            await client.appears('hangs');
            await client.appears(HEALTH);
            const { pid } = await processOf(client, 'hangstop');
            home.drop('hangstop');
            await until('the next one', async () => {
                const next = await processOf(client, 'hangstop');
                return next?.pid && next.pid !== pid;
            });
            await until('the process before to end', () => !alive(pid));
            await until('nothing to be quarantined', async () => (await client.value(HEALTH)).checks.plugins.quarantined.length === 0);
        }, { more: { hang: slot }, sections: { restart: { process_startup: 3 } } }));

    test('a stop that hangs costs its process, also where the server had no time to end it', () => isolated(['hangstop'], async (client, home) => {
        await client.appears('hangs');
        await client.appears(HEALTH);
        const { pid } = await processOf(client, 'hangstop');
        home.drop('hangstop');
        const begin = Date.now();
        await until('the next one', async () => {
            const next = await processOf(client, 'hangstop');
            return next?.pid && next.pid !== pid && Date.now() - begin > 1000;
        });
        assert.ok(alive(pid), 'it is still being stopped');
        process.kill(client.pid, 'SIGSTOP');
        await pause(2500);
        process.kill(client.pid, 'SIGCONT');
        await until('the process before to end', () => !alive(pid));
        await until('nothing to be quarantined', async () => (await client.value(HEALTH)).checks.plugins.quarantined.length === 0);
    }, { more: { hang: 'stop' }, sections: { restart: { process_startup: 3 } } }));
});

describe('the process of an isolated plugin', { concurrency: 4 }, () => {
    test('ends with the server', () => isolated(['slow'], async (client) => {
        await client.text('slow', { ms: 0 });
        const { pid } = await processOf(client, 'slow');
        await client.close();
        assert.ok(!alive(pid));
    }));

    test('ends with a server that is killed', () => isolated(['slow'], async (client) => {
        await client.text('slow', { ms: 0 });
        const { pid } = await processOf(client, 'slow');
        await client.kill();
        await until('it to end', () => !alive(pid));
    }));

    test('is not there before anybody asks for tools', () => isolated(['slow'], async (client, home) => {
        assert.deepEqual(children(client.pid), []);
        assert.ok(!existsSync(home.path('state', 'isolated')));
    }, { shake: false }));

    test('serves again when a restart has failed', () => isolated(['counter'], async (client, home) => {
        assert.equal((await client.value('count')).count, 1);
        home.drop('ctorcrash');
        const report = await restart(client, { reason: 'manual_request', graceful: true });
        assert.equal(report.success, true);
        assert.equal((await client.value('count')).count, 2);
    }));
});
