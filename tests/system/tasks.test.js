/* The tools of the plugin `tasks`, each with all that it takes. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { serving } from './lib/client.js';
import { STATES, Tasks, bring, sql } from './lib/tasks.js';

/* In the home, so that what is written there goes with it. */
const working = (body, options = {}) => serving(async (client, home) => {
    const tasks = new Tasks(client);
    const { session_id } = await tasks.do('initialize_session', { working_directory: home.path('home') });
    await body(tasks, home, session_id);
}, options);

describe('planning', { concurrency: 4 }, () => {
    test('makes a task of what is said, and fills in the rest', () => working(async (tasks, home, session_id) => {
        const made = await tasks.do('plan_task', { title: 'First', description: 'Do it' });
        assert.equal(made.session_id, session_id);
        assert.equal(made.status, 'pending');
        const task = await tasks.task(made.task_id);
        const { title, description, status, task_type, complexity, specialist_type } = task;
        assert.deepEqual({ title, description, status, task_type, complexity, specialist_type }, {
            title: 'First', description: 'Do it', status: 'pending', task_type: 'standard', complexity: 'moderate',
            specialist_type: 'generic',
        });
        assert.equal(task.parent_task_id, undefined);
    }));

    test('keeps everything that can be said', () => working(async (tasks) => {
        const parent = await tasks.plan('Parent', { task_type: 'breakdown' }), before = await tasks.plan('Before');
        const said = {
            task_type: 'research', complexity: 'very_complex', specialist_type: 'researcher', estimated_effort: '2 days',
            due_date: '2031-02-28T12:00:00+01:00', context: { place: ['a', 1, null], more: { deep: true } },
            parent_task_id: parent,
        };
        const task = await tasks.task(await tasks.plan('Täsk – “quoted” \'x\' 日本', { ...said, dependencies: [before] }));
        for (const [key, value] of Object.entries(said))
            assert.deepEqual(task[key], value, key);
        assert.equal(task.title, 'Täsk – “quoted” \'x\' 日本');
        assert.deepEqual(task.dependencies, [{ task_id: before, title: 'Before', status: 'pending' }]);
        assert.deepEqual((await tasks.task(before)).dependents.map((one) => one.task_id), [task.task_id]);
    }));

    test('takes every word of its enumerations and no other', () => working(async (tasks) => {
        const words = {
            task_type: ['standard', 'breakdown', 'milestone', 'review', 'approval', 'research', 'implementation', 'testing',
                'documentation', 'deployment', 'custom'],
            complexity: ['trivial', 'simple', 'moderate', 'complex', 'very_complex'],
            specialist_type: ['analyst', 'coder', 'tester', 'documenter', 'reviewer', 'architect', 'devops', 'researcher',
                'coordinator', 'generic'],
        };
        for (const [key, values] of Object.entries(words)) {
            for (const value of values)
                assert.equal((await tasks.task(await tasks.plan(value, { [key]: value })))[key], value);
            await tasks.refused('plan_task', { title: 'x', description: 'y', [key]: 'nothing' }, new RegExp(key));
        }
        await tasks.refused('plan_task', { title: '', description: 'y' }, /title/);
        await tasks.refused('plan_task', { title: 'x' }, /description/);
        await tasks.refused('plan_task', { title: 'x', description: 'y', due_date: '2031-02-30' }, /due_date/);
        await tasks.refused('plan_task', { title: 'x', description: 'y', titel: 'z' }, /titel/);
    }));

    test('refuses relatives that are not there, and cycles, and leaves nothing behind', () => working(async (tasks) => {
        const top = await tasks.plan('Top'), inner = await tasks.plan('Inner', { parent_task_id: top });
        const waits = await tasks.plan('Waits for the top', { dependencies: [top] });
        const bad = (more, pattern) => tasks.refused('plan_task', { title: 'Bad', description: 'Bad', ...more }, pattern);
        await bad({ parent_task_id: 'task_nowhere' }, /there is no task 'task_nowhere'/);
        await bad({ dependencies: [top, 'task_nowhere'] }, /there is no task 'task_nowhere'/);
        await bad({ parent_task_id: inner, dependencies: [top] }, /cycle/);
        await bad({ parent_task_id: inner, dependencies: [inner] }, /cycle/);
        await bad({ parent_task_id: top, dependencies: [waits] }, /cycle/);
        await tasks.do('cancel_task', { task_id: waits });
        await bad({ dependencies: [waits] }, /cancelled and will not be completed/);
        await tasks.do('update_task', { task_id: waits, status: 'archived' });
        await bad({ parent_task_id: waits }, /archived/);
        assert.deepEqual(await tasks.titles(), ['Top', 'Inner', 'Waits for the top']);
        await tasks.plan('Good', { parent_task_id: top, dependencies: [inner, inner] });
    }));

    test('takes no NUL into its texts, and keeps one in the work', () => working(async (tasks) => {
        await tasks.refused('plan_task', { title: 'a\u0000b', description: 'x' }, /'title' holds a NUL/);
        await tasks.refused('query_tasks', { search_text: 'a\u0000b' }, /'search_text' holds a NUL/);
        await tasks.refused('plan_task', { title: 'x', description: 'x', dependencies: ['a\u0000'] }, /'dependencies' holds a NUL/);
        const task_id = await tasks.plan('Task', { context: { 'key': 'a\u0000b' } });
        await tasks.finish(task_id, { detailed_work: 'before\u0000behind' });
        const task = await tasks.task(task_id, { detail: true });
        assert.equal(task.artifacts[0].content, 'before\u0000behind');
        assert.equal(task.context.key, 'a\u0000b');
    }));

    test('many at once, good and bad ones, does each for itself', () => working(async (tasks) => {
        const answers = await Promise.all(Array.from({ length: 300 }, (_, i) => tasks.client.call('orchestrator_plan_task',
            { title: `T${i}`, description: 'x', ...(i % 7 === 3 && { dependencies: ['task_nowhere'] }) })));
        const refused = answers.filter(({ result }) => result.isError);
        assert.equal(refused.length, answers.filter((_, i) => i % 7 === 3).length);
        assert.ok(refused.every(({ result }) => /task_nowhere/.test(result.content[0].text)));
        const titles = await tasks.titles({ limit: 1000 });
        assert.deepEqual(titles.sort(), Array.from({ length: 300 }, (_, i) => `T${i}`).filter((_, i) => i % 7 !== 3).sort());
    }));
});

describe('updating', { concurrency: 4 }, () => {
    test('changes what is given and nothing else', () => working(async (tasks, home, session_id) => {
        const task_id = await tasks.plan('Old', { estimated_effort: '1 h', context: { a: 1, b: 2 } });
        const before = await tasks.task(task_id);
        const changes = {
            title: 'New', description: 'Newer', specialist_type: 'coder', complexity: 'simple', estimated_effort: '3 h',
            due_date: '2032-01-01', context: { c: 3 },
        };
        for (const [key, value] of Object.entries(changes)) {
            const answer = await tasks.do('update_task', { task_id, [key]: value });
            assert.deepEqual(answer, { session_id, task_id, status: 'pending', updated: [key] });
            before[key] = value;
            const after = await tasks.task(task_id);
            assert.deepEqual({ ...after, updated_at: 0 }, { ...before, updated_at: 0 });
        }
        assert.deepEqual(await tasks.titles({ search_text: 'New' }), ['New']);
        assert.deepEqual(await tasks.titles({ search_text: 'Old' }), [], 'the search has forgotten the old words');
    }));

    test('is refused as a whole', () => working(async (tasks) => {
        const task_id = await tasks.plan('Task');
        await tasks.refused('update_task', { task_id, title: 'Other', status: 'completed' }, /pending and cannot become completed/);
        await tasks.refused('update_task', { task_id, title: 'Other', due_date: 'soon' }, /due_date/);
        await tasks.refused('update_task', { task_id }, /nothing to update/);
        await tasks.refused('update_task', { task_id: 'task_nowhere', title: 'x' }, /there is no task/);
        assert.equal((await tasks.task(task_id)).title, 'Task');
    }));

    test('takes "active" for in_progress and never stores it', () => working(async (tasks, home) => {
        const task_id = await tasks.plan('Task');
        assert.equal((await tasks.do('update_task', { task_id, status: 'active' })).status, 'in_progress');
        assert.deepEqual(await tasks.titles({ status: ['active'] }), ['Task']);
        assert.deepEqual(await sql(home, 'SELECT DISTINCT status FROM tasks'), ['in_progress']);
    }));
});

describe('removing', { concurrency: 4 }, () => {
    test('archives, and tells who waits', () => working(async (tasks) => {
        const first = await tasks.plan('First'), second = await tasks.plan('Second', { dependencies: [first] });
        await tasks.refused('delete_task', { task_id: first }, /1 task\(s\) wait for/);
        const freed = await tasks.do('delete_task', { task_id: first, force: true });
        assert.deepEqual([freed.status, freed.dependents_freed], ['archived', 1]);
        await tasks.do('execute_task', { task_id: second });
        await tasks.refused('delete_task', { task_id: second }, /in_progress and cannot become archived/);
        await tasks.refused('delete_task', { task_id: first }, /archived and cannot become archived/);
    }));

    test('archives what is completed although others build on it', () => working(async (tasks) => {
        const first = await tasks.plan('First'), second = await tasks.plan('Second', { dependencies: [first] });
        await tasks.finish(first);
        await tasks.do('delete_task', { task_id: first });
        const { prerequisites } = await tasks.do('execute_task', { task_id: second });
        assert.equal(prerequisites[0].artifacts[0].content, `the work of ${first}`);
    }));

    test('deletes for good, with children and artifacts where it is forced', () => working(async (tasks, home) => {
        const top = await tasks.plan('Top'), inner = await tasks.plan('Inner', { parent_task_id: top });
        await tasks.plan('Innermost', { parent_task_id: inner });
        await tasks.finish(inner);
        await tasks.refused('delete_task', { task_id: top, archive_instead: false }, /has 1 children/);
        const gone = await tasks.do('delete_task', { task_id: top, archive_instead: false, force: true });
        assert.equal(gone.status, 'deleted');
        assert.deepEqual(await tasks.titles(), []);
        assert.deepEqual(await tasks.titles({ search_text: 'Inner*' }), []);
        assert.deepEqual(await sql(home, 'SELECT (SELECT count(*) FROM tasks), (SELECT count(*) FROM task_artifacts)'), ['0|0']);
        const lone = await tasks.plan('Lone');
        await tasks.do('update_task', { task_id: lone, status: 'in_progress' });
        await tasks.refused('delete_task', { task_id: lone, archive_instead: false }, /in_progress/);
        await tasks.do('delete_task', { task_id: lone, archive_instead: false, force: true });
    }));

    test('cancels with a reason, and with or without the work', () => working(async (tasks) => {
        for (const preserve_work of [true, false]) {
            const task_id = await tasks.plan('Task');
            await tasks.finish(task_id, { next_action: 'continue' });
            const answer = await tasks.do('cancel_task', { task_id, reason: 'no need', preserve_work });
            assert.deepEqual([answer.status, answer.artifacts_kept, answer.artifacts_removed],
                ['cancelled', preserve_work ? 1 : 0, preserve_work ? 0 : 1]);
            const task = await tasks.task(task_id, { detail: true });
            assert.deepEqual([task.status, task.reason, task.artifacts.length], ['cancelled', 'no need', preserve_work ? 1 : 0]);
            await tasks.refused('cancel_task', { task_id }, /cancelled and cannot become cancelled/);
            await tasks.do('update_task', { task_id, status: 'pending' });
            assert.equal((await tasks.task(task_id)).reason, undefined);
        }
    }));
});

describe('working on a task', { concurrency: 4 }, () => {
    test('begins with all that one needs', () => working(async (tasks, home, session_id) => {
        const before = await tasks.plan('Before', { specialist_type: 'analyst' });
        const task_id = await tasks.plan('Task', { specialist_type: 'coder', context: { file: 'a.c' }, dependencies: [before] });
        await tasks.refused('execute_task', { task_id }, new RegExp(`prerequisites are completed: ${before} \\(pending\\)`));
        await tasks.refused('update_task', { task_id, status: 'in_progress' }, /prerequisites/);
        await tasks.refused('complete_task', { task_id, summary: 's', detailed_work: 'd', next_action: 'continue' }, /prerequisites/);
        await tasks.finish(before, { artifact_type: 'analysis', file_paths: ['x/y.md', 'z'], summary: 'found it' });
        const begun = await tasks.do('execute_task', { task_id });
        assert.equal(begun.session_id, session_id);
        assert.equal(begun.status, 'in_progress');
        assert.deepEqual(begun.context, { file: 'a.c' });
        assert.equal(begun.task.description, 'What "Task" is about');
        assert.match(begun.instructions, /^You write code/);
        const [{ task_id: id, summary, artifacts: [artifact] }] = begun.prerequisites;
        assert.deepEqual([id, summary], [before, 'found it']);
        const { artifact_type, file_paths, content } = artifact;
        assert.deepEqual([artifact_type, file_paths, content], ['analysis', ['x/y.md', 'z'], `the work of ${before}`]);
        assert.deepEqual(begun.previous_work, []);
        await tasks.do('complete_task', { task_id, summary: 'half', detailed_work: 'part one', next_action: 'needs_revision' });
        const again = await tasks.do('execute_task', { task_id });
        assert.deepEqual(again.previous_work.map((one) => one.content), ['part one'], 'who has begun may ask again');
    }));

    for (const [next_action, status] of [['complete', 'completed'], ['continue', 'in_progress'],
        ['needs_revision', 'in_progress'], ['blocked', 'blocked']])
        test(`${next_action} makes it ${status}, and the work is kept`, () => working(async (tasks) => {
            const parent = await tasks.plan('Parent'), task_id = await tasks.plan('Task', { parent_task_id: parent });
            const answer = await tasks.finish(task_id, { next_action });
            assert.equal(answer.status, status);
            assert.deepEqual(answer.parent_progress, {
                total: 1, completed: Number(status === 'completed'), open: Number(status !== 'completed'),
                percent: status === 'completed' ? 100 : 0,
            });
            const task = await tasks.task(task_id, { detail: true });
            assert.equal(task.status, status);
            assert.equal(task.summary, `did ${task_id}`);
            assert.deepEqual(task.artifacts.map((one) => [one.artifact_id, one.next_action, one.content]),
                [[answer.artifact_id, next_action, `the work of ${task_id}`]]);
        }));

    test('cannot be completed before it was begun, or twice', () => working(async (tasks) => {
        const task_id = await tasks.plan('Task');
        const done = { task_id, summary: 's', detailed_work: 'd', next_action: 'complete' };
        await tasks.refused('complete_task', done, /pending and cannot become completed/);
        await tasks.finish(task_id);
        await tasks.refused('complete_task', done, /completed and cannot become completed/);
        assert.equal((await tasks.task(task_id, { detail: true })).artifacts.length, 1);
    }));

    test('keeps large work in a file that is named by its content', () => working(async (tasks, home) => {
        const small = 'x'.repeat(64 << 10), large = `${small}y`, directory = home.path('state', 'artifacts');
        const one = await tasks.plan('One'), two = await tasks.plan('Two'), three = await tasks.plan('Three');
        await tasks.finish(one, { detailed_work: small });
        assert.equal(existsSync(directory), false);
        await tasks.finish(two, { detailed_work: large });
        const [name, ...others] = readdirSync(directory);
        assert.match(name, /^[0-9a-f]{64}$/);
        assert.deepEqual(others, []);
        assert.equal(readFileSync(`${directory}/${name}`, 'utf8'), large);
        await tasks.finish(three, { detailed_work: large });
        assert.deepEqual(readdirSync(directory), [name], 'the same content is the same file');
        for (const [task_id, content] of [[one, small], [two, large], [three, large]])
            assert.equal((await tasks.task(task_id, { detail: true })).artifacts[0].content, content);
        const next = await tasks.plan('Next', { dependencies: [two] });
        const short = (await tasks.do('execute_task', { task_id: next })).prerequisites[0].artifacts[0].content;
        assert.ok(short.length < 5000 && short.includes('detail = true'));
        const whole = (await tasks.do('execute_task', { task_id: next, detail: true })).prerequisites[0].artifacts[0].content;
        assert.equal(whole, large);
        writeFileSync(`${directory}/${name}`, `z${large.slice(1)}`);
        const [altered] = (await tasks.do('execute_task', { task_id: next, detail: true })).prerequisites[0].artifacts;
        assert.equal(altered.content, undefined, 'nobody builds on what was not handed in');
        assert.equal(altered.missing, true);
    }));
});

describe('querying', { concurrency: 4 }, () => {
    /* Six tasks of all kinds. */
    const six = async (tasks) => {
        const top = await tasks.plan('Write the server', { task_type: 'breakdown', complexity: 'complex' });
        const one = await tasks.plan('Parse the lines', { parent_task_id: top, task_type: 'implementation', specialist_type: 'coder' });
        const two = await tasks.plan('Test the parser', { parent_task_id: top, task_type: 'testing', specialist_type: 'tester', dependencies: [one] });
        const three = await tasks.plan('Write documentation', { task_type: 'documentation', specialist_type: 'documenter', complexity: 'trivial' });
        const four = await tasks.plan('Deploy', { task_type: 'deployment', specialist_type: 'devops', complexity: 'simple' });
        const five = await tasks.plan('Parsing again', { parent_task_id: one, specialist_type: 'coder' });
        await tasks.finish(one);
        await tasks.do('execute_task', { task_id: three });
        await tasks.do('cancel_task', { task_id: four });
        return { top, one, two, three, four, five };
    };

    test('has filters that all mean something, alone and together', () => working(async (tasks) => {
        const { top, one } = await six(tasks);
        const all = ['Write the server', 'Parse the lines', 'Test the parser', 'Write documentation', 'Deploy', 'Parsing again'];
        const expect = async (args, ...numbers) =>
            assert.deepEqual(await tasks.titles(args), numbers.map((i) => all[i]), JSON.stringify(args));
        await expect({}, 0, 1, 2, 3, 4, 5);
        await expect({ status: ['completed'] }, 1);
        await expect({ status: ['pending', 'in_progress'] }, 0, 2, 3, 5);
        await expect({ status: ['pending', 'active', 'cancelled', 'completed'] }, 0, 1, 2, 3, 4, 5);
        await expect({ status: [] }, 0, 1, 2, 3, 4, 5);
        await expect({ status: ['blocked', 'failed', 'archived'] });
        await expect({ task_type: ['testing'] }, 2);
        await expect({ task_type: ['testing', 'deployment', 'standard'] }, 2, 4, 5);
        await expect({ specialist_type: ['coder'] }, 1, 5);
        await expect({ specialist_type: ['coder', 'devops'], task_type: ['standard', 'deployment'] }, 4, 5);
        await expect({ complexity: ['trivial', 'simple', 'complex'] }, 0, 3, 4);
        await expect({ parent_task_id: top }, 1, 2);
        await expect({ parent_task_id: top, status: ['pending'] }, 2);
        await expect({ parent_task_id: one }, 5);
        await expect({ search_text: 'parser' }, 2, ...[]);
        await expect({ search_text: 'parse' }, 1, 5);
        await expect({ search_text: 'pars*' }, 1, 2, 5);
        await expect({ search_text: 'write about' }, 0, 3);
        await expect({ search_text: '"the server"' }, 0);
        await expect({ search_text: 'server the' }, 0);
        await expect({ search_text: '"server the"' });
        await expect({ search_text: 'pars*', status: ['pending'], specialist_type: ['coder', 'tester'] }, 2, 5);
        await expect({ search_text: 'pars*', parent_task_id: top, limit: 1 }, 1);
        await expect({ search_text: '   ' }, 0, 1, 2, 3, 4, 5);
        for (const strange of ['"', '""', '*', 'AND', 'NOT x OR', '(', 'title:x', '^a', '-', 'a"b', '{}', 'session : "1"', '\u{1F600}'])
            await tasks.list({ search_text: strange });
        await tasks.refused('query_tasks', { parent_task_id: 'task_nowhere' }, /there is no task/);
        await tasks.refused('query_tasks', { status: ['done'] }, /status/);
        await tasks.refused('query_tasks', { limit: 0 }, /limit/);
        await tasks.refused('query_tasks', { limit: 1001 }, /limit/);
        await tasks.refused('query_tasks', { offset: -1 }, /offset/);
    }));

    test('knows when a task was planned', () => working(async (tasks, home) => {
        for (const title of ['a', 'b', 'c'])
            await tasks.plan(title);
        await sql(home, `UPDATE tasks SET created_at = CASE title WHEN 'a' THEN 1767225600000 WHEN 'b' THEN 1767312000000 ELSE 1767398400000 END`);
        const expect = async (args, ...titles) => assert.deepEqual(await tasks.titles(args), titles, JSON.stringify(args));
        await expect({ created_after: '2026-01-01' }, 'a', 'b', 'c');
        await expect({ created_after: '2026-01-02' }, 'b', 'c');
        await expect({ created_after: '2026-01-02T00:00:00.001Z' }, 'c');
        await expect({ created_before: '2026-01-02' }, 'a');
        await expect({ created_before: '2026-01-02T01:00:00+01:00' }, 'a');
        await expect({ created_before: '2026-01-02T00:00:00-00:01' }, 'a', 'b');
        await expect({ created_after: '2026-01-02', created_before: '2026-01-03' }, 'b');
        await expect({ created_after: '2026-01-02', search_text: 'about' }, 'b', 'c');
        for (const bad of ['yesterday', '2026-13-01', '2026-02-29', '2026-01-01T25:00', '2026-01-01 x', ''])
            await tasks.refused('query_tasks', { created_after: bad }, /created_after/);
    }));

    test('goes through pages', () => working(async (tasks) => {
        for (let i = 0; i < 25; i++)
            await tasks.plan(`Task ${i}`);
        for (const more of [{}, { search_text: 'task' }, { status: ['pending'] }, { status: ['pending', 'blocked'] }, { session_id: '*' }]) {
            const seen = [];
            for (let offset = 0, page; ; offset = page.next_offset) {
                page = await tasks.do('query_tasks', { limit: 10, offset, ...more });
                seen.push(...page.tasks.map((one) => one.title));
                if (!page.has_more) {
                    assert.equal(page.next_offset, null);
                    break;
                }
                assert.equal(page.next_offset, offset + 10);
            }
            assert.deepEqual(seen, Array.from({ length: 25 }, (_, i) => `Task ${i}`), JSON.stringify(more));
            assert.equal((await tasks.do('query_tasks', { limit: 25, ...more })).has_more, false);
        }
    }));

    test('shows children, artifacts, progress and details where they are wanted', () => working(async (tasks) => {
        const { top, one, two } = await six(tasks);
        const [short] = await tasks.list({});
        assert.deepEqual(short.progress, { total: 2, completed: 1, open: 1, percent: 50 });
        assert.equal(short.description, undefined);
        assert.equal(short.children, undefined);
        const [row, second] = await tasks.list({ include_children: true, include_artifacts: true });
        assert.deepEqual(row.children.map((child) => [child.task_id, child.status]), [[one, 'completed'], [two, 'pending']]);
        assert.equal(second.artifacts.length, 1);
        assert.equal(second.artifacts[0].content, undefined);
        const [, full] = await tasks.list({ detail: true, include_artifacts: true });
        assert.equal(full.description, 'What "Parse the lines" is about');
        assert.equal(full.parent_task_id, top);
        assert.equal(full.artifacts[0].content, `the work of ${one}`);
        assert.match(full.completed_at, /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    }));

    test('keeps 100 rows short', () => working(async (tasks) => {
        const parent = await tasks.plan('The parent of all');
        await Promise.all(Array.from({ length: 120 }, (_, i) => tasks.plan(`${i} ${'long title '.repeat(40)}`, {
            description: 'words '.repeat(500), parent_task_id: parent, specialist_type: 'coordinator', complexity: 'very_complex',
            task_type: 'documentation', context: { big: 'x'.repeat(3000) },
        })));
        for (const more of [{}, { include_children: false, session_id: '*' }, { search_text: 'words', parent_task_id: parent }]) {
            const result = await tasks.client.result('orchestrator_query_tasks', more);
            assert.equal(result.structuredContent.tasks.length, 100);
            assert.ok(JSON.stringify(result.structuredContent).length < 40_000);
            assert.ok(result.content[0].text.length < 40_000);
        }
        const { task } = (await tasks.client.result('orchestrator_get_status', { task_id: parent })).structuredContent;
        assert.equal(task.children.length, 100);
        assert.equal(task.children_has_more, true);
        assert.ok(JSON.stringify(task).length < 40_000, 'the titles of children are short, too');
    }));

    test('gives every list a bound, and says how to go on', () => working(async (tasks) => {
        const parent = await tasks.plan('Parent'), ids = [];
        for (let i = 0; i < 30; i++)
            ids.push(await tasks.plan(`Child ${i}`, { parent_task_id: parent }));
        await Promise.all(ids.slice(0, 12).map((id) => tasks.finish(id)));
        /* `take` gets a page; the ids of all pages, each `limit` long but the last. */
        const paged = async (tool, args, limit, take) => {
            const all = [];
            for (let offset = 0; offset !== null;) {
                const page = await tasks.do(tool, { ...args, limit, offset });
                const got = take(page).map((one) => one.task_id);
                assert.equal(page.has_more, page.next_offset !== null);
                assert.equal(got.length, page.has_more ? limit : got.length);
                assert.ok(page.has_more || got.length <= limit);
                all.push(...got);
                offset = page.next_offset;
            }
            return all;
        };
        assert.deepEqual(await paged('get_status', { task_id: parent }, 7, (page) => page.task.children), ids);
        assert.deepEqual(await paged('synthesize_results', { parent_task_id: parent }, 5, (page) => page.results), ids.slice(0, 12));
        assert.deepEqual(await paged('get_status', {}, 4, (page) => page.tasks), [parent, ...ids.slice(12)]);
        const { session_id } = await tasks.do('get_status');
        assert.deepEqual(await paged('session_status', { session_id }, 6, (page) => page.tasks), [parent, ...ids.slice(12)]);
        const [row] = await tasks.list({ include_children: true, limit: 1 });
        assert.deepEqual([row.children.length, row.children_has_more], [20, true]);
        const { open_count, open_has_more, complete } = await tasks.do('synthesize_results', { parent_task_id: parent });
        assert.deepEqual([open_count, open_has_more, complete], [18, undefined, false]);
    }));

    test('ends a page before its answer is too large to be given', () => working(async (tasks) => {
        const parent = await tasks.plan('Parent'), big = 'b'.repeat(60_000), ids = [];
        for (let i = 0; i < 40; i++)
            ids.push(await tasks.plan(`Child ${i}`, { parent_task_id: parent, description: big }));
        await Promise.all(ids.map((id) => tasks.finish(id, { detailed_work: big })));
        for (const [tool, args, key] of [['query_tasks', { parent_task_id: parent, detail: true, limit: 1000 }, 'tasks'],
            ['synthesize_results', { parent_task_id: parent, detail: true, limit: 1000 }, 'results']]) {
            const all = [];
            let pages = 0;
            for (let offset = 0; offset !== null; pages++) {
                const page = await tasks.do(tool, { ...args, offset });
                assert.ok(JSON.stringify(page).length < 1_200_000);
                all.push(...page[key].map((one) => one.task_id));
                offset = page.next_offset;
            }
            assert.ok(pages > 1);
            assert.deepEqual(all, ids);
        }
    }));

    test('keeps 100 rows short whose titles JSON has to escape', () => working(async (tasks) => {
        await Promise.all(Array.from({ length: 100 }, (_, i) => tasks.plan('\u0001'.repeat(499) + i % 10, {
            specialist_type: 'coordinator', complexity: 'very_complex', task_type: 'implementation',
        })));
        const { structuredContent } = await tasks.client.result('orchestrator_query_tasks', {});
        assert.equal(structuredContent.tasks.length, 100);
        assert.ok(JSON.stringify(structuredContent).length < 40_000);
    }));
});

describe('status and synthesis', { concurrency: 4 }, () => {
    test('tell how far the work is', () => working(async (tasks, home, session_id) => {
        for (const state of STATES)
            await bring(tasks, await tasks.plan(state), state);
        const status = await tasks.do('get_status');
        assert.equal(status.session_id, session_id);
        assert.deepEqual(status.progress, {
            total: 7, completed: 1, open: 4, percent: 20, by_status: Object.fromEntries(STATES.map((state) => [state, 1])),
        });
        assert.deepEqual(status.tasks.map((one) => one.title), ['in_progress', 'blocked', 'failed', 'pending']);
        assert.equal(status.completed, undefined);
        const all = await tasks.do('get_status', { include_completed: true });
        assert.deepEqual(all.completed.map((one) => one.title), ['completed']);
        assert.equal((await tasks.do('get_status', { session_id: '*' })).session_id, '*');
        await tasks.refused('get_status', { session_id: 'session_nowhere' }, /there is no session/);
        await tasks.refused('get_status', { task_id: 'task_nowhere' }, /there is no task/);
    }));

    test('put the results of children together', () => working(async (tasks) => {
        const parent = await tasks.plan('Parent');
        const [a, b, c] = [await tasks.plan('A', { parent_task_id: parent }), await tasks.plan('B', { parent_task_id: parent }),
            await tasks.plan('C', { parent_task_id: parent })];
        await tasks.finish(a);
        await tasks.finish(b, { next_action: 'blocked' });
        const half = await tasks.do('synthesize_results', { parent_task_id: parent });
        assert.equal(half.complete, false);
        assert.deepEqual(half.results.map((one) => [one.task_id, one.status]), [[a, 'completed'], [b, 'blocked']]);
        assert.deepEqual(half.open.map((one) => one.task_id), [b, c]);
        assert.deepEqual(half.progress, { total: 3, completed: 1, open: 2, percent: 33 });
        await tasks.do('cancel_task', { task_id: c });
        await tasks.finish(b);
        const whole = await tasks.do('synthesize_results', { parent_task_id: parent, detail: true });
        assert.equal(whole.complete, true);
        assert.deepEqual(whole.results[1].artifacts.map((one) => one.content), [`the work of ${b}`, `the work of ${b}`]);
        await tasks.refused('synthesize_results', { parent_task_id: 'task_nowhere' }, /there is no task/);
    }));
});

describe('maintenance', { concurrency: 4 }, () => {
    const kinds = ({ problems }) => problems.map((one) => one.kind).sort();

    test('finds what is wrong, mends it, and finds nothing more', () => working(async (tasks, home) => {
        const [a, b, c, d, e, f] = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((title) => tasks.plan(title)));
        const child = await tasks.plan('child', { parent_task_id: d });
        await tasks.do('update_task', { task_id: e, status: 'in_progress' });
        await tasks.finish(f, { detailed_work: 'x'.repeat(100_000) });
        const id = (task_id) => `(SELECT id FROM tasks WHERE task_id = '${task_id}')`;
        await sql(home, `INSERT INTO task_dependencies VALUES (${id(a)}, ${id(b)}), (${id(b)}, ${id(c)}), (${id(c)}, ${id(a)});
            UPDATE tasks SET status = 'archived' WHERE task_id = '${d}';
            UPDATE tasks SET updated_at = updated_at - 90000000 WHERE task_id = '${e}'`);
        const directory = home.path('state', 'artifacts');
        rmSync(`${directory}/${readdirSync(directory)[0]}`);
        const wrong = ['cycle', 'missing_artifact', 'orphan', 'stale'];
        const found = await tasks.do('maintenance_coordinator', { action: 'validate_structure' });
        assert.deepEqual([kinds(found), found.found, found.mended], [wrong, 4, 0]);
        assert.deepEqual(kinds(await tasks.do('maintenance_coordinator', { action: 'validate_structure' })), wrong, 'looking mends nothing');
        const tree = { scope: 'specific_subtask', target_task_id: d };
        assert.deepEqual(kinds(await tasks.do('maintenance_coordinator', { action: 'validate_structure', ...tree })), ['orphan']);
        const mended = await tasks.do('maintenance_coordinator', { action: 'scan_cleanup' });
        assert.deepEqual([kinds(mended), mended.found, mended.mended], [wrong, 4, 4]);
        assert.equal((await tasks.task(child)).parent_task_id, undefined);
        assert.equal(await tasks.status(e), 'pending');
        assert.equal((await tasks.task(f, { detail: true })).artifacts[0].missing, true);
        for (const validation_level of ['basic', 'comprehensive', 'full_audit'])
            assert.deepEqual(kinds(await tasks.do('maintenance_coordinator', { action: 'validate_structure', scope: 'full_project', validation_level })), []);
    }));

    test('looks closer when it is told to', () => working(async (tasks, home) => {
        const a = await tasks.plan('a'), b = await tasks.plan('b', { dependencies: [a] });
        await tasks.do('cancel_task', { task_id: a });
        await tasks.finish(await tasks.plan('c'), { detailed_work: 'x'.repeat(100_000) });
        await tasks.finish(await tasks.plan('d'), { detailed_work: 'y'.repeat(100_000) });
        const directory = home.path('state', 'artifacts'), [first] = readdirSync(directory);
        await sql(home, `DELETE FROM task_artifacts WHERE hash = '${first}'`);
        const look = async (validation_level) => kinds(await tasks.do('maintenance_coordinator', { action: 'validate_structure', validation_level }));
        assert.deepEqual(await look('basic'), []);
        assert.deepEqual(await look('comprehensive'), ['waits_in_vain'], 'a young file may still get its row');
        utimesSync(`${directory}/${first}`, 1, 1);
        assert.deepEqual(await look('comprehensive'), ['stray_file', 'waits_in_vain']);
        await tasks.do('maintenance_coordinator', { action: 'scan_cleanup', validation_level: 'comprehensive' });
        assert.equal(existsSync(`${directory}/${first}`), false);
        assert.equal(await tasks.status(b), 'pending', 'what waits in vain is for people to decide');
        await tasks.refused('maintenance_coordinator', { action: 'scan_cleanup', scope: 'specific_subtask' }, /target_task_id/);
        for (const scope of ['current_session', 'full_project', 'specific_subtask'])
            await tasks.refused('maintenance_coordinator', { action: 'scan_cleanup', scope, target_task_id: 'task_x' }, /no task 'task_x'/);
        await tasks.refused('maintenance_coordinator', { action: 'scan_cleanup', target_task_id: b }, /needs scope specific_subtask/);
        await tasks.refused('maintenance_coordinator', { action: 'prepare_handover', target_task_id: 'task_x' }, /takes no target_task_id/);
    }));

    test('writes a hand-over, and rewrites it', () => working(async (tasks, home, session_id) => {
        const done = await tasks.plan('Done\nwith two lines'), open = await tasks.plan('Open', { dependencies: [done] });
        const waits = await tasks.plan('Waits', { dependencies: [open] });
        await tasks.finish(done, { summary: 'all\nof it' });
        const { path, markdown } = await tasks.do('maintenance_coordinator', { action: 'prepare_handover' });
        assert.equal(path, home.path('home', '.task_orchestrator', `handover-${session_id}.md`));
        assert.equal(readFileSync(path, 'utf8'), markdown);
        assert.match(markdown, /1 of 3 tasks completed/);
        assert.match(markdown, new RegExp(`## Completed\\n\\n- \`${done}\` Done with two lines \\(generic\\): all of it\\n`));
        assert.match(markdown, new RegExp(`- \`${waits}\` Waits \\(generic\\); waits for ${open}\\n`));
        await tasks.finish(open);
        const answer = await tasks.do('maintenance_coordinator', { action: 'update_documentation' });
        assert.deepEqual([answer.path, answer.markdown], [path, undefined]);
        assert.match(readFileSync(path, 'utf8'), /2 of 3 tasks completed/);
        assert.deepEqual(readdirSync(home.path('home', '.task_orchestrator')), [`handover-${session_id}.md`]);
        assert.equal((await tasks.do('session_status', { session_id })).handover, path);
    }));
});

test('answers of every kind are told as text, too', () => working(async (tasks, home, session_id) => {
    const result = await tasks.client.result('orchestrator_query_tasks', {});
    assert.match(result.content[0].text, new RegExp(`No task of session ${session_id}`));
    const task_id = await tasks.plan('Task');
    assert.match(await tasks.client.text('orchestrator_query_tasks', {}), new RegExp(`${task_id} \\[pending\\] Task`));
}));
