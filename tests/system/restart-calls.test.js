/*
 * A restart while calls of every kind run: each is answered once, none that may not be repeated is begun twice, and a call
 * whose fate is uncertain is told so.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { children } from './lib/proc.js';
import { restarts, settledTable, settles } from './lib/restart.js';

const KINDS = ['inline', 'read', 'idempotent', 'once', 'serial', 'later', 'inner', 'resumable', 'careless', 'command'];
const REPEATABLE = new Set(['read', 'idempotent']);
const CALLS = 64, LONG_MS = 120_000;
const WORKERS = 24, FIRST = 20; /* so many calls are begun at once */
const UNCERTAIN = /may have executed/, UNTOUCHED = /can be sent again/;

const effectsOf = (home) => (existsSync(home.path('effects')) ? readFileSync(home.path('effects'), 'utf8') : '')
    .trim().split('\n').filter(Boolean).map((line) => line.split(' '));

/* What was written of one call: how often it began, how often it came to its end, and its steps. */
function traceOf(effects, tag) {
    const own = effects.filter(([, whose]) => whose === tag);
    const count = (word) => own.filter(([what]) => what === word).length;
    return { began: count('begin'), ended: count('end'), steps: own.filter(([what]) => what === 'step').map((one) => Number(one[2])) };
}

function start(client, home, kind, index, ms) {
    const tag = `${kind}-${index}`;
    const args = kind === 'command' ? { tag, seconds: String(ms / 1000) } : { file: home.path('effects'), tag, ms };
    const { answer } = client.start('tools/call', { name: kind === 'command' ? 'command' : `kind_${kind}`, arguments: args });
    return { kind, tag, answer };
}

/* 64 calls that take so long by kind, and a restart among them; each with its answer and its effects. */
async function among(client, home, restartArgs, msOf) {
    await client.appears('kind_once');
    const calls = Array.from({ length: CALLS }, (_, index) => {
        const kind = KINDS[index % KINDS.length];
        return start(client, home, kind, index, msOf(kind, index));
    });
    await until('calls of all kinds to have begun', () => {
        const begun = new Set(effectsOf(home).map(([, tag]) => tag.split('-')[0]));
        return KINDS.every((kind) => begun.has(kind));
    });
    const report = await restarts(client, restartArgs);
    for (const call of calls) {
        const { result, error } = await within(`the answer of ${call.tag}`, call.answer, 40_000);
        assert.ok(result, `${call.tag}: ${JSON.stringify(error)}`);
        call.text = result.content[0].text;
        call.failed = result.isError === true;
    }
    const effects = effectsOf(home);
    calls.forEach((call) => Object.assign(call, traceOf(effects, call.tag)));
    return { report, calls };
}

/* What holds whatever the restart was like. */
function judge({ kind, tag, text, failed, began, ended, steps }) {
    const what = `${tag}: ${JSON.stringify({ text, failed, began, ended, steps })}`;
    assert.ok(REPEATABLE.has(kind) || began <= 1, `begun twice: ${what}`);
    if (failed)
        assert.match(text, began > 0 || steps.length > 0 ? UNCERTAIN : /may have executed|can be sent again/, what);
    else if (kind === 'resumable')
        assert.ok(steps.length > 0, what);
    else
        assert.ok(ended >= 1 && (REPEATABLE.has(kind) || ended === 1), what);
}

const tally = (t, calls) => {
    const outcome = (call) => (!call.failed ? 'done' : UNTOUCHED.test(call.text) ? 'not begun' : 'uncertain');
    for (const kind of KINDS) {
        const outcomes = calls.filter((call) => call.kind === kind).map(outcome);
        t.diagnostic(`${kind}: ${[...new Set(outcomes)].map((one) => `${one} ${outcomes.filter((o) => o === one).length}`).join(', ')}`);
    }
};

const configured = (more) => ({
    prepare: (home) => {
        home.drop('kinds');
        home.configure({
            server: { workers: WORKERS },
            restart: { shutdown_timeout: 1, task_suspension: 1 },
            'tool:command': {
                command: `sh -c 'echo begin "$1" >>${home.path('effects')}; sleep "$2"; echo end "$1" >>${home.path('effects')}; echo "$1"' sh {tag} {seconds}`,
                'input.tag': 'string', 'input.seconds': 'string', description: 'A program that takes so long.',
            },
            ...more,
        });
    },
});
const patient = configured({ restart: { shutdown_timeout: 15, task_suspension: 5 } });

/* The steps 0 … n - 1, each once. */
const inOrder = (steps) => assert.deepEqual(steps, steps.map((_, index) => index));

describe(`a restart among ${CALLS} calls`, { concurrency: 2 }, () => {
    test('graceful, when all end in time: all are done, once', (t) => serving(async (client, home) => {
        await restarts(client);
        const before = await settledTable(client);
        const { report, calls } = await among(client, home, {}, (kind) => (kind === 'resumable' ? 2000 : 200));
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
        const { report, calls } = await among(client, home, {}, msOf);
        tally(t, calls);
        calls.forEach((call, index) => {
            judge(call);
            assert.equal(call.failed, isLong(call.kind, index), `${call.tag}: ${call.text}`);
            inOrder(call.steps);
        });
        assert.equal(report.calls_interrupted, 8);
    }, configured()));

    test('not graceful: what can go on goes on, what may run again does, the others are told', (t) => serving(async (client, home) => {
        const { calls } = await among(client, home, { graceful: false }, () => 700);
        tally(t, calls);
        for (const call of calls) {
            judge(call);
            if (REPEATABLE.has(call.kind) || call.kind === 'resumable')
                assert.equal(call.failed, false, `${call.tag}: ${call.text}`);
        }
        assert.ok(calls.some((call) => call.kind === 'once' && call.failed));
        assert.deepEqual(children(client.pid), []);
    }, configured()));

    test('graceful without state: what was held is told that it can be sent again', (t) => serving(async (client, home) => {
        const { calls } = await among(client, home, { preserve_state: false }, (kind, index) =>
            (kind === 'once' && index < FIRST ? LONG_MS : 500));
        tally(t, calls);
        calls.forEach(judge);
        assert.ok(calls.some((call) => UNTOUCHED.test(call.text)), 'what was held is not begun');
    }, configured()));

    test('neither: everything in flight is told', (t) => serving(async (client, home) => {
        const { calls } = await among(client, home, { graceful: false, preserve_state: false }, () => 1500);
        tally(t, calls);
        calls.forEach(judge);
        const inFlight = calls.filter((call) => call.kind !== 'inline');
        assert.ok(inFlight.every((call) => call.failed), 'none goes on');
        assert.ok(inFlight.every((call) => call.steps.length > 0 || UNTOUCHED.test(call.text) === (call.began === 0)));
    }, configured()));

    test('an emergency: at once, and everything in flight is told', (t) => serving(async (client, home) => {
        const { report, calls } = await among(client, home, { reason: 'emergency_shutdown' }, () => 1500);
        tally(t, calls);
        calls.forEach(judge);
        assert.deepEqual([report.graceful, report.preserve_state], [false, false]);
        assert.ok(calls.filter((call) => call.kind !== 'inline').every((call) => call.failed));
    }, configured()));
});
