/* Each step of a restart fails once: the server goes on, says why, and the next restart works. */
import assert from 'node:assert/strict';
import { mkdirSync, statSync } from 'node:fs';
import { describe, test } from 'node:test';

import { serving } from './lib/client.js';
import { Fault } from './lib/fault.js';
import { restart, restarts, rooms, settledTable, settles } from './lib/restart.js';

const MOST = 2000; /* steps; there are some hundred */

async function failEach(client, home, t, how) {
    const fault = client.fault;
    const outcomes = new Map();

    await restarts(client);
    await restarts(client);
    const before = await settledTable(client), names = await client.names();
    const database = statSync(home.path('state/theseus.db')).ino;
    for (let nth = 1; ; nth++) {
        assert.ok(nth < MOST, 'there is no end of it');
        await fault.quiet(client.pid);
        fault.arm(nth, { pid: client.pid, ...how });
        const report = await restart(client);
        const name = fault.failed;
        fault.arm(0, { pid: client.pid });
        if (name === undefined) {
            assert.equal(report.success, true, JSON.stringify(report));
            break;
        }
        const where = `call ${nth} (${name}): ${JSON.stringify(report)}`;
        if (process.env.FAULT_TRACE)
            console.error(nth, name, report.success, report.errors?.map((e) => `${e.phase}: ${e.message}`).join());
        assert.equal(report.phase, report.success ? 'complete' : 'failed', where);
        if (!report.success)
            assert.ok(report.errors.length > 0 && report.errors.every((one) => (one.phase && one.message) || (one.file && one.text)), where);
        assert.equal(await client.text('echo', { message: name }), name, where);
        assert.deepEqual(await client.names(), names, where);
        assert.deepEqual(rooms(home.path('tmp')), [], where);
        assert.equal(statSync(home.path('state/theseus.db')).ino, database, `another database, after ${where}`);
        const outcome = `${name} ${report.success ? 'was done without' : `failed it in ${report.phase_reached}`}`;
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        await restarts(client);
        await settles(client, before);
    }
    assert.ok([...outcomes.keys()].some((one) => one.includes('failed it')), 'something failed');
    [...outcomes].sort().forEach(([outcome, count]) => t.diagnostic(`${outcome}: ${count}`));
}

/* body(client, home) with a server whose calls can be made to fail. */
async function faulty(body) {
    let fault;
    const env = {};
    const prepare = (home) => {
        fault = new Fault(home.path('fault'));
        mkdirSync(home.path('tmp'));
        home.configure({ plugins: { watch: 'no' } }); /* nothing is counted that a restart does not do */
        Object.assign(env, fault.env, { TMPDIR: home.path('tmp') });
    };
    try {
        await serving((client, home) => body(Object.assign(client, { fault }), home), { prepare, env });
    } finally {
        fault?.close();
    }
}

describe('a restart of which one step fails', { concurrency: 4 }, () => {
    for (const error of ['EIO', 'ENOMEM', 'EMFILE'])
        test(`with ${error} in the server`, (t) => faulty((client, home) => failEach(client, home, t, { error })));
    test('in the examination of the candidate', (t) =>
        faulty((client, home) => failEach(client, home, t, { error: 'EIO', inChildren: true })));
});
