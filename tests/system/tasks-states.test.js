/* The states of a task: the table, cell by cell, and the tools that move a task by it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { serving } from './lib/client.js';
import { STATES, Tasks, bring } from './lib/tasks.js';

const NEXT = {
    pending: ['in_progress', 'blocked', 'cancelled', 'archived'],
    in_progress: ['pending', 'completed', 'failed', 'blocked', 'cancelled'],
    blocked: ['pending', 'in_progress', 'failed', 'cancelled', 'archived'],
    completed: ['archived'],
    failed: ['in_progress', 'archived'],
    cancelled: ['pending', 'archived'],
    archived: [],
};

/* Which state a tool leads to, and the call. */
const TOOLS = [
    ['in_progress', 'execute_task', {}],
    ['completed', 'complete_task', { summary: 's', detailed_work: 'd', next_action: 'complete' }],
    ['blocked', 'complete_task', { summary: 's', detailed_work: 'd', next_action: 'blocked' }],
    ['in_progress', 'complete_task', { summary: 's', detailed_work: 'd', next_action: 'continue' }],
    ['in_progress', 'complete_task', { summary: 's', detailed_work: 'd', next_action: 'needs_revision' }],
    ['cancelled', 'cancel_task', {}],
    ['archived', 'delete_task', {}],
];

const stands = async (body) => serving(async (client) => body(new Tasks(client)));

describe('every change of state', { concurrency: 4 }, () => {
    for (const from of STATES)
        test(`from ${from}`, () => stands(async (tasks) => {
            for (const to of STATES) {
                const task_id = await tasks.plan(`${from} to ${to}`);
                await bring(tasks, task_id, from);
                if (NEXT[from].includes(to)) {
                    assert.equal((await tasks.do('update_task', { task_id, status: to })).status, to);
                } else {
                    const text = await tasks.refused('update_task', { task_id, status: to });
                    assert.equal(text, `task '${task_id}' is ${from} and cannot become ${to}; what may follow is ` +
                        `${NEXT[from].join(', ') || 'nothing'}`);
                }
                assert.equal(await tasks.status(task_id), NEXT[from].includes(to) ? to : from);
            }
            for (const [to, tool, more] of TOOLS) {
                const task_id = await tasks.plan(`${from} by ${tool}`);
                await bring(tasks, task_id, from);
                /* Whoever works on a task may begin it again and hand in more. */
                const may = NEXT[from].includes(to) || (from === 'in_progress' && to === 'in_progress');
                if (may)
                    assert.equal((await tasks.do(tool, { task_id, ...more })).status, to);
                else
                    await tasks.refused(tool, { task_id, ...more }, new RegExp(`is ${from} and cannot become ${to}`));
                assert.equal(await tasks.status(task_id), may ? to : from);
            }
        }));
});

test('what is cancelled and begun again has no reason, and what is retried no end', () => stands(async (tasks) => {
    const task_id = await tasks.plan('Task');
    await bring(tasks, task_id, 'failed');
    await tasks.do('execute_task', { task_id });
    const { started_at, completed_at } = await tasks.task(task_id);
    assert.ok(started_at);
    assert.equal(completed_at, undefined);
    await tasks.do('complete_task', { task_id, summary: 's', detailed_work: 'd', next_action: 'complete' });
    await tasks.do('delete_task', { task_id });
    assert.ok((await tasks.task(task_id)).completed_at, 'it is known that it was completed');
}));
