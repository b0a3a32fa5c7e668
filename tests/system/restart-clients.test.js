/* What a client has with the server goes on across a restart: what it has not read, what it has not been told, its session. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { beginRestart, restart, restarts } from './lib/restart.js';

const META = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {},
};

const completed = (home) => home.log.match(/restart: complete/g)?.length ?? 0;
const changesOf = (client) => client.notifications.filter((one) => one.method === 'notifications/tools/list_changed');
const modern = (client, method, params = {}) => client.start(method, { ...params, _meta: { ...META, ...params._meta } });
const running = (client, plugin) => until('the call to run', async () => (await client.plugin(plugin)).in_flight > 0);

describe('across a restart', { concurrency: 4 }, () => {
    test('a client that does not read finds everything, once and in order, when it reads', () => serving(async (client, home) => {
        await client.names();
        const text = 'x'.repeat(32 << 10), order = [], count = 100;
        client.process.stdout.pause();
        const echoes = Array.from({ length: count }, (_, i) =>
            client.call('echo', { message: `${i} ${text}` }).then((answer) => order.push(answer.result.content[0].text)));
        const report = restart(client);
        await until('the restart to be complete', () => completed(home) === 1);
        const behind = Array.from({ length: count }, (_, i) =>
            client.call('echo', { message: `${count + i} ${text}` }).then((answer) => order.push(answer.result.content[0].text)));
        client.process.stdout.resume();
        assert.equal((await report).success, true);
        await within('all answers', Promise.all([...echoes, ...behind]));
        assert.deepEqual(order.map((one) => Number.parseInt(one, 10)), Array.from({ length: 2 * count }, (_, i) => i));
        assert.ok(order.every((one) => one.endsWith(` ${text}`)));
    }));

    test('so does one whose output is full to the limit', () => serving(async (client, home) => {
        await client.names();
        const text = 'x'.repeat(32 << 10), count = 200;
        client.process.stdout.pause();
        const report = restart(client);
        const echoes = Array.from({ length: count }, (_, i) => client.call('echo', { message: `${i} ${text}` }));
        await until('the restart to be complete', () => completed(home) === 1);
        client.process.stdout.resume();
        assert.equal((await report).success, true);
        const texts = (await within('all answers', Promise.all(echoes))).map((one) => one.result.content[0].text);
        assert.deepEqual(texts, Array.from({ length: count }, (_, i) => `${i} ${text}`));
    }, { prepare: (home) => home.configure({ limits: { max_buffered: '1M', max_line: '512K', max_result: '512K' } }) }));

    test('requests over every limit are held, and each is done once', () => serving(async (client) => {
        await client.appears('serial');
        const calls = Array.from({ length: 150 }, () => client.call('parallel', { ms: 10 }));
        const [first, second] = [restart(client), restart(client)];
        const more = Array.from({ length: 150 }, (_, i) => client.call('echo', { message: `m${i}` }));
        const answers = await within('the answers', Promise.all(calls));
        assert.ok(answers.every((one) => one.result.structuredContent.most >= 1), JSON.stringify(answers[0]));
        const texts = (await within('the echoes', Promise.all(more))).map((one) => one.result.content[0].text);
        assert.deepEqual(texts, Array.from({ length: 150 }, (_, i) => `m${i}`));
        const reports = await Promise.all([first, second]);
        const [refused, done] = reports.sort((a, b) => a.success - b.success); /* two threads serve them: either may be first */
        assert.equal(done.success, true, JSON.stringify(reports));
        assert.match(refused.message, /under way already/, JSON.stringify(reports));
    }, {
        prepare: (home) => {
            home.drop('serial');
            home.configure({ limits: { max_in_flight: 4 }, buffer: { max_buffer_size: 8 } });
        },
    }));

    test('half a line becomes a whole one', () => serving(async (client) => {
        const line = JSON.stringify({ jsonrpc: '2.0', id: 'halves', method: 'ping' });
        await restarts(client);
        const mine = beginRestart(client);
        client.write(line.slice(0, 20));
        const report = await mine.report;
        assert.equal(report.success, true);
        client.write(`${line.slice(20)}\n`);
        await until('the answer', () => client.problems.some((one) => one.includes('"halves"')));
        assert.deepEqual(client.problems.splice(0).map((one) => JSON.parse(one.replace(/^[^{]*/, ''))),
            [{ jsonrpc: '2.0', id: 'halves', result: {} }]);
    }));

    test('a legacy session keeps its log level, and hears of another list of tools only if there is one', () => serving(async (client, home) => {
        await client.appears('say');
        await client.ask('logging/setLevel', { level: 'warning' });
        const told = () => client.notifications.filter((one) => one.method === 'notifications/message').map((one) => one.params.data);
        const before = changesOf(client).length;
        await restarts(client);
        await client.text('say', { level: 'notice', text: 'below' });
        await client.text('say', { level: 'error', text: 'above' });
        assert.equal(told().length, 1, JSON.stringify(told()));
        assert.equal((await client.ask('tools/list')).result.tools.some((tool) => tool.name === 'say'), true);
        assert.equal(changesOf(client).length, before, 'nothing has changed');
        home.drop('greet');
        await restarts(client);
        await client.appears('greet');
        await until('the change to be told', () => changesOf(client).length > before);
        await client.ask('ping');
        assert.equal(changesOf(client).length, before + 1);
    }, { prepare: (home) => { home.drop('logger'); home.configure({ plugins: { watch: 'no' } }); } }));

    test('a modern client keeps its subscription and its progress', () => serving(async (client, home) => {
        const listen = modern(client, 'subscriptions/listen', { notifications: { toolsListChanged: true } });
        await until('the subscription', () => client.notifications.some((one) => /acknowledged/.test(one.method)));
        const { answer } = modern(client, 'tools/call', {
            name: 'orchestrator_restart_server', arguments: {}, _meta: { progressToken: 'bar' },
        });
        const { result } = await within('the restart', answer);
        assert.equal(result.structuredContent.success, true);
        const bar = client.notifications.filter((one) => one.params?.progressToken === 'bar').map((one) => one.params.progress);
        assert.deepEqual(bar, [5, 10, 25, 50, 60, 70, 80, 90, 95, 100]);
        assert.equal(changesOf(client).length, 0);
        home.drop('greet');
        await until('the change to be told', () => changesOf(client).length === 1);
        assert.equal(client.open, 1, 'the subscription is open');
        client.notify('notifications/cancelled', { requestId: listen.id });
    }, { shake: false }));

    test('progress of a call that goes on goes on, and never back', () => serving(async (client) => {
        await client.appears('resumable');
        const { answer } = client.start('tools/call', { name: 'resumable', arguments: { steps: 1000, ms: 2 }, _meta: { progressToken: 'p' } });
        const steps = () => client.notifications.filter((one) => one.params?.progressToken === 'p').map((one) => one.params.progress);
        await until('the first steps', () => steps().length > 0);
        const report = await restarts(client);
        assert.equal(report.calls_resumed, 1);
        assert.deepEqual((await within('the call', answer)).result.structuredContent, { steps: 1000 });
        assert.deepEqual(steps(), [...new Set(steps())].sort((a, b) => a - b), 'strictly increasing');
        const { effects } = await client.value('effects');
        assert.deepEqual(effects, Array.from({ length: 1000 }, (_, i) => i));
    }, { prepare: (home) => home.drop('resumable') }));

    test('a call that was started before it is cancelled behind it', () => serving(async (client) => {
        await client.appears('resumable');
        const { id } = client.start('tools/call', { name: 'resumable', arguments: { steps: 10_000, ms: 5 } });
        await running(client, 'resumable');
        assert.equal((await restarts(client)).calls_resumed, 1);
        await running(client, 'resumable');
        client.notify('notifications/cancelled', { requestId: id });
        await until('the call to end', async () => (await client.plugin('resumable')).in_flight === 0);
        assert.equal(client.open, 1, 'it has no answer');
    }, { prepare: (home) => home.drop('resumable') }));
});
