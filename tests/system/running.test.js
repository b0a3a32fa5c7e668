/* `theseus call --running`: one call of a server that runs, through its socket. */
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { describe, test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { Client, serving } from './lib/client.js';
import { Home, binary } from './lib/home.js';
import { run } from './lib/proc.js';
import { Listening, listening } from './lib/socket.js';

/* {code, out, err} of `theseus call --running ARGUMENTS` in that home. */
const call = (home, ...args) => run(binary, ['call', '--running', ...args, '-c', home.config],
    { env: { PATH: process.env.PATH, ...home.command.env }, cwd: home.root });

const connections = async (client) => JSON.parse((await client.ask('resources/read', { uri: 'theseus://connections' })).result.contents[0].text).connections;
/* Is somebody else's call under way? */
const calls = async (client) => (await connections(client)).some((conn) => conn.in_flight > 0 && conn.conn !== 1);

describe('theseus call --running', { concurrency: 4 }, () => {
    test('prints what a tool of a running server answers, and ends as theseus call does', () => listening(async (one, home) => {
        await one.client();
        assert.deepEqual(await call(home, 'echo', '{"message":"a\\nb"}'), { code: 0, signal: null, out: 'a\nb\n', err: '' });
        await until('its sign', async () => (await call(home, String(one.pid), 'echo', '{"message":"by pid"}')).out === 'by pid\n');
        const wrong = await call(home, 'echo', '{}');
        assert.equal(wrong.code, 1);
        assert.match(wrong.out, /'message'/);
        const unknown = await call(home, 'no_such_tool');
        assert.equal(unknown.code, 2);
        assert.match(unknown.err, /unknown tool 'no_such_tool'/);
        const large = 'x'.repeat(100_000);
        assert.equal((await call(home, 'echo', JSON.stringify({ message: large }))).out, `${large}\n`);
    }));

    test('is the server that runs, and no other', () => listening(async (one, home) => {
        const client = await one.client();
        const report = JSON.parse((await call(home, 'orchestrator_health_check', '{}')).out);
        assert.equal(report.pid, one.pid);
        await until('its session to be gone', async () => (await connections(client)).length === 1);
        const { out } = await call(home, 'where');
        assert.equal(out.trim(), home.root, 'the directory is that of who asks');
    }, { prepare: (home) => home.configure({ 'tool:where': { command: 'pwd', read_only: 'yes' } }) }));

    test('who goes away takes the call back', () => listening(async (one, home) => {
        const client = await one.client();
        const asking = new Client(home, { args: ['call', '--running', 'nap', '-c', home.config] });
        await until('the call to run', () => calls(client));
        asking.process.kill('SIGINT');
        assert.equal((await asking.exited).signal, 'SIGINT');
        await until('the call to be gone', async () => (await connections(client)).length === 1);
    }, { prepare: (home) => home.configure({ 'tool:nap': { command: 'sleep 100' } }) }));

    test('a server that ends meanwhile is said', () => listening(async (one, home) => {
        const client = await one.client();
        const asking = call(home, 'nap');
        await until('the call to run', () => calls(client));
        await one.server.kill();
        const { code, err } = await asking;
        assert.equal(code, 2);
        assert.match(err, /went away without an answer; the call may have executed/);
    }, { prepare: (home) => home.configure({ 'tool:nap': { command: 'sleep 100' } }) }));

    test('says that a server is its host\'s alone, and that none is there', () => serving(async (client, home) => {
        await client.names();
        await until('the sign', async () => /has no socket to be asked by/.test((await call(home, String(client.pid), 'echo')).err));
        const { code, err } = await call(home, 'echo', '{"message":"x"}');
        assert.equal(code, 2);
        assert.match(err, /no server has a socket to be asked by: .*theseus connect, or theseus serve --listen/);
        await client.close();
        assert.match((await call(home, String(client.pid), 'echo')).err, /no server runs/);
    }));

    test('of several it asks which', () => listening(async (one, home) => {
        await one.client();
        const other = new Listening(home, { more: ['--set', `listen.unix=${home.path('run', 'other.sock')}`] });
        try {
            await other.client(home.path('run', 'other.sock'));
            await until('both signs', async () => /say which server is meant, by its pid: /.test((await call(home, 'echo', '{"message":"x"}')).err));
            for (const { pid } of [one, other])
                assert.equal(JSON.parse((await call(home, String(pid), 'orchestrator_health_check', '{}')).out).pid, pid);
        } finally {
            other.clients.forEach((client) => client.socket.destroy());
            await other.server.kill();
        }
    }));

    test('arguments that are none', async () => {
        const home = new Home();
        try {
            for (const [args, why] of [[['x', 'echo', '{}'], /'x' is no process id/], [['0', 'echo', '{}'], /'0' is no process id/],
                [['echo', '{'], /./], [[], /use: theseus call/], [['1', 'a', '{}', 'b'], /use: theseus call/]]) {
                const { code, err } = await call(home, ...args);
                assert.equal(code, 2, err);
                assert.match(err, why);
            }
        } finally {
            home.dispose();
        }
    });

    for (const [what, prepare, why] of [
        ['a file in the socket\'s place', (path) => writeFileSync(path, ''), /no server answers at/],
        ['a symbolic link to nowhere', (path) => symlinkSync('/nowhere', path), /no server/],
    ])
        test(`${what} is no server`, async () => {
            const home = new Home();
            try {
                mkdirSync(home.path('run'), { recursive: true, mode: 0o700 });
                prepare(home.path('run', 'theseus.sock'));
                const { code, err } = await call(home, 'echo', '{"message":"x"}');
                assert.equal(code, 2);
                assert.match(err, why);
            } finally {
                home.dispose();
            }
        });

    for (const [what, answer, why] of [
        ['something that is no server', 'hello\n', /what answers at '.*' is no server/],
        ['a server that turns everybody away', '{"jsonrpc":"2.0","error":{"code":-32000,"message":"there are 3 clients already"}}\n', /there are 3 clients already/],
        ['a server of another protocol', '{"jsonrpc":"2.0","id":"theseus:1","error":{"code":-32600,"message":"this server speaks protocol 9"}}\n', /speaks protocol 9/],
    ])
        test(`${what} is told apart`, async () => {
            const home = new Home();
            mkdirSync(home.path('run'), { recursive: true, mode: 0o700 });
            const server = createServer((socket) => { socket.on('error', () => {}); socket.end(answer); });
            await new Promise((done) => server.listen(home.path('run', 'theseus.sock'), done));
            try {
                const { code, err } = await call(home, 'echo', '{"message":"x"}');
                assert.equal(code, 2);
                assert.match(err, why);
            } finally {
                server.close();
                home.dispose();
            }
        });
});
