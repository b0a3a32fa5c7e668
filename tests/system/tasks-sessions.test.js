/* Whose tasks: sessions by argument, connection and directory, for several clients on one database. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync } from 'node:fs';
import { describe, test } from 'node:test';

import { serving } from './lib/client.js';
import { Home } from './lib/home.js';
import { Tasks, sql, worker } from './lib/tasks.js';

/* body(home) with servers that are closed at its end. */
async function together(body) {
    const home = new Home(), started = [];
    const start = async (name, options) => {
        const one = await worker(home, name, options);
        started.push(one.client);
        return one;
    };
    try {
        await body(start, home);
        for (const client of started)
            assert.deepEqual(client.problems, []);
    } finally {
        await Promise.all(started.map((client) => client.kill()));
        home.dispose();
    }
}

describe('a session', { concurrency: 4 }, () => {
    test('is the one that is named, else the connection\'s, else the directory\'s, else a new one', () => together(async (start, home) => {
        const { tasks, cwd } = await start('a');
        const made = await tasks.do('plan_task', { title: 'On the spot', description: 'x' });
        const again = await tasks.do('query_tasks');
        assert.equal(again.session_id, made.session_id, 'it is the directory\'s now');
        const second = await tasks.do('initialize_session');
        assert.equal(second.working_directory, cwd);
        assert.notEqual(second.session_id, made.session_id);
        assert.equal((await tasks.do('get_status')).session_id, second.session_id);
        const elsewhere = await tasks.do('initialize_session', { working_directory: '../b/.' });
        assert.equal(elsewhere.working_directory, `${cwd}/../b/.`, 'what is not there is taken as it is written');
        mkdirSync(home.path('b'));
        assert.equal((await tasks.do('initialize_session', { working_directory: '../b/' })).working_directory, home.path('b'));
        assert.equal((await tasks.do('query_tasks', { session_id: made.session_id })).tasks[0].title, 'On the spot');
        await tasks.do('plan_task', { title: 'There', description: 'x', session_id: made.session_id });
        const resumed = await tasks.do('resume_session', { session_id: made.session_id });
        assert.deepEqual(resumed.tasks.map((one) => one.title), ['On the spot', 'There']);
        assert.equal((await tasks.do('get_status')).session_id, made.session_id);
        const other = await start('a');
        assert.equal((await other.tasks.do('get_status')).session_id, second.session_id, 'the newest of the directory');
        await tasks.refused('resume_session', { session_id: 'session_nowhere' }, /there is no session/);
        await tasks.refused('plan_task', { title: 'x', description: 'x', session_id: '*' }, /for questions/);
        await tasks.refused('plan_task', { title: 'x', description: 'x', session_id: 'session_nowhere' }, /there is no session/);
    }));

    test('has nothing of another, by the same calls', () => together(async (start) => {
        const [a, b] = [await start('a'), await start('b')];
        const work = async ({ tasks }, name) => {
            const parent = await tasks.plan('Parent'), child = await tasks.plan('Child', { parent_task_id: parent });
            await tasks.finish(child, { summary: name });
            return { parent, child };
        };
        const [inA, inB] = await Promise.all([work(a, 'a'), work(b, 'b')]);
        for (const [one, own, other] of [[a, inA, inB], [b, inB, inA]]) {
            const { tasks } = one;
            assert.deepEqual((await tasks.list()).map((row) => row.task_id), [own.parent, own.child]);
            assert.deepEqual((await tasks.list({ search_text: 'parent' })).map((row) => row.task_id), [own.parent]);
            assert.equal((await tasks.do('get_status')).progress.total, 2);
            assert.equal((await tasks.do('list_sessions')).sessions.length, 1);
            for (const [tool, args] of [['execute_task', { task_id: other.parent }], ['get_status', { task_id: other.parent }],
                ['update_task', { task_id: other.parent, title: 'x' }], ['delete_task', { task_id: other.child }],
                ['cancel_task', { task_id: other.parent }], ['synthesize_results', { parent_task_id: other.parent }],
                ['query_tasks', { parent_task_id: other.parent }],
                ['plan_task', { title: 'x', description: 'x', parent_task_id: other.parent }],
                ['plan_task', { title: 'x', description: 'x', dependencies: [other.parent] }]])
                await tasks.refused(tool, args, /there is no task/);
            const all = await tasks.do('query_tasks', { session_id: '*' });
            assert.equal(all.tasks.length, 4);
            assert.equal(all.session_id, '*');
            assert.equal(new Set(all.tasks.map((row) => row.session_id)).size, 2);
            const theirs = await tasks.do('get_status', { session_id: '*', task_id: other.parent });
            assert.notEqual(theirs.session_id, (await tasks.do('get_status')).session_id, 'the answer names the task\'s own');
        }
    }));

    test('is the same after a restart, a kill and in a new process', () => together(async (start) => {
        const [a, b] = [await start('a'), await start('b')];
        const chosen = [];
        for (const { tasks } of [a, b]) {
            const { session_id } = await tasks.do('initialize_session');
            await tasks.do('initialize_session');
            await tasks.do('resume_session', { session_id });
            await tasks.plan('Task');
            chosen.push(session_id);
        }
        for (const { client } of [a, b]) {
            const report = await client.value('orchestrator_restart_server');
            assert.equal(report.success, true, JSON.stringify(report));
        }
        assert.deepEqual([(await a.tasks.do('get_status')).session_id, (await b.tasks.do('get_status')).session_id], chosen);
        assert.deepEqual(await a.tasks.titles(), ['Task']);
        await Promise.all([a.client.kill(), b.client.kill()]);
        const [c, d] = [await start('a'), await start('b')];
        for (const [{ tasks }, own, other] of [[c, ...chosen], [d, ...chosen.toReversed?.() ?? [...chosen].reverse()]]) {
            const { sessions } = await tasks.do('list_sessions');
            assert.ok(sessions.some((one) => one.session_id === own));
            assert.ok(!sessions.some((one) => one.session_id === other));
            await tasks.do('resume_session', { session_id: own });
            assert.deepEqual(await tasks.titles(), ['Task']);
        }
    }));

    test('is listed with the one used last first, until it is completed', () => together(async (start) => {
        const { tasks } = await start('a');
        const made = [];
        for (let i = 0; i < 3; i++)
            made.unshift((await tasks.do('initialize_session')).session_id);
        const ids = async (args) => (await tasks.do('list_sessions', args)).sessions.map((one) => one.session_id);
        assert.deepEqual(await ids(), made);
        await tasks.finish(await tasks.plan('Task'));
        assert.deepEqual(await ids(), made.slice(1));
        const all = await tasks.do('list_sessions', { include_completed: true, limit: 2 });
        assert.deepEqual(all.sessions.map((one) => [one.session_id, one.status, one.tasks_total, one.tasks_completed]),
            [[made[0], 'completed', 1, 1], [made[1], 'active', 0, 0]]);
        assert.deepEqual([all.has_more, all.next_offset], [true, 2]);
        assert.deepEqual(await ids({ include_completed: true, limit: 2, offset: 2 }), [made[2]]);
        const status = await tasks.do('session_status', { session_id: made[0] });
        assert.deepEqual([status.session_id, status.status, status.progress.percent], [made[0], 'completed', 100]);
        await tasks.refused('session_status', { session_id: 'session_nowhere' }, /there is no session/);
        const other = await start('b');
        assert.deepEqual((await other.tasks.do('list_sessions')).sessions, []);
        assert.equal((await other.tasks.do('list_sessions', { session_id: '*', include_completed: true })).sessions.length, 3);
    }));

    test('is put away when it is completed, orphaned or old, and comes back', () => together(async (start, home) => {
        const { tasks } = await start('a');
        const plan = async (title, finish) => {
            const { session_id } = await tasks.do('initialize_session', { working_directory: home.path(title) });
            const task_id = title === 'empty' ? undefined : await tasks.plan(title);
            if (finish)
                await tasks.finish(task_id);
            return session_id;
        };
        for (const name of ['done', 'empty', 'gone', 'old', 'used'])
            mkdirSync(home.path(name));
        const ids = {};
        for (const name of ['done', 'empty', 'gone', 'old', 'used'])
            ids[name] = await plan(name, name === 'done');
        rmSync(home.path('gone'), { recursive: true });
        await sql(home, `UPDATE task_sessions SET updated_at = updated_at - 8 * 86400000 WHERE session_id = '${ids.old}';
            UPDATE task_connections SET chosen_at = 0`);
        const names = Object.fromEntries(Object.entries(ids).map(([name, id]) => [id, name]));
        const clean = async (cleanup_type, more) => (await tasks.do('cleanup_sessions', { cleanup_type, ...more }))
            .sessions.map((one) => names[one.session_id]);
        assert.deepEqual(await clean('completed'), ['done']);
        assert.deepEqual(await clean('orphaned'), ['empty', 'gone']);
        assert.deepEqual(await clean('old'), ['old']);
        assert.deepEqual(await clean('old', { older_than_days: 9 }), []);
        assert.deepEqual(await clean('all'), ['done', 'empty', 'gone', 'old']);
        assert.deepEqual(await clean('all', { dry_run: false }), ['done', 'empty', 'gone', 'old']);
        assert.deepEqual(await clean('all', { dry_run: false }), []);
        const left = await tasks.do('list_sessions', { include_completed: true });
        assert.deepEqual(left.sessions.map((one) => [names[one.session_id], one.status]).sort(),
            [['done', 'archived'], ['gone', 'archived'], ['old', 'archived'], ['used', 'active']], 'only the empty one is deleted');
        const back = await tasks.do('resume_session', { session_id: ids.old });
        assert.deepEqual([back.status, back.tasks.map((one) => one.title)], ['active', ['old']]);
    }));
});

test('an answer that got lost in a restart is not work done twice', () => serving(async (client) => {
    const tasks = new Tasks(client);
    const calls = Array.from({ length: 400 }, (_, i) => client.call('orchestrator_plan_task', { title: `T${i}`, description: 'x' }));
    const restart = client.value('orchestrator_restart_server', { graceful: false });
    const answers = await Promise.all(calls);
    assert.equal((await restart).success, true);
    assert.ok(answers.every(({ result }) => !result.isError), JSON.stringify(answers.find(({ result }) => result.isError)));
    const rows = await tasks.list({ limit: 1000 });
    assert.equal(rows.length, 400);
    assert.deepEqual(answers.map(({ result }) => result.structuredContent.task_id).sort(), rows.map((row) => row.task_id).sort());
}));

test('the batch plugin plans each task once, whatever happens', () => serving(async (client) => {
    const tasks = new Tasks(client);
    const calls = Array.from({ length: 60 }, (_, i) => ({ tool: 'orchestrator_plan_task', arguments: { title: `B${i}`, description: 'x' } }));
    const batch = client.call('batch', { calls });
    for (let i = 0; i < 3; i++)
        assert.equal((await client.value('orchestrator_restart_server', { graceful: false })).success, true);
    const { result } = await batch;
    assert.notEqual(result.isError, true, result.content?.[0]?.text.slice(0, 2000));
    assert.deepEqual(await tasks.titles(), calls.map((one) => one.arguments.title));
}, { prepare: (home) => home.configure({ access: { call_by_name: 'yes' } }) }));

