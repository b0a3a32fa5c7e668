/*
 * An agent's day: a plan of twelve tasks that wait for each other, worked through over a restart, an upgrade of the
 * plugin with its tables, and a kill -9, with the clients that hosts have inside. After each of these all that was
 * acknowledged must be there, once, and the work goes on where it was.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { until, within } from '../../clients/lib/until.js';
import { Home, shipped } from '../lib/home.js';
import { Host, generations } from '../lib/sdk.js';
import { sql } from '../lib/tasks.js';

/* Title → what it waits for. */
const PLAN = {
    'Ask the users': [], 'Read the sources': [], 'Choose a design': ['Ask the users', 'Read the sources'],
    'Write the parser': ['Choose a design'], 'Write the printer': ['Choose a design'],
    'Test the parser': ['Write the parser'], 'Test the printer': ['Write the printer'],
    'Join the parts': ['Test the parser', 'Test the printer'], 'Measure': ['Join the parts'],
    'Document': ['Join the parts'], 'Review': ['Measure', 'Document'], 'Release': ['Review'],
};

/* What is shipped lies where it can be replaced. */
function installed(home) {
    for (const file of readdirSync(shipped))
        home.put(file, readFileSync(join(shipped, file)), 0o700);
    home.configure({ plugins: { path: home.plugins } });
}

class Day {
    ids = {}; /* title → task_id */
    done = new Map(); /* title → what was handed in */

    constructor(home, build) {
        this.home = home;
        this.build = build;
    }

    async open() {
        this.host = await new Host(this.home, this.build).connect();
    }

    do(tool, args = {}) {
        return this.host.ask(`orchestrator_${tool}`, args);
    }

    async plan() {
        const { session_id } = await this.do('initialize_session', { working_directory: this.home.path('work') });
        this.session = session_id;
        this.goal = (await this.do('plan_task', { title: 'A new release', description: 'All of it', task_type: 'milestone' })).task_id;
        for (const [title, behind] of Object.entries(PLAN)) {
            const answer = await this.do('plan_task', {
                title, description: `How to: ${title}`, parent_task_id: this.goal, dependencies: behind.map((one) => this.ids[one]),
            });
            assert.equal(answer.session_id, session_id);
            this.ids[title] = answer.task_id;
        }
        const refused = await this.host.result('orchestrator_execute_task', { task_id: this.ids.Release });
        assert.equal(refused.isError, true);
        assert.match(refused.content[0].text, /cannot start before its prerequisites are completed/);
    }

    /* What it needs of those before it is there; large work is a file. */
    async work(title) {
        const task_id = this.ids[title];
        const begun = await this.do('execute_task', { task_id });
        assert.deepEqual(begun.prerequisites.map((one) => one.artifacts.map((artifact) => artifact.summary)),
            PLAN[title].map((one) => [this.done.get(one).summary]), title);
        const handed = {
            task_id, summary: `${title}: done`, next_action: 'complete', artifact_type: 'code',
            detailed_work: title === 'Write the parser' ? 'parser '.repeat(20_000) : `the work on "${title}"`,
        };
        const answer = await this.do('complete_task', handed);
        assert.equal(answer.status, 'completed');
        this.done.set(title, handed);
        assert.equal(answer.parent_progress.completed, this.done.size);
    }

    /* All that was acknowledged, and nothing else. */
    async isWhole(more = {}) {
        const { tasks } = await this.do('query_tasks', { parent_task_id: this.goal, limit: 100, ...more });
        const status = Object.fromEntries(tasks.map((task) => [task.title, task.status]));
        assert.equal(tasks.length, Object.keys(PLAN).length);
        for (const title of Object.keys(PLAN))
            assert.equal(status[title] === 'completed', this.done.has(title), `${title}: ${status[title]}`);
        for (const [title, { summary, detailed_work }] of this.done) {
            const { contents: [content] } = await this.host.client.readResource({ uri: `theseus://tasks/${this.ids[title]}` });
            const { artifacts, status: state } = JSON.parse(content.text);
            assert.deepEqual([state, artifacts.map((one) => [one.summary, one.bytes])],
                ['completed', [[summary, detailed_work.length]]]);
        }
        const { contents: [session] } = await this.host.client.readResource({ uri: `theseus://sessions/${this.session}` });
        assert.deepEqual(JSON.parse(session.text).progress.completed, this.done.size);
        assert.deepEqual(await sql(this.home, 'PRAGMA integrity_check'), ['ok']);
        assert.deepEqual(await sql(this.home, 'PRAGMA foreign_key_check'), []);
    }

    /* With work under way meanwhile. */
    async restart(title) {
        const working = this.work(title);
        const report = await this.host.restart();
        assert.equal(report.success, true, JSON.stringify(report));
        assert.deepEqual([report.calls_interrupted, report.pid.after], [0, this.host.pid]);
        await working;
    }

    async upgrade() {
        const version = async () => (await this.host.ask('theseus_plugins')).plugins
            .find((plugin) => plugin.name === 'tasks' && plugin.state === 'active').version;
        const before = await version();
        this.home.drop('tasks-next', 'tasks');
        await until('the newer plugin to serve', async () => await version() === '9.9.9', 30_000);
        assert.notEqual(before, '9.9.9');
        assert.equal(readdirSync(this.home.path('state', 'backups')).length, 1, 'the database before is kept');
        assert.deepEqual(await sql(this.home, "SELECT DISTINCT mood FROM tasks"), ['calm'], 'every task has the new column');
        const latest = await until('the migration to be in the history', async () => {
            const { history } = await this.host.status({ include_history: true });
            return history.recent_restarts[0]?.reason === 'schema_migration' && history.recent_restarts[0];
        });
        assert.equal(latest.success, true);
    }

    /* In the midst of handing something in: it is there or not, as a whole. */
    async kill(title) {
        const task_id = this.ids[title];
        await this.do('execute_task', { task_id });
        const handed = { task_id, summary: `${title}: done`, next_action: 'complete', artifact_type: 'code', detailed_work: 'x'.repeat(100_000) };
        const answered = this.host.call('orchestrator_complete_task', handed).then(() => true, () => false);
        process.kill(this.host.pid, 'SIGKILL');
        const was = await within('the answer, or the end of the connection', answered);
        await until('the connection to be lost', () => this.host.closed);
        await this.host.client.close();
        await this.open();
        const { tasks } = await this.do('resume_session', { session_id: this.session });
        const open = tasks.find((task) => task.task_id === task_id);
        assert.ok(!was || !open, 'what was answered is there');
        assert.ok(!open || open.status === 'in_progress');
        if (open)
            await this.do('complete_task', handed);
        this.done.set(title, handed);
    }

    async finish() {
        const { results, open, complete } = await this.do('synthesize_results', { parent_task_id: this.goal, detail: true });
        assert.equal(complete, true);
        assert.deepEqual(open, []);
        assert.deepEqual(results.map((one) => [one.title, one.status, one.artifacts.map((artifact) => artifact.content)]),
            Object.keys(PLAN).map((title) => [title, 'completed', [this.done.get(title).detailed_work]]));
        await this.do('execute_task', { task_id: this.goal });
        await this.do('complete_task', { task_id: this.goal, summary: 'released', detailed_work: 'all of it', next_action: 'complete' });
        const status = await this.do('session_status', { session_id: this.session });
        assert.deepEqual([status.status, status.progress.percent, status.tasks], ['completed', 100, []]);
        await this.do('maintenance_coordinator', { action: 'prepare_handover' });
        assert.ok(existsSync(this.home.path('work', '.task_orchestrator', `handover-${this.session}.md`)));
        const health = await this.host.health();
        assert.equal(health.healthy, true, JSON.stringify(health.issues));
    }
}

for (const [name, build] of Object.entries(generations))
    describe(`an agent's day with ${name}`, () => {
        test('loses nothing of it', async () => {
            const home = new Home();
            const day = new Day(home, build);
            try {
                installed(home);
                mkdirSync(home.path('work'));
                await day.open();
                await day.plan();
                await day.isWhole();
                for (const title of ['Ask the users', 'Read the sources', 'Choose a design'])
                    await day.work(title);
                await day.restart('Write the parser');
                await day.isWhole();
                for (const title of ['Write the printer', 'Test the parser'])
                    await day.work(title);
                await day.upgrade();
                await day.isWhole();
                for (const title of ['Test the printer', 'Join the parts'])
                    await day.work(title);
                await day.kill('Measure');
                await day.isWhole();
                for (const title of ['Document', 'Review', 'Release'])
                    await day.work(title);
                await day.isWhole();
                await day.finish();
                assert.deepEqual(day.host.errors, []);
            } finally {
                await day.host?.client.close();
                home.dispose();
            }
        });
    });
