/*
 * Tasks whose server has ended (kill -9, or the end of its input): one other server on the same database goes on with
 * each of them where its tool allows that; of the others it says how far they had got.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { describe, test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { Client, serving } from './lib/client.js';
import { effectsOf, traceOf } from './lib/kinds.js';
import { ask, get, settled, taskOf } from './lib/mcp-tasks.js';
import { restart } from './lib/restart.js';
import { sql } from './lib/tasks.js';

const files = (home) => (existsSync(home.path('state', 'mcp-tasks')) ? readdirSync(home.path('state', 'mcp-tasks')) : []);
const prepare = (home) => {
    ['kinds', 'longwork'].forEach((name) => home.drop(name));
    home.configure({ tasks: { promote_after: 1 }, server: { workers: 24 } });
};
const serves = (what, body, options = {}) => test(what, () => serving(async (client, home) => {
    await client.appears('kind_once');
    await client.appears('long_steps');
    await body(client, home);
}, { prepare, ...options }));

/* Other servers in the same home, one after the other or all at once. */
async function withClients(home, count, body) {
    const clients = Array.from({ length: count }, () => new Client(home));
    try {
        await Promise.all(clients.map((client) => client.initialize()));
        await body(...clients);
        await Promise.all(clients.map((client) => client.close()));
        clients.forEach((client) => assert.deepEqual(client.problems, []));
    } finally {
        await Promise.all(clients.map((client) => client.kill()));
    }
}
const withNext = (home, body) => withClients(home, 1, body);
const begin = (client, home, kind, tag, ms) => taskOf(client, `kind_${kind}`, { file: home.path('effects'), tag, ms });
const trace = (home, tag) => traceOf(effectsOf(home), tag);
const reached = (text) => Number(/(\d+) of \d+/.exec(text ?? '')?.[1] ?? 0);

const ENDS = {
    read: 'again', idempotent: 'again', once: 'failed', serial: 'failed', later: 'failed', inner: 'failed',
    resumable: 'goes on', careless: 'failed',
};

function judge(kind, tag, task, { began, ended, steps }) {
    const what = `${kind}: ${JSON.stringify({ task, began, ended, steps })}`;
    if (ENDS[kind] === 'failed') {
        assert.equal(task.status, 'failed', what);
        assert.equal(task.error.code, -32603, what);
        assert.match(task.error.message, /the server ended while tool 'kind_\w+' ran; it may have executed in part/, what);
        assert.ok(began <= 1 && ended === 0, what);
        return;
    }
    assert.equal(task.status, 'completed', what);
    assert.equal(task.result.content[0].text, tag, what);
    if (ENDS[kind] === 'again')
        assert.deepEqual([began, ended], [2, 1], what);
    const repeated = steps.filter((step, at) => steps.indexOf(step) !== at);
    assert.ok(repeated.length <= 1, `only the step at which it was cut off may be made twice: ${what}`);
    if (kind === 'resumable')
        assert.deepEqual([...new Set(steps)], Array.from({ length: Math.max(...steps) + 1 }, (_, at) => at), what);
}

describe('a task whose server has ended', { concurrency: 4 }, () => {
    serves('goes on, runs again or says that it may have executed, as its tool allows', async (client, home) => {
        const ids = Object.fromEntries(await Promise.all(Object.keys(ENDS).map(async (kind) =>
            [kind, await begin(client, home, kind, kind, ENDS[kind] === 'failed' ? 60_000 : 3500)])));
        await client.kill();
        await withNext(home, async (next) => {
            for (const [kind, id] of Object.entries(ids))
                judge(kind, kind, await settled(next, id), trace(home, kind));
            await until('its files to be gone', () => files(home).length === 0);
            for (const [kind, id] of Object.entries(ids))
                assert.equal((await get(next, id)).status, ENDS[kind] === 'failed' ? 'failed' : 'completed', 'for good');
        });
        await withNext(home, async (next) => {
            for (const [kind, id] of Object.entries(ids))
                judge(kind, kind, await get(next, id), trace(home, kind));
        });
    });

    serves('says which step it had reached where it cannot go on', async (client, home) => {
        const id = await taskOf(client, 'plain_wait', { ms: 100_000 });
        const stored = async () => reached((await sql(home, `SELECT message FROM mcp_tasks WHERE id = '${id}'`))[0]);
        const before = await until('some steps on the disk', async () => await stored() > 20 && stored());
        await client.kill();
        await withNext(home, async (next) => {
            const task = await settled(next, id);
            assert.equal(task.status, 'failed');
            assert.match(task.error.message, /while tool 'plain_wait' ran; .*\(it had reached: \d+ of 100000: waiting\), and it is not run again/);
            assert.ok(reached(task.statusMessage) >= before, task.statusMessage);
        });
    });

    serves('goes on by itself, without being asked for, from its last checkpoint', async (client, home) => {
        const id = await taskOf(client, 'long_steps', { steps: 300, ms: 10 });
        await until('some steps', async () => reached((await get(client, id)).statusMessage) > 30);
        await client.kill();
        const checkpoint = Math.max(...['even', 'odd'].map((slot) => {
            const text = readFileSync(home.path('state', 'mcp-tasks', `${id}.${slot}`), 'utf8');
            const [head, state] = text.split('\n');
            return JSON.parse(state.slice(0, JSON.parse(head).bytes)).at;
        }));
        assert.ok(checkpoint > 30);
        await withNext(home, async (next) => {
            await next.names();
            await until('its files to be gone', () => files(home).length === 0, 20_000);
            const { result } = await get(next, id);
            assert.deepEqual(result.structuredContent, { steps: 300, resumed_at: checkpoint });
        });
    });

    serves('is the same call, for the same client, also across a restart', async (client, home) => {
        const id = await taskOf(client, 'long_who', { ms: 4000 });
        const who = (task) => /\S+ tasks \S+ \/\S*/.exec(task.statusMessage ?? '')?.[0];
        const before = await until('it to say who asks', async () => who(await get(client, id)));
        await client.kill();
        const next = new Client(home, { cwd: home.path('state') });
        try {
            await next.initialize();
            await until('it to run again', async () => who(await get(next, id)));
            assert.equal(who(await get(next, id)), before);
            assert.equal((await restart(next)).success, true);
            const task = await settled(next, id);
            assert.equal(task.result.content[0].text, before);
            await next.close();
        } finally {
            await next.kill();
        }
    });

    serves('is taken over by one of many servers, and by none while its own is there', async (client, home) => {
        const tags = Array.from({ length: 12 }, (_, at) => `many${at}`);
        const ids = await Promise.all(tags.map((tag) => begin(client, home, 'idempotent', tag, 6500)));
        await withClients(home, 3, async (...others) => {
            for (const other of others) {
                await other.names();
                for (const id of ids)
                    assert.equal((await get(other, id)).status, 'working');
            }
            assert.ok(tags.every((tag) => trace(home, tag).began === 1), 'each has begun once');
            await client.kill();
            const asking = others.flatMap((other) => ids.map((id) => settled(other, id)));
            await withClients(home, 3, async (...more) => {
                await Promise.all(more.map((one) => one.names()));
                const tasks = await Promise.all([...asking, ...more.flatMap((one) => ids.map((id) => settled(one, id)))]);
                tasks.forEach((task) => assert.equal(task.status, 'completed', JSON.stringify(task)));
            });
            for (const tag of tags)
                assert.deepEqual([trace(home, tag).began, trace(home, tag).ended], [2, 1], tag);
        });
    });

    serves('that its client has left goes on as well', async (client, home) => {
        const once = await begin(client, home, 'once', 'left', 100_000);
        const steps = await taskOf(client, 'long_steps', { steps: 300, ms: 10 });
        await until('some steps', async () => reached((await get(client, steps)).statusMessage) > 10);
        assert.equal((await client.close()).code, 0);
        await withNext(home, async (next) => {
            const task = await settled(next, steps);
            assert.equal(task.status, 'completed');
            assert.ok(task.result.structuredContent.resumed_at > 10);
            assert.equal((await settled(next, once)).status, 'failed');
            assert.equal(trace(home, 'left').began, 1);
        });
    });

    serves('is cancelled by whoever asks its next server for that', async (client, home) => {
        const id = await taskOf(client, 'long_steps', { steps: 10_000, ms: 10 });
        await client.kill();
        await withNext(home, async (next) => {
            assert.ok((await ask(next, 'tasks/cancel', { taskId: id })).result);
            assert.equal((await settled(next, id)).status, 'cancelled');
            await until('its files to be gone', () => files(home).length === 0);
        });
    });

    serves('is not run for ever where it ends every server', async (client, home) => {
        const id = await begin(client, home, 'read', 'deadly', 100_000);
        await client.kill();
        for (let times = 2; times <= 3; times++) {
            const next = new Client(home);
            try {
                await next.initialize();
                await next.names();
                await until('it to begin again', () => trace(home, 'deadly').began === times);
            } finally {
                await next.kill();
            }
        }
        await withNext(home, async (next) => {
            const task = await settled(next, id);
            assert.equal(task.status, 'failed');
            assert.match(task.error.message, /the third process to end so/);
            assert.equal(trace(home, 'deadly').began, 3);
        });
    });

    serves('is found also by whoever has lost its files', async (client, home) => {
        const id = await taskOf(client, 'long_steps', { steps: 10_000, ms: 10 });
        await client.kill();
        files(home).forEach((name) => home.erase('state', 'mcp-tasks', name));
        await withNext(home, async (next) => {
            const task = await settled(next, id);
            assert.equal(task.status, 'failed');
            assert.match(task.error.message, /what is needed to go on with it is not there/);
        });
    });
});
