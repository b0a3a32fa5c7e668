/* `theseus connect` and a server that says what it is told to: each request has one answer, whatever becomes of the socket. */
import assert from 'node:assert/strict';
import { mkdirSync, readlinkSync, statSync } from 'node:fs';
import { describe, test } from 'node:test';

import { pause, until, within } from '../clients/lib/until.js';
import { Client } from './lib/client.js';
import { Home } from './lib/home.js';
import { Installed, candidate } from './lib/installed.js';
import { Scripted } from './lib/scripted.js';

/* Runs `body(client, server, home)`; the server listens already unless `late`. */
async function connected(body, { late = false, sections = {}, Place = Home } = {}) {
    const home = new Place();
    mkdirSync(home.path('run'), { mode: 0o700, recursive: true });
    home.configure(sections);
    const server = new Scripted(home.path('run', 'theseus.sock'));
    let client;
    try {
        if (!late)
            await server.start();
        client = new Client(home, { args: ['connect', '--no-start', '-c', home.config], cwd: home.root });
        await body(client, server, home);
        assert.deepEqual(client.problems, []);
    } finally {
        await client?.kill();
        if (server.server)
            server.end();
        home.dispose();
    }
}

const answered = (started) => within('the answer', started.answer);

describe('connect', { concurrency: 4 }, () => {
    test('says who it is, and passes on what comes, byte for byte', () => connected(async (client, server, home) => {
        client.write('{"jsonrpc": "2.0",  "id":1,"method":"ping", "params":{"x":1.50,"y":"\\u00e9"}}\nno json\n');
        const peer = await server.peer();
        const hello = await peer.greet();
        assert.equal(hello.method, 'theseus/hello');
        assert.deepEqual({ ...hello.params, version: undefined }, {
            protocol: 1, version: undefined, directory: home.root, pid: client.pid,
        });
        await until('both lines', () => peer.raw.length === 3);
        assert.deepEqual(peer.raw.slice(1), [
            '{"jsonrpc": "2.0",  "id":1,"method":"ping", "params":{"x":1.50,"y":"\\u00e9"}}', 'no json',
        ]);
        peer.say('{"jsonrpc":"2.0","error":{"code":-32700,"message":"no"}}');
        peer.say('{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1e2}}');
        await until('what the server says', () => client.idless.length === 1 && client.notifications.length === 1);
        assert.equal(client.notifications[0].params.data, 100);
    }));

    test('passes on what cannot be read, and the answer under its id', () => connected(async (client, server) => {
        const peer = await server.peer();
        await peer.greet();
        const write = client.write.bind(client);
        client.write = (line) => write(line.replace('"none"', 'NaN'));
        const unread = client.start('tools/call', { name: 'none' });
        await until('the line', () => peer.raw.length === 2);
        assert.match(peer.raw[1], /NaN/);
        peer.say(JSON.stringify({ jsonrpc: '2.0', id: unread.id, error: { code: -32700, message: 'no' } }));
        assert.equal((await answered(unread)).error.code, -32700);
        write(`{"jsonrpc":"2.0","id":"long","method":"ping","params":{"x":"${'y'.repeat(2048)}"}}\n`);
        await until('an error', () => client.idless.length > 0);
        assert.match(client.idless[0].error.message, /limits\.max_line/);
    }, { sections: { limits: { max_line: '1K' } } }));

    test('acknowledges answers, with its next line or soon', () => connected(async (client, server) => {
        const peer = await server.peer();
        await peer.greet();
        const started = client.start('tools/call', { name: 'a' });
        peer.answer((await peer.next()).id);
        await answered(started);
        await until('the acknowledgement', () => peer.acknowledged === 1);
    }));

    test('knows an answer by its id, however it is written', () => connected(async (client, server) => {
        const peer = await server.peer();
        await peer.greet();
        let text = '';
        client.process.stdout.on('data', (more) => { text += more; });
        const ids = [7, -7, 0, 123456789012345678, '7', 'a"b', 'a\\', 'ü', '\u2028', '', 'x'.repeat(40)];
        const ways = [(id) => `{"jsonrpc":"2.0","id":${id},"result":{"is":1}}`, (id) => `{"jsonrpc":"2.0","id":${id},"error":{"code":1,"message":"\\u00fc"}}`,
            (id) => `{"id":${id},"jsonrpc":"2.0","result":{"id":0,"method":"no"}}`, (id) => ` {"jsonrpc": "2.0", "id": ${id}, "result": {}}`];
        for (const [i, way] of ways.entries())
            for (const id of ids) {
                client.write(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"method":"ping"}\n`);
                await peer.next();
                for (let twice = 0; twice < 2; twice++)
                    peer.say(way(i % 2 ? JSON.stringify(id).replace('ü', '\\u00fc') : JSON.stringify(id)));
            }
        const last = client.start('ping');
        peer.answer((await peer.next()).id);
        await answered(last);
        assert.equal(text.split('\n').length - 1, ways.length * ids.length + 1, 'each once');
        client.problems = []; /* answers that it has not asked for itself */
    }));

    test('asks a new socket what became of each request, and answers each once', () => connected(async (client, server) => {
        const first = await server.peer();
        await first.greet();
        const calls = ['lost', 'runs', 'done', 'unknown'].map((name) => client.start('tools/call', { name }));
        for (const call of calls)
            assert.equal((await first.next()).id, call.id);
        const [lost, runs, done, unknown] = calls;
        first.drop();
        const second = await server.peer();
        const resume = await second.resume({
            [lost.id]: 'never seen', [runs.id]: 'pending', [done.id]: 'answered', [unknown.id]: 'uncertain',
        });
        assert.equal(resume.method, 'theseus/resume');
        assert.deepEqual(resume.params.unanswered, calls.map((call) => call.id));
        assert.equal(resume.params.session, 'one');
        assert.equal(resume.params.secret, 's'.repeat(64));
        second.answer(done.id, { is: 'done' });
        assert.deepEqual((await answered(done)).result, { is: 'done' });
        assert.equal((await second.next()).id, lost.id, 'what was never seen is sent again');
        second.answer(runs.id, { is: 'late' });
        second.answer(runs.id, { is: 'twice' });
        assert.deepEqual((await answered(runs)).result, { is: 'late' });
        second.answer(lost.id);
        await answered(lost);
        const { error } = await answered(unknown);
        assert.equal(error.data.may_have_executed, true);
        assert.match(error.message, /may have been executed/);
    }));

    test('looks again soon for a server that goes while it is greeted', () => connected(async (client, server) => {
        const call = client.start('tools/call', { name: 'a' }), begin = Date.now();
        for (let i = 0; i < 4; i++) { /* by steps of 1, 2, 4 and 8 s, and at best half of each, that is 7.5 s */
            const peer = await server.peer();
            assert.equal((await peer.next()).method, 'theseus/hello');
            peer.drop();
        }
        const peer = await server.peer();
        await peer.greet();
        assert.equal((await peer.next()).id, call.id);
        assert.ok(Date.now() - begin < 7000, `${Date.now() - begin} ms`);
    }));

    test('asks again when a socket goes before it has greeted', () => connected(async (client, server) => {
        const first = await server.peer();
        await first.greet();
        const call = client.start('tools/call', { name: 'once', filler: 'x'.repeat(2000) }); /* longer than a greeting */
        assert.equal((await first.next()).id, call.id);
        first.drop();
        (await server.peer()).drop();
        const third = await server.peer();
        const resume = await third.resume({ [call.id]: 'pending' });
        assert.deepEqual(resume.params.unanswered, [call.id], 'it may have been executed');
        third.answer(call.id, { is: 'late' });
        assert.deepEqual((await answered(call)).result, { is: 'late' });
        assert.equal(third.lines.filter((line) => line.id === call.id).length, 0, 'it is not said twice');
    }));

    test('what only tells is asked again where its fate is not known', () => connected(async (client, server) => {
        const first = await server.peer();
        await first.greet();
        const list = client.start('tools/list');
        assert.equal((await first.next()).id, list.id);
        first.drop();
        const second = await server.peer();
        await second.resume({ [list.id]: 'uncertain' });
        assert.equal((await second.next()).id, list.id);
        second.answer(list.id, { tools: [] });
        assert.deepEqual((await answered(list)).result, { tools: [] });
    }));

    test('keeps what is asked while there is no server, in order', () => connected(async (client, server) => {
        const calls = ['a', 'b', 'c'].map((name) => client.start('tools/call', { name }));
        client.notify('notifications/roots/list_changed');
        await server.start();
        const peer = await server.peer();
        await peer.greet();
        for (const call of calls)
            assert.equal((await peer.next()).id, call.id);
        assert.equal((await peer.next()).method, 'notifications/roots/list_changed');
    }, { late: true }));

    test('keeps buffer.max_buffer_size requests, for buffer.buffer_expiration', () => connected(async (client) => {
        client.process.stdin.cork(); /* one write: none of them has expired when the last one comes */
        const calls = Array.from({ length: 4 }, () => client.start('tools/call', { name: 'a' }));
        client.process.stdin.uncork();
        const { error: more } = await answered(calls[3]);
        assert.match(more.message, /3 requests wait for it already \(buffer\.max_buffer_size\).*not executed/);
        const { error } = await answered(calls[0]);
        assert.match(error.message, /for 1 s \(buffer\.buffer_expiration\): no server answers at .*not executed/s);
        await answered(calls[2]);
    }, { late: true, sections: { buffer: { max_buffer_size: 3, buffer_expiration: 1 } } }));

    test('a request that is cancelled while it is kept is never sent', () => connected(async (client, server) => {
        const { id } = client.start('tools/call', { name: 'a' });
        client.notify('notifications/cancelled', { requestId: id });
        const other = client.start('tools/call', { name: 'b' });
        /* What comes behind both is refused: they are there before the server, which could not know of one that came later. */
        assert.match((await answered(client.start('ping', {}, 'theseus:9'))).error.message, /reserved/);
        await server.start();
        const peer = await server.peer();
        await peer.greet();
        assert.equal((await peer.next()).id, other.id);
    }, { late: true }));

    test('what has not left as a whole is sent again', () => connected(async (client, server) => {
        const first = await server.peer();
        await first.greet();
        first.socket.pause(); /* the socket fills up */
        const filler = 'x'.repeat(300_000);
        const calls = Array.from({ length: 8 }, () => client.start('tools/call', { name: 'a', filler }));
        await pause(100);
        first.drop();
        const second = await server.peer();
        const resume = await second.resume(Object.fromEntries(calls.map(({ id }) => [id, 'never seen'])));
        assert.ok(resume.params.unanswered.length < calls.length, 'some were certainly never accepted');
        for (const call of calls)
            assert.equal((await second.next()).id, call.id);
    }));
});

describe('connect to a server that knows nothing of the session', { concurrency: 4 }, () => {
    const anew = async (server) => {
        const peer = await server.peer();
        assert.equal((await peer.refuse('unknown session')).method, 'theseus/resume');
        assert.equal((await peer.greet('two')).method, 'theseus/hello');
        return peer;
    };

    test('says the handshake again, and what may have been executed is told', () => connected(async (client, server) => {
        const first = await server.peer();
        await first.greet();
        const shake = client.start('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'a', version: '1' } });
        await first.next();
        first.answer(shake.id, { protocolVersion: '2025-11-25' });
        await answered(shake);
        client.notify('notifications/initialized');
        const level = client.start('logging/setLevel', { level: 'info' });
        await first.next();
        await first.next();
        first.answer(level.id);
        await answered(level);
        const call = client.start('tools/call', { name: 'a' }), list = client.start('tools/list');
        await first.next();
        await first.next();
        first.drop();
        const second = await anew(server);
        const initialize = await second.next();
        assert.equal(initialize.method, 'initialize');
        assert.match(initialize.id, /^theseus:/);
        assert.equal(initialize.params.clientInfo.name, 'a');
        assert.equal((await second.next()).method, 'notifications/initialized');
        const again = await second.next();
        assert.deepEqual([again.method, again.params.level], ['logging/setLevel', 'info']);
        assert.equal((await second.next()).id, list.id);
        second.answer(initialize.id, { protocolVersion: '2025-11-25' });
        second.answer(again.id);
        second.answer(list.id, { tools: [] });
        assert.deepEqual((await answered(list)).result, { tools: [] });
        assert.equal((await answered(call)).error.data.may_have_executed, true);
        assert.deepEqual(client.notifications.map((one) => one.method), [
            'notifications/tools/list_changed', 'notifications/resources/list_changed',
        ]);
    }));

    test('opens subscriptions again, and the client hears of what changed, not of that', () => connected(async (client, server) => {
        const first = await server.peer();
        await first.greet();
        const acknowledge = (peer, id) => peer.say({
            method: 'notifications/subscriptions/acknowledged',
            params: { _meta: { 'io.modelcontextprotocol/subscriptionId': id }, notifications: { toolsListChanged: true } },
        });
        const { id } = client.start('subscriptions/listen', { notifications: { toolsListChanged: true } });
        await first.next();
        acknowledge(first, id);
        await until('the acknowledgement', () => client.notifications.length === 1);
        first.drop();
        const second = await anew(server);
        assert.equal((await second.next()).id, id);
        acknowledge(second, id);
        await until('the change', () => client.notifications.length === 2);
        assert.equal(client.notifications[1].method, 'notifications/tools/list_changed');
        assert.equal(client.notifications[1].params._meta['io.modelcontextprotocol/subscriptionId'], id);
    }));

    test('does not take an answer to a question of the other one', () => connected(async (client, server) => {
        const first = await server.peer();
        await first.greet();
        first.say({ id: 'q', method: 'elicitation/create', params: {} });
        await until('the question', () => client.notifications.length === 1);
        first.drop();
        const second = await anew(server);
        client.write('{"jsonrpc":"2.0","id":"q","result":{"action":"accept"}}\n');
        const ping = client.start('ping');
        assert.equal((await second.next()).id, ping.id);
    }));
});

describe('connect, at its edges', { concurrency: 4 }, () => {
    test('an array of requests is one line, answered as a whole or each for itself', () => connected(async (client, server) => {
        const peer = await server.peer();
        await peer.greet();
        const [a, b] = [client.start('ping'), client.start('ping')]; /* their ids, in use by the test's client */
        await peer.next();
        await peer.next();
        peer.answer(a.id);
        peer.answer(b.id);
        client.write('[{"jsonrpc":"2.0","id":71,"method":"tools/call"},{"jsonrpc":"2.0","id":72,"method":"ping"}]\n');
        assert.equal((await peer.next()).length, 2);
        peer.drop();
        const second = await server.peer();
        assert.deepEqual((await second.resume({ 71: 'never seen', 72: 'never seen' })).params.unanswered, [71, 72]);
        assert.equal((await second.next()).length, 2);
    }));

    test('ids of its own are refused to a client', () => connected(async (client, server) => {
        const peer = await server.peer();
        await peer.greet();
        const { error } = await answered(client.start('ping', {}, 'theseus:9'));
        assert.match(error.message, /reserved/);
    }));

    test('at the end of input it says so, passes the last answers on and leaves', () => connected(async (client, server) => {
        const peer = await server.peer();
        await peer.greet();
        const call = client.start('tools/call', { name: 'a' });
        await peer.next();
        client.process.stdin.end();
        assert.equal((await peer.next()).method, 'theseus/bye');
        await until('the end', () => peer.ended);
        peer.answer(call.id);
        peer.socket.end();
        await answered(call);
        assert.equal((await within('leaving', client.exited)).code, 0);
    }));

    test('told to end it says so, and leaves at once', () => connected(async (client, server) => {
        const peer = await server.peer();
        await peer.greet();
        client.start('tools/call', { name: 'a' });
        await peer.next();
        client.process.kill('SIGTERM');
        assert.equal((await peer.next()).method, 'theseus/bye');
        assert.deepEqual(await within('leaving', client.exited), { code: 0, signal: null });
    }));

    test('without a server it leaves at the end of input, and what was kept is answered', () => connected(async (client) => {
        const call = client.start('tools/call', { name: 'a' });
        client.process.stdin.end();
        assert.match((await answered(call)).error.message, /no server answers.*not executed/s);
        assert.equal((await within('leaving', client.exited)).code, 0);
    }, { late: true }));

    test('a greeting that is refused for its version is told', () => connected(async (client, server) => {
        const call = client.start('ping');
        await (await server.peer()).refuse('protocol 9 is spoken here; upgrade the client');
        assert.match((await answered(call)).error.message, /protocol 9 is spoken here/);
    }));
});

describe('connect, when its own file changes', { concurrency: 4 }, () => {
    const runs = (client, path) => {
        const [own, there] = [statSync(`/proc/${client.pid}/exe`), statSync(path)];
        return own.ino === there.ino;
    };

    test('becomes the new version under its client and its socket', () => connected(async (client, server, home) => {
        const peer = await server.peer();
        await peer.greet();
        const shake = client.start('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'a', version: '1' } });
        await peer.next();
        peer.answer(shake.id, { protocolVersion: '2025-11-25' });
        await answered(shake);
        const { id } = client.start('subscriptions/listen', { notifications: { toolsListChanged: true } });
        await peer.next();
        peer.say({
            method: 'notifications/subscriptions/acknowledged',
            params: { _meta: { 'io.modelcontextprotocol/subscriptionId': id }, notifications: {} },
        });
        await until('the acknowledgement', () => client.notifications.length === 1);
        const running = client.start('tools/call', { name: 'slow' });
        await peer.next();
        home.install(candidate('none'));
        await pause(400); /* it is not idle, so nothing happens; a shorter time would only show less */
        assert.equal(runs(client, home.program), false);
        peer.answer(running.id);
        await answered(running);
        await until('the new version', () => runs(client, home.program));
        const after = client.start('ping');
        assert.equal((await peer.next()).id, after.id, 'no other greeting');
        peer.answer(after.id);
        await answered(after);
        peer.drop();
        const second = await server.peer();
        assert.deepEqual((await second.refuse('unknown session')).params.unanswered, [id]);
        await second.greet('two');
        assert.equal((await second.next()).params.clientInfo.name, 'a', 'the handshake came along');
        assert.equal((await second.next()).id, id);
    }, { Place: Installed }));

    test('goes on as it is when the new one is no good', () => connected(async (client, server, home) => {
        const peer = await server.peer();
        await peer.greet();
        home.installText('#!/bin/sh\nexit 1\n');
        await until('the refusal', () => /this version goes on/.test(client.stderr));
        const ping = client.start('ping');
        assert.equal((await peer.next()).id, ping.id);
        assert.match(readlinkSync(`/proc/${client.pid}/exe`), /theseus \(deleted\)$/);
    }, { Place: Installed }));
});
