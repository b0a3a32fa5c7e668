/* The extension io.modelcontextprotocol/tasks: a long call is answered with a task, which outlives what happens to the server. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { Client, serving } from './lib/client.js';
import { EXTENSION, ask, call, get, meta, settled, taskOf } from './lib/mcp-tasks.js';
import { restart } from './lib/restart.js';

const prepare = (home) => { home.drop('longwork'); home.configure({ tasks: { promote_after: 1 } }); };
const serves = (what, body, options = {}) => test(what, () => serving(async (client, home) => {
    await client.appears('long_steps');
    await body(client, home);
}, { prepare, ...options }));

describe('a task', { concurrency: 4 }, () => {
    serves('answers a call of a tool that takes long, and ends with its very result', async (client) => {
        const { result } = await ask(client, 'server/discover');
        assert.deepEqual(result.capabilities.extensions, { [EXTENSION]: {} });
        const id = await taskOf(client, 'long_steps', { steps: 40, ms: 50 });
        const early = await get(client, id);
        assert.equal(early.status, 'working');
        assert.ok(!('result' in early));
        await until('a step to be told', async () => /of 40: stepping/.test((await get(client, id)).statusMessage));
        const task = await settled(client, id);
        assert.equal(task.status, 'completed');
        assert.deepEqual(task.result.structuredContent, { steps: 40, resumed_at: 0 });
        assert.equal(task.result.resultType, 'complete');
        assert.deepEqual((await get(client, id)).result, task.result, 'and it is kept');
    });

    serves('of a tool that says it failed is completed, with that', async (client) => {
        const task = await settled(client, await taskOf(client, 'long_fails', { ms: 2000 }));
        assert.equal(task.status, 'completed');
        assert.equal(task.result.isError, true);
        assert.equal(task.result.content[0].text, 'it did not work out');
    });

    serves('is not made of a call that is over first', async (client) => {
        for (let i = 0; i < 50; i++) {
            const { result } = await call(client, 'long_steps', { steps: 1, ms: 0 });
            if (result.resultType === 'task')
                assert.equal((await settled(client, result.taskId)).result.structuredContent.steps, 1);
            else
                assert.equal(result.structuredContent.steps, 1);
        }
        await until('one that is over first', async () =>
            (await call(client, 'plain_wait', { ms: 100 })).result.content?.[0].text === 'waited');
    });

    serves('is made of any call that runs for longer than tasks.promote_after', async (client) => {
        const id = await taskOf(client, 'plain_wait', { ms: 3500 });
        assert.equal((await settled(client, id)).result.content[0].text, 'waited');
    });

    serves('is never given to who did not declare it', async (client) => {
        const { result } = await call(client, 'long_steps', { steps: 30, ms: 50 }, false);
        assert.equal(result.structuredContent.steps, 30);
        const { error } = await ask(client, 'tasks/get', { taskId: 'x' }, false);
        assert.equal(error.code, -32021);
        assert.deepEqual(error.data.requiredCapabilities, { extensions: { [EXTENSION]: {} } });
        assert.equal((await client.ask('tasks/get', { taskId: 'x' })).error.code, -32601, 'nor to the legacy session');
    });

    serves('that nobody knows is refused', async (client) => {
        for (const method of ['tasks/get', 'tasks/cancel'])
            assert.equal((await ask(client, method, { taskId: 'f'.repeat(32) })).error.code, -32602);
        assert.equal((await ask(client, 'tasks/update', { taskId: 'f'.repeat(32), inputResponses: {} })).error.code, -32602);
        assert.equal((await ask(client, 'tasks/get', {})).error.code, -32602);
        assert.equal((await ask(client, 'tasks/list')).error.code, -32601);
    });

    serves('tells who listens of its steps and its end', async (client) => {
        const id = await taskOf(client, 'long_steps', { steps: 30, ms: 50 });
        client.start('subscriptions/listen', { notifications: { taskIds: [id, 'f'.repeat(32)] }, _meta: meta(true) });
        const told = (method) => client.notifications.filter((one) => one.method === method).map((one) => one.params);
        await until('the acknowledgement', () => told('notifications/subscriptions/acknowledged').length === 1);
        assert.deepEqual(told('notifications/subscriptions/acknowledged')[0].notifications, { taskIds: [id] });
        const subscription = client.lastId;
        assert.equal((await restart(client)).success, true, 'it goes on behind a restart');
        await until('the end', () => told('notifications/tasks').some((task) => task.status === 'completed'));
        const tasks = told('notifications/tasks');
        assert.ok(tasks.length > 1 && tasks.slice(0, -1).every((task) => task.status === 'working'), JSON.stringify(tasks));
        assert.ok(tasks.every((task) => task.taskId === id
            && task._meta['io.modelcontextprotocol/subscriptionId'] === subscription));
        assert.equal(tasks.at(-1).result.structuredContent.steps, 30);
        const { error } = await within('the refusal', client.start('subscriptions/listen',
            { notifications: { taskIds: [id] }, _meta: meta(false) }).answer);
        assert.equal(error.code, -32021);
    });

    serves('is cancelled by its id alone', async (client) => {
        const { id, answer } = client.start('tools/call',
            { name: 'long_steps', arguments: { steps: 1000, ms: 20 }, _meta: meta(true) });
        const { taskId } = (await within('the task', answer)).result;
        client.notify('notifications/cancelled', { requestId: id });
        assert.equal((await get(client, taskId)).status, 'working', 'its request is over');
        assert.deepEqual((await ask(client, 'tasks/update', { taskId, inputResponses: {} })).result.resultType, 'complete');
        assert.ok((await ask(client, 'tasks/cancel', { taskId })).result);
        const task = await settled(client, taskId);
        assert.equal(task.status, 'cancelled');
        assert.ok(!('result' in task) && !('error' in task));
        assert.ok((await ask(client, 'tasks/cancel', { taskId })).result, 'once more does nothing');
        await until('the handler to stop', async () => (await client.plugin('longwork')).in_flight === 0);
    });

    serves('keeps the time of its creation', async (client) => {
        const id = await taskOf(client, 'long_steps', { steps: 1000, ms: 10 });
        const { createdAt } = await get(client, id);
        assert.equal((await restart(client)).success, true);
        assert.equal((await get(client, id)).createdAt, createdAt);
        await ask(client, 'tasks/cancel', { taskId: id });
        assert.equal((await settled(client, id)).createdAt, createdAt);
    });

    serves('leaves its request id free', async (client) => {
        const asked = (method, params) =>
            within(method, client.start(method, { ...params, _meta: meta(true) }, 'again').answer);
        const { taskId } = (await asked('tools/call', { name: 'long_steps', arguments: { steps: 40, ms: 50 } })).result;
        assert.equal((await asked('tasks/get', { taskId })).result.taskId, taskId);
        await settled(client, taskId);
    });

    serves('goes on behind a restart', async (client) => {
        const id = await taskOf(client, 'long_steps', { steps: 150, ms: 20 });
        await until('a few steps', async () => /^[1-9]\d* of/.test((await get(client, id)).statusMessage ?? ''));
        assert.equal((await restart(client)).success, true);
        const task = await settled(client, id);
        assert.equal(task.status, 'completed');
        assert.ok(task.result.structuredContent.resumed_at > 0, 'from its checkpoint');
        assert.equal((await restart(client)).success, true);
        assert.deepEqual((await get(client, id)).result, task.result);
    });

    serves('is what a restart is answered with that takes long, and the next image ends it', async (client) => {
        const slow = client.start('tools/call',
            { name: 'plain_wait', arguments: { ms: 3500 }, _meta: { progressToken: 'slow' } }).answer;
        await until('it to run', () => client.notifications.some((one) => one.params?.progressToken === 'slow'));
        const id = await taskOf(client, 'orchestrator_restart_server', {});
        const task = await settled(client, id);
        assert.equal(task.status, 'completed');
        assert.equal(task.result.structuredContent.success, true, JSON.stringify(task.result));
        assert.equal(task.result.structuredContent.phase, 'complete');
        assert.equal((await within('the slow call', slow)).result.content[0].text, 'waited');
    });

    serves('that may not run again says so behind a restart', async (client) => {
        const id = await taskOf(client, 'plain_wait', { ms: 100_000 });
        assert.equal((await restart(client, { graceful: false })).success, true);
        const task = await settled(client, id);
        assert.equal(task.status, 'completed');
        assert.equal(task.result.isError, true);
        assert.match(task.result.content[0].text, /may have executed/);
    });

    serves('that is over is found when the server was killed', async (client, home) => {
        const over = await taskOf(client, 'long_steps', { steps: 2, ms: 1000 });
        const result = (await settled(client, over)).result;
        await client.kill();

        const next = new Client(home);
        try {
            await next.initialize();
            assert.deepEqual((await get(next, over)).result, result);
            await next.close();
        } finally {
            await next.kill();
        }
    });

    serves('is on disk before it is announced', async (client, home) => {
        const ids = await Promise.all(Array.from({ length: 20 }, () => taskOf(client, 'plain_wait', { ms: 100_000 })));
        await client.kill();
        const next = new Client(home);
        try {
            await next.initialize();
            for (const id of ids)
                assert.equal((await settled(next, id)).status, 'failed');
            await next.close();
        } finally {
            await next.kill();
        }
    });
});
