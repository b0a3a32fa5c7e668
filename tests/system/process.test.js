/* The server as a process: how it starts, how it leaves, what it makes and what it leaves behind. */
import assert from 'node:assert/strict';
import { chmodSync, closeSync, existsSync, openSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { Client, serving } from './lib/client.js';
import { Home, atMost, sanitized } from './lib/home.js';
import { alive, children, rss } from './lib/proc.js';
import { listening } from './lib/socket.js';

const PATIENCE_MS = sanitized ? 4000 : 1900; /* hosts wait 2 s, then kill */
const AT_ONCE_MS = sanitized ? 3000 : 900; /* what runs has a second */
const META = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {},
};

const sixVariables = { HOME: '/', LOGNAME: 'who', PATH: '/usr/bin:/bin', SHELL: '/bin/sh', TERM: 'dumb', USER: 'who' };

/* The time that it takes, on a machine that may stall: of some servers one after the other, one is as quick as that. */
const inTime = (limit, body, options) => until(`it to leave within ${limit} ms`, async () => {
    let took = 0;
    await serving(async (client, home) => { took = await body(client, home); }, options);
    return took < limit;
}, 20_000);

const running = (client, plugin) => until('the call to run', async () => (await client.plugin(plugin)).in_flight > 0);

/* Every path under `dir`. */
const tree = (dir) => readdirSync(dir, { recursive: true }).map((name) => join(dir, name));

describe('a server leaves', { concurrency: 4 }, () => {
    const drops = { prepare: (home) => ['version1', 'serial'].forEach((name) => home.drop(name)) };
    const left = ({ ms, code }) => {
        assert.equal(code, 0);
        return ms;
    };

    for (const signal of ['SIGTERM', 'SIGINT']) {
        test(`on ${signal} when the running call has ended and is answered`, () => serving(async (client) => {
            await client.appears('version');
            const call = client.call('version', { ms: 400 });
            await running(client, 'version');
            assert.equal((await client.signal(signal)).code, 0);
            assert.equal((await call).result.content[0].text, 'one');
        }, drops));

        test(`on ${signal} within its time, whatever still runs`, () => inTime(PATIENCE_MS, async (client) => {
            await client.appears('parallel');
            void client.call('parallel', { ms: 10_000 });
            await running(client, 'serial');
            return left(await client.signal(signal));
        }, drops));

        /* One that listens: it gives calls as much time as it is told, so that the second signal is not too late. */
        test(`at once on a second ${signal}`, () => listening(async (one, home) => {
            const client = await one.client();
            await client.appears('parallel');
            void client.call('parallel', { ms: 10_000 });
            await running(client, 'serial');
            one.server.process.kill(signal);
            await until('the first one to be noticed', () => /leaving/.test(home.log));
            const { code } = await one.server.signal(signal);
            assert.equal(code, 128 + constants.signals[signal]);
        }, {
            prepare: (home) => {
                drops.prepare(home);
                home.configure({ restart: { shutdown_timeout: 60 } });
            },
        }));

        test(`at once on ${signal} before the first request`, () => inTime(AT_ONCE_MS, async (client) => {
            await until('the server to have begun', () => /SigCgt:.*[1-9a-f]/.test(readFileSync(`/proc/${client.pid}/status`, 'utf8')));
            return (await client.signal(signal)).ms;
        }, { shake: false }));
    }

    test('at the end of input at once when nothing runs', () => inTime(AT_ONCE_MS, async (client) =>
        left(await client.close()), drops));

    test('at the end of input before any request', () => inTime(AT_ONCE_MS, async (client) => {
        const ms = left(await client.close());
        assert.equal(client.bytes, 0);
        return ms;
    }, { shake: false }));

    test('at the end of input when what was asked is answered', () => serving(async (client) => {
        await client.appears('version');
        const calls = [client.call('version', { ms: 300 }), client.call('echo', { message: 'last' })];
        assert.equal((await client.close()).code, 0);
        const texts = (await within('the answers', Promise.all(calls))).map((one) => one.result.content[0].text);
        assert.deepEqual(texts, ['one', 'last']);
    }, drops));

    test('at the end of input within its time, whatever still runs', () => inTime(PATIENCE_MS, async (client) => {
        await client.appears('parallel');
        void client.call('parallel', { ms: 10_000 });
        await running(client, 'serial');
        return left(await client.close());
    }, drops));

    test('at the end of input in the middle of a line', () => inTime(AT_ONCE_MS, async (client) => {
        client.write('{"jsonrpc":"2.0","id":9,"method":"pi');
        return left(await client.close());
    }));

    test('when nobody reads its answers any more', () => serving(async (client) => {
        client.process.stdout.destroy();
        client.call('echo', { message: 'into the void' });
        const { signal } = await within('leaving', client.exited);
        assert.equal(signal, null, 'it is not killed by SIGPIPE');
    }));

    test('with /dev/null as its input', () => serving(async (client) => {
        const { code } = await within('leaving', client.exited);
        assert.equal(code, 0);
    }, { shake: false, stdio: ['ignore', 'pipe', 'pipe'] }));

    test('with a regular file as its input, when all of it is answered', async () => {
        const home = new Home();
        const requests = [1, 2, 3].map((id) => JSON.stringify({
            jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'echo', arguments: { message: `m${id}` }, _meta: META },
        }));
        writeFileSync(home.path('requests'), `${requests.join('\n')}\n`);
        const input = openSync(home.path('requests'), 'r'), output = openSync(home.path('answers'), 'w');
        const client = new Client(home, { stdio: [input, output, 'pipe'] });
        try {
            const { code } = await within('leaving', client.exited);
            assert.equal(code, 0);
            const answers = readFileSync(home.path('answers'), 'utf8').trim().split('\n').map((line) => JSON.parse(line));
            assert.deepEqual(answers.map((one) => [one.id, one.result.content[0].text]).sort(),
                [[1, 'm1'], [2, 'm2'], [3, 'm3']]);
            assert.equal(client.stderr, '');
        } finally {
            await client.kill();
            closeSync(input);
            closeSync(output);
            home.dispose();
        }
    });

    for (const [how, leave] of [['end of input', (client) => client.close()], ['SIGTERM', (client) => client.signal('SIGTERM')]])
        test(`on ${how} and takes its child processes along`, () => serving(async (client) => {
            await client.appears('sleeper');
            void client.call('sleeper');
            const pids = await until('the child to run', () => {
                const found = children(client.pid);
                return found.length > 0 && found;
            });
            await leave(client);
            await until('the child to be gone', () => !pids.some(alive));
        }, {
            prepare: (home) => home.configure({ 'tool:sleeper': { command: '/bin/sleep 300', description: 'Sleeps.' } }),
        }));
});

test('a server that is killed takes a plugin along that hangs while it is tried', () => serving(async (client, home) => {
    home.drop('ctorhang');
    const says = (pid, file, word) => {
        try {
            return readFileSync(`/proc/${pid}/${file}`, 'utf8').includes(word);
        } catch {
            return false; /* it has ended since it was listed */
        }
    };
    const pids = await until('the trial to hang', () => {
        const found = children(client.pid).filter((pid) => says(pid, 'cmdline', '--test-load') && says(pid, 'maps', 'ctorhang'));
        return found.length > 0 && found;
    });
    client.process.kill('SIGKILL');
    try {
        await until('both to be gone', () => ![client.pid, ...pids].some(alive));
    } finally {
        pids.filter(alive).forEach((pid) => process.kill(pid, 'SIGKILL'));
    }
    await client.exited;
}));

describe('a server', { concurrency: 4 }, () => {
    test('that is only probed leaves no trace', () => serving(async (client, home) => {
        const before = tree(home.root);
        const { result } = await client.ask('server/discover', { _meta: META });
        assert.deepEqual(result.supportedVersions, ['2026-07-28']);
        await client.signal('SIGTERM');
        assert.deepEqual(tree(home.root), before);
        assert.equal(client.stderr, '');
    }, {
        shake: false,
        prepare: (home) => home.configure({ server: { state_dir: home.path('s', 'deep'), runtime_dir: home.path('r') } }),
    }));

    test('is one of two at the same time in one home', () => serving(async (first, home) => {
        const second = new Client(home);
        try {
            await second.initialize();
            home.drop('database');
            await Promise.all([first.appears('db_put'), second.appears('db_put')]);
            for (let i = 0; i < 20; i++)
                await Promise.all([first.text('db_put', { key: `a${i}`, value: '1' }), second.text('db_put', { key: `b${i}`, value: '2' })]);
            assert.equal((await first.value('db_get', { key: 'b19' })).value, '2');
            const copies = () => readdirSync(home.path('run')).filter((name) => /^[0-9a-f]{16}$/.test(name));
            assert.equal(copies().length, 2);
            await second.close();
            assert.equal(copies().length, 1);
            assert.equal(await first.text('echo', { message: 'still' }), 'still');
        } finally {
            await second.kill();
        }
    }));

    test('removes what a killed one has left', () => serving(async (first, home) => {
        await first.names();
        /* Where signs are is made by a server that lives long enough, and stays. */
        const copies = () => readdirSync(home.path('run')).filter((name) => name !== 'servers');
        const [left] = copies();
        assert.ok(left);
        await first.kill();
        const second = new Client(home);
        try {
            await second.initialize();
            await second.names();
            await until('the directory to go', () => !existsSync(home.path('run', left)));
            await second.close();
            assert.deepEqual(copies(), []);
        } finally {
            await second.kill();
        }
    }));

    test('makes directories for its user alone, and files, whatever the umask', async () => {
        const home = new Home();
        home.configure({ server: { state_dir: home.path('made', 'state'), runtime_dir: home.path('made', 'run') } });
        home.drop('database');
        const { command, args, env } = home.command;
        const client = new Client({ command: { command: '/bin/sh', args: ['-c', 'umask 0; exec "$0" "$@"', command, ...args], env } });
        try {
            await client.initialize();
            await client.appears('db_put');
            await client.text('db_put', { key: 'k', value: 'v' });
            const made = tree(home.path('made'));
            assert.ok(made.some((path) => path.endsWith('theseus.db')) && made.some((path) => path.endsWith('theseus.log')));
            for (const path of [home.path('made'), ...made]) {
                const stat = statSync(path), mode = stat.mode & 0o777;
                const right = stat.isDirectory() || path.endsWith('.so') ? 0o700 : 0o600;
                assert.equal(mode.toString(8), right.toString(8), path);
            }
        } finally {
            await client.kill();
            home.dispose();
        }
    });

    test('refuses a state directory that is open to others, naming the chmod', () => serving(async (client, home) => {
        await client.names();
        await until('the words', () => client.stderr.includes(`chmod 700 '${home.path('state')}'`));
        assert.deepEqual(readdirSync(home.path('state')), []);
    }, { prepare: (home) => chmodSync(home.path('state'), 0o750) }));

    test('refuses a runtime directory that is open to others, naming the chmod', () => serving(async (client, home) => {
        assert.deepEqual(await client.names(), []);
        await until('the words', () => client.stderr.includes(`chmod 700 '${home.path('run')}'`));
        assert.deepEqual(readdirSync(home.path('run')), []);
    }, { prepare: (home) => chmodSync(home.path('run'), 0o705) }));

    test('starts with the six variables that hosts pass', () => serving(async (client, home) => {
        assert.equal(await client.text('echo', { message: 'x' }), 'x');
        assert.ok(existsSync(home.path('home', '.local', 'state', 'theseus', 'log', 'theseus.log')));
    }, {
        prepare: (home) => { sixVariables.HOME = home.path('home'); },
        args: [], bare: true, env: sixVariables,
    }));

    test('starts without HOME', () => serving(async (client) => {
        assert.equal(await client.text('echo', { message: 'x' }), 'x');
    }, { bare: true, env: {} }));

    test('says nothing on stderr in a normal session', () => serving(async (client, home) => {
        home.drop('greet');
        await client.appears('greet');
        home.configure({ 'tool:word': { command: '/bin/echo one', description: 'Says one.' } });
        await client.appears('word');
        await client.text('word');
        home.delete('greet.so');
        await client.vanishes('greet');
        await client.call('echo', {});
        const { code } = await client.close();
        assert.equal(code, 0);
        assert.equal(client.stderr, '');
    }));

    test('delays nobody while a slow tool runs', () => serving(async (client) => {
        await client.appears('slow');
        const slow = [1, 2, 3].map(() => client.start('tools/call', { name: 'slow', arguments: { ms: 60_000 } }));
        for (let i = 0; i < 100; i++)
            await client.call('echo', { message: 'x' });
        assert.equal(client.open, 3, 'a hundred have passed them');
        slow.forEach(({ id }) => client.notify('notifications/cancelled', { requestId: id }));
    }, { prepare: (home) => home.drop('slow') }));

    test('keeps its memory when a million empty lines and requests for nothing come', () => serving(async (client) => {
        await client.names();
        const before = rss(client.pid);
        for (let i = 0; i < 10; i++) {
            client.write('\n'.repeat(100_000));
            await client.ask('ping');
        }
        const pings = Array.from({ length: 20_000 }, () => client.start('ping').answer);
        await within('20,000 pings', Promise.all(pings));
        const grown = rss(client.pid) - before;
        assert.ok(grown < atMost(16 * 1024), `it grew by ${grown} KiB`);
    }));
});
