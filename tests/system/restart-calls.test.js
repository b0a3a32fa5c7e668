/*
 * A restart while calls of every kind run: each is answered once, none that may not be repeated is begun twice, and a call
 * whose fate is uncertain is told so.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { CALLS, FIRST, KINDS, LONG_MS, REPEATABLE, UNCERTAIN, UNTOUCHED, configured, effectsOf, endAll, judge, start, startAll } from './lib/kinds.js';
import { children } from './lib/proc.js';
import { restarts, settledTable, settles } from './lib/restart.js';

/* 64 calls that take so long by kind, and a restart among them. */
async function among(client, home, restartArgs, msOf, must) {
    const calls = await startAll(client, home, msOf, must);
    const report = await restarts(client, restartArgs);
    await endAll(home, calls);
    return { report, calls };
}

const tally = (t, calls) => {
    const outcome = (call) => (!call.failed ? 'done' : UNTOUCHED.test(call.text) ? 'not begun' : 'uncertain');
    for (const kind of KINDS) {
        const outcomes = calls.filter((call) => call.kind === kind).map(outcome);
        t.diagnostic(`${kind}: ${[...new Set(outcomes)].map((one) => `${one} ${outcomes.filter((o) => o === one).length}`).join(', ')}`);
    }
};

const patient = configured({ restart: { shutdown_timeout: 15, task_suspension: 5 } });

/* The steps 0 … n - 1, each once. */
const inOrder = (steps) => assert.deepEqual(steps, steps.map((_, index) => index));

describe(`a restart among ${CALLS} calls`, { concurrency: 2 }, () => {
    test('graceful, when all end in time: all are done, once', (t) => serving(async (client, home) => {
        await restarts(client);
        const before = await settledTable(client);
        const { report, calls } = await among(client, home, {}, (kind) => (kind === 'resumable' ? 3500 : 200));
        tally(t, calls);
        for (const call of calls) {
            judge(call);
            assert.equal(call.failed, false, `${call.tag}: ${call.text}`);
            assert.match(call.text, new RegExp(`^${call.tag}\\s*$`));
            inOrder(call.steps);
        }
        assert.equal(report.calls_interrupted, 0);
        assert.ok(report.calls_resumed >= 1);
        await settles(client, before);
    }, patient));

    test('graceful, when some do not end: those are told that they may have executed', (t) => serving(async (client, home) => {
        const isLong = (kind, index) => index < FIRST && ['once', 'later', 'careless', 'command'].includes(kind);
        const msOf = (kind, index) => (isLong(kind, index) ? LONG_MS : kind === 'resumable' ? 3000 : 200);
        const { report, calls } = await among(client, home, {}, msOf, isLong);
        tally(t, calls);
        calls.forEach((call, index) => {
            judge(call);
            assert.equal(call.failed, isLong(call.kind, index), `${call.tag}: ${call.text}`);
            inOrder(call.steps);
        });
        assert.equal(report.calls_interrupted, 8);
    }, configured({ restart: { shutdown_timeout: 3, task_suspension: 1 } })));

    test('not graceful: what can go on goes on, what may run again does, the others are told', (t) => serving(async (client, home) => {
        const { calls } = await among(client, home, { graceful: false }, () => 700);
        tally(t, calls);
        for (const call of calls) {
            judge(call);
            if (REPEATABLE.has(call.kind) || call.kind === 'resumable')
                assert.equal(call.failed, false, `${call.tag}: ${call.text}`);
        }
        assert.ok(calls.some((call) => call.kind === 'once' && call.failed));
        await until('no child to be left', () => children(client.pid).length === 0);
    }, configured()));

    test('graceful without state: what was held is told that it can be sent again', (t) => serving(async (client, home) => {
        const { calls } = await among(client, home, { preserve_state: false }, (kind, index) =>
            (kind === 'once' && index < FIRST ? LONG_MS : 500));
        tally(t, calls);
        calls.forEach(judge);
        assert.ok(calls.some((call) => UNTOUCHED.test(call.text)), 'what was held is not begun');
    }, configured()));

    test('neither: everything in flight is told', (t) => serving(async (client, home) => {
        const { calls } = await among(client, home, { graceful: false, preserve_state: false }, () => 20_000);
        tally(t, calls);
        calls.forEach(judge);
        const inFlight = calls.filter((call) => call.kind !== 'inline');
        assert.ok(inFlight.every((call) => call.failed), 'none goes on');
        assert.ok(inFlight.every((call) => call.steps.length > 0 || UNTOUCHED.test(call.text) === (call.began === 0)));
    }, configured()));

    test('an emergency: at once, and everything in flight is told', (t) => serving(async (client, home) => {
        const { report, calls } = await among(client, home, { reason: 'emergency_shutdown' }, () => 20_000);
        tally(t, calls);
        calls.forEach(judge);
        assert.deepEqual([report.graceful, report.preserve_state], [false, false]);
        assert.ok(calls.filter((call) => call.kind !== 'inline').every((call) => call.failed));
    }, configured()));
});
