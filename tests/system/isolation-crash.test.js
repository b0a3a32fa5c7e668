/* An isolated plugin that crashes, hangs, takes too much or talks nonsense costs the calls in it, and is started again. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { fixture, sanitized } from './lib/home.js';
import { isolated, processOf } from './lib/isolated.js';
import { alive, children } from './lib/proc.js';

const HEALTH = 'orchestrator_health_check';

/* None is too new to crash, if nothing else is said. */
const wrecked = (body, { crash = {}, ...options } = {}) =>
    isolated(['wreck'], body, { sections: { crash: { probation: 0, ...crash } }, ...options });
const UNLOADED = /version 1\.0\.0 of plugin 'wreck' crashed with SIGABRT in tool 'wreck' at .*, for the 3\. time within 60 s; its tools are not served/;
const crashOf = (result) => result._meta?.['theseus/crash'];
const latest = (client) => until('the history', async () =>
    (await client.value('orchestrator_restart_status', { include_history: true })).history.recent_crashes[0]);
const served = (client, restarts) => until(`${restarts} restarts`, async () => {
    const one = await processOf(client, 'wreck');
    return one?.restarts === restarts && one.state === 'serving' && one;
});

describe('a crash of an isolated plugin', { concurrency: 4 }, () => {
    for (const [how, signal, said] of [
        ['null', 'SIGSEGV', /crashed with SIGSEGV/],
        ['abort', 'SIGABRT', /crashed with SIGABRT/],
        ['stack', 'SIGSEGV', /crashed with SIGSEGV/],
        ['exit', '', /ended by itself \(exit status 3\)/],
        ['garbage', 'SIGKILL', /it sent what nobody understands/],
        ['length', 'SIGKILL', /it sent what nobody understands/],
        ['nonsense', 'SIGKILL', /it sent what nobody understands/],
        ['close', 'SIGKILL', /it closed a channel to the server/],
    ])
        test(`by ${how} costs its own call`, () => wrecked(async (client) => {
            const before = await processOf(client, 'wreck');
            const [result, other] = await Promise.all([
                client.result('wreck', { how }),
                client.text('echo', { message: 'x' }),
            ]);
            assert.equal(other, 'x');
            assert.equal(result.isError, true);
            assert.match(result.content[0].text, said);
            assert.match(result.content[0].text, /may have executed/);
            assert.deepEqual(crashOf(result),
                { plugin: 'wreck', version: '1.0.0', signal, may_have_executed: true, next: 'restarted' });
            const after = await served(client, 1);
            assert.notEqual(after.pid, before.pid);
            assert.ok(!alive(before.pid));
            assert.deepEqual(await client.value('wreck_seen'), { starts: 2, active: true, calls: 1, pid: after.pid });
            assert.equal(await client.text('wreck_added'), `added from ${after.pid}`);
            await until('no zombie to be left', () => String(children(client.pid)) === String([after.pid]));
            assert.equal(client.changes(), 0, 'the tools are the same');
            assert.match(after.trouble ?? '', /^$/);
        }));

    /* A sanitizer maps terabytes: where there is one, the memory is not limited. */
    test('by memory costs its own call, and is limited', () => wrecked(async (client) => {
        if (!sanitized) {
            const result = await client.result('wreck', { how: 'memory' });
            assert.match(result.content[0].text,
                /crashed with SIGSEGV in this call, for its memory of 128 MiB was used up \(\[plugin:wreck\] \.memory\)/);
            assert.equal(crashOf(result).memory_limit, 128 << 20);
        }
        await served(client, sanitized ? 0 : 1);
        assert.equal((await processOf(client, 'wreck')).memory_limit, 128 << 20);
    }, { more: { '.memory': '128M' } }));

    test('is said to have changed nothing where it has not', () => wrecked(async (client) => {
        const result = await client.result('wreck_read', { how: 'abort' });
        assert.equal(crashOf(result).may_have_executed, false);
        assert.match(result.content[0].text, /may be made again/);
        assert.equal((await served(client, 1)).restarts, 1, 'it was alone, and to blame: it is not run once more');
    }));

    test('behind an answer costs nobody anything', () => wrecked(async (client) => {
        assert.equal(await client.text('wreck_behind', { how: 'abort' }), 'done');
        await served(client, 1);
        assert.equal((await client.value('wreck_seen')).starts, 2);
    }));

    test('ends the calls that were to be answered later', () => wrecked(async (client) => {
        const never = client.start('tools/call', { name: 'wreck_never', arguments: {}, _meta: { progressToken: 'n' } }).answer;
        await until('it to run', () => client.notifications.length > 0);
        await client.result('wreck', { how: 'null' });
        const { result } = await within('the answer', never);
        assert.equal(crashOf(result).signal, 'SIGSEGV');
        await until('nothing to run', async () => (await client.plugin('wreck')).in_flight === 0);
    }));

    test('lets calls of others run again that may, and goes on at a checkpoint', () => wrecked(async (client) => {
        const calls = ['wreck_sit_again', 'wreck_steps', 'wreck_sit'].map((name) => client.start('tools/call',
            { name, arguments: { ms: sanitized ? 5000 : 3000 }, _meta: { progressToken: name } }).answer);
        const begun = () => new Set(client.notifications.map((one) => one.params?.progressToken).filter(Boolean));
        await until('them to run', () => begun().size === calls.length);
        await client.result('wreck', { how: 'abort' });
        const [again, steps, once] = (await within('the answers', Promise.all(calls))).map((one) => one.result);
        assert.equal(again.content[0].text, 'sat');
        assert.match(steps.content[0].text, /^from [12]$/, 'not from the beginning'); /* where its last checkpoint was */
        assert.equal(once.isError, true);
        assert.match(once.content[0].text, /may have executed/);
    }));

    test('too often takes it away until its file changes', () => wrecked(async (client, home) => {
        for (let i = 1; i <= 3; i++) {
            const result = await client.result('wreck', { how: 'abort' });
            assert.match(result.content[0].text, /SIGABRT/);
            assert.equal(crashOf(result).next, i < 3 ? 'restarted' : 'unloaded');
            if (i < 3)
                assert.equal((await served(client, i)) && (await client.plugin('wreck')).crashes, i);
        }
        const plugin = await until('the end', async () => await client.plugin('wreck', 'unloaded'));
        assert.equal(plugin.crashes, 3);
        assert.match(plugin.reason, UNLOADED);
        const refused = await client.result('wreck_seen');
        assert.equal(refused.isError, true);
        assert.match(refused.content[0].text, /tool 'wreck_seen' is not served: version 1\.0\.0 of plugin 'wreck'/);
        const health = await client.value(HEALTH);
        assert.equal(health.healthy, false);
        assert.match(health.issues.join(), UNLOADED);
        await until('its process to be gone', () => children(client.pid).length === 0);
        home.put('wreck.so', Buffer.concat([readFileSync(fixture('wreck')), Buffer.from('x')]), 0o700);
        await until('a new file to serve', async () => (await processOf(client, 'wreck'))?.state === 'serving');
        assert.equal((await client.value('wreck_seen')).starts, 4);
        assert.equal((await client.value(HEALTH)).healthy, true);
    }));

    test('is in the history, with the way there', () => wrecked(async (client, home) => {
        await client.result('wreck', { how: 'null' });
        await served(client, 1);
        const { hash, crashes } = await client.plugin('wreck');
        assert.equal(crashes, 1);
        const row = await latest(client);
        assert.deepEqual([row.kind, row.reason, row.mechanism, row.subject, row.success],
            ['crash', 'isolated_plugin', 'process', 'wreck', true]);
        const { message, backtrace, backtrace_hint: hint, thread, ...details } = row.errors[0];
        assert.deepEqual(details, { plugin: 'wreck', version: '1.0.0', hash, tool: 'wreck', signal: 'SIGSEGV',
            isolation: 'process', next: 'restarted', crashes: 1 });
        const said = "the process of plugin 'wreck' 1.0.0 crashed with SIGSEGV in tool 'wreck'; it is started again";
        assert.equal(message, said);
        assert.ok(home.log.includes(said), home.log);
        assert.ok(!home.log.includes('restart'), 'the server itself went on');
        if (sanitized)
            return; /* which has the signals of crashes: nobody writes the way there down */
        assert.equal(thread, 'calls');
        assert.match(hint, /addr2line/);
        assert.match(backtrace[0], /^wreck\.so\+0x[0-9a-f]+: by_null\+0x[0-9a-f]+$/);
        assert.ok(backtrace.some((line) => /^theseus\+0x[0-9a-f]+: inside_run_call\+0x/.test(line)), backtrace.join('\n'));
        assert.match(home.log, /error .*#0 wreck\.so\+0x[0-9a-f]+: by_null\+0x/);
    }));

    test('on a stack that is used up tells the way there as well', { skip: sanitized }, () => wrecked(async (client) => {
        await client.result('wreck', { how: 'stack' });
        assert.match((await latest(client)).errors[0].backtrace[0], /^wreck\.so\+0x[0-9a-f]+: deeper.*\+0x/);
    }));

    for (const [how, said] of [['exit', 'ended by itself (exit status 3)'], ['close', 'was ended, because it closed a channel to the server']])
        test(`by ${how} is in the history, too`, () => wrecked(async (client) => {
            await client.result('wreck', { how });
            const { message, tool, backtrace } = (await latest(client)).errors[0];
            assert.equal(message, `the process of plugin 'wreck' 1.0.0 ${said} in tool 'wreck'; it is started again`);
            assert.deepEqual([tool, backtrace], ['wreck', []]);
        }));

    test('of a tool with an output schema is an error of the protocol', () => wrecked(async (client) => {
        const { error } = await client.call('wreck_schema', { how: 'null' });
        assert.equal(error.code, -32603);
        assert.match(error.message, /the process of plugin 'wreck' crashed with SIGSEGV in this call; it is started again/);
        assert.deepEqual(error.data,
            { plugin: 'wreck', version: '1.0.0', signal: 'SIGSEGV', may_have_executed: true, next: 'restarted' });
    }));

    test('while a resource was read is one, too', () => wrecked(async (client) => {
        const { error } = await client.ask('resources/read', { uri: 'wreck://null' });
        assert.equal(error.code, -32603);
        assert.equal(error.data.signal, 'SIGSEGV');
        assert.equal(error.data.may_have_executed, false);
    }));

    test('blames the call that it was in, and no other', () => wrecked(async (client) => {
        const sitting = client.start('tools/call', { name: 'wreck_sit', arguments: { ms: 5000 }, _meta: { progressToken: 's' } });
        await until('it to run', () => client.notifications.length > 0);
        const crashed = await client.result('wreck', { how: 'null' });
        const { result } = await within('the answer', sitting.answer);
        assert.match(result.content[0].text, /crashed with SIGSEGV while this call ran;/);
        assert.match(crashed.content[0].text, sanitized ? /crashed/ : /crashed with SIGSEGV in this call;/);
    }));

    test('is none when the server ends', () => wrecked(async (client, home) => {
        await client.value('wreck_seen');
        await client.close();
        assert.doesNotMatch(client.stderr + home.log, /crashed|SIGKILL/);
    }));

    test('is none when the server is told to end', () => wrecked(async (client, home) => {
        await client.value('wreck_seen');
        await client.signal('SIGTERM');
        assert.doesNotMatch(client.stderr + home.log, /crashed|SIGKILL/);
    }));

    /* What the first call has kept, others lack: they are served from a reserve, and then by another process. */
    test('for want of memory is not blamed on who comes next', { skip: sanitized }, () => wrecked(async (client, home) => {
        assert.equal(await client.text('wreck', { how: 'leak' }), 'still here');
        for (let i = 0; i < 8; i++)
            await Promise.all([1, 2, 3].map(async () => assert.ok((await client.value('wreck_seen')).starts >= 1)));
        await served(client, 1);
        assert.deepEqual((await client.value('wreck_seen')).starts, 2);
        const { message, signal } = (await latest(client)).errors[0];
        assert.match(message, /was ended, because its memory of 128 MiB was used up \(\[plugin:wreck\] \.memory\); it is started again/);
        assert.equal(signal, 'SIGKILL');
        assert.match(home.log, /its memory of 128 MiB was used up/);
    }, { more: { '.memory': '128M' } }));

    test('while it is started again counts as another', () => wrecked(async (client) => {
        await client.result('wreck', { how: 'abort' });
        const { crashes, reason } = await until('the end', async () => await client.plugin('wreck', 'unloaded'));
        assert.equal(crashes, 3);
        assert.match(reason, sanitized ? /crashed with SIGSEGV/ : /crashed with SIGSEGV in its 'start' at/);
        assert.equal(await client.text('echo', { message: 'x' }), 'x');
    }, { more: { start: 'null', after: 1 } }));

    test('from outside is one, too', () => wrecked(async (client) => {
        const { pid } = await processOf(client, 'wreck');
        process.kill(pid, 'SIGKILL');
        await served(client, 1);
        assert.equal((await client.value('wreck_seen')).starts, 2);
    }));
});

describe('an isolated plugin that hangs', { concurrency: 4 }, () => {
    test('in a tool that never waits is ended as well, by the operator\'s time', () => wrecked(async (client) => {
        const result = await client.result('wreck_inline', { how: 'hang' });
        assert.match(result.content[0].text, /did not end within 1 s/);
        await served(client, 1);
        await until('an answer', async () => await client.text('wreck_inline', { how: 'not' }) === 'still here');
    }, { more: { '.call_timeout': 1 } }));

    test('is answered in time, and ended 5 s later', () => isolated(['wreck'], async (client) => {
        const begin = Date.now();
        const { pid } = await processOf(client, 'wreck');
        const result = await client.result('wreck_brief', { how: 'hang' });
        assert.match(result.content[0].text, /did not end within 1 s/);
        assert.ok(Date.now() - begin < 5000, `${Date.now() - begin} ms`);
        assert.equal(await client.text('echo', { message: 'x' }), 'x');
        const after = await served(client, 1);
        assert.ok(Date.now() - begin > 5900, `${Date.now() - begin} ms`);
        assert.ok(!alive(pid));
        assert.equal((await client.value('wreck_seen')).pid, after.pid);
        const row = await latest(client);
        assert.match(row.errors[0].message, /was ended, because a call did not come back after its time was up/);
        const { crashes, probation } = await client.plugin('wreck');
        assert.deepEqual([crashes, probation], [0, true], 'to hang is not to crash');
        await until('its handler to be given up', async () => (await client.plugin('wreck')).in_flight === 0);
    }));
});
