/*
 * Ordinary work of which one step fails: the call is answered with what it did or with an error, nothing is lost, nothing
 * is done twice, and the next call works. Some of the steps are tried; all with each error, if THESEUS_LONG=1.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { Client, serving } from './lib/client.js';
import { Fault } from './lib/fault.js';
import { Home, sanitized } from './lib/home.js';
import { long, sample, seed } from './lib/sample.js';
import { Session } from './lib/session.js';
import { listening } from './lib/socket.js';
import { Tasks, sql } from './lib/tasks.js';

const skip = sanitized && 'a library that is preloaded comes before the run-time library of the sanitizer';
const ERRORS = long ? ['EIO', 'ENOMEM', 'EMFILE'] : [['EIO', 'ENOMEM', 'EMFILE'][seed % 3]];
const WANTED = 40; /* steps of each kind of work */
const MORE = long ? 2 : 1;
const LARGE = 'a line that is a part of something large\n'.repeat(4000);

const tool = (client, name, args) => client.start('tools/call', { name, arguments: args }).answer;
const done = ({ result }) => result !== undefined && result.isError !== true;
const rows = async (home, text) => Number((await sql(home, text))[0]);
const described = (i) => `What "task ${i}" is about`;

/*
 * begin(i) comes before the faults, act(i) is what meets them, and judge(i, done) says what must be so whether or not it
 * was done, with a server that is whole again.
 */
const WORKS = {
    'planning a task': ({ client, home }) => ({
        act: (i) => tool(client, 'orchestrator_plan_task', { title: `task ${i}`, description: described(i) }),
        async judge(i, was) {
            const count = await rows(home, `SELECT count(*) FROM tasks WHERE title = 'task ${i}' AND description = '${described(i).replaceAll("'", "''")}'`);
            assert.ok(count === 1 || (!was && count === 0), `there are ${count}`);
        },
    }),
    'completing a task': ({ client, home, tasks }) => {
        const ids = new Map();
        const complete = (i) => tool(client, 'orchestrator_complete_task', {
            task_id: ids.get(i), summary: `did ${i}`, detailed_work: `${i} ${LARGE}`, next_action: 'complete',
        });
        return {
            async begin(i) {
                ids.set(i, await tasks.plan(`task ${i}`));
                await tasks.do('execute_task', { task_id: ids.get(i) });
            },
            act: complete,
            async judge(i, was) {
                const id = ids.get(i);
                const count = () => rows(home, `SELECT count(*) FROM task_artifacts a JOIN tasks t ON t.id = a.task WHERE t.task_id = '${id}'`);
                const status = await tasks.status(id);
                assert.equal(await count(), status === 'completed' ? 1 : 0);
                assert.ok(!was || status === 'completed', status);
                if (status !== 'completed')
                    assert.ok(done(await complete(i)), 'it is completed when it is asked for again');
                const { artifacts } = await tasks.task(id, { detail: true });
                assert.deepEqual(artifacts.map((one) => one.content), [`${i} ${LARGE}`]);
            },
        };
    },
    'asking for a task': ({ client, tasks }) => {
        let id, answer;
        return {
            async begin() {
                if (id)
                    return;
                id = await tasks.plan('task with a result');
                await tasks.finish(id, { detailed_work: LARGE });
            },
            act: async () => (answer = await tool(client, 'orchestrator_get_status', { task_id: id, detail: true })),
            async judge(i, was) {
                if (was)
                    assert.deepEqual(answer.result.structuredContent.task.artifacts.map((one) => one.content), [LARGE]);
                assert.equal((await tasks.task(id, { detail: true })).artifacts[0].content, LARGE);
            },
        };
    },
    'reloading a plugin': ({ client, names }) => ({
        act: () => tool(client, 'theseus_reload', { plugin: 'tasks' }),
        async judge() {
            assert.deepEqual(await client.names(), names);
            assert.equal((await client.plugin('tasks')).state, 'active');
        },
    }),
    'a change of the configuration': ({ client, home, names, settings }) => ({
        begin: (i) => home.configure({ ...settings, 'tool:word': { command: `/bin/echo ${i}`, description: 'A word.' } }),
        act: () => tool(client, 'theseus_reload', {}),
        async judge(i) {
            await client.value('theseus_reload');
            await until('the new word', async () => await client.text('word') === `${i}\n`);
            assert.deepEqual(new Set(await client.names()), new Set([...names, 'word']));
        },
    }),
    'a value of a plugin': ({ client }) => {
        let before = null;
        return {
            act: (i) => tool(client, 'vault_put', { key: 'word', value: i }),
            async judge(i, was) {
                const { value } = await client.value('vault_get', { key: 'word' });
                assert.ok(value === i || (!was && value === before), `${value} instead of ${i}`);
                before = value;
            },
        };
    },
};

/* One step after the other of `work`. */
async function failEach(t, fault, { pid, alive, work, error, salt }) {
    const { begin = () => {}, act, judge } = work, how = { pid, more: MORE, error };
    let at = 0;

    const whole = async (where) => {
        await begin(++at);
        const answer = await within('the answer', act(at));
        assert.ok(done(answer), `${where}: ${JSON.stringify(answer).slice(0, 600)}`);
        await judge(at, true);
    };
    await whole('at first');
    await begin(++at);
    await fault.quiet(pid, how);
    fault.arm(0xffffffff, how);
    await act(at);
    const total = await fault.settled();
    await judge(at, true);
    const { numbers, words } = sample(total, WANTED / ERRORS.length, salt);
    t.diagnostic(words);
    for (const nth of numbers) {
        await begin(++at);
        await fault.quiet(pid, how);
        fault.arm(nth, how);
        const answer = await within(`the answer with call ${nth} failing`, act(at));
        const name = fault.failed, where = `call ${nth} (${name}) with ${error}: ${JSON.stringify(answer).slice(0, 600)}`;
        fault.arm(0, { pid });
        if (process.env.FAULT_TRACE)
            console.error(where);
        assert.ok(alive(), where);
        assert.ok(done(answer) || name !== undefined, where);
        assert.ok(done(answer) || (answer.error?.message ?? answer.result.content[0].text).length > 0, where);
        await Promise.resolve(judge(at, done(answer))).catch((problem) => { problem.message = `${where}: ${problem.message}`; throw problem; });
        if (nth % 5 === 0)
            await whole(`behind ${where}`);
    }
}

const settings = { plugins: { watch: 'no' } };

/* body(client, home, fault) with a server that has had nothing to do for a while. */
async function faulty(body) {
    const env = {};
    let fault;
    const prepare = (home) => {
        fault = new Fault(home.path('fault'));
        home.drop('vault');
        home.configure(settings);
        Object.assign(env, fault.env);
    };
    try {
        await serving(async (client, home) => {
            await client.appears('vault_put');
            await client.appears('orchestrator_plan_task');
            await body(client, home, fault);
        }, { prepare, env });
    } finally {
        fault?.close();
    }
}

describe('work of which one step fails', { concurrency: 4, skip }, () => {
    for (const [name, make] of Object.entries(WORKS))
        for (const [i, error] of ERRORS.entries())
            test(`${name}, with ${error}`, (t) => faulty(async (client, home, fault) => {
                const tasks = new Tasks(client), names = await client.names();
                const work = make({ client, home, tasks, names, settings });
                await failEach(t, fault, { pid: client.pid, alive: () => client.process.exitCode === null, work, error, salt: i });
            }));

    /* A session of which the socket has gone; what it had asked for is still at work. */
    for (const [salt, error] of ERRORS.entries())
        test(`the resumption of a session, with ${error}`, (t) => {
            let fault;
            const env = {};
            const prepare = (home) => {
                fault = new Fault(home.path('fault'));
                home.drop('slow');
                home.configure(settings);
                Object.assign(env, fault.env);
            };
            return listening(async (one) => {
                const watcher = await one.client(), session = await Session.hello(one);
                await watcher.appears('slow');
                await failEach(t, fault, { pid: one.pid, alive: () => one.server.process.exitCode === null, error, salt, work: {
                    async begin(i) {
                        session.send(`asked ${i}`, 'slow', { ms: 20 });
                        await session.drop();
                    },
                    async act(i) {
                        await session.open();
                        const answer = session.resumeHere([`asked ${i}`]);
                        answer.catch(() => {}); /* a socket that is closed is told as such */
                        return Promise.race([answer, session.client.closed.then(() => ({ error: { message: 'the socket was closed' } }))]);
                    },
                    async judge(i, was) {
                        const id = `asked ${i}`;
                        if (!was) {
                            await session.drop();
                            await session.fates([id]);
                        }
                        assert.match((await session.answer(id)).result.content[0].text, /slept 20/);
                        assert.equal(await session.text(`then ${i}`, 'echo', { message: 'here' }), 'here');
                        assert.equal(session.answers(id).length, 1, 'it is answered once');
                    },
                } });
            }, { prepare, env }).finally(() => fault?.close());
        });

    /* The snapshot is written then; where that fails the one before it stays, and it is told. */
    for (const [salt, error] of ERRORS.entries())
        test(`leaving, with ${error}`, async (t) => {
            const home = new Home(), fault = new Fault(home.path('fault'));
            let value = 0, kept, client;
            /* It leaves with that call failing (0: none); the next one has the value, or the one that was told to be left. */
            const leave = async (nth) => {
                await client.text('vault_put', { key: 'word', value: ++value });
                await fault.quiet(client.pid, { more: MORE });
                fault.arm(nth, { pid: client.pid, more: MORE, error });
                const { signal } = await client.close(10_000);
                const name = fault.failed, total = fault.count, where = `call ${nth} (${name}) with ${error}: ${client.stderr}`;
                assert.equal(signal, null, where);
                fault.arm(0, { pid: 0 });
                const before = client;
                client = await new Client(home, { env: fault.env }).initialize();
                await client.appears('vault_get');
                const { value: found } = await client.value('vault_get', { key: 'word' });
                assert.ok(found === value || (found === kept && /no snapshot can be written/.test(before.stderr)), `${where}: ${found} instead of ${value}`);
                kept = found;
                return total;
            };
            try {
                home.drop('vault');
                home.configure(settings);
                client = await new Client(home, { env: fault.env }).initialize();
                await client.appears('vault_put');
                await leave(0xffffffff);
                const { numbers, words } = sample(await leave(0xffffffff), WANTED / ERRORS.length, salt);
                t.diagnostic(words);
                for (const nth of numbers)
                    await leave(nth);
            } finally {
                await client?.kill();
                fault.close();
                home.dispose();
            }
        });
});
