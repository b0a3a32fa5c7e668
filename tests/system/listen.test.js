/* One server, many clients: its socket, who comes and goes there, and what a restart and a crash are to them. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { judgeCrash, skip as skipCrashes, unlimited } from './lib/crash.js';
import { Client } from './lib/client.js';
import { Home } from './lib/home.js';
import { alive, standing } from './lib/proc.js';
import { restarts } from './lib/restart.js';
import { Listening, SocketClient, listening } from './lib/socket.js';

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
        const { contents: [content] } = (await clients[0].ask('resources/read', { uri: 'theseus://connections' })).result;
        const known = JSON.parse(content.text);
        assert.equal(known.connections.length, 20);
        assert.deepEqual(known.listener, { path: one.path, accepted: 20, refused: 0, turned_away: 0 });
        for (const { client, transport, uid, state, since } of known.connections)
            assert.deepEqual([client, transport, uid, state, Date.now() - Date.parse(since) < 60_000],
                [{ name: 'system', version: '1' }, 'unix', process.getuid(), 'active', true]);
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

const hello = (client, more = {}) => client.start('theseus/hello', {
    protocol: 1, version: '0.1.0', directory: '/some/where', pid: process.pid, ...more,
}, 'theseus:1').answer;

describe('theseus/hello', { concurrency: 4 }, () => {
    test('names the session, and where the client was started', () => listening(async (one) => {
        const client = await one.connect();
        const { result } = await hello(client);
        assert.equal(result.protocol, 1);
        assert.equal(result.pid, one.pid);
        assert.match(result.session, /^[0-9a-f]{32}$/);
        assert.match(result.secret, /^[0-9a-f]{64}$/);
        await client.initialize();
        await client.appears('who');
        const said = () => client.value('who');
        const who = await said();
        assert.equal(who.directory, '/some/where');
        assert.equal(who.transport, 'unix');
        assert.equal(who.session, result.session);
        assert.equal(who.uid, process.getuid());
        await restarts({ value: (name, args) => client.value(name, args), pid: one.pid });
        assert.deepEqual(await said(), who);
        assert.doesNotMatch(one.home.log, new RegExp(result.secret));
        const other = await one.client(); /* who says no hello is an ordinary client */
        assert.notEqual((await other.value('who')).directory, '/some/where');
    }, { prepare: (home) => home.drop('client') }));

    test('is refused where it is not understood', () => listening(async (one) => {
        const refused = async (more) => {
            const client = await one.connect();
            const { error } = await hello(client, more);
            assert.equal(error.code, -32600, JSON.stringify(error));
            return error;
        };
        assert.equal((await hello(await one.connect(), { protocol: 2 })).result.protocol, 1);
        const later = await refused({ protocol: 3 });
        assert.deepEqual(later.data, { protocol: 1 });
        assert.match(later.message, /upgrade the server/);
        assert.match((await refused({ protocol: 0 })).message, /upgrade the program that connects/);
        assert.match((await refused({ directory: 'relative' })).message, /no absolute path/);
        assert.match((await refused({ directory: undefined })).message, /'directory' is missing/);
        const client = await one.client();
        assert.match((await hello(client)).error.message, /is the first line/);
    }));
});

describe('a client that misbehaves', { concurrency: 4 }, () => {
    /* The others are served as if it were not there. */
    const unharmed = async (client) => {
        const begin = Date.now();
        for (let i = 0; i < 20; i++)
            assert.equal(await client.text('echo', { message: `${i}` }), `${i}`);
        return (Date.now() - begin) / 20;
    };

    test('by saying what is no message harms itself alone', () => listening(async (one) => {
        const [client, bad] = await one.many(2);
        bad.write('\x00\x01\x02 garbage \xff\n{"jsonrpc":"2.0"\n[]\n"x"\n\n\n{}\n');
        await until('the errors', () => bad.idless.length === 5);
        bad.write(`{"half":"a line${'x'.repeat(1 << 20)}`);
        await unharmed(client);
        bad.write(`${'y'.repeat(9 << 20)}\n`);
        await until('one more error', () => bad.idless.length === 6);
        assert.equal(await bad.text('echo', { message: 'better' }), 'better');
        await unharmed(client);
    }));

    test('by asking more than there are workers for lets others take their turn', () => listening(async (one) => {
        const [client, flood] = await one.many(2);
        await client.appears('slow');
        const calls = Array.from({ length: 150 }, () => flood.call('slow', { ms: 20 }));
        await flood.ask('ping');
        const begin = Date.now();
        for (let i = 0; i < 5; i++)
            await client.text('slow', { ms: 1 });
        const ms = Date.now() - begin;
        const open = flood.open;
        assert.ok(open > 10, `${open} of the flood are open still, after ${ms} ms`);
        await within('the flood', Promise.all(calls), 60_000);
    }, { prepare: (home) => { home.drop('slow'); home.configure({ server: { workers: 1 } }); } }));

    test('by not reading its answers is not read itself, and nobody waits for it', () => listening(async (one) => {
        const [client, deaf] = await one.many(2);
        const message = 'x'.repeat(64 << 10);
        deaf.socket.pause();
        const answers = Array.from({ length: 200 }, () => deaf.call('echo', { message }));
        await unharmed(client);
        deaf.socket.resume();
        await within('all answers', Promise.all(answers));
    }, { prepare: (home) => home.configure({ limits: { max_buffered: '1M', max_line: '512K' } }) }));

    test('by coming and going leaves nothing behind', () => listening(async (one) => {
        const client = await one.client();
        await client.names();
        const before = standing(one.pid).length;
        for (let round = 0; round < 10; round++) {
            const crowd = Array.from({ length: 50 }, () => new SocketClient(one.path));
            await Promise.all(crowd.map((other) => other.connected));
            crowd.forEach((other, i) => {
                if (i % 3 === 1)
                    other.write('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"');
                other.destroy();
            });
        }
        await counted(client, 1);
        await until('the descriptors to be closed', () => standing(one.pid).length <= before);
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

    test('may be one that the process was started with', async () => {
        const home = new Home();
        const path = home.path('given.sock');
        /* It holds the socket and never accepts: its loop stands still. */
        const manager = `const server = require('node:net').createServer().listen(process.argv[1], () => {
            const { status } = require('node:child_process').spawnSync('sh', ['-c',
                'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"', ...process.argv.slice(2)],
            { stdio: ['ignore', 'inherit', 'inherit', server._handle.fd] });
            process.exit(status);
        });`;
        const { command, args, env } = home.command;
        const started = new Client({ command: { command: process.execPath, args: ['-e', manager, path, command, ...args], env } });
        let pid;
        try {
            const client = await until('somebody to listen', async () => {
                const one = new SocketClient(path);
                return one.connected.then(() => one, () => undefined);
            });
            await client.initialize();
            ({ pid } = await client.value('orchestrator_health_check'));
            await restarts({ value: (name, more) => client.value(name, more), pid });
            assert.equal((await connections(client)).listener.path, path);
            await client.destroy();
            process.kill(pid, 'SIGTERM');
            assert.equal((await within('leaving', started.exited)).code, 0, started.stderr);
            assert.ok(existsSync(path), 'it is not the server\'s to remove');
            assert.ok(!existsSync(home.path('run', 'theseus.sock')));
        } finally {
            if (pid && alive(pid))
                process.kill(pid, 'SIGKILL');
            await started.kill();
            home.dispose();
        }
    });

    test('nor in a directory that is open to others', () => homed(async (home) => {
        chmodSync(home.path('run'), 0o755);
        assert.match(await refusal(home), /is open to others; mend it with: chmod 700/);
    }));

    const open = { access: { allow_uid: '65534' } };
    const modes = (one) => [mode(one.home.path('run')), mode(one.path)];

    test('and its directory are closed when nobody else is let in any more', () => listening(async (one, home) => {
        const client = await one.client();
        assert.deepEqual(modes(one), [0o711, 0o666]);
        home.configure({});
        await until('both to be closed', () => String(modes(one)) === String([0o700, 0o600]));
        home.configure(open);
        await until('both to be open', () => String(modes(one)) === String([0o711, 0o666]));
        await restarts({ value: (name, args) => client.value(name, args), pid: one.pid });
        assert.deepEqual(modes(one), [0o711, 0o666]);
        home.configure({});
        await until('both to be closed', () => String(modes(one)) === String([0o700, 0o600]));
        await restarts({ value: (name, args) => client.value(name, args), pid: one.pid });
        assert.deepEqual(modes(one), [0o700, 0o600]);
    }, { prepare: (home) => home.configure(open) }));

    for (const [how, end] of [['has ended', (server) => server.signal('SIGTERM')], ['was killed', (server) => server.kill()]])
        test(`and its directory do not stay open when the server ${how}`, () => listening(async (one, home) => {
            await (await one.client()).destroy();
            assert.deepEqual(modes(one), [0o711, 0o666]);
            await end(one.server);
            assert.equal(mode(home.path('run')), how === 'has ended' ? 0o700 : 0o711);
            home.configure({});
            const next = new Listening(home);
            try {
                const client = await next.client();
                assert.equal(await client.text('echo', { message: 'b' }), 'b');
                assert.deepEqual(modes(next), [0o700, 0o600]);
                await client.destroy();
            } finally {
                await next.server.kill();
            }
        }, { prepare: (home) => home.configure(open) }));
});
