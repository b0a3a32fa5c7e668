/* theseus import: a database with the tables of the original system, in every shape in which it left them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { Home } from './lib/home.js';
import { run } from './lib/proc.js';
import { sql, worker } from './lib/tasks.js';

/* As MCP Task Orchestrator makes them. */
const TABLES = `
    CREATE TABLE tasks (id TEXT PRIMARY KEY, session_id TEXT, parent_task_id TEXT, type TEXT NOT NULL, status TEXT NOT NULL,
        title TEXT, description TEXT, metadata TEXT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, completed_at TEXT,
        FOREIGN KEY (parent_task_id) REFERENCES tasks(id));
    CREATE TABLE task_artifacts (id TEXT PRIMARY KEY, task_id TEXT NOT NULL, type TEXT NOT NULL, name TEXT, content TEXT,
        metadata TEXT, created_at TEXT NOT NULL, FOREIGN KEY (task_id) REFERENCES tasks(id) ON DELETE CASCADE);
    CREATE TABLE task_dependencies (task_id TEXT NOT NULL, dependency_id TEXT NOT NULL, created_at TEXT NOT NULL,
        PRIMARY KEY (task_id, dependency_id));`;

const quote = (value) => (value === null || value === undefined ? 'NULL' : value.raw ?? `'${String(value).replaceAll('\'', '\'\'')}'`);
const insert = (table, row) => `INSERT INTO ${table} (${Object.keys(row).join(', ')}) VALUES (${Object.values(row).map(quote).join(', ')});`;

class Original {
    #minute = 0;
    #statements = '';

    constructor(home, project = 'project') {
        this.project = home.path(project);
        this.path = home.path(project, '.task_orchestrator', 'tasks.sqlite');
        mkdirSync(dirname(this.path), { recursive: true });
        this.#statements = existsSync(this.path) ? '' : `PRAGMA journal_mode = WAL;${TABLES}`;
    }

    get #time() {
        return `2025-06-15T12:${String(this.#minute++).padStart(2, '0')}:00.123456`;
    }

    /* `metadata` is encoded as often as `twice` says; the tools did it twice. */
    task(id, { metadata, twice = true, ...row } = {}) {
        const once = metadata === undefined ? null : JSON.stringify(metadata);
        const at = this.#time;
        this.#statements += insert('tasks', {
            id, type: 'standard', status: 'pending', title: `Title of ${id}`, description: `About ${id}`,
            metadata: once === null ? null : twice ? JSON.stringify(once) : once, created_at: at, updated_at: at, ...row,
        });
        return this;
    }

    artifact(id, task_id, row = {}) {
        this.#statements += insert('task_artifacts', { id, task_id, type: 'result', content: `the work ${id}`, created_at: this.#time, ...row });
        return this;
    }

    dependency(task_id, dependency_id) {
        this.#statements += insert('task_dependencies', { task_id, dependency_id, created_at: this.#time });
        return this;
    }

    async write() {
        const { code, err } = await run('sqlite3', [this.path, this.#statements]);
        assert.equal(code, 0, err);
        this.#statements = '';
        return this;
    }

    /* What is beside it, and what is in it. */
    get state() {
        return Object.fromEntries(readdirSync(dirname(this.path)).filter((name) => name.startsWith('tasks'))
            .map((name) => [name, readFileSync(`${dirname(this.path)}/${name}`).toString('base64')]));
    }
}

const importing = (body) => async () => {
    const home = new Home(), { command, env, args } = home.command;
    const theseus = (...words) => run(command, [...words, ...args], { env: { PATH: process.env.PATH, ...env }, cwd: home.root });
    home.configure({ tasks: { archive_after: 0 } }); /* all of it is long over */
    try {
        await body({
            home, theseus,
            take: async (original) => {
                const before = original.state;
                const { code, out, err } = await theseus('import', original.path);
                assert.equal(err, '');
                assert.equal(code, 0);
                assert.deepEqual(original.state, before, 'the original is as it was');
                assert.deepEqual(readdirSync(home.path('state')).filter((name) => name.startsWith('import')), []);
                return out;
            },
            /* looks(tasks) in a server that works in the original's directory. */
            look: async (looks) => {
                const { client, tasks } = await worker(home, 'project');
                try {
                    await looks(tasks);
                    await client.close();
                    assert.deepEqual(client.problems, []);
                } finally {
                    await client.kill();
                }
            },
        });
    } finally {
        home.dispose();
    }
};

const lost = (out) => out.split('\n').filter((line) => line.startsWith('  ')).map((line) => line.trim());

describe('theseus import', { concurrency: 4 }, () => {
    test('takes tasks, what they hang on, and what was worked out', importing(async ({ home, take, look }) => {
        const original = await new Original(home)
            .task('task_1a2b3c4d', {
                type: 'breakdown', status: 'active', session_id: 'session_9', completed_at: null,
                metadata: { complexity: 'complex', specialist_type: 'architect', estimated_effort: '2 days', due_date: null, dependencies: [], context: { file: 'a.c' } },
            })
            .task('task_2', { parent_task_id: 'task_1a2b3c4d', type: 'implementation', status: 'completed', completed_at: '2025-06-15 13:00:00', metadata: { specialist_type: 'implementer', dependencies: [] }, twice: false })
            .task('task_3', { parent_task_id: 'task_1a2b3c4d', type: 'testing', metadata: { specialist_type: 'tester', due_date: '2025-07-01', dependencies: ['task_2'], context: {}, extra: [1] } })
            .task('task_4', { status: 'cancelled', completed_at: '2025-06-15T13:00:00', metadata: { cancellation: { reason: 'no need' } } })
            .task('0b9cbb0c-6f5e-4d0f-9f0b-6d5f0e1c2d3e', { type: 'generic', status: 'archived', completed_at: '2025-06-15T13:00:00', title: 'Tïtle \'x\' 日本' })
            .dependency('task_4', 'task_3').dependency('task_3', 'task_2')
            .artifact('a1', 'task_2', { metadata: JSON.stringify({ summary: 'done well', next_action: 'continue', file_paths: ['x.c'] }), name: 'result' })
            .artifact('a2', 'task_2', { content: 'L'.repeat(100_000), metadata: '{}', name: 'task_result' })
            .artifact('a3', 'task_3', { content: '' })
            .write();
        const files = `${dirname(original.path)}/artifacts`;
        mkdirSync(files);
        writeFileSync(`${files}/task_2_artifact_00112233.txt`, 'from a file');
        writeFileSync(`${files}/notes.txt`, 'not an artifact');
        utimesSync(`${files}/task_2_artifact_00112233.txt`, 1750000000, 1750000000);
        const out = await take(original);
        assert.deepEqual(lost(out), []);
        assert.match(out, /^5 of 5 tasks imported\n4 of 4 artifacts imported\nThey are in session session_\w+, of /);
        await look(async (tasks) => {
            const rows = await tasks.list({ detail: true, include_artifacts: true });
            assert.deepEqual(rows.map((row) => row.task_id), ['task_1a2b3c4d', 'task_2', 'task_3', 'task_4', '0b9cbb0c-6f5e-4d0f-9f0b-6d5f0e1c2d3e']);
            const [top, two, three, four, five] = rows;
            for (const [row, ...said] of [
                [top, 'in_progress', 'breakdown', 'complex', 'architect', undefined, '2025-06-15T12:00:00Z', undefined],
                [two, 'completed', 'implementation', 'moderate', 'coder', 'task_1a2b3c4d', '2025-06-15T12:01:00Z', '2025-06-15T13:00:00Z'],
                [three, 'pending', 'testing', 'moderate', 'tester', 'task_1a2b3c4d', '2025-06-15T12:02:00Z', undefined],
                [four, 'cancelled', 'standard', 'moderate', 'generic', undefined, '2025-06-15T12:03:00Z', undefined],
                [five, 'archived', 'standard', 'moderate', 'generic', undefined, '2025-06-15T12:04:00Z', '2025-06-15T13:00:00Z']])
                assert.deepEqual([row.status, row.task_type, row.complexity, row.specialist_type, row.parent_task_id, row.created_at, row.completed_at], said);
            assert.deepEqual([top.title, top.description, top.estimated_effort, top.due_date], ['Title of task_1a2b3c4d', 'About task_1a2b3c4d', '2 days', undefined]);
            assert.deepEqual(top.context, { file: 'a.c', imported: { session_id: 'session_9' } });
            assert.deepEqual([three.due_date, three.context], ['2025-07-01', { imported: { metadata: { extra: [1] } } }]);
            assert.equal(four.reason, 'no need');
            assert.equal(five.title, 'Tïtle \'x\' 日本');
            assert.deepEqual(three.dependencies.map((one) => one.task_id), ['task_2']);
            assert.deepEqual(four.dependencies.map((one) => one.task_id), ['task_3']);
            assert.deepEqual(two.artifacts.map((one) => [one.artifact_type, one.summary, one.next_action, one.content.length, one.created_at]), [
                ['result', 'done well', 'continue', 11, '2025-06-15T12:07:00Z'], ['result', 'task_result', 'complete', 100_000, '2025-06-15T12:08:00Z'],
                ['general', 'imported from task_2_artifact_00112233.txt', 'complete', 11, '2025-06-15T15:06:40Z']]);
            assert.deepEqual(two.artifacts[0].file_paths, ['x.c']);
            assert.deepEqual((await tasks.list({ search_text: '日本' })).length, 1, 'they are found');
            assert.deepEqual(top.progress, { total: 2, completed: 1, open: 1, percent: 50 });
            const problems = await tasks.do('maintenance_coordinator', { action: 'validate_structure', validation_level: 'full_audit' });
            assert.deepEqual(problems.problems.filter((one) => one.kind !== 'stale'), []);
            await tasks.do('execute_task', { task_id: 'task_3' });
        });
    }));

    test('again takes what is new, and nothing twice', importing(async ({ home, take, look }) => {
        const original = await new Original(home).task('a').task('b', { parent_task_id: 'a' }).artifact('x', 'a').write();
        await take(original);
        await look(async (tasks) => {
            await tasks.do('update_task', { task_id: 'a', title: 'Changed here' });
            await tasks.do('delete_task', { task_id: 'b', archive_instead: false });
        });
        assert.match(await take(original), /^0 of 2 tasks imported, 2 were before\n0 of 1 artifacts imported, 1 were before\n/);
        await original.task('c', { parent_task_id: 'a', metadata: { dependencies: ['b'] } }).artifact('y', 'a').write();
        const out = await take(original);
        assert.match(out, /^1 of 3 tasks imported, 2 were before\n1 of 2 artifacts imported, 1 were before\n/);
        assert.deepEqual(lost(out), ['tasks \'c\': its dependency \'b\' is not there'], 'what was deleted here stays away');
        const copy = new Original(home, 'elsewhere');
        await run('cp', [original.path, copy.path]);
        assert.match(await take(copy), /^0 of 3 tasks imported, 3 were before\n/);
        await look(async (tasks) => {
            assert.deepEqual(await tasks.titles(), ['Changed here', 'Title of c']);
            assert.equal((await tasks.task('a', { detail: true })).artifacts.length, 2);
        });
        assert.deepEqual(await sql(home, 'PRAGMA integrity_check; PRAGMA foreign_key_check'), ['ok']);
    }));

    test('says of each row what could not be taken, and why', importing(async ({ home, take, look }) => {
        const original = await new Original(home)
            .task('odd', { status: 'strange', type: 'weird', title: null, metadata: { complexity: 'huge', specialist_type: 'wizard', due_date: 'soon', dependencies: [7, 'nowhere'] } })
            .task('torn', { metadata: undefined, description: { raw: 'CAST(x\'ff41\' AS TEXT)' }, parent_task_id: 'gone', created_at: 'yesterday' })
            .task('text', { metadata: 'just a text' }).task('list', { metadata: [1], twice: false })
            .task('self', { parent_task_id: 'self', metadata: { dependencies: ['self'] } })
            .task('one', { metadata: { dependencies: ['two'] } }).task('two', { metadata: { dependencies: ['three'] } }).task('three', { parent_task_id: 'one', metadata: { dependencies: ['one'] } })
            .task('with space')
            .artifact('none', 'one', { content: null, type: 'cancellation_record' }).artifact('bad', 'one', { content: { raw: 'CAST(x\'ff\' AS TEXT)' } })
            .artifact('nul', 'one', { content: { raw: 'CAST(x\'610062\' AS TEXT)' } }).artifact('stray', 'nobody')
            .dependency('nobody', 'one')
            .write();
        const out = await take(original), told = lost(out);
        const id = /tasks 'with space': its id: it is (task_\w+) now/.exec(out)[1];
        assert.deepEqual(told.filter((line) => !/cycle/.test(line)).sort(), [
            'tasks \'odd\': it has no title; it is \'Untitled task\' now',
            'tasks \'odd\': its status \'strange\' is not known here; it is \'pending\' now',
            'tasks \'odd\': its type \'weird\' is not known here; it is \'standard\' now',
            'tasks \'odd\': its complexity \'huge\' is not known here; it is \'moderate\' now',
            'tasks \'odd\': its specialist_type \'wizard\' is not known here; it is \'generic\' now',
            'tasks \'odd\': its due_date \'soon\' is no date',
            'tasks \'odd\': its dependency 1 is no id of a task',
            'tasks \'odd\': its dependency \'nowhere\' is not there',
            'tasks \'torn\': its description is no text: it holds a NUL, or bytes that are no UTF-8',
            'tasks \'torn\': its created_at \'yesterday\' is no time',
            'tasks \'torn\': its parent \'gone\' is not there',
            'tasks \'text\': its metadata is no JSON object',
            'tasks \'list\': its metadata is no JSON object',
            'tasks \'self\': its parent is the task itself',
            'tasks \'self\': its dependency is the task itself',
            `tasks 'with space': its id: it is ${id} now`,
            'task_artifacts \'none\': it has no content',
            'task_artifacts \'bad\': its content is no text: it holds bytes that are no UTF-8',
            'task_artifacts \'stray\': its task \'nobody\' is not there',
            'task_dependencies \'nobody\': the task is not there',
        ].sort());
        assert.ok(told.some((line) => /^tasks '(one|two|three)': a cycle is cut: it waits for/.test(line)), out);
        assert.match(out, new RegExp(`Not taken, or not as it was \\(${told.length}\\):`));
        assert.match(out, /^9 of 9 tasks imported\n1 of 4 artifacts imported\n/);
        await look(async (tasks) => {
            const { problems } = await tasks.do('maintenance_coordinator', { action: 'validate_structure', validation_level: 'full_audit' });
            assert.deepEqual(problems, []);
            assert.equal((await tasks.task('one', { detail: true })).artifacts[0].content, 'a\u0000b');
        });
    }));

    test('reads what a server that was killed left in its log, and one that runs', importing(async ({ home, take, look }) => {
        const original = await new Original(home).task('old').write();
        const holder = spawn('sqlite3', [original.path], { stdio: ['pipe', 'pipe', 'inherit'] });
        const gone = new Promise((resolve) => { holder.on('close', resolve); });
        const told = [];
        try {
            holder.stdout.setEncoding('utf8').on('data', (text) => told.push(text));
            holder.stdin.write(`${insert('tasks', { id: 'new', type: 'standard', status: 'pending', title: 'In the log', created_at: '2025-07-01T00:00:00', updated_at: '2025-07-01T00:00:00' })}\nSELECT 'written';\n`);
            await until('the write', () => told.join('').includes('written'));
            assert.ok(statSync(`${original.path}-wal`).size > 0);
            assert.match(await take(original), /^2 of 2 tasks imported/, 'while it runs');
        } finally {
            holder.kill('SIGKILL');
            await gone;
        }
        assert.ok(statSync(`${original.path}-wal`).size > 0);
        assert.match(await take(original), /^0 of 2 tasks imported, 2 were before/, 'and when it was killed');
        await look(async (tasks) => assert.deepEqual(await tasks.titles(), ['Title of old', 'In the log']));
    }));

    test('clears away what one that was killed has left, and nothing that is in use', importing(async ({ home, take }) => {
        const original = await new Original(home).task('one').write(), state = home.path('state');
        for (const name of ['import-killed', 'import-used']) {
            mkdirSync(`${state}/${name}`, { recursive: true, mode: 0o700 });
            writeFileSync(`${state}/${name}/original.sqlite`, 'half of it', { mode: 0o600 });
            writeFileSync(`${state}/${name}/original.sqlite-wal`, 'x', { mode: 0o600 });
        }
        chmodSync(state, 0o700);
        const holder = spawn('flock', [`${state}/import-used`, 'sh', '-c', 'echo has; read line'], { stdio: ['pipe', 'pipe', 'inherit'] });
        await once(holder.stdout, 'data');
        await assert.rejects(take(original), /import-used/);
        assert.deepEqual(readdirSync(state).filter((name) => name.startsWith('import')), ['import-used']);
        holder.stdin.end('\n');
        await once(holder, 'exit');
        await take(original);
    }));

    test('needs to read the original, and no more', importing(async ({ home, take }) => {
        const original = await new Original(home).task('a').write();
        chmodSync(original.path, 0o400);
        chmodSync(dirname(original.path), 0o500);
        try {
            assert.match(await take(original), /^1 of 1 tasks imported/);
        } finally {
            chmodSync(dirname(original.path), 0o700);
        }
    }));

    test('goes on while a server serves the database, into the session of the directory', importing(async ({ home, take, look, theseus }) => {
        const original = await new Original(home).task('a').task('b', { metadata: { dependencies: ['a'] } }).write();
        await look(async (tasks) => {
            const { session_id } = await tasks.do('plan_task', { title: 'Here', description: 'x' });
            let over = false;
            const out = take(original).finally(() => { over = true; });
            for (let i = 0; !over; i++)
                await tasks.plan(`Meanwhile ${i}`);
            assert.match(await out, new RegExp(`^2 of 2 tasks imported\\n.*\\nThey are in session ${session_id}`));
            assert.deepEqual((await tasks.titles({ search_text: 'title' })), ['Title of a', 'Title of b']);
            /* The tool itself is for this command: it is in no list. */
            assert.ok(!(await tasks.client.names()).includes('orchestrator_import'));
            const { tasks: counts } = await tasks.do('import', { file: '.task_orchestrator/tasks.sqlite' });
            assert.deepEqual(counts, { found: 2, imported: 0, imported_before: 2 });
        });
        assert.equal((await theseus('call', 'orchestrator_query_tasks', '{"session_id": "*"}')).code, 0);
    }));

    test('refuses what is no such database, and changes nothing', importing(async ({ home, theseus }) => {
        const refused = async (path, pattern) => {
            const { code, out, err } = await theseus('import', path);
            assert.equal(code, 1, err);
            assert.match(out, pattern);
        };
        mkdirSync(home.path('project'));
        writeFileSync(home.path('text'), 'not a database, but long enough to be taken for one '.repeat(100));
        await refused(home.path('nowhere'), /cannot read '.*nowhere': No such file/);
        await refused(home.path('project'), /is no file/);
        await refused(home.path('text'), /cannot be read as a database: file is not a database/);
        await run('sqlite3', [home.path('other.db'), 'CREATE TABLE tasks (id TEXT, status TEXT)']);
        await refused('other.db', /is no database of the original system: it has no table 'tasks' with a column 'type'/);
        await refused(home.path('state', 'theseus.db'), /is this server's own database/);
        assert.deepEqual(readdirSync(home.path('state')).filter((name) => name.startsWith('import')), []);
        assert.deepEqual(await sql(home, 'SELECT count(*) FROM task_sessions'), ['0']);
        const use = await theseus('import');
        assert.equal(use.code, 2);
        assert.match(use.err, /use: theseus import FILE/);
    }));
});
