/* What a restart costs grows no faster than what it carries, and no plugin is lost by one. */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { serving } from './lib/client.js';
import { sanitized } from './lib/home.js';
import { restart, restarts } from './lib/restart.js';

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

describe('a plugin that served, and does not start behind a restart', { concurrency: 3 }, () => {
    const moody = (once) => ({
        prepare: (home) => {
            home.drop('moody');
            home.configure({ 'plugin:moody': { file: home.path('mood'), once } });
        },
    });
    const spoil = (home) => writeFileSync(home.path('mood'), '');

    test('leads the way back, and serves there', () => serving(async (client, home) => {
        await client.appears('moody');
        spoil(home);
        const report = await restart(client);
        assert.equal(report.success, false, JSON.stringify(report));
        assert.match(report.errors[0].message, /the new server gave up: plugin 'moody' served before, and cannot now: start: '.*mood' is there/);
        assert.equal(await client.text('moody'), 'in a good mood');
        await restarts(client);
        assert.equal(await client.text('moody'), 'in a good mood');
    }, moody('yes')));

    test('does so once: what it is to serve with is not there either', () => serving(async (client, home) => {
        await client.appears('moody');
        spoil(home);
        assert.equal((await restart(client)).success, false);
        await client.refused('moody.so', /start: '.*mood' is there/);
        await restarts(client); /* nothing is lost by it that is not lost already */
        rmSync(home.path('mood'));
        await client.value('theseus_reload', { plugin: 'moody' });
        assert.equal(await client.text('moody'), 'in a good mood');
    }, moody('no')));

    for (const [how, args] of [['error_recovery', { reason: 'error_recovery' }], ['graceful false', { graceful: false }]])
        test(`is refused alone where the server is to be restarted all the same: ${how}`, () => serving(async (client, home) => {
            await client.appears('moody');
            spoil(home);
            await restarts(client, args);
            await client.refused('moody.so', /start: '.*mood' is there/);
            assert.equal(await client.text('echo', { message: 'there' }), 'there');
        }, moody('no')));
});
