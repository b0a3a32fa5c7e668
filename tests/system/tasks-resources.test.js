/* Tasks and sessions under URIs: read, and told of when they change, whichever process has changed them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { ofThreads } from './lib/proc.js';
import { restarts } from './lib/restart.js';
import { Tasks, sql, worker } from './lib/tasks.js';

const META = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {},
};
const modern = (client, method, params = {}) => within(method, client.start(method, { ...params, _meta: META }).answer);
const eras = { modern, legacy: (client, method, params) => client.ask(method, params) };
const told = (client, uri) => client.notifications
    .filter((one) => one.method === 'notifications/resources/updated' && one.params.uri === uri).length;
const task = (id) => `theseus://tasks/${id}`;
const session = (id) => `theseus://sessions/${id}`;

/* {listen(uris), forget()} in each era. */
const subscriptions = {
    modern: (client) => {
        const ids = [];
        return {
            listen: async (uris) => {
                const acknowledged = () => client.notifications.filter((one) => /acknowledged$/.test(one.method)).length;
                const before = acknowledged();
                ids.push(client.start('subscriptions/listen', { notifications: { resourceSubscriptions: uris }, _meta: META }).id);
                await until('the acknowledgement', () => acknowledged() > before);
            },
            forget: async () => {
                ids.forEach((requestId) => client.notify('notifications/cancelled', { requestId }));
                await client.ask('ping');
            },
        };
    },
    legacy: (client) => {
        const all = [];
        return {
            listen: async (uris) => {
                all.push(...uris);
                for (const uri of uris)
                    assert.deepEqual((await client.ask('resources/subscribe', { uri })).result, {});
            },
            forget: async () => {
                for (const uri of all)
                    assert.deepEqual((await client.ask('resources/unsubscribe', { uri })).result, {});
            },
        };
    },
};

const read = async (client, uri, ask = eras.legacy) => {
    const { result, error } = await ask(client, 'resources/read', { uri });
    assert.ok(result, JSON.stringify(error));
    assert.equal(result.contents[0].mimeType, 'application/json');
    return JSON.parse(result.contents[0].text);
};
const threads = (client) => ofThreads(client.pid, 'comm').filter((name) => name.trim() === 'tasks').length;
const works = (what, body) => test(what, () => serving(async (client, home) => body(new Tasks(client), client, home)));

describe('the resources of tasks', { concurrency: 4 }, () => {
    for (const [era, ask] of Object.entries(eras))
        works(`are listed as templates, and read (${era})`, async (tasks, client) => {
            const { resourceTemplates } = (await ask(client, 'resources/templates/list')).result;
            assert.deepEqual(resourceTemplates.map((one) => one.uriTemplate).filter((uri) => uri.startsWith('theseus:')),
                ['theseus://sessions/{id}', 'theseus://tasks/{id}']);
            const { session_id } = await tasks.do('initialize_session');
            const parent = await tasks.plan('Parent'), child = await tasks.plan('Child', { parent_task_id: parent });
            await tasks.finish(child, { summary: 'all of it', detailed_work: 'x'.repeat(100_000) });
            const whole = await read(client, task(parent), ask);
            assert.deepEqual([whole.task_id, whole.title, whole.status, whole.session_id], [parent, 'Parent', 'pending', session_id]);
            assert.deepEqual(whole.children, [{ task_id: child, title: 'Child', status: 'completed' }]);
            assert.equal(whole.progress.percent, 100);
            const [artifact] = (await read(client, task(child), ask)).artifacts;
            assert.deepEqual([artifact.summary, artifact.bytes, artifact.next_action], ['all of it', 100_000, 'complete']);
            assert.ok(!('content' in artifact), 'the work itself is not repeated');
            const all = await read(client, session(session_id), ask);
            assert.deepEqual([all.session_id, all.tasks_total, all.progress.completed], [session_id, 2, 1]);
            assert.deepEqual(all.tasks.map((one) => one.task_id), [parent]);
            for (const uri of [task('task_nowhere'), session('session_nowhere'), task(session_id)]) {
                const { error } = await ask(client, 'resources/read', { uri });
                assert.equal(error.code, era === 'modern' ? -32602 : -32002, uri);
                assert.equal(error.data.uri, uri);
            }
        });

    for (const [era, subscribe] of Object.entries(subscriptions)) {
        works(`are told of when they change, and only then (${era})`, async (tasks, client) => {
            const { session_id } = await tasks.do('initialize_session');
            const parent = await tasks.plan('Parent'), child = await tasks.plan('Child', { parent_task_id: parent });
            const other = await tasks.plan('Other');
            assert.equal(threads(client), 1, 'nobody looks while nobody wants to know');
            const { listen, forget } = subscribe(client);
            await listen([task(parent), session(session_id)]);
            await tasks.do('update_task', { task_id: parent, title: 'Renamed' });
            await until('the task to be told of', () => told(client, task(parent)) > 0);
            assert.equal((await read(client, task(parent))).title, 'Renamed');
            await tasks.finish(child);
            await until('its child to be told of', () => told(client, task(parent)) > 1);
            await until('the session to be told of', () => told(client, session(session_id)) > 0);
            await until('the last of it', async () => {
                const before = told(client, task(parent));
                await tasks.do('update_task', { task_id: other, title: 'Of no concern' });
                return told(client, task(parent)) === before;
            });
            assert.equal(told(client, task(other)), 0);
            const before = told(client, task(parent));
            await tasks.do('delete_task', { task_id: parent, archive_instead: false, force: true });
            await until('its end to be told of', () => told(client, task(parent)) > before);
            await forget();
            await tasks.do('delete_task', { task_id: other, archive_instead: false });
        });

        works(`are told of when another server has changed them, also across a restart (${era})`, async (tasks, client, home) => {
            const task_id = await tasks.plan('Shared'), { session_id } = await tasks.do('get_status');
            const { listen, forget } = subscribe(client);
            await listen([task(task_id)]);
            const second = await worker(home, 'elsewhere');
            try {
                const rename = (title) => second.tasks.do('update_task', { task_id, session_id, title });
                await rename('One');
                await until('the change of another process', () => told(client, task(task_id)) > 0);
                const restarted = restarts(client);
                await rename('Two');
                await restarted;
                await until('the change during a restart', () => told(client, task(task_id)) >= 2);
                await rename('Three');
                await until('the change behind it', () => told(client, task(task_id)) >= 3);
                await forget();
                await until('nothing to be kept of it', async () => {
                    await rename(`Four ${told(client, task(task_id))}`);
                    return told(client, task(task_id)) < 5;
                });
                await second.client.close();
            } finally {
                await second.client.kill();
            }
            assert.equal((await sql(home, `SELECT title FROM tasks WHERE task_id = '${task_id}'`))[0], `Four ${told(client, task(task_id))}`);
        });
    }

    works('lose no change that follows at once upon the subscription', async (tasks, client) => {
        const task_id = await tasks.plan('Quick');
        for (let i = 1; i <= 30; i++) {
            const { listen, forget } = subscriptions.legacy(client);
            const before = told(client, task(task_id));
            await listen([task(task_id)]);
            await tasks.do('update_task', { task_id, title: `Quick ${i}` });
            await until('the change', () => told(client, task(task_id)) > before);
            await forget();
        }
    });
});
