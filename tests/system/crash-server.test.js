/* What a crash does to the server as a whole: which program goes on, what becomes of children and cores, when it gives up. */
import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { Client, serving } from './lib/client.js';
import { PLACES, crash, mortal, skip, unlimited } from './lib/crash.js';
import { Home, binary, sanitized } from './lib/home.js';
import { Installed } from './lib/installed.js';
import { alive, children } from './lib/proc.js';

const crashes = (home) => home.log.match(/^(?!.*the way to the crash).*crashed with SIG/gm)?.length ?? 0;
const served = async (client) => assert.equal(await client.text('echo', { message: 'there' }), 'there');
const version = async (client) => (await client.value('orchestrator_health_check')).version;

test('a build with a sanitizer says that it does not handle crashes, and no other does', () => serving(async (client, home) => {
    await client.appears('echo');
    assert.equal(/this build has a sanitizer.*a crash ends the server/.test(home.log), sanitized);
}));

describe('behind a crash', { skip, concurrency: 4 }, () => {
    for (const [what, spoil] of Object.entries({
        'garbage stands at the path of the program': (home) => home.installText('\x7fELF garbage'),
        'nothing stands there': (home) => home.uninstall(),
        'a directory that cannot be read does': (home) => { home.uninstall(); home.installText('', 0o000); },
    }))
        test(`the very program goes on that crashed, although ${what}`, () => serving(async (client, home) => {
            await client.appears('die_null');
            const before = await version(client);
            spoil(home);
            for (const place of Object.keys(PLACES))
                await crash(client, 'null', place);
            assert.equal(await version(client), before);
        }, { ...mortal(), Place: Installed }));

    /* The image that follows has nobody to ask, and the file is refused: it goes by what served. */
    test('the settings that served go on, where their file has a mistake by then', () => serving(async (client, home) => {
        await client.appears('die_null');
        const good = readFileSync(home.config, 'utf8');
        const pid = (await client.value('orchestrator_health_check')).pid;
        const refused = async () => {
            const health = await client.value('orchestrator_health_check');
            return health.healthy === false && /limmit/.test(health.issues.join('\n'));
        };
        appendFileSync(home.config, '\n[access]\nlimmit = 3\n');
        await until('the file to be refused', refused);
        for (let round = 0; round < 3; round++) {
            await crash(client, 'null');
            await served(client);
            await until('the refusal to be told again', refused);
        }
        await client.value('orchestrator_restart_server', { reason: 'emergency_shutdown' });
        await until('the refusal to be told again', refused);
        assert.equal((await client.value('orchestrator_health_check')).pid, pid);
        writeFileSync(home.config, good);
        await until('the file to be taken', async () => !await refused());
        await crash(client, 'null');
        await served(client);
    }, mortal()));

    test('a signal of a crash that somebody sends is one', () => serving(async (client, home) => {
        await client.appears('die_null');
        for (const signal of ['SIGSEGV', 'SIGBUS', 'SIGFPE', 'SIGILL', 'SIGABRT', 'SIGTRAP', 'SIGSYS']) {
            const before = crashes(home);
            client.process.kill(signal);
            await until(`${signal} to be handled`, () => crashes(home) > before);
            assert.match(home.log, new RegExp(`the server crashed with ${signal}`));
            await served(client);
        }
    }, mortal()));

    test('all goes on where the crashed thread holds the only lock of malloc()', () => serving(async (client) => {
        await client.appears('die_null');
        for (const place of Object.keys(PLACES))
            for (const way of ['malloc', 'heap', 'free']) {
                const pings = Array.from({ length: 50 }, () => client.start('ping').answer);
                const [name, args] = PLACES[place](way, {});
                const { result } = await within(name, client.call(name, args));
                /* All share one heap: another thread may be the first to stumble over what is wrong with it. */
                assert.match(result.content[0].text, /crashed with SIG(SEGV|ABRT).*may have executed/);
                for (const ping of pings)
                    assert.ok((await within('a ping', ping)).result);
            }
    }, { ...mortal(), env: { MALLOC_ARENA_MAX: '1' } }));

    const preload = (name) => join(dirname(binary), 'tests', 'system', 'preload', `${name}.so`);
    for (const how of ['waits', 'busy'])
        test(`all goes on where the search for the way to the crash comes to no end (${how})`, () => serving(async (client) => {
            await client.appears('die_null');
            for (const place of Object.keys(PLACES)) {
                await crash(client, 'null', place);
                await served(client);
            }
            const { recent_crashes: [last] } = await until('the history', async () => {
                const { history } = await client.value('orchestrator_restart_status', { include_history: true });
                return history.recent_crashes.length === 3 && history;
            });
            assert.match(last.errors[0].backtrace[0], /^dies\.so/, 'what it had found until then');
        }, { ...mortal(), env: { LD_PRELOAD: preload('stuckunwind'), THESEUS_UNWIND: how } }));

    test('many that crash at once cost their own calls', () => serving(async (client) => {
        await client.appears('die_null');
        for (let round = 0; round < 5; round++) {
            const dying = Array.from({ length: 8 }, () => client.call('die_null', { ms: 50 }));
            const answers = await Promise.all(dying.map((one) => within('an answer', one)));
            for (const { result } of answers)
                assert.match(result.content[0].text, /plugin 'dies' 1.0 crashed with SIGSEGV.*may have executed/);
            await served(client);
        }
    }, mortal({ server: { workers: 16 } })));

    test('a server that was about to end ends', () => serving(async (client) => {
        await client.appears('die_null');
        const dying = client.call('die_null', { ms: 300 });
        await served(client);
        const { code, ms } = await client.signal('SIGTERM');
        assert.equal(code, 0);
        assert.ok(ms < 10_000, `${ms} ms`);
        assert.match((await dying).result.content[0].text, /crashed with SIGSEGV/);
    }, mortal()));

    test('a child that a plugin has forked ends alone', () => serving(async (client, home) => {
        await client.appears('die_forked');
        for (let round = 0; round < 3; round++)
            assert.equal(await client.text('die_forked'), 'Segmentation fault');
        assert.equal((await client.value('orchestrator_health_check')).pid, client.pid, 'nobody else answers');
        assert.equal(crashes(home), 0);
    }, mortal()));

    test('a client that has left is noticed', () => serving(async (client, home) => {
        await client.appears('die_null');
        await crash(client, 'null');
        const { code } = await client.close();
        assert.equal(code, 0);
        assert.equal(crashes(home), 1);
    }, mortal()));
});

/* A tool whose program says its pid and takes its time. It is read to when it has been recorded, and not before. */
const command = (home, text) => ({
    'tool:command': { command: `sh -c 'read go; ${text}' sh`, stdin: 'go\n', description: 'A program.' },
});
const pids = (home) => {
    try {
        return readFileSync(home.path('pids'), 'utf8').trim().split('\n').map(Number);
    } catch {
        return [];
    }
};

describe('the child process of a call', { skip, concurrency: 3 }, () => {
    const withCommand = (text) => ({
        prepare: (home) => {
            home.drop('dies');
            home.configure({ ...unlimited, ...command(home, text(home.path('pids'))) });
        },
    });

    test('is ended with its group before the call is answered, and the answer says so', () => serving(async (client, home) => {
        await client.appears('command');
        const call = client.call('command');
        const [parent, child] = await until('both processes', () => pids(home).length === 2 && pids(home));
        await crash(client, 'null');
        const { result } = await within('the answer', call);
        assert.match(result.content[0].text, /may have executed.*child process that it had started was ended/);
        assert.deepEqual([alive(parent), alive(child)], [false, false]);
        await until('no child to be left', () => children(client.pid).length === 0);
    }, withCommand((file) => `sleep 1000 & echo $! >>${file}; echo $$ >>${file}; wait`)));

    test('is killed a second later if it does not hear, and nobody else waits for that', () => serving(async (client, home) => {
        await client.appears('command');
        let first = false;
        for (let round = 1; round <= 5 && !first; round++) { /* where the machine stands still, everybody waits */
            const call = client.call('command');
            await until('the process', () => pids(home).length === round);
            const begin = Date.now();
            let answered;
            call.then(() => { answered = Date.now(); });
            await crash(client, 'null');
            await served(client);
            first = answered === undefined && alive(pids(home).at(-1));
            const { result } = await within('the answer', call);
            assert.ok(answered - begin >= 950, `${answered - begin} ms`);
            assert.match(result.content[0].text, /child process that it had started was ended/);
            assert.equal(alive(pids(home).at(-1)), false);
        }
        assert.ok(first, 'others have not waited');
    }, withCommand((file) => `trap "" TERM; echo $$ >>${file}; while :; do sleep 0.05; done`)));

    test('is ended too when a second crash comes before it has', () => serving(async (client, home) => {
        await client.appears('command');
        const call = client.call('command');
        await until('the process', () => pids(home).length === 1);
        await crash(client, 'null');
        await crash(client, 'null', 'loop');
        const { result } = await within('the answer', call);
        assert.match(result.content[0].text, /may have executed/);
        assert.equal(alive(pids(home)[0]), false);
    }, withCommand((file) => `trap "" TERM; echo $$ >>${file}; while :; do sleep 0.05; done`)));
});

describe('a server that crashes again and again', { skip, concurrency: 3 }, () => {
    const looping = (crashOptions, drops = ['vault']) => ({
        prepare: (home) => {
            drops.forEach((name) => home.drop(name));
            home.configure({ crash: { ...unlimited.crash, ...crashOptions } });
        },
    });

    test('leaves after crash.max_execs of it, names the cause, and has sealed what it had', () => serving(async (client, home) => {
        await client.appears('vault_put');
        await client.text('vault_put', { key: 'first', value: 'kept' });
        home.drop('startcrashes');
        const { code } = await within('the end', client.exited);
        assert.equal(code, 1);
        assert.match(client.stderr, /plugin 'startcrashes' 1 crashed with SIGABRT.*crash.max_execs is 5: the server leaves/);
        assert.equal(crashes(home), 6);
        home.remove('startcrashes');
        const next = await new Client(home).initialize();
        await next.appears('vault_get');
        assert.equal((await next.value('vault_get', { key: 'first' })).value, 'kept');
        await next.close();
    }, looping({ max_execs: 5 })));

    test('leaves when its client has left, although no option makes it', () => serving(async (client, home) => {
        client.start('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'system', version: '1' } });
        client.notify('notifications/initialized');
        const waiting = client.call('echo', { message: 'there' }); /* until the plugins are loaded, which is never */
        await until('it to crash again and again', () => crashes(home) > 5);
        const { code } = await client.close(10_000);
        assert.equal(code, 1);
        assert.match((await waiting).result.content[0].text, /was not begun/);
        assert.match(client.stderr, /plugin 'startcrashes' 1 crashed with SIGABRT.*the server is leaving: it does now/);
    }, { ...looping({}, ['startcrashes']), shake: false }));

    test('answers what is open before it leaves', () => serving(async (client, home) => {
        await client.appears('slow');
        const waiting = client.call('slow', { ms: 60_000 });
        home.drop('startcrashes');
        const { result } = await within('the answer', waiting);
        assert.equal(result.isError, true);
        assert.match(result.content[0].text, /crashed.*may have executed/);
        assert.equal((await within('the end', client.exited)).code, 1);
    }, looping({ max_execs: 3 }, ['slow'])));

    test('does not leave while requests are served in between', () => serving(async (client, home) => {
        await client.appears('die_null');
        for (let i = 0; i < 10; i++) {
            await crash(client, 'null');
            await served(client);
        }
        assert.equal(crashes(home), 10);
    }, looping({ max_execs: 3 }, ['dies'])));

    test('leaves if there are none', () => serving(async (client, home) => {
        await client.appears('die_null');
        const dying = Array.from({ length: 20 }, () => client.call('die_null')); /* each crash may cost as many as there are workers */
        assert.equal((await within('the end', client.exited)).code, 1);
        assert.equal(crashes(home) >= 3, true);
        await Promise.allSettled(dying);
    }, looping({ max_execs: 3 }, ['dies'])));
});

describe('a core', { skip }, () => {
    const slow = async (body) => {
        const home = new Home();
        try {
            mortal({ server: { core_dump: 'yes' } }).prepare(home);
            await body(home);
        } finally {
            home.dispose();
        }
    };
    const pattern = readFileSync('/proc/sys/kernel/core_pattern', 'utf8').trim();
    const cwd = mkdtempSync(join(tmpdir(), 'theseus-core-'));
    after(() => rmSync(cwd, { recursive: true }));

    test('is written when it is asked for, by a child that is reaped', () => serving(async (client, home) => {
        await client.appears('die_null');
        await crash(client, 'null');
        await until('the core', () => /process \d+ has written the core/.test(home.log));
        if (!/[|/]/.test(pattern)) /* it lies where the server works */
            assert.ok(readdirSync(cwd).some((name) => name.startsWith('core')));
        assert.deepEqual(children(client.pid), []);
        await served(client);
    }, { ...mortal({ server: { core_dump: 'yes' } }), cwd }));

    /* A process that is to write one waits for as long as the file is there. */
    const slowly = (home) => ({
        LD_PRELOAD: join(dirname(binary), 'tests', 'system', 'preload', 'slowcore.so'), THESEUS_CORE_WAITS: home.path('wait'),
    });
    const writers = async (home, client) => {
        writeFileSync(home.path('wait'), '');
        await client.initialize();
        await client.appears('die_null');
        await crash(client, 'null');
        await crash(client, 'fpe');
        /* The first is not killed by the second exec. */
        return until('both of them alone', () => [children(client.pid)].find((pids) => pids.length === 2));
    };

    test('that takes its time survives other crashes and restarts, and is reaped', () => slow(async (home) => {
        const client = new Client(home, { env: slowly(home), cwd });
        try {
            const pids = await writers(home, client);
            assert.equal((await client.value('orchestrator_restart_server')).success, true);
            await crash(client, 'abort');
            assert.ok(pids.every((pid) => children(client.pid).includes(pid)));
            rmSync(home.path('wait'));
            /* All at once, and maybe into one file, which not each of them gets. */
            await until('their end', () => home.log.match(/process \d+ has written (the|no) core/g)?.length === 3);
            assert.deepEqual(children(client.pid), []);
            assert.equal((await client.close()).code, 0);
        } finally {
            rmSync(home.path('wait'), { force: true });
            await client.kill();
        }
    }));

    test('that takes its time is written to its end behind a server that leaves', () => slow(async (home) => {
        const client = new Client(home, { env: slowly(home), cwd });
        try {
            const pids = await writers(home, client);
            assert.equal((await client.close()).code, 0);
            assert.ok(pids.every(alive));
            assert.match(home.log, new RegExp(`process ${pids[0]} is left to itself: it still writes a core`));
            rmSync(home.path('wait'));
            await until('the end of both', () => !pids.some(alive));
        } finally {
            rmSync(home.path('wait'), { force: true });
            await client.kill();
        }
    }));

    test('is not, otherwise', () => serving(async (client, home) => {
        await client.appears('die_null');
        await crash(client, 'null');
        assert.doesNotMatch(home.log, /the core/);
        await until('no child to be left', () => children(client.pid).length === 0);
    }, mortal()));
});
