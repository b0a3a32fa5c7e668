/* `theseus connect` with the real server: started once, shared by all, and killed under them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { sdk1, sdk2 } from '../clients/lib/session.js';
import { pause, until, within } from '../clients/lib/until.js';
import { Client } from './lib/client.js';
import { Home } from './lib/home.js';
import { REPEATABLE, configured, effectsOf, judge, traceOf } from './lib/kinds.js';
import { alive, cpuMs } from './lib/proc.js';
import { Host } from './lib/sdk.js';
import { MemoryHome } from './lib/survivor.js';

const through = (Base) => class extends Base {
    get command() {
        const command = super.command;
        return { ...command, args: ['connect', ...command.args] };
    }

    /* The pid of the server that listens; 0: none does. A client that is told of it has been served by it. */
    async server(client) {
        return (await client.value('orchestrator_health_check')).pid;
    }
};

class Shared extends through(Home) {} /* on a disk: what the server knows of clients dies with it */

class Lasting extends through(MemoryHome) {}

/* Runs `body(home, join)`: join() is another client. The server is ended with the test. */
async function shared(body, { sections = {}, prepare = () => {}, Place = Shared } = {}) {
    const home = new Place();
    const clients = [];
    const join = async ({ shake = true, more = [], cwd } = {}) => {
        const client = new Client(home, { args: [...home.command.args, ...more], cwd });
        clients.push(client);
        return shake ? client.initialize() : client;
    };
    let pid = 0;
    try {
        home.configure(sections);
        prepare(home);
        await body(home, join, clients);
        for (const client of clients)
            assert.deepEqual(client.problems, []);
    } finally {
        for (const client of clients.filter((one) => one.process.exitCode === null))
            pid ||= await home.server(client).catch(() => 0); /* one that has not shaken hands cannot ask */
        for (const client of clients)
            await client.kill();
        if (pid)
            process.kill(pid, 'SIGTERM');
        if (pid)
            await until('the server to leave', () => !alive(pid));
        home.dispose();
    }
}

const starts = (home) => (home.log.match(/theseus \S+, pid \d+, serves/g) ?? []).length;

describe('theseus connect', { concurrency: 3 }, () => {
    test('starts the server that is not there, once for all who ask at the same moment', () => shared(async (home, join) => {
        const clients = await Promise.all(Array.from({ length: 20 }, () => join()));
        const pids = new Set(await Promise.all(clients.map((client) => home.server(client))));
        assert.equal(pids.size, 1, [...pids].join());
        assert.equal(starts(home), 1, home.log);
        assert.ok(!pids.has(clients[0].pid), 'the server is another process, which stays when a client goes');
        await clients[0].close();
        assert.equal(await clients[1].text('echo', { message: 'still there' }), 'still there');
    }));

    test('waits in peace while somebody else starts the server', () => shared(async (home, join) => {
        mkdirSync(home.path('run'), { mode: 0o700, recursive: true });
        const starter = spawn('flock', [home.path('run', 'launch.lock'), 'sh', '-c', 'echo locked; cat'],
            { stdio: ['pipe', 'pipe', 'inherit'] });
        try {
            await once(starter.stdout, 'data');
            const client = await join({ shake: false }), ping = client.start('ping');
            await pause(600);
            assert.ok(cpuMs(client.pid) < 200, `${cpuMs(client.pid)} ms of processor time`);
            starter.stdin.end();
            await within('the answer', ping.answer);
            await client.initialize(); /* so that it can tell whose server it is */
        } finally {
            starter.kill();
        }
    }));

    test('--no-start waits for a server', () => shared(async (home, join) => {
        const waiting = await join({ shake: false, more: ['--no-start'] });
        const ping = waiting.start('ping');
        const other = await join();
        await within('the answer', ping.answer);
        await other.names();
        assert.equal(starts(home), 1);
    }));

    test('waits for the server that somebody else is starting, and starts it if that comes to nothing', () => shared(async (home, join) => {
        mkdirSync(home.path('run'), { recursive: true, mode: 0o700 });
        const other = spawn('flock', [home.path('run', 'launch.lock'), 'cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
        let locked = false;
        other.stdout.on('data', () => { locked = true; });
        other.stdin.write('locked\n');
        await until('the lock', () => locked);
        const client = await join({ shake: false }), ping = client.start('ping');
        await pause(400);
        assert.equal(client.process.exitCode ?? client.process.signalCode, null);
        other.stdin.end();
        await within('the answer', ping.answer);
        await client.initialize();
        assert.equal(starts(home), 1);
    }));

    test('says why a server cannot be started, at once', () => shared(async (home, join) => {
        const client = await join({ shake: false });
        const { error } = await within('the answer', client.start('ping').answer);
        assert.match(error.message, /no server answers at .*not executed/s);
        assert.match(error.message, /in-the-way/);
        await client.kill();
    }, { prepare: (home) => {
        writeFileSync(home.path('in-the-way'), 'a file');
        home.configure({ server: { runtime_dir: home.path('in-the-way') } });
    } }));

    /* The server has something to say to its log before it ends; that is not why. */
    test('says what stands in the socket\'s place', () => shared(async (home, join) => {
        const client = await join({ shake: false });
        const { error } = await within('the answer', client.start('ping').answer);
        assert.match(error.message, /the server cannot be started: theseus: '.*theseus\.sock' is a symbolic link/);
        assert.equal(readFileSync(home.path('precious'), 'utf8'), 'a file');
        await client.kill();
    }, { prepare: (home) => {
        writeFileSync(home.path('precious'), 'a file');
        mkdirSync(home.path('run'), { recursive: true, mode: 0o700 });
        symlinkSync(home.path('precious'), home.path('run', 'theseus.sock'));
    } }));

    test('waits its turn where there are as many clients as may be', () => shared(async (home, join) => {
        const first = await join();
        const second = await join({ shake: false });
        const waits = second.start('ping').answer;
        await until('it to be turned away', () => /a client is turned away/.test(home.log));
        await first.close();
        assert.ok((await within('the answer', waits)).result);
        await second.initialize();
    }, { sections: { limits: { max_clients: 1 } } }));

    const killed = (Place, isAnswer) => shared(async (home, join) => {
        const clients = await Promise.all(Array.from({ length: 4 }, () => join()));
        for (let round = 0; round < 3; round++) {
            const pid = await home.server(clients[0]);
            const calls = clients.flatMap((client) => Array.from({ length: 8 }, (_, i) => client.call('echo', { message: `${i}` })));
            process.kill(pid, 'SIGKILL');
            const begin = Date.now();
            for (const answer of await within('every answer', Promise.all(calls)))
                assert.ok(isAnswer(answer), JSON.stringify(answer));
            /* A client may not have noticed yet, and ask the dead one: that is said, and the next one is served. */
            await Promise.all(clients.map((client) => until('the client to be served',
                async () => (await within('an answer', client.call('echo', { message: 'on' }))).result)));
            const ms = Date.now() - begin;
            assert.ok(ms < 20_000, `${ms} ms`);
            assert.notEqual(await home.server(clients[1]), pid);
        }
        for (const client of clients)
            assert.equal(client.process.exitCode, null, 'no client lost its process');
    }, { Place });

    test('is served again after kill -9, and each request is answered', () => killed(Lasting, ({ result }) => result));

    test('is told what may have been executed, where nothing survives kill -9', () => killed(Shared, ({ result, error }) =>
        result || error.data?.may_have_executed || /not executed/.test(error.message)));

    test('a restart is not noticed', () => shared(async (home, join) => {
        const [one, other] = [await join(), await join()];
        const pid = await home.server(one);
        const answer = await one.value('orchestrator_restart_server', {});
        assert.equal(answer.success, true, JSON.stringify(answer));
        assert.equal(await other.text('echo', { message: 'same' }), 'same');
        assert.equal(await home.server(other), pid);
    }));

    test('hands the caller\'s directory to tools', () => shared(async (home, join) => {
        const client = await join({ cwd: home.path('home') });
        assert.equal((await client.text('where')).trim(), home.path('home'));
    }, { sections: { 'tool:where': { command: '/bin/pwd', description: 'Where the caller is', read_only: 'yes' } } }));
});

const MODES = { 'v1': sdk1, 'v2, legacy': sdk2('legacy'), 'v2, auto': sdk2('auto'), 'v2, modern': sdk2('modern') };
const ASKED = ['read', 'idempotent', 'once', 'resumable', 'inline', 'later'];

/* Calls of each kind, two each, that take a moment; some have begun. */
async function ask(host, home, round) {
    const calls = [...ASKED, ...ASKED].map((kind, i) => {
        const tag = `${kind}-${round}-${i}`;
        return { kind, tag, answer: host.client.callTool({ name: `kind_${kind}`, arguments: { file: home.path('effects'), tag, ms: 60 } }) };
    });
    const lists = [host.client.listTools(), host.client.listResources()];
    await until('some to have begun', () => effectsOf(home).filter(([, tag]) => tag.split('-')[1] === `${round}`).length > 2);
    return { calls, lists };
}

/* Each is answered in the words of its tool, and what may be asked twice is never uncertain. */
async function told(home, { calls, lists }) {
    await within('what only tells', Promise.all(lists));
    const results = await within('every answer', Promise.all(calls.map(({ answer }) => answer)));
    const effects = effectsOf(home);
    for (const [i, { kind, tag }] of calls.entries()) {
        const { content: [{ text }], isError: failed = false } = results[i];
        judge({ kind, tag, text, failed, ...traceOf(effects, tag) });
        assert.ok(!failed || !REPEATABLE.has(kind), `${tag}: ${text}`);
    }
}

describe('the official SDK through theseus connect', { concurrency: 2 }, () => {
    for (const [name, build] of Object.entries(MODES))
        test(`${name}: across restarts and kill -9, with calls under way`, async () => {
            const home = new Lasting();
            configured().prepare(home);
            const host = new Host(home, build), pids = new Set();
            const pid = async () => (await host.ask('orchestrator_health_check')).pid;
            try {
                await host.connect();
                await until('the tools', async () => (await host.client.listTools()).tools.some((tool) => tool.name === 'kind_once'));
                for (let round = 0; round < 4; round++) {
                    pids.add(await pid());
                    const asked = await ask(host, home, round);
                    if (round % 2 === 0)
                        assert.equal((await host.ask('orchestrator_restart_server')).success, true);
                    else
                        process.kill([...pids].at(-1), 'SIGKILL');
                    await told(home, asked);
                }
                pids.add(await pid());
                assert.equal(pids.size, 3, 'one server, and after each kill another one');
                assert.equal((await host.ask('orchestrator_reconnect_test')).results.reconnection_stats.successful_reconnections, 2);
                assert.equal(host.closed, false);
                assert.deepEqual(host.errors, []);
            } finally {
                await host.client.close();
                if (pids.size)
                    process.kill([...pids].at(-1), 'SIGTERM');
                if (pids.size)
                    await until('the server to leave', () => !alive([...pids].at(-1)));
                home.dispose();
            }
        });
});
