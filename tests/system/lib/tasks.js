/* The tools of the plugin `tasks`, and servers in directories of their own on one database. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';

import { Client } from './client.js';
import { run } from './proc.js';

export const STATES = ['pending', 'in_progress', 'blocked', 'completed', 'failed', 'cancelled', 'archived'];

export class Tasks {
    constructor(client) {
        this.client = client;
    }

    /* What a tool answers; a refusal fails the test. */
    async do(tool, args = {}) {
        const result = await this.client.result(`orchestrator_${tool}`, args);
        assert.notEqual(result.isError, true, `${tool} ${JSON.stringify(args)}: ${result.content?.[0]?.text}`);
        assert.equal(result.content[0].type, 'text');
        return result.structuredContent;
    }

    /* The sentence with which a tool refuses. */
    async refused(tool, args, pattern = /./) {
        const result = await this.client.result(`orchestrator_${tool}`, args);
        assert.equal(result.isError, true, `${tool} ${JSON.stringify(args)} was not refused: ${JSON.stringify(result.structuredContent)}`);
        assert.match(result.content[0].text, pattern);
        return result.content[0].text;
    }

    async plan(title, more = {}) {
        return (await this.do('plan_task', { title, description: `What "${title}" is about`, ...more })).task_id;
    }

    async finish(task_id, more = {}) {
        await this.do('execute_task', { task_id });
        return this.do('complete_task', {
            task_id, summary: `did ${task_id}`, detailed_work: `the work of ${task_id}`, next_action: 'complete', ...more,
        });
    }

    async list(args = {}) {
        return (await this.do('query_tasks', args)).tasks;
    }

    async titles(args = {}) {
        return (await this.list(args)).map((task) => task.title);
    }

    async task(task_id, more = {}) {
        return (await this.do('get_status', { task_id, ...more })).task;
    }

    async status(task_id) {
        return (await this.task(task_id)).status;
    }
}

/* `state` by steps that the rules allow. */
export async function bring(tasks, task_id, state) {
    const ways = {
        pending: [], in_progress: ['in_progress'], blocked: ['blocked'], completed: ['in_progress', 'completed'],
        failed: ['in_progress', 'failed'], cancelled: ['cancelled'], archived: ['archived'],
    };
    for (const status of ways[state])
        await tasks.do('update_task', { task_id, status });
}

/* A client whose server works in a directory of that name in the home. */
export async function worker(home, name, options = {}) {
    const cwd = home.path(name);
    mkdirSync(cwd, { recursive: true });
    const client = await new Client(home, { cwd, ...options }).initialize();
    return { client, cwd, tasks: new Tasks(client) };
}

/* What a statement says of the database, row by row. */
export async function sql(home, text) {
    const { code, out, err } = await run('sqlite3', ['-cmd', '.timeout 10000', home.path('state', 'theseus.db'), text]);
    assert.equal(code, 0, err);
    return out.trim().split('\n').filter(Boolean);
}
