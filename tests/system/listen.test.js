/* One server, many clients: its socket, who comes and goes there, and what a restart and a crash are to them. */
import assert from 'node:assert/strict';
import { existsSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { judgeCrash, skip as skipCrashes, unlimited } from './lib/crash.js';
import { Client } from './lib/client.js';
import { Home } from './lib/home.js';
import { restarts } from './lib/restart.js';
import { listening } from './lib/socket.js';

const connections = async (client) =>
    (await client.value('orchestrator_health_check')).checks.connections;
const counted = (client, count) => until(`${count} connections`, async () =>
    (await connections(client)).active_connections === count);
const mode = (path) => statSync(path).mode & 0o777;

/* A server that is refused; what it says. */
async function refusal(home) {
    const server = new Client(home, { more: ['--listen'], stdio: ['ignore', 'pipe', 'pipe'] });
    const { code } = await within('the refusal', server.exited);
    assert.equal(code, 1, server.stderr);
    return server.stderr;
}

describe('a server that listens', { concurrency: 4 }, () => {
    test('serves many clients, each for itself, and ends with none of them', () => listening(async (one) => {
        const clients = await one.many(20);
        const texts = await Promise.all(clients.map((client, i) => client.text('echo', { message: `m${i}` })));
        assert.deepEqual(texts, clients.map((_, i) => `m${i}`));
        assert.equal(mode(one.path), 0o600);
        assert.equal(mode(one.home.path('run')), 0o700);
        await counted(clients[0], 20);
        await clients[1].end();
        await clients[2].destroy();
        await counted(clients[0], 18);
        for (const client of clients.slice(3))
            await client.destroy();
        await counted(clients[0], 1);
        await clients[0].destroy();
        const last = await one.client();
        assert.equal(await last.text('echo', { message: 'still there' }), 'still there');
        await counted(last, 1);
        await one.server.signal('SIGTERM');
        await within('the end of the connection', last.closed);
        assert.ok(!existsSync(one.path), 'the socket is removed');
    }));

    test('goes on without the client that has started it', () => listening(async (one) => {
        const other = await one.client();
        await one.server.initialize();
        assert.equal(await one.server.text('echo', { message: 'a' }), 'a');
        await counted(other, 2);
        one.server.process.stdin.end();
        await counted(other, 1);
        assert.equal(await other.text('echo', { message: 'b' }), 'b');
    }, { stdio: ['pipe', 'pipe', 'pipe'] }));

    test('a client that says no more gets every answer, one that is gone is forgotten with its calls', () => listening(async (one) => {
        const [polite, rude, other] = await one.many(3);
        await other.appears('slow');
        const answer = polite.call('slow', { ms: 200 });
        polite.socket.end();
        assert.equal((await within('the answer', answer)).result.isError, undefined);
        await within('the end', polite.closed);
        rude.call('slow', { ms: 60_000 }).catch(() => {});
        await until('the call to run', async () => (await other.plugin('slow')).in_flight === 1);
        await rude.destroy();
        await until('the call to end', async () => (await other.plugin('slow')).in_flight === 0);
        await counted(other, 1);
    }, { prepare: (home) => home.drop('slow') }));

    test('tells every client of changed tools, once', () => listening(async (one, home) => {
        const clients = await one.many(5);
        await clients[0].names();
        home.drop('greet');
        await clients[0].appears('greet');
        await until('everybody to know', () => clients.every((client) => client.changes() === 1));
    }));
});

describe('across a restart', { concurrency: 4 }, () => {
    test('every client stays, and every request of 50 of them is answered once', () => listening(async (one) => {
        const clients = await one.many(50);
        await clients[0].names();
        const answers = clients.flatMap((client, i) => Array.from({ length: 20 }, (_, n) =>
            client.call('echo', { message: `${i}/${n}` }).then((answer) => assert.equal(answer.result.content[0].text, `${i}/${n}`))));
        for (let i = 0; i < 3; i++) {
            await restarts({ value: (name, args) => clients[i].value(name, args), pid: one.pid });
            answers.push(...clients.map((client, n) => client.text('echo', { message: `again ${n}` })));
        }
        await within('all answers', Promise.all(answers));
        await counted(clients[0], 50);
    }));

    test('who comes meanwhile is served by the next image', () => listening(async (one) => {
        const first = await one.client();
        await first.names();
        const restart = restarts({ value: (name, args) => first.value(name, args), pid: one.pid });
        const others = await Promise.all(Array.from({ length: 20 }, () => one.client()));
        await restart;
        const texts = await Promise.all(others.map((client, i) => client.text('echo', { message: `m${i}` })));
        assert.deepEqual(texts, others.map((_, i) => `m${i}`));
        await counted(first, 21);
    }));

    test('numbers are not given out twice, and the socket is one that clients find', () => listening(async (one) => {
        const [first, second] = await one.many(2);
        await first.names();
        await second.destroy();
        await counted(first, 1);
        await restarts({ value: (name, args) => first.value(name, args), pid: one.pid });
        const third = await one.client();
        const { results } = await first.value('orchestrator_reconnect_test');
        assert.equal(results.sessions.length, 2);
        assert.equal(results.all_sessions.reconnect_capable, 2);
        assert.equal(await third.text('echo', { message: 'x' }), 'x');
    }));

    test('a crash costs the call that crashed, and no client', { skip: skipCrashes }, () => listening(async (one) => {
        const clients = await one.many(10);
        await clients[0].appears('die_null');
        for (let round = 0; round < 3; round++) {
            const others = clients.slice(1).map((client, i) => client.text('echo', { message: `${round}/${i}` }));
            judgeCrash(await within('the answer', clients[0].call('die_null')), { signal: 'SIGSEGV' });
            assert.deepEqual(await Promise.all(others), others.map((_, i) => `${round}/${i}`));
        }
        await counted(clients[0], 10);
        assert.equal(await (await one.client()).text('echo', { message: 'new' }), 'new');
    }, { prepare: (home) => { home.drop('dies'); home.configure(unlimited); } }));
});

describe('the socket', { concurrency: 4 }, () => {
    const homed = async (body) => {
        const home = new Home();
        try {
            await body(home, home.path('run', 'theseus.sock'));
        } finally {
            home.dispose();
        }
    };

    test('that was left behind is replaced', () => listening(async (one) => {
        assert.equal(await (await one.client()).text('echo', { message: 'a' }), 'a');
        await one.server.kill();
        assert.ok(existsSync(one.path));
        const { Listening } = await import('./lib/socket.js');
        const next = new Listening(one.home);
        try {
            const client = await next.client();
            assert.equal(await client.text('echo', { message: 'b' }), 'b');
            await client.destroy();
            assert.match(await refusal(one.home), new RegExp(`a server \\(pid ${next.pid}\\) listens on '.*' already; end it with: kill`));
        } finally {
            await next.server.kill();
        }
    }));

    test('is not made where something else stands', () => homed(async (home, path) => {
        symlinkSync('/tmp/elsewhere', path);
        assert.match(await refusal(home), /is a symbolic link, and no socket; if nobody needs it, remove it with: rm/);
    }));

    test('nor over a file', () => homed(async (home, path) => {
        writeFileSync(path, 'precious');
        assert.match(await refusal(home), /is a file, and no socket/);
    }));

    test('nor where somebody else listens', () => homed(async (home, path) => {
        const other = createServer().listen(path);
        try {
            await new Promise((resolve) => { other.on('listening', resolve); });
            assert.match(await refusal(home), new RegExp(`a server \\(pid ${process.pid}\\) listens`));
        } finally {
            other.close();
        }
    }));

    test('nor in a directory that is open to others', () => homed(async (home) => {
        const { chmodSync } = await import('node:fs');
        chmodSync(home.path('run'), 0o755);
        assert.match(await refusal(home), /is open to others; mend it with: chmod 700/);
    }));
});
