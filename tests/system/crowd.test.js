/*
 * Many clients with requests under way, the server restarted and killed under them: each request is answered once, none
 * is forgotten, what may not be repeated is not, and nothing piles up. THESEUS_LONG=1: a thousand clients.
 */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { Crowd } from './lib/crowd.js';
import { atMost, sanitized } from './lib/home.js';
import { REPEATABLE, UNCERTAIN, configured, effectsOf } from './lib/kinds.js';
import { rss, standing } from './lib/proc.js';
import { restarts } from './lib/restart.js';
import { surviving } from './lib/survivor.js';

const LONG = process.env.THESEUS_LONG !== undefined && !sanitized;
const CLIENTS = LONG ? 1000 : sanitized ? 50 : 200, RESTARTS = LONG ? 20 : 4, KILLS = LONG ? 5 : 2;
const EACH = 2; /* requests of a client that are under way */
const KINDS = ['read', 'once', 'idempotent', 'inline', 'resumable', 'later'];
const IDLE_KIB = 32, BLACKOUT_MS = 300, SERVED_MS = 5000;

/* Runs in its own time: asks again and again until it is told not to. */
async function busy(member, number, home, calls, work) {
    for (let i = 0; !work.over; i++) {
        const kind = KINDS[(number + i) % KINDS.length], tag = `${kind}-${number}-${i}`, call = { kind, tag };
        calls.push(call);
        const [answer, ping] = await Promise.all([
            member.call(`kind_${kind}`, { file: home.path('effects'), tag, ms: 5 * (1 + (number + i) % 4) }),
            i % 8 === 0 ? member.ask('ping') : { result: {} },
        ]);
        assert.ok(ping.result, JSON.stringify(ping));
        call.answer = answer;
    }
}

function judge(calls, effects) {
    const began = new Map(), ended = new Map(), count = (map, tag) => map.set(tag, (map.get(tag) ?? 0) + 1);
    let uncertain = 0;

    for (const [what, tag] of effects)
        count(what === 'end' ? ended : began, tag);
    for (const { kind, tag, answer } of calls) {
        const what = JSON.stringify({ tag, answer, began: began.get(tag), ended: ended.get(tag) });
        assert.ok(answer.result, `answered in the words of a tool: ${what}`);
        if (!REPEATABLE.has(kind) && kind !== 'resumable')
            assert.ok((began.get(tag) ?? 0) <= 1, `begun twice: ${what}`);
        if (answer.result.isError) {
            assert.ok(!REPEATABLE.has(kind), `can be asked twice, and was not: ${what}`);
            assert.match(answer.result.content[0].text, UNCERTAIN, what);
            uncertain++;
        } else {
            assert.equal(answer.result.content[0].text, tag, what);
            assert.ok(began.get(tag) >= 1 && (kind === 'resumable' || ended.get(tag) >= 1), `without an effect: ${what}`);
        }
    }
    return uncertain;
}

test(`${CLIENTS} clients at work, ${RESTARTS} restarts, ${KILLS} times kill -9`, (t) => surviving(async (dynasty, home) => {
    const first = await dynasty.begin().client();
    await first.appears('kind_once');
    const empty = rss(dynasty.one.pid), crowd = await new Crowd(dynasty.one.path).join(CLIENTS);
    const idle = (rss(dynasty.one.pid) - empty) / CLIENTS;
    const calls = [], work = { over: false }, blackouts = [], served = [], measured = [];
    const measure = () => ({ files: standing(dynasty.one.pid).length, rss: rss(dynasty.one.pid), ledger: statSync(home.ledgers[0]).blocks / 2 });
    try {
        const workers = crowd.members.map((member, number) => busy(member, number, home, calls, work));
        let watcher = first, done = 0;
        const ended = () => calls.filter(({ answer }) => answer).length;
        for (let life = 0; life <= KILLS; life++) {
            for (; done < RESTARTS * (life + 1) / (KILLS + 1); done++) {
                const { blackout_ms: ms } = await restarts({ value: (name, args) => watcher.value(name, args), pid: dynasty.one.pid });
                blackouts.push(ms);
                const before = ended();
                await until('work to go on', () => ended() > before + CLIENTS / 4, 30_000);
            }
            measured.push(measure());
            if (life === KILLS)
                break;
            await dynasty.kill();
            const begin = Date.now();
            watcher = await dynasty.begin().client();
            await crowd.gathered();
            served.push(crowd.servedMs - begin);
        }
        work.over = true;
        const all = Promise.all(workers);
        await until('every answer', () => crowd.members.every((member) => member.open.size === 0), 60_000);
        await all;
        const uncertain = judge(calls, effectsOf(home));

        assert.deepEqual(crowd.problems, []);
        assert.equal(crowd.resumptions, CLIENTS * KILLS, 'each session goes on, over each kill and over no restart');
        assert.equal(crowd.fates.uncertain, 0);
        const { results } = await watcher.value('orchestrator_reconnect_test');
        assert.equal(results.sessions.length, CLIENTS + 1);
        assert.equal(results.buffer_status.total_buffered_requests, 0);
        const last = measure();
        t.diagnostic(JSON.stringify({ calls: calls.length, uncertain, fates: crowd.fates, blackouts, served, idle, measured, last }));
        assert.ok(idle <= atMost(IDLE_KIB), `${idle} KiB for an idle client`);
        await until('no descriptor to be more', () => measure().files <= measured[0].files);
        /* The best of them: whatever else the machine does takes its time from the others. */
        assert.ok(Math.min(...served) <= atMost(SERVED_MS), `${served} ms`);
        assert.ok(Math.min(...blackouts) <= atMost(BLACKOUT_MS), `${blackouts} ms`);
    } finally {
        crowd.leave();
    }
}, configured()));
