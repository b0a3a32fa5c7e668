/* A plugin that crashes costs the call in which it does, whatever way it takes, on whatever thread, at whatever moment. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { KEY, PLACES, WAYS, crash, judgeCrash, mortal, skip, unlimited } from './lib/crash.js';
import { CALLS, KINDS, REPEATABLE, configured, endAll, judge, startAll } from './lib/kinds.js';
import { run } from './lib/proc.js';
import { settledTable, settles, beginRestart } from './lib/restart.js';

const ways = Object.keys(WAYS), places = Object.keys(PLACES);
const LARGE = 1 << 20; /* more than a pipe or a socket takes */

const crashes = (home) => home.log.match(/^(?!.*the way to the crash).*crashed with SIG/gm)?.length ?? 0;
/* A call that tells of its progress: {answer, begun() resolves when there is more of it than before}. */
const telling = (client, name, args) => {
    const token = `${name}-${client.lastId}`;
    const told = () => client.notifications.filter((one) => one.params?.progressToken === token).length;
    const { answer } = client.start('tools/call', { name, arguments: args, _meta: { progressToken: token } });
    return { answer, begun: (before = told()) => until(`${name} to run`, () => told() > before) };
};
const served = async (client) => assert.equal(await client.text('echo', { message: 'there' }), 'there');

/* Each way once, with `moment(client, home, die)` around it. */
const eachWay = (moment, { more, plugins, skipped = [] } = {}) => {
    for (const place of places)
        test(`on the ${place}`, () => serving(async (client, home) => {
            await client.appears('die_null');
            for (const way of ways)
                if (!skipped.includes(place))
                    await moment(client, home, () => crash(client, way, place), way, place);
            await served(client);
        }, mortal(more, plugins)));
};

describe('a crash while nothing else runs', { skip, concurrency: 3 }, () => eachWay(async (client, home, die) => {
    await die();
    await served(client);
}));

describe(`a crash among ${CALLS} calls`, { skip, concurrency: 2 }, () => {
    for (const place of places)
        test(`on the ${place}`, () => {
            const { prepare } = configured(unlimited);
            return serving(async (client, home) => {
                await client.appears('die_null');
                const atWork = KINDS.indexOf('once'); /* one of the first: the crash comes while it runs */
                const calls = await startAll(client, home, (kind, index) => (index === atWork ? 30_000 : kind === 'resumable' ? 1000 : 300));
                const way = { worker: 'malloc', loop: 'abort', thread: 'overflow' }[place];
                await crash(client, way, place);
                await endAll(home, calls);
                for (const call of calls) {
                    judge(call);
                    assert.equal(call.failed && REPEATABLE.has(call.kind), false, `${call.tag}: ${call.text}`);
                    if (call.failed && /may have executed/.test(call.text))
                        assert.match(call.text, new RegExp(`plugin 'dies' 1.0 crashed with ${WAYS[way]}`));
                }
                assert.ok(calls[atWork].failed, 'it was at work, and may not be repeated');
            }, { prepare: (home) => { home.drop('dies'); prepare(home); } });
        });
});

describe('a crash during a reload', { skip, concurrency: 3 }, () => eachWay(async (client, home, die) => {
    const generation = (await client.plugin('counter')).generation;
    home.drop('counter');
    await die();
    await until('the new generation to serve', async () => (await client.plugin('counter'))?.generation > generation);
}, { plugins: ['counter'] }));

describe('a crash during a restart', { skip, concurrency: 3 }, () => {
    for (const place of ['worker', 'thread'])
        test(`on a ${place}, before the exec: the restart has failed, and the server goes on`, () => serving(async (client, home) => {
            await client.appears('die_null');
            for (const [index, way] of ways.entries()) {
                const [name, args] = PLACES[place](way, { until: home.path(way) });
                const { answer, begun } = telling(client, name, args);
                await begun();
                const restart = beginRestart(client);
                await restart.reaches(['preparing', 'maintenance_mode', 'suspending_tasks'][index % 3]);
                writeFileSync(home.path(way), '');
                const report = await within('the report', restart.report);
                judgeCrash(await within('the answer', answer), { signal: WAYS[way] });
                assert.equal(report.success, false, JSON.stringify(report));
                assert.equal(report.phase, 'failed');
                assert.match(report.phase_reached, /^(preparing|maintenance_mode|suspending_tasks)$/); /* it waits there */
                assert.match(report.errors[0].message, new RegExp(`plugin 'dies' 1.0 crashed with ${WAYS[way]}`));
                await served(client);
            }
        }, mortal()));
});

describe('a call that was held during a restart and crashes', { skip }, () => {
    test('costs the server nothing, whichever moment of its arrival it meets', () => serving(async (client) => {
        await client.appears('die_null');
        for (let round = 0; round < 30; round++) {
            const restart = beginRestart(client);
            await restart.reaches('preparing');
            const dying = Array.from({ length: 4 }, (_, index) => client.call('die_null', { ms: index }));
            await within('the report', restart.report);
            for (const answer of dying)
                assert.match((await within('an answer', answer)).result.content[0].text, /may have executed/);
            await served(client);
        }
    }, mortal()));

    test('is told so, also where it makes the restart fail, and is counted like any other', () => serving(async (client, home) => {
        await client.appears('inline_abort');
        let failed = 0, round = 0;
        for (; round < 15 || (failed === 0 && round < 100); round++) {
            const restart = beginRestart(client);
            await restart.reaches('maintenance_mode');
            const dying = client.call('inline_abort');
            const report = await within('the report', restart.report);
            judgeCrash(await within('the answer', dying), { signal: 'SIGABRT' });
            if (!report.success)
                assert.match(report.errors[0].message, /plugin 'dies' 1.0 crashed with SIGABRT/);
            failed += !report.success;
            await served(client);
        }
        assert.ok(failed > 0, 'some come before the restart is complete');
        assert.equal((await client.plugin('dies')).crashes, round);
        const rows = "SELECT count(*) FROM history WHERE kind = 'crash' AND subject = 'dies'";
        await until('the history', async () => (await run('sqlite3', [home.path('state', 'theseus.db'), rows])).out === `${round}\n`);
    }, mortal()));

    test('has its plugin reverted, where that is new', () => serving(async (client, home) => {
        home.drop('brittle1', 'brittle');
        await until('version 1 to be known to be good', () => /version 1\.0 of plugin 'brittle' is known to be good/.test(home.log));
        home.configure({ crash: { probation: 3600, probation_calls: 1000 } });
        await until('the new rules', async () => (await client.value('orchestrator_health_check')).checks.configuration.generation === 2);
        home.drop('brittle2', 'brittle');
        await client.appears('brittle_new');
        const restart = beginRestart(client);
        await restart.reaches('maintenance_mode');
        const dying = client.call('brittle_new', { crash: true });
        await within('the report', restart.report);
        const { result } = await within('the answer', dying);
        assert.equal(result._meta?.[KEY].next, 'reverted', JSON.stringify(result));
        assert.equal(await client.text('brittle'), 'version 1');
    }, { prepare: (home) => home.configure({ crash: { probation: 0, probation_calls: 0 } }) }));
});

/* Calls on the loop's thread that have come together: the image that goes on for one of them meets the next at once. */
describe('crashes of which each comes before the server has gone on from the one before', { skip, concurrency: 2 }, () => {
    const SQL = `SELECT json_group_array(json_object('kind', kind, 'reason', reason, 'success', success, 'subject', subject,
        'error', json_extract(errors, '$[0]'))) FROM (SELECT * FROM history ORDER BY id)`;
    const history = async (home, count) => until('the history', async () => {
        const { out } = await run('sqlite3', [home.path('state', 'theseus.db'), SQL]);
        const rows = JSON.parse(out || '[]'); /* there is no database yet, or it is busy */
        return rows.length >= count && rows;
    });
    const judgeHistory = (rows) => {
        const seen = rows.map(({ reason, subject, error }) => `${reason} ${subject} ${error.tool} ${error.signal} ${error.next}`);
        assert.deepEqual(seen.sort(), ways.map((way) => `error_recovery dies inline_${way} ${WAYS[way]} still there`).sort());
        assert.deepEqual(rows.map((one) => one.error.crashes).sort((a, b) => a - b), ways.map((_, index) => index + 1));
        assert.equal(rows.at(-1).success, 1);
        assert.ok(rows.some((one) => !one.success), 'some were not gone on from when the next one came');
        for (const { success, error } of rows) {
            assert.match(error.message, /^plugin 'dies' 1.0 crashed with SIG[A-Z]+ in tool 'inline_[a-z]+'; it is still there$/);
            assert.ok(Array.isArray(error.backtrace), success);
        }
    };
    const dieAll = (client) => {
        client.process.stdin.cork(); /* one write */
        const dying = ways.map((way) => ({ way, answer: client.call(`inline_${way}`) }));
        client.process.stdin.uncork();
        return dying;
    };
    const judgeAll = async (dying) => {
        for (const { way, answer } of dying)
            judgeCrash(await within(`the answer of inline_${way}`, answer), { signal: WAYS[way] });
    };

    test('are told to their calls and the history, each with who is to blame', () => serving(async (client, home) => {
        await client.appears('inline_null');
        await judgeAll(dieAll(client));
        judgeHistory(await history(home, ways.length));
        assert.equal((await client.plugin('dies')).crashes, ways.length);
        await served(client);
    }, mortal()));

    test('are so behind a restart, too, which is one that has failed', () => serving(async (client, home) => {
        await client.appears('inline_null');
        const restart = beginRestart(client);
        await restart.reaches('maintenance_mode');
        const dying = dieAll(client);
        const report = await within('the report', restart.report);
        await judgeAll(dying);
        const rows = await history(home, ways.length + 1);
        assert.deepEqual(rows.filter((one) => one.kind === 'restart').map((one) => [one.reason, !!one.success]), [['manual_request', report.success]]);
        judgeHistory(rows.filter((one) => one.kind === 'crash'));
        await served(client);
    }, mortal()));
});

/* The client has stopped reading, and what it is sent stays where it is. */
async function unread(client, home, die) {
    const before = crashes(home);
    client.process.stdout.pause();
    const large = client.call('huge', { bytes: LARGE });
    const small = Array.from({ length: 20 }, (_, index) => client.call('echo', { message: `${index}` }));
    const died = die();
    await until('the crash', () => crashes(home) > before);
    client.process.stdout.resume();
    const { result } = await within('the large answer', large);
    assert.ok(result.isError ? /may have executed/.test(result.content[0].text) : result.content[0].text.length === LARGE);
    for (const [index, answer] of small.entries())
        assert.equal((await within('an answer', answer)).result.content[0].text, `${index}`);
    await died;
}

describe('a crash while the client does not read', { skip, concurrency: 3 }, () => eachWay(unread, { plugins: ['huge'] }));

describe('a crash while a large answer is partly written', { skip, concurrency: 3 }, () => eachWay(async (client, home, die) => {
    const before = crashes(home), at = client.bytes;
    const large = client.call('huge', { bytes: LARGE });
    await until('a part to have come', () => client.bytes > at + 4096); /* which is no notification */
    client.process.stdout.pause();
    const died = die();
    await until('the crash', () => crashes(home) > before);
    client.process.stdout.resume();
    const { result } = await within('the large answer', large);
    assert.equal(result.content[0].text.length, LARGE);
    await died;
}, { plugins: ['huge'] }));

describe('what the client is told of a crash', { skip }, () => {
    test('an error with data for a tool that declares an output schema', () => serving(async (client) => {
        await client.appears('die_structured');
        const { error } = await within('the answer', client.call('die_structured'));
        assert.equal(error.code, -32603);
        assert.match(error.message, /plugin 'dies' 1.0 crashed with SIGSEGV/);
        assert.deepEqual(error.data, { plugin: 'dies', version: '1.0', signal: 'SIGSEGV', may_have_executed: true, next: 'still there' });
    }, mortal()));

    test('what fits the tool that it has called, whatever that has called', () => serving(async (client) => {
        await client.appears('die_structured');
        judgeCrash(await within('the answer', client.call('theseus_call', { name: 'die_structured' })), { signal: 'SIGSEGV' });
        const { error } = await within('the answer', client.call('batch', { calls: [{ tool: 'die_null' }] }));
        assert.equal(error.code, -32603);
        assert.deepEqual([error.data.plugin, error.data.signal], ['dies', 'SIGSEGV']);
    }, mortal({ access: { call_by_name: 'yes' } })));

    test('nothing more of a call that was answered already', () => serving(async (client, home) => {
        await client.appears('die_null');
        assert.equal(await client.text('die_null', { where: 'answered' }), 'answered');
        await until('the crash', () => crashes(home) === 1);
        await served(client);
    }, mortal()));

    test('every call that waits for the plugin, when none of them is to blame', () => serving(async (client) => {
        await client.appears('die_null');
        const waiting = [telling(client, 'wait_for_ever', {}), telling(client, 'wait_for_ever', {})];
        await Promise.all(waiting.map(({ begun }) => begun()));
        await crash(client, 'null', 'thread');
        for (const { answer } of waiting)
            judgeCrash(await within('the answer', answer), { signal: 'SIGSEGV' });
    }, mortal()));

    test('nothing of a crash at which only others were at work', () => serving(async (client) => {
        await client.appears('die_null');
        const waiting = client.call('slow', { ms: 500 });
        await crash(client, 'abort');
        const { result } = await within('the answer', waiting);
        assert.equal(result.isError, undefined);
        assert.equal(result._meta?.[KEY], undefined);
    }, mortal({}, ['slow'])));

    test('that a call is not begun a third time', () => serving(async (client, home) => {
        await client.appears('slow');
        const { answer, begun } = telling(client, 'slow', { ms: 60_000, steps: 3000 });
        await begun();
        await crash(client, 'null');
        await begun(); /* again: more than it had told before */
        await crash(client, 'null', 'loop');
        const { result } = await within('the answer', answer);
        assert.match(result.content[0].text, /crashed twice while tool 'slow' ran; it may have executed/);
    }, mortal({}, ['slow'])));
});

describe('what a crash leaves behind', { skip }, () => {
    test('nothing: no descriptor, no child, no blocked signal', () => serving(async (client) => {
        await client.appears('die_null');
        await crash(client, 'null');
        const before = await settledTable(client);
        for (const place of places)
            for (let i = 0; i < 10; i++)
                await crash(client, 'abort', place);
        await settles(client, before);
    }, mortal()));

    test('an entry in the history', () => serving(async (client) => {
        await client.appears('die_null');
        const { boot_id: before } = await client.value('orchestrator_health_check');
        await crash(client, 'null');
        const { boot_id: after } = await client.value('orchestrator_health_check');
        const entry = await until('the entry', async () => {
            const status = await client.value('orchestrator_restart_status', { include_history: true });
            return status.current_status.phase === 'complete' && status.history.recent_crashes[0];
        });
        assert.deepEqual([entry.kind, entry.reason, entry.subject], ['crash', 'error_recovery', 'dies'], JSON.stringify(entry));
        assert.equal(entry.mechanism, 'reexec');
        assert.equal(entry.success, true);
        assert.deepEqual(entry.boot_id, { before, after });
        assert.equal(entry.requests_unanswered, 0);
        assert.equal(entry.calls_lost, 0);
        assert.equal(entry.calls_interrupted, 1);
        assert.ok(entry.blackout_ms > 0 && entry.duration * 1000 >= entry.blackout_ms, JSON.stringify(entry));
    }, mortal()));
});
