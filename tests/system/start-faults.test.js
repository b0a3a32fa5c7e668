/*
 * A start of which one step fails, where others have left something: the server serves, or says why it does not, and what
 * was left is there for the next one. Some of the steps are tried; all with each error, if THESEUS_LONG=1.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { within } from '../clients/lib/until.js';
import { Estate, Listens, Piped } from './lib/estate.js';
import { Fault } from './lib/fault.js';
import { sanitized } from './lib/home.js';
import { long, sample } from './lib/sample.js';

const skip = sanitized && 'a library that is preloaded comes before the run-time library of the sanitizer';
const ERRORS = ['EIO', 'ENOMEM', 'EMFILE'];
const WANTED = 36; /* steps of each kind of start */
const MORE = long ? 2 : 1; /* most of what reads are plugins' files, again and again */
const ABORTS = new Set(['pipe2']); /* libuv ends the process where it cannot have its own pipe for signals */

/* It serves, has been asked for something that is in the database, whatever it has answered, and has come to rest. */
async function use(one, fault) {
    const client = await one.talk().catch(() => one.talk()); /* the client that meets the fault may be closed */
    await fault.settled();
    await client.call('orchestrator_query_tasks').catch(() => {});
    await fault.settled();
    return true;
}

/* False: it has ended. */
async function serves(one, fault) {
    const ended = one.server.exited.then(() => false);
    return within('the start to come to an end', Promise.race([ended, use(one, fault).catch(() => ended)]), 20_000)
        .catch((problem) => { throw new Error(`${problem.message}: ${fault.failed} has failed; ${one.server.stderr}`); });
}

/* The `nth` call fails; what became of it, or undefined: there are not so many. */
async function tryOne(estate, fault, nth, error) {
    estate.putBack();
    fault.arm(nth, { pid: 0, more: MORE, error });
    const one = new estate.Kind(estate.home, fault.env);
    try {
        const served = await serves(one, fault);
        const name = fault.failed, where = `call ${nth} (${name}) with ${error}`;
        if (process.env.FAULT_TRACE)
            console.error(where, served, one.server.stderr);
        if (!served && !ABORTS.has(name)) {
            const { code, signal } = await one.server.exited;
            assert.deepEqual([code, signal], [1, null], `${where}: ${one.server.stderr}`);
            assert.match(one.server.stderr, /^theseus: \S.+$/m, where);
        }
        fault.arm(0, { pid: 0 });
        if (served)
            await (nth % 2 ? one.leave() : one.kill());
        await estate.check(where);
        return name && `${name} ${served ? 'was done without' : 'was told'}`;
    } finally {
        await one.kill();
    }
}

/* `body(estate, fault)`, in a home of its own. */
async function bequeathed(Kind, body) {
    const home = new Kind.Place();
    const fault = new Fault(home.path('fault'));
    try {
        Estate.prepare(home);
        await body(await new Estate(home, Kind).make(), fault);
    } finally {
        fault.close();
        home.dispose();
    }
}

async function count(estate, fault) {
    estate.putBack();
    fault.arm(0xffffffff, { pid: 0, more: MORE });
    const one = new estate.Kind(estate.home, fault.env);
    try {
        await use(one, fault);
        return fault.count;
    } finally {
        await one.kill();
    }
}

for (const [name, Kind] of [['on its input and output', Piped], ['on its socket', Listens]])
    describe(`a server ${name} of whose start one step fails`, { concurrency: 3, skip }, () => {
        for (const [i, error] of ERRORS.entries())
            test(`with ${error}`, (t) => bequeathed(Kind, async (estate, fault) => {
                const { numbers, words } = sample(await count(estate, fault), WANTED / ERRORS.length, i);
                const outcomes = new Map();
                t.diagnostic(words);
                for (const nth of numbers) {
                    const outcome = await tryOne(estate, fault, nth, error);
                    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
                }
                if (long)
                    [...outcomes].sort().forEach(([outcome, times]) => t.diagnostic(`${outcome}: ${times}`));
            }));
    });
