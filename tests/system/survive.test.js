/*
 * A server that listens is killed without a word, and the next one goes on from what it knew: the ledger lies in a file
 * in memory. THESEUS_LONG=1 kills hundreds of times.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, lstatSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { judgeCrash, skip as skipCrashes, unlimited } from './lib/crash.js';
import { Client } from './lib/client.js';
import { atMost } from './lib/home.js';
import { CALLS, KINDS, REPEATABLE, WORKERS, configured, effectsOf, start, traceOf } from './lib/kinds.js';
import { alive, children } from './lib/proc.js';
import { restarts } from './lib/restart.js';
import { NOBODY, skipStrangers } from './lib/socket.js';
import { Dynasty, MEMORY, MemoryHome, deaths, surviving } from './lib/survivor.js';

const KILLS = process.env.THESEUS_LONG ? 600 : 60;
const SERVED_MS = 8000;

const warnings = async (client) => (await client.value('orchestrator_health_check')).warnings;
const put = (client, value, key = 'k') => client.result('vault_put', { key, value });
const get = async (client, key = 'k') => (await client.value('vault_get', { key })).value;
const vault = (home) => home.drop('vault');

describe('after kill -9', { concurrency: 4 }, () => {
    test('the next server goes on: state, and who was at work is told', () => surviving(async (dynasty, home) => {
        let client = await dynasty.begin().client();
        await client.appears('kind_once');
        await put(client, 'kept');
        assert.deepEqual(await warnings(client), []);
        const [ledger, ...others] = home.ledgers;
        assert.deepEqual(others, []);
        assert.equal(statSync(ledger).mode & 0o777, 0o600);
        for (let i = 0; i < 2; i++)
            start(client, home, 'once', i, 60_000);
        await until('the calls to run', () => effectsOf(home).length === 2);

        await dynasty.kill();
        const begin = Date.now();
        client = await dynasty.begin().client();
        assert.equal(await get(client), 'kept');
        assert.ok(Date.now() - begin < atMost(SERVED_MS), `${Date.now() - begin} ms`);
        const [death] = await deaths(client, 1);
        assert.equal(death.requested_by.transport, 'start');
        assert.equal(death.calls_interrupted, 2);
        assert.deepEqual(death.errors.map((one) => one.tool), [undefined, 'kind_once', 'kind_once']);
        assert.match(death.errors[1].message, /the call of tool 'kind_once' was interrupted; it may have been executed/);
        assert.notEqual(death.boot_id.before, death.boot_id.after);
        assert.deepEqual(home.ledgers, [ledger]);
        const { results } = await client.value('orchestrator_reconnect_test');
        assert.equal(results.sessions.length, 1, 'who is gone is gone');
        assert.equal((await client.plugin('kinds')).in_flight, 0);
        assert.equal(effectsOf(home).length, 2);
        await dynasty.one.server.signal('SIGTERM');
        assert.deepEqual(readdirSync(home.run).filter((name) => name !== 'servers'), [], 'who leaves in order leaves nothing');
    }, { prepare: (home) => { vault(home); home.drop('kinds'); } }));

    test('nothing that may not is run twice', () => surviving(async (dynasty, home) => {
        const clients = await dynasty.begin().many(4);
        await clients[0].appears('kind_once');
        const calls = Array.from({ length: CALLS }, (_, i) => start(clients[i % clients.length], home, KINDS[i % KINDS.length], i, 60_000));
        const atWork = () => {
            const effects = effectsOf(home);
            return calls.filter(({ tag }) => traceOf(effects, tag).began > 0 && traceOf(effects, tag).ended === 0).length;
        };
        await until('some to have begun', () => atWork() >= WORKERS / 4);
        const client = await dynasty.succeed();
        assert.equal(await client.text('echo', { message: 'served' }), 'served');
        const [death] = await deaths(client, 1);
        assert.ok(death.calls_interrupted >= WORKERS / 4, `${death.calls_interrupted} calls were at work`);
        const effects = effectsOf(home);
        for (const { kind, tag } of calls) {
            const { began } = traceOf(effects, tag);
            assert.ok(began <= 1 || REPEATABLE.has(kind), `${tag} began ${began} times`);
        }
        assert.equal((await client.plugin('kinds')).in_flight, 0);
    }, configured()));

    test('what a client with a session has asked for goes on, and nothing that may not is run twice', () => surviving(async (dynasty, home) => {
        const client = await dynasty.begin().connect();
        const hello = { protocol: 1, version: '0', directory: home.root, pid: process.pid };
        assert.ok((await client.ask('theseus/hello', hello)).result.secret);
        await client.initialize();
        await client.appears('kind_once');
        const calls = Array.from({ length: CALLS }, (_, i) => start(client, home, KINDS[i % KINDS.length], i, REPEATABLE.has(KINDS[i % KINDS.length]) ? 2500 : 400));
        await client.ask('ping'); /* answered past all of them: the server has read them */
        const tracesOf = (effects) => new Map(calls.map(({ tag }) => [tag, traceOf(effects, tag)]));
        await until('calls of all kinds to have begun', () => new Set(effectsOf(home).map(([, tag]) => tag.split('-')[0])).size === KINDS.length);
        await dynasty.kill();
        const before = tracesOf(effectsOf(home));

        const next = await dynasty.begin().client();
        const { results: { sessions } } = await next.value('orchestrator_reconnect_test');
        assert.equal(sessions.length, 2, 'the session waits');
        await until('all that was asked for to be done', async () => {
            const { results: { buffer_status: buffers } } = await next.value('orchestrator_reconnect_test');
            return buffers.total_buffered_requests === 0 && (await next.plugin('kinds')).in_flight === 0;
        });
        const after = tracesOf(effectsOf(home));
        let again = 0, untouched = 0;
        for (const { kind, tag } of calls) {
            const { began, ended, steps } = after.get(tag), what = JSON.stringify([tag, before.get(tag), after.get(tag)]);
            if (REPEATABLE.has(kind))
                assert.ok(ended >= 1, `run again: ${what}`);
            else
                assert.ok(began <= 1, what);
            if (kind === 'resumable')
                assert.ok(steps.length - new Set(steps).size <= 1, `only what is behind the last checkpoint: ${what}`);
            untouched += began + steps.length === 0 ? 1 : 0; /* killed between the record that it begins and the first effect */
            again += began > 1 ? 1 : 0;
        }
        assert.ok(again > 0, 'some were run again');
        assert.ok(untouched <= WORKERS / 2, `${untouched} were never begun`);
    }, configured()));

    test('child processes of the dead are ended', () => surviving(async (dynasty, home) => {
        const first = await dynasty.begin().client();
        await first.appears('command');
        for (let i = 0; i < 3; i++)
            start(first, home, 'command', i, 120_000).answer.catch(() => {});
        const orphans = await until('the commands to run', () => {
            const all = children(dynasty.one.pid);
            return effectsOf(home).length === 3 && all.length === 3 && all;
        });
        const keys = orphans.map((pid) => Buffer.from(pid.toString(16).padStart(16, '0'), 'hex'));
        await until('the server to know them', () => {
            const ledger = readFileSync(home.ledgers[0]);
            return keys.every((key) => ledger.includes(key));
        });
        const client = await dynasty.succeed();
        await client.names();
        await until('the orphans to be gone', () => !orphans.some(alive));
        assert.ok(effectsOf(home).every(([what]) => what === 'begin'));
    }, configured()));

    test('also behind a restart and a crash', { skip: skipCrashes }, () => surviving(async (dynasty) => {
        let client = await dynasty.begin().client();
        await client.appears('die_null');
        await put(client, 1);
        await restarts({ value: (name, args) => client.value(name, args), pid: dynasty.one.pid });
        judgeCrash(await within('the answer', client.call('die_null')), { signal: 'SIGSEGV' });
        await put(client, 2);
        client = await dynasty.succeed();
        assert.equal(await get(client), 2);
        judgeCrash(await within('the answer', client.call('die_null')), { signal: 'SIGSEGV' });
        await restarts({ value: (name, args) => client.value(name, args), pid: dynasty.one.pid });
        assert.equal(await get(client), 2);
        assert.equal((await deaths(client, 1)).length, 1);
    }, { prepare: (home) => { vault(home); home.drop('dies'); home.configure(unlimited); } }));

    test(`${KILLS} times, at any moment: what was said to be kept is kept`, () => surviving(async (dynasty) => {
        const begin = Date.now();
        await put(await dynasty.begin().client(), 0);
        const ms = 3 * (Date.now() - begin); /* until a server serves, and some more */
        let said = 0, asked = 0;
        const work = async (client) => {
            const found = await get(client);
            if (found < said || found > asked)
                throw new RangeError(`${found} is kept, ${said} was said, ${asked} asked`);
            for (;;) {
                await put(client, ++asked);
                said = asked;
            }
        };
        for (let i = 0; i < KILLS; i++) {
            await dynasty.kill();
            const end = dynasty.begin().client().then(work).catch((error) => error);
            await new Promise((resolve) => setTimeout(resolve, Math.random() * ms)); /* it is the moment that is random */
            await dynasty.kill();
            assert.ok(!(await end instanceof RangeError), String(await end));
        }
        assert.ok(said > 0, 'some servers have served');
        assert.ok(await get(await dynasty.begin().client()) >= said);
    }, { prepare: vault }));
});

describe('of several servers', { concurrency: 4 }, () => {
    test('that begin at once, one serves, and the others say so', () => surviving(async (dynasty) => {
        for (let round = 0; round < 5; round++) {
            const several = Array.from({ length: 4 }, () => dynasty.begin());
            const refused = several.map((one) => one.server.exited.then(({ code }) => {
                assert.equal(code, 1);
                assert.match(one.server.stderr, /a server .*(has '.*ledger|listens on)/);
                return one;
            }));
            const losers = [];
            for (const one of refused)
                one.then((loser) => losers.push(loser), () => {});
            await until('three to be refused', () => losers.length === 3);
            const winner = several.find((one) => !losers.includes(one));
            assert.equal(await (await winner.client()).text('echo', { message: 'x' }), 'x');
            winner.clients.forEach((client) => client.socket.destroy());
            await winner.server.kill();
        }
        await dynasty.begin().client();
    }));

    test('each socket has its own', () => surviving(async (dynasty, home) => {
        const one = await dynasty.begin().client();
        const path = join(home.run, 'other.sock');
        const other = await dynasty.begin({ more: ['--set', `listen.unix=${path}`] }, path).client();
        await put(one, 'one');
        await put(other, 'other');
        assert.equal(home.ledgers.length, 2);
        const [first] = dynasty.all;
        first.clients[0].socket.destroy();
        await first.server.kill();
        assert.equal(await get(await dynasty.begin().client()), 'one');
        assert.equal(await get(other), 'other');
    }, { prepare: vault }));
});

describe('the file', { concurrency: 4 }, () => {
    const homed = async (body) => {
        const home = new MemoryHome();
        try {
            const dynasty = new Dynasty(home);
            await dynasty.begin().client();
            await dynasty.kill();
            await body(home, home.ledgers[0]);
        } finally {
            home.dispose();
        }
    };
    const refusal = async (home) => {
        const server = new Client(home, { more: ['--listen'], stdio: ['ignore', 'pipe', 'pipe'] });
        assert.equal((await within('the refusal', server.exited)).code, 1);
        return server.stderr;
    };

    test('that is a symbolic link is refused', () => homed(async (home, path) => {
        renameSync(path, `${path}.away`);
        symlinkSync(`${path}.away`, path);
        assert.match(await refusal(home), /ledger.*is a symbolic link; remove it with: rm/);
        assert.ok(lstatSync(path).isSymbolicLink());
    }));

    test('that is open to others is refused', () => homed(async (home, path) => {
        chmodSync(path, 0o640);
        assert.match(await refusal(home), /ledger.*is open to others.*chmod 600/);
    }));

    test('that is no file is refused', () => homed(async (home, path) => {
        rmSync(path);
        spawnSync('mkfifo', ['-m', '600', path]);
        assert.match(await refusal(home), /ledger.*is no regular file; remove it with: rm/);
    }));

    test('of another user is refused', { skip: skipStrangers }, () => homed(async (home, path) => {
        chownSync(path, NOBODY, NOBODY);
        assert.match(await refusal(home), /ledger.*belongs to another user \(uid 65534\)/);
    }));

    test('that is damaged costs what was damaged, and no more', () => surviving(async (dynasty, home) => {
        let client = await dynasty.begin().client();
        const words = Array.from({ length: 100 }, (_, i) => `word-${i}-`.repeat(50));
        for (const [i, word] of words.entries())
            await put(client, word, `k${i}`);
        await dynasty.kill();
        const [ledger] = home.ledgers, content = readFileSync(ledger);
        for (let at = content.indexOf(words[50]); at >= 0; at = content.indexOf(words[50], at + 1))
            content.fill(0xee, at, at + 8); /* wherever it stands */
        writeFileSync(ledger, content);
        client = await dynasty.begin().client();
        const values = await Promise.all(words.map((_, i) => get(client, `k${i}`).catch(() => undefined)));
        const lost = values.flatMap((value, i) => (value === words[i] ? [] : [i]));
        assert.deepEqual(lost, [50]);
        assert.match(home.log, /the ledger is damaged/);
    }, { prepare: vault }));

    test('that is no ledger any more is begun anew, which is said', () => surviving(async (dynasty, home) => {
        await dynasty.begin().client();
        await dynasty.kill();
        writeFileSync(home.ledgers[0], Buffer.alloc(3 << 20, 0xee), { mode: 0o600 });
        const client = await dynasty.begin().client();
        assert.equal(await client.text('echo', { message: 'served' }), 'served');
        await until('the words', () => /the ledger that a server has left cannot be read/.test(dynasty.one.server.stderr));
        assert.equal(await (await dynasty.succeed()).text('echo', { message: 'again' }), 'again');
    }));

    test('is not on a disk: then there is none, which is said with the way to mend it', () => surviving(async (dynasty, home) => {
        const disk = home.path('run'), path = join(disk, 'theseus.sock');
        home.configure({ server: { runtime_dir: disk } });
        const client = await dynasty.begin({}, path).client();
        const [warning] = await warnings(client);
        assert.match(warning, /would not survive a kill -9: '.*run' is not on a tmpfs.*set server.runtime_dir .*\/dev\/shm/);
        await until('the words', () => /would not survive a kill -9/.test(dynasty.one.server.stderr));
        assert.ok(!readdirSync(disk).some((name) => name.startsWith('ledger')));
        await restarts({ value: (name, args) => client.value(name, args), pid: dynasty.one.pid });
        assert.equal((await warnings(client)).length, 1);
    }));

    test('is not made by a server for one client', () => homed(async (home, path) => {
        rmSync(path);
        const server = await new Client(home).initialize();
        assert.deepEqual(await warnings(server), []);
        assert.deepEqual(home.ledgers, []);
        await server.close();
    }));

    const mounts = () => {
        const dir = mkdtempSync(join(MEMORY, 'theseus-mount-'));
        const able = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', dir]).status === 0;
        spawnSync('umount', [dir]);
        rmSync(dir, { recursive: true });
        return able;
    };

    test('has no room: the server does without, and says so', { skip: !mounts() && 'needs to mount a tmpfs' }, () => surviving(async (dynasty, home) => {
        assert.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k,mode=0700', 'tmpfs', home.run]).status, 0);
        try {
            const client = await dynasty.begin().client();
            assert.match((await warnings(client))[0], /would not survive a kill -9/);
            assert.equal(await client.text('echo', { message: 'served' }), 'served');
            assert.deepEqual(home.ledgers, []);
            await client.destroy();
            assert.equal((await dynasty.one.server.signal('SIGTERM')).code, 0);
        } finally {
            await dynasty.end();
            spawnSync('umount', ['-l', home.run]);
        }
    }));
});
