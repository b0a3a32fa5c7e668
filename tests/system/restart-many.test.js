/* Restarts in a row: each is another image of the same process, and nothing piles up. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { atMost, sanitized } from './lib/home.js';
import { children, rss } from './lib/proc.js';
import { mappings, restarts, rooms, settledTable } from './lib/restart.js';

const COUNT = sanitized ? 20 : 100;

const percentile = (values, share) => [...values].sort((a, b) => a - b)[Math.ceil(values.length * share) - 1];

/* Bytes of the ledger's file that are there. */
function ledgerBytes(pid) {
    const fds = readdirSync(`/proc/${pid}/fd`).map((fd) => statSync(`/proc/${pid}/fd/${fd}`, { throwIfNoEntry: false }));
    return Math.max(...fds.filter((stat) => stat?.isFile() && stat.nlink === 0).map((stat) => stat.blocks * 512));
}

/* What is where plugins are copied to, by directory and plugin. */
const copies = (home) => readdirSync(home.path('run')).flatMap((dir) =>
    readdirSync(home.path('run', dir)).filter((name) => name.endsWith('.so')).map((name) => join(dir, name.replace(/\..*(?=\.so$)/, ''))));

/* Once the files have been looked at behind the restart: until then there are copies that are only compared. */
const settledCopies = (home) => until('the copies to be one of each', () => {
    const names = copies(home).sort();
    return new Set(names).size === names.length && names;
});

const measure = async (client, home) => ({
    table: await settledTable(client),
    copies: await settledCopies(home),
    rss: rss(client.pid),
    mappings: mappings(client.pid).length,
    ledger: ledgerBytes(client.pid),
    rooms: rooms(home.path('tmp')),
});

describe(`${COUNT} restarts in a row`, () => {
    const env = {};
    const prepare = (home) => {
        env.TMPDIR = home.path('tmp');
        mkdirSync(env.TMPDIR);
    };

    test('leave descriptors, children, memory and files as they were', (t) => serving(async (client, home) => {
        const reports = [], boots = new Set();
        for (let i = 0; i < 5; i++)
            await restarts(client);
        const before = await measure(client, home);
        for (let i = 0; i < COUNT; i++) {
            const report = await restarts(client);
            reports.push(report);
            boots.add(report.boot_id.after);
            assert.equal(await client.text('echo', { message: `m${i}` }), `m${i}`);
            assert.deepEqual(children(client.pid), [], 'no child, no zombie');
        }
        const after = await measure(client, home);
        assert.equal(boots.size, COUNT);
        assert.deepEqual(after.table, before.table);
        assert.deepEqual(after.copies, before.copies);
        assert.deepEqual(after.rooms, []);
        /* A thread that was needed once has some; what each restart left would be one of each. */
        assert.ok(Math.abs(after.mappings - before.mappings) <= atMost(COUNT / 4), `${before.mappings}, then ${after.mappings} mappings`);
        assert.ok(after.rss - before.rss < atMost(2048), `${before.rss} KiB, then ${after.rss}`);
        assert.ok(after.ledger <= before.ledger + (1 << 20), `${before.ledger} bytes of ledger, then ${after.ledger}`);
        const blackouts = reports.map((one) => one.blackout_ms);
        t.diagnostic(`blackout p50 ${percentile(blackouts, 0.5)} ms, p99 ${percentile(blackouts, 0.99)} ms`);
        t.diagnostic(`resident ${before.rss} KiB, then ${after.rss}; ledger ${before.ledger} bytes, then ${after.ledger}`);
    }, { prepare, env }));

    test('keep what a plugin has counted', () => serving(async (client) => {
        await client.appears('count');
        for (let i = 1; i <= COUNT; i++) {
            assert.equal((await client.value('count')).count, i);
            await restarts(client);
        }
        assert.equal((await client.value('counted')).count, COUNT);
    }, { prepare: (home) => home.drop('counter') }));
});
