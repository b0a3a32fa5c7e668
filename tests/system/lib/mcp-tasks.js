/* A client of the extension io.modelcontextprotocol/tasks. */
import assert from 'node:assert/strict';

import { until, within } from '../../clients/lib/until.js';

export const EXTENSION = 'io.modelcontextprotocol/tasks';

export const meta = (knows = true) => ({
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'tasks', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': knows ? { extensions: { [EXTENSION]: {} } } : {},
});

export const ask = (client, method, params = {}, knows = true) =>
    within(method, client.start(method, { ...params, _meta: { ...params._meta, ...meta(knows) } }).answer);

export const call = (client, name, args, knows = true) => ask(client, 'tools/call', { name, arguments: args }, knows);

export async function get(client, taskId) {
    const { result, error } = await ask(client, 'tasks/get', { taskId });
    assert.ok(result, JSON.stringify(error));
    assert.equal(result.resultType, 'complete');
    return result;
}

export const settled = (client, taskId) => until('the task to be over', async () => {
    const task = await get(client, taskId);
    return task.status !== 'working' && task;
}, 30_000);

/* The id of the task with which the call is answered. */
export async function taskOf(client, name, args) {
    const { result, error } = await call(client, name, args);
    assert.ok(result, JSON.stringify(error));
    assert.equal(result.resultType, 'task', JSON.stringify(result));
    assert.match(result.taskId, /^[0-9a-f]{32}$/);
    assert.equal(result.status, 'working');
    assert.ok(Number.isInteger(result.ttlMs) && result.ttlMs > 0 && result.pollIntervalMs > 0);
    assert.ok(Date.parse(result.createdAt) > 0 && Date.parse(result.lastUpdatedAt) > 0);
    assert.ok(!('result' in result) && !('content' in result));
    return result.taskId;
}
