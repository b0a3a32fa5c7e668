/* Resources of plugins: listed, read, subscribed to, in both eras. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { mortal, skip as skipCrashes } from './lib/crash.js';
import { restarts } from './lib/restart.js';

const META = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {},
};
const modern = (client, method, params = {}) => within(method, client.start(method, { ...params, _meta: META }).answer);
const eras = { modern, legacy: (client, method, params) => client.ask(method, params) };
const told = (client, method) => client.notifications.filter((one) => one.method === method).map((one) => one.params);
const UPDATED = 'notifications/resources/updated', CHANGED = 'notifications/resources/list_changed';

const serves = (what, body) => test(what, () => serving(async (client, home) => {
    await client.appears('note_today');
    await body(client, home);
}, { prepare: (home) => home.drop('notes') }));

describe('a resource', { concurrency: 4 }, () => {
    for (const [era, ask] of Object.entries(eras)) {
        serves(`is listed by URI, and as a template (${era})`, async (client) => {
            const { result } = await ask(client, 'resources/list');
            const own = result.resources.filter((one) => one.uri.startsWith('notes:'));
            assert.deepEqual(own, [
                { uri: 'notes://silent', name: 'silent' },
                { uri: 'notes://today', name: 'today', title: 'Today', description: 'Today\'s note.', mimeType: 'text/markdown' },
            ]);
            const { resourceTemplates } = (await ask(client, 'resources/templates/list')).result;
            assert.deepEqual(resourceTemplates.filter((one) => one.uriTemplate.startsWith('notes:')),
                [{ uriTemplate: 'notes://deadly/{name}', name: 'deadly' }, { uriTemplate: 'notes://month/{month}/day/{day}', name: 'day' }]);
            assert.equal((await client.names()).some((name) => name.includes('://')), false, 'it is no tool');
            assert.equal((await ask(client, 'resources/list', { cursor: 'x' })).error.code, -32602);
        });

        serves(`is read as what its handler says (${era})`, async (client) => {
            const read = async (uri) => (await ask(client, 'resources/read', { uri })).result?.contents;
            const { ttlMs, cacheScope } = (await ask(client, 'resources/read', { uri: 'notes://today' })).result;
            assert.deepEqual([ttlMs, cacheScope], era === 'modern' ? [0, 'private'] : [undefined, undefined]);
            assert.deepEqual(await read('notes://today'), [{ uri: 'notes://today', mimeType: 'text/markdown', text: 'nothing yet' }]);
            await client.text('note_today', { text: 'a walk' });
            assert.equal((await read('notes://today'))[0].text, 'a walk');
            const [day] = await read('notes://month/May/day/12');
            assert.deepEqual({ ...day, text: JSON.parse(day.text) },
                { uri: 'notes://month/May/day/12', mimeType: 'application/json', text: { month: 'May', day: '12' } });
        });

        serves(`that is not there is refused in the words of the revision (${era})`, async (client) => {
            const code = era === 'modern' ? -32602 : -32002;
            for (const uri of ['notes://yesterday', 'notes://month/May/day/31', 'notes://month//day/1', 'notes://month/a/b/day/1',
                'notes://month/May/day/1/', 'note_today', '']) {
                const { error } = await ask(client, 'resources/read', { uri });
                assert.equal(error.code, code, uri);
                assert.equal(error.data.uri, uri);
            }
            assert.equal((await ask(client, 'resources/read', { uri: 'notes://silent' })).error.code, -32603);
            assert.equal((await ask(client, 'resources/read', {})).error.code, -32602);
            assert.equal((await client.call('notes://today')).error.code, -32602, 'nor is it a tool');
        });
    }

    serves('tells a modern listener that it changed, before and behind a restart', async (client) => {
        client.start('subscriptions/listen', {
            notifications: { resourceSubscriptions: ['notes://today', 'notes://nowhere'], resourcesListChanged: true }, _meta: META,
        });
        const id = client.lastId;
        await until('the acknowledgement', () => told(client, 'notifications/subscriptions/acknowledged').length === 1);
        assert.deepEqual(told(client, 'notifications/subscriptions/acknowledged')[0].notifications,
            { resourcesListChanged: true, resourceSubscriptions: ['notes://today'] });
        await client.text('note_today', { text: 'one' });
        await until('the first change', () => told(client, UPDATED).length === 1);
        await restarts(client);
        await client.text('note_today', { text: 'two' });
        await until('the second change', () => told(client, UPDATED).length === 2);
        for (const params of told(client, UPDATED))
            assert.deepEqual(params, { _meta: { 'io.modelcontextprotocol/subscriptionId': id }, uri: 'notes://today' });
        assert.equal(told(client, CHANGED).length, 0);
    });

    serves('tells a legacy session, from its subscription to its end', async (client) => {
        const note = (text) => client.text('note_today', { text });
        await note('unheard');
        assert.equal((await client.ask('resources/subscribe', { uri: 'notes://nowhere' })).error.code, -32002);
        assert.deepEqual((await client.ask('resources/subscribe', { uri: 'notes://today' })).result, {});
        assert.deepEqual((await client.ask('resources/subscribe', { uri: 'notes://today' })).result, {});
        await note('one');
        await until('the first change', () => told(client, UPDATED).length === 1);
        await restarts(client);
        await note('two');
        await until('the second change', () => told(client, UPDATED).length === 2);
        assert.deepEqual(told(client, UPDATED), [{ uri: 'notes://today' }, { uri: 'notes://today' }]);
        assert.deepEqual((await client.ask('resources/unsubscribe', { uri: 'notes://today' })).result, {});
        await note('three');
        await client.ask('ping');
        assert.equal(told(client, UPDATED).length, 2);
    });

    serves('comes and goes with its plugin, and clients are told', async (client, home) => {
        const before = told(client, CHANGED).length;
        home.delete('notes.so');
        await client.vanishes('note_today');
        await until('the change to be told', () => told(client, CHANGED).length === before + 1);
        assert.equal((await client.ask('resources/read', { uri: 'notes://today' })).error.code, -32002);
        home.drop('greet');
        await client.appears('greet');
        await client.ask('ping');
        assert.equal(told(client, CHANGED).length, before + 1, 'a tool is no resource');
    });

    test('that crashes its plugin costs one error', { skip: skipCrashes }, () => serving(async (client) => {
        await client.appears('note_today');
        const { error } = await client.ask('resources/read', { uri: 'notes://deadly/x' });
        assert.equal(error.code, -32603);
        assert.equal(error.data.plugin, 'notes');
        assert.equal(error.data.signal, 'SIGABRT');
        assert.equal((await client.ask('resources/read', { uri: 'notes://today' })).result.contents[0].text, 'nothing yet');
    }, mortal({}, ['notes'])));

    serves('theseus://status is how the server is', async (client) => {
        const { contents: [status] } = (await client.ask('resources/read', { uri: 'theseus://status' })).result;
        assert.equal(status.mimeType, 'application/json');
        assert.equal(JSON.parse(status.text).healthy, true);
    });
});
