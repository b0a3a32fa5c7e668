/*
 * Calls of every kind (tests/plugins/kinds.c and a command), and what holds of each whatever happens to the server: none
 * that may not be repeated is begun twice, and one whose fate is uncertain is told so.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';

import { until, within } from '../../clients/lib/until.js';

export const KINDS = ['inline', 'read', 'idempotent', 'once', 'serial', 'later', 'inner', 'resumable', 'careless', 'command'];
export const REPEATABLE = new Set(['read', 'idempotent']);
export const CALLS = 64, LONG_MS = 120_000;
export const WORKERS = 24, FIRST = 20; /* so many calls are begun at once */
export const UNCERTAIN = /may have executed/, UNTOUCHED = /can be sent again/;

export const effectsOf = (home) => (existsSync(home.path('effects')) ? readFileSync(home.path('effects'), 'utf8') : '')
    .trim().split('\n').filter(Boolean).map((line) => line.split(' '));

/* What was written of one call: how often it began, how often it came to its end, and its steps. */
export function traceOf(effects, tag) {
    const own = effects.filter(([, whose]) => whose === tag);
    const count = (word) => own.filter(([what]) => what === word).length;
    return { began: count('begin'), ended: count('end'), steps: own.filter(([what]) => what === 'step').map((one) => Number(one[2])) };
}

export function start(client, home, kind, index, ms) {
    const tag = `${kind}-${index}`;
    const args = kind === 'command' ? { tag, seconds: String(ms / 1000) } : { file: home.path('effects'), tag, ms };
    const { answer } = client.start('tools/call', { name: kind === 'command' ? 'command' : `kind_${kind}`, arguments: args });
    return { kind, tag, answer };
}

/* 64 calls that take so long by kind; some of each kind have begun, and all that `must(kind, index)` names. */
export async function startAll(client, home, msOf, must = () => false) {
    await client.appears('kind_once');
    const calls = Array.from({ length: CALLS }, (_, index) => {
        const kind = KINDS[index % KINDS.length];
        return start(client, home, kind, index, msOf(kind, index));
    });
    await until('calls of all kinds to have begun', () => {
        const tags = new Set(effectsOf(home).map(([, tag]) => tag)), begun = new Set([...tags].map((tag) => tag.split('-')[0]));
        return KINDS.every((kind) => begun.has(kind)) && calls.every(({ kind, tag }, index) => !must(kind, index) || tags.has(tag));
    });
    return calls;
}

/* Each with its answer and its effects. */
export async function endAll(home, calls) {
    for (const call of calls) {
        const { result, error } = await within(`the answer of ${call.tag}`, call.answer, 40_000);
        assert.ok(result, `${call.tag}: ${JSON.stringify(error)}`);
        call.text = result.content[0].text;
        call.failed = result.isError === true;
    }
    const effects = effectsOf(home);
    calls.forEach((call) => Object.assign(call, traceOf(effects, call.tag)));
}

/* What holds whatever has happened. */
export function judge({ kind, tag, text, failed, began, ended, steps }) {
    const what = `${tag}: ${JSON.stringify({ text, failed, began, ended, steps })}`;
    assert.ok(REPEATABLE.has(kind) || began <= 1, `begun twice: ${what}`);
    if (failed)
        assert.match(text, began > 0 || steps.length > 0 ? UNCERTAIN : /may have executed|can be sent again/, what);
    else if (kind === 'resumable')
        assert.ok(steps.length > 0, what);
    else
        assert.ok(ended >= 1 && (REPEATABLE.has(kind) || ended === 1), what);
}

export const configured = (more) => ({
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
