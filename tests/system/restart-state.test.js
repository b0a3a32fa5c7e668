/* What a restart costs grows no faster than what it carries. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { serving } from './lib/client.js';
import { sanitized } from './lib/home.js';
import { restarts } from './lib/restart.js';

const RUNS = 7, ALLOWED = 12;

/* The least blackout and the bytes carried of some restarts with so much state. */
async function carrying(kib) {
    const reports = [];
    await serving(async (client) => {
        await client.appears('ballast');
        await client.text('ballast', { kib });
        for (let i = 0; i < RUNS; i++)
            reports.push(await restarts(client));
    }, { prepare: (home) => { home.drop('ballast'); home.configure({ plugins: { watch: 'no' } }); } });
    return {
        bytes: reports[0].bytes_carried,
        blackout: Math.min(...reports.map((one) => one.blackout_ms)),
        duration: Math.min(...reports.map((one) => one.duration_ms)),
    };
}

describe('the state that a restart carries', () => {
    test('costs at most twelve times the time when it is ten times as much', { skip: sanitized && 'a sanitizer is slow' }, async (t) => {
        const small = await carrying(1024), large = await carrying(10_240);
        for (const one of [small, large])
            t.diagnostic(`${one.bytes} bytes: blackout ${one.blackout} ms, all of it ${one.duration} ms`);
        assert.ok(large.bytes > 9 * small.bytes && small.bytes > 1 << 20);
        assert.ok(large.blackout < ALLOWED * small.blackout, `${small.blackout} ms, then ${large.blackout}`);
        assert.ok(large.duration < ALLOWED * small.duration, `${small.duration} ms, then ${large.duration}`);
    });
});
