/* Templates: checking, keeping and instantiating them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { serving } from './lib/client.js';
import { Tasks, sql } from './lib/tasks.js';

const BUILTIN = ['bug_fix', 'feature', 'incident', 'release', 'research'];

class Templates extends Tasks {
    async template(tool, args = {}) {
        const result = await this.client.result(`template_${tool}`, args);
        assert.notEqual(result.isError, true, `${tool}: ${result.content?.[0]?.text}`);
        assert.equal(result.content[0].type, 'text');
        return result.structuredContent;
    }

    async no(tool, args, pattern) {
        const result = await this.client.result(`template_${tool}`, args);
        assert.equal(result.isError, true, JSON.stringify(result.structuredContent));
        assert.match(result.content[0].text, pattern);
    }

    store(template_id, template_content, more = {}) {
        return this.template('create', { template_id, template_content, ...more });
    }
}

const working = (body, options = {}) => serving(async (client, home) => {
    const tasks = new Templates(client);
    await tasks.do('initialize_session', { working_directory: home.path('home') });
    await body(tasks, home);
}, options);

/* Everything that a template may say. */
const WHOLE = {
    name: 'Whole', description: 'All there is',
    parameters: {
        what: { type: 'string', description: 'the thing', required: true },
        count: { type: 'integer', default: 3 }, ratio: { type: 'number', default: 0.5 },
        really: { type: 'boolean', default: true }, where: { type: 'enum', values: ['here', 'there'], default: 'here' },
        parts: { type: 'array', default: ['a', 'b'] }, empty: { type: 'string' }, day: { type: 'string', default: '2031-05-06' },
    },
    tasks: {
        last: {
            title: 'Last of {{ what }}', description: '{{count}} {{ratio}} {{really}} {{where}} {{parts}}[{{empty}}]{{what}}{{what}}',
            task_type: 'testing', complexity: 'trivial', specialist_type: 'tester', estimated_effort: '{{count}} days',
            due_date: '{{day}}', context: { deep: [{ 'of {{x}}': 'in {{where}}' }], n: 1 }, parent: 'top', dependencies: ['first', 'second'],
        },
        second: { title: 'Second', parent: 'first', dependencies: ['first'].slice(1) },
        first: { title: 'First of {{what}}', parent: 'top' },
        top: { title: 'Top: {{what}}' },
    },
};
delete WHOLE.tasks.last.context.deep[0]['of {{x}}'];
WHOLE.tasks.last.context.deep[0].place = 'in {{where}}';

describe('a template', { concurrency: 4 }, () => {
    test('is kept, listed, loaded, replaced and deleted', () => working(async (tasks) => {
        assert.deepEqual((await tasks.template('list')).templates.map((one) => [one.template_id, one.builtin]),
            BUILTIN.map((name) => [name, true]));
        assert.deepEqual(await tasks.store('mine', WHOLE), { template_id: 'mine', replaced: false, tasks: 4, parameters: 8 });
        assert.deepEqual((await tasks.template('load', { template_id: 'mine' })), { template_id: 'mine', builtin: false, template: WHOLE });
        await tasks.no('create', { template_id: 'mine', template_content: WHOLE }, /already; overwrite = true/);
        const other = { name: 'Other', tasks: { one: { title: 'One' } } };
        assert.equal((await tasks.store('mine', JSON.stringify(other), { overwrite: true })).replaced, true);
        assert.deepEqual((await tasks.template('load', { template_id: 'mine' })).template, other);
        await tasks.store('also', other);
        const { templates, has_more, next_offset } = await tasks.template('list', { limit: 6 });
        assert.deepEqual(templates.map((one) => one.template_id), [...BUILTIN, 'also']);
        assert.deepEqual([has_more, next_offset], [true, 6]);
        const rest = await tasks.template('list', { limit: 6, offset: 6 });
        assert.deepEqual([rest.templates.map((one) => one.template_id), rest.has_more, rest.next_offset], [['mine'], false, null]);
        assert.deepEqual(await tasks.template('delete', { template_id: 'mine' }), { template_id: 'mine', status: 'deleted' });
        await tasks.no('delete', { template_id: 'mine' }, /there is no template 'mine'; template_list/);
        await tasks.no('load', { template_id: 'mine' }, /there is no template/);
        await tasks.no('instantiate', { template_id: 'mine', parameters: {} }, /there is no template/);
        await tasks.no('create', { template_id: 'a b', template_content: other }, /template_id/);
    }));

    test('that is built in is sound, and neither deleted nor overwritten', () => working(async (tasks) => {
        for (const template_id of BUILTIN) {
            const { template, builtin } = await tasks.template('load', { template_id });
            assert.equal(builtin, true);
            assert.deepEqual((await tasks.template('validate', { template_content: template })).errors, []);
            await tasks.no('delete', { template_id }, /built in and cannot be deleted/);
            await tasks.no('create', { template_id, template_content: template, overwrite: true }, /built in and cannot be overwritten/);
            const parameters = Object.fromEntries(Object.entries(template.parameters).filter(([, one]) => one.required).map(([name]) => [name, `some ${name}`]));
            const { tasks: rows } = await tasks.template('instantiate', { template_id, parameters, create_tasks: true });
            assert.equal(rows.length, Object.keys(template.tasks).length);
            assert.ok(rows.every((row) => !/\{\{/.test(row.title)));
        }
    }));

    test('that is wrong is told where, each time', () => working(async (tasks) => {
        const one = { title: 'One' };
        const wrong = [
            [{}, 'name: is missing', 'tasks: is missing'],
            [{ name: '', tasks: {} }, 'name: is empty'],
            [{ name: 'n', tasks: {} }, 'tasks: there is none'],
            [{ name: 'n', tasks: [], more: 1 }, 'tasks: must be an object', 'more: unknown; there are name, description, parameters, tasks'],
            [{ name: 'n', tasks: { a: {} } }, 'tasks.a.title: is missing'],
            [{ name: 'n', tasks: { a: 'x' } }, 'tasks.a: must be an object'],
            [{ name: 'n', tasks: { 'a b': one } }, 'tasks.a b: a name has 1 to 64 letters, digits, _ and -'],
            [{ name: 'n', tasks: { a: { title: 'x', task_type: 'odd' } } }, /^tasks\.a\.task_type: 'odd' is none of \["standard"/],
            [{ name: 'n', tasks: { a: { title: 7, dependencies: 'b' } } }, 'tasks.a.title: must be a text', 'tasks.a.dependencies: must be an array'],
            [{ name: 'n', tasks: { a: { title: 'x', dependencies: ['b', 7, 'a'], parent: 'c' } } },
                "tasks.a.parent: the template has no task 'c'", "tasks.a.dependencies[0]: the template has no task 'b'",
                'tasks.a.dependencies[1]: must be the key of a task', 'tasks.a.dependencies[2]: is the task itself'],
            [{ name: 'n', tasks: { a: { title: '{{x}} {{y' } } }, 'tasks.a.title: {{x}} is no parameter of the template', "tasks.a.title: '{{' is not closed by '}}'"],
            [{ name: 'n', tasks: { a: { title: 'x', context: { b: ['{{z}}'] }, due_date: 'soon' } } }, 'tasks.a.context.b[0]: {{z}} is no parameter of the template',
                "tasks.a.due_date: 'soon' is no date such as 2026-03-01"],
            [{ name: 'n', tasks: { a: { title: 'a\u0000b' } } }, 'tasks.a.title: holds a NUL character'],
            [{ name: 'n', tasks: { a: one }, parameters: { p: { type: 'text' } } }, /^parameters\.p\.type: 'text' is none of \["string"/],
            [{ name: 'n', tasks: { a: one }, parameters: { p: {}, 'q r': 1 } }, 'parameters.p.type: is missing',
                'parameters.q r: a name has 1 to 64 letters, digits, _ and -', 'parameters.q r: must be an object'],
            [{ name: 'n', tasks: { a: one }, parameters: { p: { type: 'enum' }, q: { type: 'string', values: ['x'] }, r: { type: 'integer', default: 'x' }, s: { type: 'enum', values: ['x'], default: 'y' } } },
                'parameters.p.values: an enum needs at least one', 'parameters.q.values: are for type enum alone', 'parameters.r.default: must be an integer', 'parameters.s.default: must be one of x'],
            [{ name: 'n', tasks: { a: { title: 'a', dependencies: ['b'] }, b: { title: 'b', dependencies: ['c'] }, c: { title: 'c', dependencies: ['a'] } } },
                'tasks.a: a cycle, for a waits for b waits for c waits for a (a task waits for its dependencies, a parent for its children)'],
            [{ name: 'n', tasks: { a: { title: 'a', parent: 'b' }, b: { title: 'b', parent: 'a' } } }, /^tasks\.a: a cycle/],
            [{ name: 'n', tasks: { a: { title: 'a', parent: 'b', dependencies: ['b'] }, b: { title: 'b' } } }, /^tasks\.a: a cycle, for a waits for b waits for a/],
            [{ name: 'n', tasks: Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`t${i}`, one])) }, 'tasks: there are 101, and there may be 100'],
            [{ name: 'n', description: 'x'.repeat(65_536), tasks: { a: one } }, /^the template has \d+ bytes, and may have 65536/],
            ['{"name": "n",\n "tasks": }', /^line 2, column \d+: /],
            ['[]', 'the template must be an object'],
        ];
        for (const [template_content, ...expected] of wrong) {
            const { valid, errors } = await tasks.template('validate', { template_content });
            assert.equal(valid, false);
            assert.equal(errors.length, expected.length, JSON.stringify(errors));
            expected.forEach((one, i) => (one instanceof RegExp ? assert.match(errors[i], one) : assert.equal(errors[i], one)));
            await tasks.no('create', { template_id: 'bad', template_content }, /^the template is not sound: /);
        }
        assert.equal((await tasks.template('list')).templates.length, BUILTIN.length, 'none was stored');
    }));
});

describe('instantiating', { concurrency: 4 }, () => {
    test('shows exactly what it then makes', () => working(async (tasks, home) => {
        await tasks.store('whole', WHOLE);
        const parameters = { what: 'a “thing” {{count}}', where: 'there', count: 12 };
        const preview = await tasks.template('instantiate', { template_id: 'whole', parameters });
        assert.deepEqual([preview.created, preview.total], [false, 4]);
        const [last, second, first, top] = preview.tasks;
        const plain = { description: '', task_type: 'standard', complexity: 'moderate', specialist_type: 'generic' };
        assert.deepEqual(top, { key: 'top', title: 'Top: a “thing” {{count}}', ...plain });
        assert.deepEqual(first, { key: 'first', title: 'First of a “thing” {{count}}', parent: 'top', ...plain });
        assert.deepEqual(second, { key: 'second', title: 'Second', parent: 'first', dependencies: [], ...plain });
        assert.deepEqual(last, {
            key: 'last', title: 'Last of a “thing” {{count}}',
            description: '12 0.5 true there a, b[]a “thing” {{count}}a “thing” {{count}}', task_type: 'testing',
            complexity: 'trivial', specialist_type: 'tester', estimated_effort: '12 days', due_date: '2031-05-06',
            context: { deep: [{ place: 'in there' }], n: 1 }, parent: 'top', dependencies: ['first', 'second'],
        });
        assert.deepEqual(await tasks.titles(), [], 'nothing was made');
        assert.deepEqual(await sql(home, 'SELECT count(*) FROM task_sessions'), ['1']);
        const made = await tasks.template('instantiate', { template_id: 'whole', parameters, create_tasks: true });
        assert.equal(made.session_id, preview.session_id);
        const ids = Object.fromEntries(made.tasks.map((one) => [one.key, one.task_id]));
        for (const { key, parent, dependencies = [], ...said } of preview.tasks) {
            const task = await tasks.task(ids[key]);
            for (const [name, value] of Object.entries(said))
                assert.deepEqual(task[name], value, `${key}.${name}`);
            assert.equal(task.status, 'pending');
            assert.equal(task.parent_task_id, parent && ids[parent]);
            assert.deepEqual((task.dependencies ?? []).map((one) => one.task_id).sort(), dependencies.map((one) => ids[one]).sort());
        }
        assert.deepEqual((await tasks.list({ search_text: 'thing' })).length, 3, 'they are found');
        await tasks.refused('execute_task', { task_id: ids.last }, /prerequisites/);
    }));

    test('refuses parameters that do not fit, and leaves nothing behind', () => working(async (tasks) => {
        await tasks.store('whole', WHOLE);
        const bad = [
            [{}, /parameters\.what: is required: the thing/],
            [{ what: 1 }, /parameters\.what: must be a text/],
            [{ what: 'a\u0000' }, /parameters\.what: must be a text without NUL/],
            [{ what: 'x', count: 1.5 }, /parameters\.count: must be an integer/],
            [{ what: 'x', ratio: '1' }, /parameters\.ratio: must be a number/],
            [{ what: 'x', really: 'yes' }, /parameters\.really: must be true or false/],
            [{ what: 'x', where: 'nowhere' }, /parameters\.where: must be one of here, there/],
            [{ what: 'x', parts: 'a' }, /parameters\.parts: must be an array/],
            [{ what: 'x', parts: [{}] }, /parameters\.parts\[0\]: must be a text/],
            [{ what: 'x', waht: 'y' }, /parameters\.waht: the template has no such parameter; it has what, count/],
            [{ what: 'x'.repeat(600) }, /tasks\.last\.title: with these parameters it is longer than 500/],
            [{ what: 'x', day: 'soon' }, /tasks\.last\.due_date 'soon' is no date/],
        ];
        for (const create_tasks of [false, true])
            for (const [parameters, pattern] of bad)
                await tasks.no('instantiate', { template_id: 'whole', parameters, create_tasks }, pattern);
        await tasks.no('instantiate', { template_id: 'whole', parameters: { what: 'x' }, session_id: '*', create_tasks: true }, /for questions/);
        assert.deepEqual(await tasks.titles({ session_id: '*' }), []);
    }));

    test('goes into the session that is named, and makes none to look', () => serving(async (client, home) => {
        const tasks = new Templates(client), parameters = { question: 'q', purpose: 'p' };
        await tasks.template('instantiate', { template_id: 'research', parameters });
        assert.deepEqual(await sql(home, 'SELECT count(*) FROM task_sessions'), ['0']);
        const { session_id } = await tasks.do('initialize_session', { working_directory: home.path('home') });
        await tasks.do('initialize_session', { working_directory: home.path('home') });
        const made = await tasks.template('instantiate', { template_id: 'research', parameters, session_id, create_tasks: true });
        assert.equal(made.session_id, session_id);
        assert.equal((await tasks.list({ session_id })).length, made.total);
        assert.deepEqual(await tasks.list(), []);
    }));

    test('is done once when its call is run again', () => working(async (tasks) => {
        const parameters = { question: 'q', purpose: 'p' };
        const calls = [];
        let over = false;
        const restart = tasks.client.value('orchestrator_restart_server', { graceful: false }).finally(() => { over = true; });
        do
            calls.push(tasks.template('instantiate', { template_id: 'research', parameters, create_tasks: true }));
        while (await new Promise((resolve) => { setTimeout(() => resolve(!over && calls.length < 100), 1); }));
        assert.equal((await restart).success, true);
        const made = (await Promise.all(calls)).flatMap((one) => one.tasks.map((row) => row.task_id));
        assert.deepEqual((await tasks.list({ limit: 1000 })).map((row) => row.task_id).sort(), made.sort());
    }));
});
