/* A restart under a subscription of a modern client: it is carried, and nothing is lost because of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { serving } from './lib/client.js';

const MODERN = { _meta: {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
} };

test('a restart with an open subscription keeps what plugins have saved, and the subscription', () => serving(async (client, home) => {
    client.start('subscriptions/listen', { ...MODERN, notifications: { toolsListChanged: true } });
    const ask = async (name) => (await client.ask('tools/call', { name, arguments: {}, ...MODERN })).result.structuredContent;
    const { count } = await ask('count');
    const report = await ask('orchestrator_restart_server');
    assert.equal(report.success, true, JSON.stringify(report));
    assert.ok(report.plugins.some((plugin) => plugin.name === 'counter' && plugin.state === 'active'));
    assert.equal((await ask('count')).count, count + 1);
    const told = () => client.notifications.filter((one) => one.method === 'notifications/tools/list_changed').length;
    const before = told();
    home.drop('version1');
    await until('the client to be told of another tool', () => told() > before);
}, { prepare: (home) => home.drop('counter'), shake: false }));
