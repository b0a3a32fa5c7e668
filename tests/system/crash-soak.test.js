/*
 * Crashes in every way and on every thread among many requests of other tools: each costs exactly its own call. No
 * answer is lost, none comes twice, no line is garbled; the client of these tests would notice. THESEUS_LONG=1 runs it
 * at length.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { within } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { PLACES, WAYS, crash, judgeCrash, mortal, skip } from './lib/crash.js';
import { rss } from './lib/proc.js';
import { settledTable, settles } from './lib/restart.js';

const [CRASHES, REQUESTS] = process.env.THESEUS_LONG ? [2000, 200_000] : [500, 50_000];
const AT_ONCE = 64, DEADLINE_MS = 20_000;
const DEATHS = Object.keys(WAYS).flatMap((way) => Object.keys(PLACES).map((place) => ({ way, place })));

/* Requests one behind the other on each of some lanes; so many lanes are the requests in flight. */
async function load(client, state) {
    while (state.begun < REQUESTS) {
        const message = `message ${state.begun++}`;
        const { result, error } = await within(message, client.call('echo', { message }), DEADLINE_MS);
        assert.ok(result, JSON.stringify(error));
        assert.equal(result.content[0].text, message);
        assert.equal(result.isError, undefined);
        state.answered++;
    }
}

/* The next crash when the load has got so far. */
async function die(client, state) {
    for (; state.crashes < CRASHES; state.crashes++) {
        const { way, place } = DEATHS[state.crashes % DEATHS.length];
        const [name, args] = PLACES[place](way, {});
        judgeCrash(await within(`${name}, crash ${state.crashes}`, client.call(name, args), DEADLINE_MS), { signal: WAYS[way] });
        while (state.begun < REQUESTS && state.begun / REQUESTS < state.crashes / CRASHES)
            await new Promise((resolve) => setImmediate(resolve));
    }
}

test(`${CRASHES} crashes among ${REQUESTS} requests`, { skip }, (t) => serving(async (client) => {
    const state = { begun: 0, answered: 0, crashes: 0 };
    await client.appears('die_null');
    await crash(client, 'null');
    const before = await settledTable(client), begin = Date.now();
    await Promise.all([die(client, state), ...Array.from({ length: AT_ONCE }, () => load(client, state))]);
    t.diagnostic(`${state.crashes} crashes, ${state.answered} answers in ${Date.now() - begin} ms; ${rss(client.pid)} KiB`);
    assert.equal(state.crashes, CRASHES);
    assert.equal(state.answered, REQUESTS);
    assert.equal(client.open, 0);
    await settles(client, before);
}, mortal({ server: { log_level: 'warning' } })));
