/*
 * Every revision of the protocol, spoken by hand, line by line. What comes back is checked against that revision's own
 * schema (lib/recorder.js); the rules of each era that a schema cannot say are checked here.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';

import { LineClient, modernMeta } from './lib/line-client.js';
import { Sandbox } from './lib/sandbox.js';
import { LEGACY, MODERN, NEWEST_LEGACY, missing } from './lib/schemas.js';
import { until } from './lib/until.js';

const LIST_CHANGED = 'notifications/tools/list_changed';
const ACKNOWLEDGED = 'notifications/subscriptions/acknowledged';
const SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId';
const SERVER_INFO = 'io.modelcontextprotocol/serverInfo';

let sandbox, client;

beforeEach(() => {
    sandbox = new Sandbox();
    client = new LineClient(sandbox.command);
});

afterEach(async () => {
    try {
        const { code, signal } = await client.close();
        assert.deepEqual({ code, signal }, { code: 0, signal: null });
        client.recorder.assertClean();
    } finally {
        sandbox.dispose();
    }
});

const echo = (message) => ({ name: 'echo', arguments: { message } });
const names = (answer) => answer.result.tools.map((tool) => tool.name);

/* A slow tool is there; how the client learns of it is not the matter of the test. */
async function slowTool(ask) {
    sandbox.drop('slow');
    await until('the slow tool', async () => names(await ask('tools/list')).includes('slow'));
}

test('the official schemas are there to judge by', { skip: missing ?? false }, () => {});

for (const version of LEGACY)
    describe(`revision ${version}`, () => {
        const ask = (...request) => client.ask(...request);
        let hello;

        beforeEach(async () => {
            hello = await client.initialize(version);
        });

        test('is agreed on', () => {
            assert.equal(hello.result.protocolVersion, version);
            assert.equal(hello.result.serverInfo.name, 'theseus');
            assert.equal(hello.result.capabilities.tools.listChanged, true);
        });

        test('lists and calls tools', async () => {
            assert.ok(names(await ask('tools/list', {})).includes('echo'));
            const { result } = await ask('tools/call', echo('hi'));
            assert.deepEqual(result.content, [{ type: 'text', text: 'hi' }]);
        });

        test('answers a ping with nothing', async () => {
            assert.deepEqual((await ask('ping')).result, {});
        });

        test('gives ids back as they came', async () => {
            for (const id of [0, 'text', '1', -7])
                assert.equal((await ask('tools/call', echo('id'), id)).id, id);
            client.recorder.sent({ jsonrpc: '2.0', id: 9007199254740992, method: 'ping' }); /* as JavaScript rounds it */
            client.text('{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}');
            await until('the large id', () => client.lines.some((line) => line.includes('"id":9007199254740993')));
        });

        test('names the argument that is wrong', async () => {
            const { result } = await ask('tools/call', { name: 'echo', arguments: { message: 5 } });
            assert.equal(result.isError, true);
            assert.match(result.content[0].text, /\/message/);
        });

        test('refuses what it does not know', async () => {
            assert.equal((await ask('tools/call', { name: 'no_such_tool' })).error.code, -32602);
            assert.equal((await ask('no/such/method')).error.code, -32601);
            assert.equal((await ask('subscriptions/listen', { notifications: {} })).error.code, -32601);
            assert.equal((await ask('server/discover')).error.code, -32602);
        });

        test('sets the level of log messages', async () => {
            assert.deepEqual((await ask('logging/setLevel', { level: 'warning' })).result, {});
            assert.equal((await ask('logging/setLevel', { level: 'loud' })).error.code, -32602);
        });

        test('reports progress only to who gave a token', async () => {
            await slowTool(ask);
            await ask('tools/call', { name: 'slow', arguments: { ms: 200, steps: 4 } });
            assert.equal(client.notifications('notifications/progress').length, 0);
            await ask('tools/call', { name: 'slow', arguments: { ms: 200, steps: 4 }, _meta: { progressToken: 0 } });
            assert.ok(client.notifications('notifications/progress').length > 0);
        });

        test('says nothing more of a cancelled call', async () => {
            await slowTool(ask);
            const id = client.start('tools/call', { name: 'slow', arguments: { ms: 600_000 } }, 'dropped');
            client.notify('notifications/cancelled', { requestId: id, reason: 'changed my mind' });
            await ask('tools/call', { name: 'slow', arguments: { ms: 400 } });
            assert.deepEqual(client.recorder.answersTo(id), []);
        });

        test('announces a change of the tools once, untagged', async () => {
            await ask('tools/list'); /* what comes before plugins are loaded for the first time is no change */
            sandbox.drop('greet');
            await until('the announcement', () => client.notifications(LIST_CHANGED).length > 0);
            const { result } = await ask('tools/call', { name: 'greet', arguments: { name: 'you' } });
            assert.equal(result.content[0].text, 'hello you');
            assert.equal(client.notifications(LIST_CHANGED).length, 1);
            assert.equal(client.notifications(LIST_CHANGED)[0].params?._meta, undefined);
        });

        test(version === '2025-03-26' ? 'takes a batch' : 'knows no batch', async () => {
            const batch = ['a', 'b'].map((id) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: echo(id) }));
            if (version === '2025-03-26') {
                client.say(batch);
                for (const id of ['a', 'b'])
                    assert.equal((await client.answer(id)).result.content[0].text, id);
            } else {
                client.text(JSON.stringify(batch));
                await ask('ping');
                const errors = client.messages.filter((message) => message.error !== undefined);
                for (const { id, error } of errors) /* revisions that demand an id in every error get silence */
                    assert.deepEqual([id, error.code], [undefined, -32600]);
                assert.ok(errors.length <= 1);
                assert.deepEqual([...client.recorder.answersTo('a'), ...client.recorder.answersTo('b')], []);
            }
        });

        test('may be agreed on again', async () => {
            assert.equal((await client.initialize(version)).result.protocolVersion, version);
            assert.ok(names(await ask('tools/list')).includes('echo'));
        });
    });

describe('the handshake', () => {
    for (const wanted of ['1999-01-01', MODERN])
        test(`offers ${NEWEST_LEGACY} to who wants ${wanted}`, async () => {
            assert.equal((await client.initialize(wanted)).result.protocolVersion, NEWEST_LEGACY);
        });

    test('needs a version', async () => {
        assert.equal((await client.ask('initialize', { capabilities: {} })).error.code, -32602);
    });

    test('may be the last thing that a host says', async () => {
        const params = { protocolVersion: NEWEST_LEGACY, capabilities: {}, clientInfo: { name: 'probe', version: '1' } };
        for (let i = 0; i < 20; i++) {
            const probe = new LineClient(sandbox.command);
            if (i % 2)
                probe.start('initialize', params);
            if (i % 4 === 3)
                probe.notify('notifications/initialized');
            assert.deepEqual(await probe.close(), { code: 0, signal: null });
            probe.recorder.assertClean();
        }
    });

    test('comes before everything but a ping', async () => {
        assert.deepEqual((await client.ask('ping')).result, {});
        assert.equal((await client.ask('tools/list')).error.code, -32602);
    });
});

describe(`revision ${MODERN}`, () => {
    const ask = (...request) => client.askModern(...request);

    test('is discovered', async () => {
        const { result } = await ask('server/discover');
        assert.deepEqual(result.supportedVersions, [MODERN]);
        assert.equal(result.capabilities.tools.listChanged, true);
        assert.equal(result._meta[SERVER_INFO].name, 'theseus');
    });

    test('needs no handshake', async () => {
        const { result } = await ask('tools/list');
        assert.equal(result.resultType, 'complete');
        assert.equal(result.ttlMs, 0);
        assert.equal(result.cacheScope, 'private');
        assert.ok(names({ result }).includes('echo'));
    });

    test('calls tools', async () => {
        const { result } = await ask('tools/call', echo('hi'));
        assert.deepEqual(result.content, [{ type: 'text', text: 'hi' }]);
        assert.equal(result.resultType, 'complete');
        assert.equal(result._meta[SERVER_INFO].name, 'theseus');
        assert.match((await ask('tools/call', echo(5))).result.content[0].text, /\/message/);
        assert.equal((await ask('tools/call', { name: 'no_such_tool' })).error.code, -32602);
    });

    test('has no more of what was removed', async () => {
        const removed = {
            'initialize': { protocolVersion: MODERN, capabilities: {}, clientInfo: { name: 'c', version: '1' } },
            'ping': {}, 'logging/setLevel': { level: 'info' }, 'resources/subscribe': { uri: 'a:b' },
            'resources/unsubscribe': { uri: 'a:b' }, 'tasks/list': {}, 'tasks/result': { taskId: 't' },
        };
        for (const [method, params] of Object.entries(removed))
            assert.equal((await ask(method, params)).error.code, -32601, method);
    });

    test('wants its version and the capabilities with every request', async () => {
        for (const key of ['protocolVersion', 'clientCapabilities']) {
            const _meta = modernMeta();
            delete _meta[`io.modelcontextprotocol/${key}`];
            const { error } = await client.ask('tools/list', { _meta });
            assert.equal(error.code, -32602);
            assert.match(error.message, new RegExp(key));
        }
        const _meta = modernMeta();
        delete _meta['io.modelcontextprotocol/clientInfo'];
        assert.ok((await client.ask('tools/list', { _meta })).result);
    });

    test('names its versions to who wants another', async () => {
        const _meta = { 'io.modelcontextprotocol/protocolVersion': '2030-01-01' };
        const { error } = await ask('tools/list', { _meta });
        assert.equal(error.code, -32022);
        assert.deepEqual(error.data, { supported: [MODERN], requested: '2030-01-01' });
    });

    test('reports progress and stays silent after a cancellation', async () => {
        await slowTool(ask);
        await ask('tools/call', { name: 'slow', arguments: { ms: 200, steps: 4 }, _meta: { progressToken: 'p' } });
        assert.ok(client.notifications('notifications/progress').length > 0);
        const params = { name: 'slow', arguments: { ms: 600_000 }, _meta: modernMeta() };
        client.start('tools/call', params, 'dropped');
        client.notify('notifications/cancelled', { requestId: 'dropped', _meta: modernMeta() });
        await ask('tools/call', { name: 'slow', arguments: { ms: 400 } });
        assert.deepEqual(client.recorder.answersTo('dropped'), []);
    });

    test('tells each listener of a change, tagged, and nobody who did not ask', async () => {
        const listen = (id, notifications) =>
            client.start('subscriptions/listen', { notifications, _meta: modernMeta() }, id);
        const tagged = (method, id) =>
            client.notifications(method).filter((message) => message.params._meta[SUBSCRIPTION] === id);

        listen('one', { toolsListChanged: true, resourceSubscriptions: ['x:y'] });
        listen(2, { toolsListChanged: true });
        listen('deaf', {});
        await until('three acknowledgements', () => client.notifications(ACKNOWLEDGED).length === 3);
        assert.deepEqual(tagged(ACKNOWLEDGED, 'one')[0].params.notifications, { toolsListChanged: true });
        assert.deepEqual(tagged(ACKNOWLEDGED, 'deaf')[0].params.notifications, {});

        sandbox.drop('greet');
        await until('both announcements', () => client.notifications(LIST_CHANGED).length === 2);
        assert.equal(tagged(LIST_CHANGED, 'one').length, 1);
        assert.equal(tagged(LIST_CHANGED, 2).length, 1);

        client.notify('notifications/cancelled', { requestId: 'one' });
        sandbox.remove('greet');
        await until('one announcement more', () => tagged(LIST_CHANGED, 2).length === 2);
        assert.equal(tagged(LIST_CHANGED, 'one').length, 1);
        assert.deepEqual(client.recorder.answersTo('one'), []);
    });

    test('refuses a listener that does not say for what', async () => {
        assert.equal((await ask('subscriptions/listen')).error.code, -32602);
    });

    test('refuses an array', async () => {
        client.text(JSON.stringify([{ jsonrpc: '2.0', id: 'a', method: 'tools/list', params: { _meta: modernMeta() } }]));
        await ask('tools/list');
        assert.deepEqual(client.recorder.answersTo('a'), []);
    });
});

describe('both eras in one process', () => {
    test('do not touch each other', async () => {
        assert.ok((await client.askModern('server/discover', {}, 'p')).result);
        client.notify('notifications/roots/list_changed');
        assert.equal((await client.initialize(NEWEST_LEGACY)).result.protocolVersion, NEWEST_LEGACY);
        assert.equal((await client.ask('tools/list')).result.resultType, undefined);
        assert.equal((await client.askModern('tools/list')).result.resultType, 'complete');
        assert.deepEqual((await client.ask('ping')).result, {});
        assert.equal((await client.askModern('ping')).error.code, -32601);
        assert.ok((await client.askModern('server/discover')).result);
    });

    test('hear of a change each in its own way', async () => {
        await client.initialize(NEWEST_LEGACY);
        client.start('subscriptions/listen', { notifications: { toolsListChanged: true }, _meta: modernMeta() }, 'l');
        await until('the acknowledgement', () => client.notifications(ACKNOWLEDGED).length === 1);
        sandbox.drop('greet');
        await until('both announcements', () => client.notifications(LIST_CHANGED).length === 2);
        const tags = client.notifications(LIST_CHANGED).map((message) => message.params?._meta?.[SUBSCRIPTION]);
        assert.deepEqual(tags.sort(), ['l', undefined]);
    });
});
