/* How many tasks may be open, and what becomes of those that are long over: the settings of [tasks], changed and seen. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { Home } from './lib/home.js';
import { Tasks, bring, sql, worker } from './lib/tasks.js';

const working = (body, tasks = {}) => serving(async (client, home) => body(new Tasks(client), home), {
    prepare: (home) => home.configure({ tasks }),
});

describe('tasks.max_active', { concurrency: 4 }, () => {
    const full = /has 3 open tasks, and with 1 more it would have more than tasks\.max_active \(3\): .* raise max_active in \[tasks\]/;

    test('bounds the open tasks of a session, whatever has become of others', () => working(async (tasks, home) => {
        const [a, b, c] = [await tasks.plan('a'), await tasks.plan('b'), await tasks.plan('c')];
        await tasks.refused('plan_task', { title: 'd', description: 'x' }, full);
        await tasks.finish(a);
        const d = await tasks.plan('d', { parent_task_id: a });
        await tasks.refused('plan_task', { title: 'e', description: 'x' }, full);
        await tasks.do('cancel_task', { task_id: b });
        await tasks.do('update_task', { task_id: b, status: 'pending' });
        await tasks.refused('plan_task', { title: 'e', description: 'x' }, full);
        await bring(tasks, c, 'failed');
        await tasks.refused('plan_task', { title: 'e', description: 'x' }, full);
        await tasks.do('delete_task', { task_id: a, archive_instead: false, force: true });
        await tasks.plan('e');
        await tasks.refused('plan_task', { title: 'f', description: 'x' }, full);
        await tasks.do('delete_task', { task_id: b });
        await sql(home, 'UPDATE tasks SET status = \'cancelled\' WHERE title = \'e\'');
        await tasks.plan('f');
        await tasks.plan('g');
        await tasks.refused('plan_task', { title: 'h', description: 'x' }, full);
        await tasks.refused('update_task', { task_id: d, title: 'gone' }, /there is no task/);
        await tasks.do('initialize_session');
        await tasks.plan('in another session');
        assert.deepEqual(await tasks.titles({ session_id: '*', status: ['pending', 'failed'] }), ['c', 'f', 'g', 'in another session']);
    }, { max_active: 3 }));

    test('counts right when calls come together and some are undone', () => working(async (tasks) => {
        const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => tasks.client.call('orchestrator_plan_task',
            { title: `T${i}`, description: 'x', ...(i % 5 === 4 && { parent_task_id: 'task_nowhere' }) })));
        assert.equal(answers.filter(({ result }) => !result.isError).length, 20);
        assert.equal((await tasks.list({ limit: 1000 })).length, 20);
    }, { max_active: 20 }));

    test('counts whole templates, and is taken at once', () => working(async (tasks, home) => {
        const instantiate = (create_tasks) => tasks.client.result('template_instantiate',
            { template_id: 'research', parameters: { question: 'q', purpose: 'p' }, create_tasks });
        for (const create_tasks of [false, true]) {
            const { isError, content } = await instantiate(create_tasks);
            assert.equal(isError, true);
            assert.match(content[0].text, /has 0 open tasks, and with 7 more it would have more than tasks\.max_active \(6\)/);
        }
        home.configure({ tasks: { max_active: 7 } });
        await until('the new setting', async () => !(await instantiate(true)).isError);
        assert.equal((await tasks.list()).length, 7);
        assert.equal((await instantiate(true)).isError, true);
        home.configure({ tasks: { max_active: 0 } });
        await until('no limit', async () => !(await instantiate(true)).isError);
        home.configure({ tasks: { max_active: -1 } });
        await until('the refusal', () => /key 'max_active': must be from 0/.test(home.log));
    }, { max_active: 6 }));

    test('holds for several servers on one database', async () => {
        const home = new Home();
        const servers = [];
        try {
            home.configure({ tasks: { max_active: 50 } });
            for (let i = 0; i < 2; i++)
                servers.push(await worker(home, 'work'));
            await servers[0].tasks.plan('first');
            const answers = await Promise.all(servers.flatMap(({ client }) => Array.from({ length: 60 }, (_, i) =>
                client.call('orchestrator_plan_task', { title: `T${i}`, description: 'x' }))));
            assert.equal(answers.filter(({ result }) => !result.isError).length, 49);
            assert.deepEqual(await sql(home, 'SELECT count(*), count(DISTINCT session) FROM tasks'), ['50|1']);
        } finally {
            await Promise.all(servers.map(({ client }) => client.kill()));
            home.dispose();
        }
    });
});

describe('tasks.archive_after', { concurrency: 4 }, () => {
    const age = (home, days, where = '1') => sql(home, `UPDATE tasks SET created_at = created_at - ${days} * 86400000, ` +
        `updated_at = updated_at - ${days} * 86400000 WHERE ${where}`);
    /* Writes until it is so: what is old is archived beside what is written. */
    const writing = (tasks, what, holds) => until(what, async () => {
        await tasks.plan('Something');
        return holds();
    }, 20_000);

    test('archives what is over for so long, and nothing else', () => working(async (tasks, home) => {
        const states = ['pending', 'in_progress', 'blocked', 'completed', 'failed', 'cancelled'];
        const ids = {};
        for (const state of states)
            await bring(tasks, ids[state] = await tasks.plan(state), state);
        const young = await tasks.plan('young');
        await tasks.finish(young);
        /* What an open task shows progress of stays, and so does what has open parts. */
        const open = await tasks.plan('open'), part = await tasks.plan('part', { parent_task_id: open });
        const over = await tasks.plan('over'), left = await tasks.plan('left', { parent_task_id: over });
        const top = await tasks.plan('top'), below = await tasks.plan('below', { parent_task_id: top });
        for (const task_id of [part, over, below, top])
            await tasks.finish(task_id);
        const waits = await tasks.plan('waits', { dependencies: [below] });
        await age(home, 29);
        await age(home, 2, `title <> 'young'`);
        home.configure({ tasks: { archive_after: '30d' } });
        await writing(tasks, 'the oldest to be archived', async () => (await tasks.status(ids.completed)) === 'archived');
        assert.equal(await tasks.status(ids.cancelled), 'archived');
        for (const state of ['pending', 'in_progress', 'blocked', 'failed'])
            assert.equal(await tasks.status(ids[state]), state);
        for (const [task_id, status] of [[young, 'completed'], [part, 'completed'], [over, 'completed'], [left, 'pending'], [top, 'archived'], [below, 'archived']])
            assert.equal(await tasks.status(task_id), status);
        assert.deepEqual((await tasks.task(open)).progress, { total: 1, completed: 1, open: 0, percent: 100 });
        await tasks.do('execute_task', { task_id: waits });
        assert.ok((await tasks.task(below)).completed_at, 'it counts as done');
        const { problems } = await tasks.do('maintenance_coordinator', { action: 'validate_structure', validation_level: 'comprehensive' });
        assert.deepEqual(problems.filter((one) => one.kind !== 'stale'), []);
        home.configure({ tasks: { archive_after: '7d' } });
        await writing(tasks, 'the young one, by a shorter time', async () => (await tasks.status(young)) === 'archived');
    }, { archive_after: 0 }));

    test('takes many in turns, and is refused where it is no time', () => working(async (tasks, home) => {
        const first = await tasks.plan('T');
        await sql(home, `WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1000) INSERT INTO tasks (task_id, session, title,
            description, task_type, complexity, specialist_type, status, created_at, updated_at, completed_at) SELECT 'old_' || i, session, 'old', '',
            task_type, complexity, specialist_type, 'completed', 1, 1, 1 FROM tasks, n WHERE task_id = '${first}'`);
        const left = async () => Number((await sql(home, 'SELECT count(*) FROM tasks WHERE status = \'completed\''))[0]);
        assert.equal(await left(), 1000);
        home.configure({ tasks: { archive_after: '2h' } });
        await writing(tasks, 'all of them', async () => await left() === 0);
        home.configure({ tasks: { archive_after: 'soon' } });
        await until('the refusal', () => /key 'archive_after': /.test(home.log));
    }, { archive_after: 0 }));
});
