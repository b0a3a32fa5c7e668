/* A list of calls that is one call: in order, with leave, and across restarts. What was run is counted in a file. */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { binary } from './lib/home.js';

/* A tool of the shell: `script` is run with the tool's argument as $1. */
const shell = (script, more = {}) => ({
    description: 'Use this in a test.',
    command: `sh -c '${script}' sh {word}`,
    'input.word': 'string',
    ...more,
});

/*
 * mark      notes the word and says it
 * wait      notes it, and then does not end
 * gate      notes it, and ends when there is a file of that name
 * look      the same, but it may be repeated; the second time it ends
 * fail      notes it and fails
 */
const marking = (access = {}, more = {}) => (home) => {
    const note = `echo "$1" >>"${home.path('notes')}"`;
    writeFileSync(home.path('notes'), '');
    home.configure({
        access: { call_by_name: 'yes', ...access },
        restart: { task_suspension: 1, shutdown_timeout: 3 },
        'tool:mark': shell(`${note}; sleep 0.1; echo "$1"`),
        'tool:wait': shell(`${note}; sleep 60`),
        'tool:gate': shell(`${note}; while [ ! -e "${home.path()}/$1" ]; do sleep 0.02; done; echo "$1"`),
        'tool:look': shell(`${note}; if [ -e "${home.path('seen')}" ]; then echo "$1"; else : >"${home.path('seen')}"; sleep 60; fi`,
            { read_only: 'yes' }),
        'tool:fail': shell(`${note}; echo broken >&2; exit 3`),
        ...more,
    });
};
/* A restart that has time to wait for a step; one that had to would take longer than its test. */
const patient = { restart: { task_suspension: 15, shutdown_timeout: 15 } };
/* With a binary that the test may ill-treat. */
const ofItsOwn = (home) => {
    marking()(home);
    copyFileSync(binary, home.path('theseus'));
    Object.defineProperty(home, 'command', { value: { ...home.command, command: home.path('theseus') } });
};
const notes = (home) => readFileSync(home.path('notes'), 'utf8').split('\n').filter(Boolean);
const noted = (home, count) => until(`${count} notes`, () => notes(home).length >= count);
const step = (tool, word) => ({ tool, arguments: { word } });
const words = (count) => Array.from({ length: count }, (_, i) => `w${i}`);
const statuses = (result) => result.structuredContent.results.map((one) => one.status);

const restart = async (client, args = {}) => {
    const report = await client.value('orchestrator_restart_server', args);
    assert.equal(report.success, true, JSON.stringify(report));
    assert.equal(report.phase, 'complete');
    return report;
};
const ended = async (call) => {
    const { result, error } = await within('the end of the batch', call);
    assert.ok(result, JSON.stringify(error));
    return result;
};

describe('a batch', { concurrency: 4 }, () => {
    test('runs its calls in order, and says how far it is', () => serving(async (client, home) => {
        const calls = words(5).map((word) => step('mark', word));
        const { answer } = client.start('tools/call', {
            name: 'batch', arguments: { calls }, _meta: { progressToken: 'b' },
        });
        const result = await ended(answer);
        assert.notEqual(result.isError, true);
        assert.deepEqual(notes(home), words(5));
        const { completed, total, resumed, results } = result.structuredContent;
        assert.deepEqual({ completed, total, resumed }, { completed: 5, total: 5, resumed: 0 });
        assert.deepEqual(results.map((one) => one.content[0].text.trim()), words(5));
        const told = client.notifications.filter((one) => one.method === 'notifications/progress');
        assert.ok(told.every((one) => one.params.progressToken === 'b'));
        const values = told.map((one) => one.params.progress);
        assert.deepEqual(values, [...new Set(values)].sort((a, b) => a - b), 'it only grows');
        assert.equal(values.at(-1), 5);
        assert.ok(told.some((one) => one.params.message === 'mark' && one.params.total === 5));
    }, { prepare: marking() }));

    test('tells the progress of a call as a part of its step', () => serving(async (client) => {
        const calls = [{ tool: 'slow', arguments: { ms: 600, steps: 3 } }, { tool: 'slow', arguments: { ms: 600, steps: 3 } }];
        await client.appears('slow');
        const { answer } = client.start('tools/call', { name: 'batch', arguments: { calls }, _meta: { progressToken: 'p' } });
        assert.notEqual((await ended(answer)).isError, true);
        const told = client.notifications.filter((one) => one.params?.progressToken === 'p').map((one) => one.params);
        const values = told.map((one) => one.progress);
        assert.deepEqual(values, [...new Set(values)].sort((a, b) => a - b), 'it only grows');
        assert.ok(told.every((one) => one.total === 2), 'and there is one scale');
        for (const step of [0, 1])
            assert.ok(values.some((value) => value > step && value < step + 1), `within step ${step}: ${values}`);
        assert.equal(values.at(-1), 2);
    }, { prepare: (home) => {
        home.drop('slow');
        home.configure({ access: { call_by_name: 'yes' } });
    } }));

    test('stops at an error, and goes on behind it where it is told to', () => serving(async (client, home) => {
        const calls = [step('mark', 'a'), step('fail', 'b'), step('mark', 'c')];
        const stopped = await client.result('batch', { calls });
        assert.equal(stopped.isError, true);
        assert.equal(stopped.structuredContent.stopped_at, 1);
        assert.deepEqual(statuses(stopped), ['ok', 'error', 'not_run']);
        assert.deepEqual(notes(home), ['a', 'b']);
        const whole = await client.result('batch', { calls, on_error: 'continue' });
        assert.notEqual(whole.isError, true);
        assert.deepEqual(statuses(whole), ['ok', 'error', 'ok']);
        assert.equal(whole.structuredContent.stopped_at, undefined);
        assert.deepEqual(notes(home), ['a', 'b', 'a', 'b', 'c']);
    }, { prepare: marking() }));

    test('gives no leave that [access] call_by_name does not give', () => serving(async (client, home) => {
        const calls = [step('echo', 'x'), step('mark', 'a')];
        calls[0].arguments = { message: 'hello' };
        const result = await client.result('batch', { calls });
        assert.deepEqual(statuses(result), ['ok', 'error']);
        assert.match(result.structuredContent.results[1].text, /read-only.*access\.call_by_name/);
        home.configure({ access: { call_by_name: 'no' } });
        await until('the new configuration', async () =>
            statuses(await client.result('batch', { calls: [calls[0]] }))[0] === 'error');
        assert.deepEqual(notes(home), []);
    }, { prepare: marking({ call_by_name: 'read_only' }) }));

    test('tells a wrong argument and an unknown tool apart from a call that ran', () => serving(async (client) => {
        const result = await client.result('batch', {
            calls: [{ tool: 'mark', arguments: { word: 7 } }, { tool: 'nobody' }, { tool: 'theseus_call', arguments: { name: 'batch' } }],
            on_error: 'continue',
        });
        const [wrong, unknown] = result.structuredContent.results;
        assert.match(wrong.content[0].text, /invalid arguments for tool 'mark': \/word: must be a string/);
        assert.match(unknown.text, /there is no tool 'nobody'/);
        assert.deepEqual(statuses(result), ['error', 'error', 'error'], 'nor does it call itself by way of another');
    }, { prepare: marking() }));

    test('restarts nothing itself', () => serving(async (client) => {
        const { boot_id: before } = await client.value('orchestrator_health_check');
        const result = await client.result('batch', { calls: [{ tool: 'orchestrator_restart_server' }] });
        assert.deepEqual(statuses(result), ['error']);
        assert.equal((await client.value('orchestrator_health_check')).boot_id, before);
    }, { prepare: marking() }));

    test('ends without an answer when it is cancelled', () => serving(async (client, home) => {
        const { id } = client.start('tools/call', { name: 'batch', arguments: { calls: [step('wait', 'a'), step('mark', 'b')] } });
        await noted(home, 1);
        client.notify('notifications/cancelled', { requestId: id });
        await until('the call to end', async () => (await client.plugin('batch')).in_flight === 0);
        assert.deepEqual(notes(home), ['a']);
        assert.equal(client.open, 1, 'a cancelled call has no answer');
    }, { prepare: marking() }));
});

/* A restart that is asked for while the step runs that comes `nth`, a gate, and that finds it under way. */
const restartAt = async (client, home, nth) => {
    await noted(home, nth);
    const report = restart(client);
    await until('the step to be waited for', async () =>
        (await client.value('orchestrator_restart_status')).current_status.phase === 'suspending_tasks');
    writeFileSync(home.path(notes(home).at(-1)), '');
    await report;
};

describe('a batch in a restart', { concurrency: 4 }, () => {
    test('goes on at the next call: each is run once', () => serving(async (client, home) => {
        const gates = [3, 9], calls = words(20).map((word, i) => step(gates.includes(i + 1) ? 'gate' : 'mark', word));
        const { answer } = client.start('tools/call', { name: 'batch', arguments: { calls }, _meta: { progressToken: 1 } });
        for (const nth of gates)
            await restartAt(client, home, nth);
        const result = await ended(answer);
        assert.notEqual(result.isError, true);
        assert.deepEqual(notes(home), words(20));
        assert.deepEqual(result.structuredContent.results.map((one) => one.content[0].text.trim()), words(20));
        assert.equal(result.structuredContent.resumed, 2);
        const values = client.notifications.filter((one) => one.params?.progressToken === 1).map((one) => one.params.progress);
        assert.deepEqual(values, [...new Set(values)].sort((a, b) => a - b), 'it only grows, also across restarts');
        assert.equal(values.at(-1), 20);
    }, { prepare: marking({}, patient) }));

    test('stops at a call that was cut off and may not be repeated', () => serving(async (client, home) => {
        const call = client.call('batch', { calls: [step('mark', 'a'), step('wait', 'b'), step('mark', 'c')] });
        await noted(home, 2);
        const report = await restart(client);
        assert.equal(report.calls_interrupted, 0, 'the batch itself goes on');
        const result = await ended(call);
        assert.equal(result.isError, true);
        assert.deepEqual(statuses(result), ['ok', 'uncertain', 'not_run']);
        assert.equal(result.structuredContent.stopped_at, 1);
        assert.equal(result.structuredContent.resumed, 1);
        assert.match(result.structuredContent.results[1].text, /may have executed/);
        assert.deepEqual(notes(home), ['a', 'b'], 'it was not run again');
    }, { prepare: marking() }));

    test('goes on behind such a call where it is told to', () => serving(async (client, home) => {
        const call = client.call('batch', { calls: [step('wait', 'b'), step('mark', 'c')], on_uncertain: 'continue' });
        await noted(home, 1);
        await restart(client);
        const result = await ended(call);
        assert.notEqual(result.isError, true);
        assert.deepEqual(statuses(result), ['uncertain', 'ok']);
        assert.equal(result.structuredContent.completed, 1);
        assert.deepEqual(notes(home), ['b', 'c']);
    }, { prepare: marking() }));

    test('repeats a call that was cut off and is read-only', () => serving(async (client, home) => {
        const call = client.call('batch', { calls: [step('look', 'b'), step('mark', 'c')] });
        await until('the call to run', () => existsSync(home.path('seen')));
        await restart(client);
        const result = await ended(call);
        assert.deepEqual(statuses(result), ['ok', 'ok']);
        assert.deepEqual(notes(home), ['b', 'b', 'c']);
    }, { prepare: marking() }));

    test('goes on from its last checkpoint when nothing is waited for', () => serving(async (client, home) => {
        const call = client.call('batch', { calls: [step('mark', 'a'), step('wait', 'b')] });
        await noted(home, 2);
        const begin = Date.now();
        await restart(client, { graceful: false });
        assert.ok(Date.now() - begin < 12_000, 'nothing was waited for');
        assert.deepEqual(statuses(await ended(call)), ['ok', 'uncertain']);
        assert.deepEqual(notes(home), ['a', 'b']);
    }, { prepare: marking({}, patient) }));

    test('is given up with a word when no state is to be preserved', () => serving(async (client, home) => {
        const call = client.call('batch', { calls: [step('mark', 'a'), step('wait', 'b'), step('mark', 'c')] });
        await noted(home, 2);
        await restart(client, { reason: 'emergency_shutdown' });
        const result = await ended(call);
        assert.equal(result.isError, true);
        assert.match(result.content[0].text, /may have executed/);
        assert.deepEqual(notes(home), ['a', 'b']);
    }, { prepare: marking() }));

    test('can still be cancelled in the next process image', () => serving(async (client, home) => {
        const { id } = client.start('tools/call', {
            name: 'batch', arguments: { calls: [step('mark', 'w0'), step('gate', 'w1'), step('mark', 'w2'), step('wait', 'end'), step('mark', 'never')] },
        });
        await restartAt(client, home, 2);
        await noted(home, 4);
        client.notify('notifications/cancelled', { requestId: id });
        await until('the call to end', async () => (await client.plugin('batch')).in_flight === 0);
        assert.deepEqual(notes(home), [...words(3), 'end']);
        assert.equal(client.open, 1, 'a cancelled call has no answer');
    }, { prepare: marking({}, patient) }));

    test('goes on in the same image when the restart was called off', () => serving(async (client, home) => {
        const call = client.call('batch', { calls: words(8).map((word) => step('mark', word)) });
        await noted(home, 2);
        const other = client.call('wait', { word: 'other' });
        await until('the other call to run', () => notes(home).includes('other'));
        const refused = client.call('orchestrator_restart_server');
        await until('the calls to be waited for', async () =>
            (await client.value('orchestrator_restart_status')).current_status.phase === 'suspending_tasks');
        utimesSync(home.path('theseus'), 1, 1); /* what was examined is not what would be executed */
        const report = (await ended(refused)).structuredContent;
        assert.equal(report.success, false, JSON.stringify(report));
        assert.equal(report.phase, 'failed');
        const result = await ended(call);
        assert.deepEqual(statuses(result), Array(8).fill('ok'));
        assert.deepEqual(notes(home).filter((word) => word !== 'other'), words(8));
        assert.match((await ended(other)).content[0].text, /may have executed/);
    }, { prepare: ofItsOwn }));
});
