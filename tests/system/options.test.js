/* Every option of the configuration, changed and observed. One that is not observed here does not exist. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
    chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { pause, until, within } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { crash, skip as skipCrashes, unlimited } from './lib/crash.js';
import { atMost, binary, sanitized, shipped } from './lib/home.js';
import { Installed } from './lib/installed.js';
import { rss } from './lib/proc.js';
import { restarts } from './lib/restart.js';
import { Session } from './lib/session.js';
import { NOBODY, Stranger, listening, skipStrangers } from './lib/socket.js';

const observed = new Set();

/* Where a core would be written. */
const coreDirectory = mkdtempSync(join(tmpdir(), 'theseus-core-'));
const cores = () => readdirSync(coreDirectory);
after(() => rmSync(coreDirectory, { recursive: true }));

/* `body(client, home)` observes `option`; `sections` is the configuration to begin with, `drops` the plugins. */
function observes(option, what, body, { sections = {}, drops = [], skip = false, ...options } = {}) {
    observed.add(option);
    test(`${option} ${what}`, { skip }, () => serving(body, {
        ...options,
        prepare: (home) => {
            drops.forEach((name) => home.drop(name));
            home.configure(sections);
        },
    }));
}

/* The same with a server that listens: `body(listening, home)`. */
function observesSocket(option, what, body, { sections = {}, drops = [], skip = false } = {}) {
    observed.add(option);
    test(`${option} ${what}`, { skip }, () => listening(body, {
        prepare: (home) => {
            drops.forEach((name) => home.drop(name));
            home.configure(sections);
        },
    }));
}

/* A directory that other users may pass through, and what to make in it. */
const passage = mkdtempSync(join(tmpdir(), 'theseus-passage-'));
chmodSync(passage, 0o711);
const passed = (name) => join(passage, name, 'theseus.sock');
after(() => rmSync(passage, { recursive: true }));

/* Another user is let in, and then not any more. */
async function admits(one, home, option) {
    const path = passed(option);
    const own = await one.client(path);
    const modes = () => [statSync(dirname(path)).mode & 0o777, statSync(path).mode & 0o777];
    assert.deepEqual(modes(), [0o711, 0o666]);
    const stranger = new Stranger(path);
    try {
        await stranger.initialize();
        assert.equal(await stranger.text('echo', { message: 'let in' }), 'let in');
        home.configure({ listen: { unix: path }, access: { [option]: '' } });
        await until('the socket and its directory to be closed to others', () => String(modes()) === String([0o700, 0o600]));
        assert.equal(await stranger.text('echo', { message: 'still in' }), 'still in');
        await stranger.close();
        const second = new Stranger(path);
        assert.equal((await within('the refusal', second.exited)).code, 3);
        assert.match(second.stderr, /EACCES/);
        assert.equal(await own.text('echo', { message: 'own' }), 'own');
    } finally {
        await stranger.kill();
    }
}

const initialized = (client) => client.ask('initialize', {
    protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'system', version: '1' },
});

/* A line of exactly `bytes` bytes that asks for a ping. */
function ping(id, bytes) {
    const line = JSON.stringify({ jsonrpc: '2.0', id, method: 'ping' });
    return `${line}${' '.repeat(bytes - line.length)}\n`;
}

/* A request whose parsed form is many times as large as its text. */
const bulky = { message: 'x', numbers: Array.from({ length: 50_000 }, () => 1) };

describe('the option', { concurrency: 4 }, () => {
    observes('server.name', 'is what the next handshake says', async (client, home) => {
        assert.equal((await initialized(client)).result.serverInfo.name, 'first');
        home.configure({ server: { name: 'second' } });
        await until('the new name', async () => (await initialized(client)).result.serverInfo.name === 'second');
    }, { sections: { server: { name: 'first' } } });

    observes('server.instructions', 'is what the next handshake says', async (client, home) => {
        assert.match((await initialized(client)).result.instructions, /theseus_reload/, 'the default is helpful');
        home.configure({ server: { instructions: 'First line.\n  Second line.' } });
        await until('the new text', async () =>
            (await initialized(client)).result.instructions === 'First line.\nSecond line.');
    });

    observes('server.state_dir', 'is where the log is', async (client, home) => {
        await client.names();
        assert.ok(existsSync(home.path('elsewhere', 'log', 'theseus.log')));
        assert.ok(!existsSync(home.path('state', 'log')));
    }, { sections: { server: { state_dir: 'elsewhere' } } }); /* relative to the file */

    observes('server.runtime_dir', 'is where the private copies are', async (client, home) => {
        await client.names();
        const boot = readdirSync(home.path('elsewhere')).find((name) => /^[0-9a-f]{16}$/.test(name));
        assert.ok(readdirSync(home.path('elsewhere', boot)).some((name) => /^echo\..*\.so$/.test(name)));
        assert.deepEqual(readdirSync(home.path('run')), []);
    }, { sections: { server: { runtime_dir: 'elsewhere' } } });

    observes('server.log_level', 'decides what is written, at once', async (client, home) => {
        await client.appears('say');
        await client.text('say', { level: 'debug', text: 'whispered' });
        await client.text('say', { level: 'warning', text: 'shouted' });
        assert.match(home.log, /shouted/);
        assert.doesNotMatch(home.log, /whispered/);
        home.configure({ server: { log_level: 'debug' } });
        await until('a debug line', async () => {
            await client.text('say', { level: 'debug', text: 'whispered' });
            return /debug .*whispered/.test(home.log);
        });
    }, { drops: ['logger'] });

    observes('server.workers', 'is how many calls may block at a time', async (client) => {
        await client.appears('parallel');
        const answers = await Promise.all(Array.from({ length: 9 }, () => client.value('parallel', { ms: 400 })));
        assert.equal(Math.max(...answers.map((one) => one.most)), 3);
    }, { drops: ['serial'], sections: { server: { workers: 3 } } });

    observes('server.core_dump', 'is whether a crash writes a core', async (client, home) => {
        await client.appears('die_null');
        await crash(client, 'null');
        assert.deepEqual(cores(), []);
        home.configure({ ...unlimited, server: { core_dump: 'yes' } });
        await until('the option to be taken', async () =>
            (await client.value('orchestrator_health_check')).checks.configuration.generation === 2);
        await crash(client, 'null');
        await until('the core', () => /process \d+ has written (the|no) core/.test(home.log));
    }, { drops: ['dies'], sections: unlimited, skip: skipCrashes, cwd: coreDirectory });

    observes('plugins.path', 'is where plugins are looked for, at once', async (client, home) => {
        assert.ok(!(await client.names()).includes('greet'));
        home.plugins = home.path('second');
        mkdirSync(home.plugins, { mode: 0o700 });
        home.drop('greet');
        home.configure({ plugins: { path: `${home.path('plugins')}:${home.path('second')}:${shipped}` } });
        await client.appears('greet');
        home.configure({ plugins: { path: `${home.path('plugins')}:${shipped}` } });
        await client.vanishes('greet');
    });

    observes('plugins.watch', 'set to no leaves changes for a reload', async (client, home) => {
        await client.names();
        home.drop('greet');
        home.configure({ plugins: { watch: 'no' }, tools: { hide: 'echo' } });
        await pause(500); /* many times settle_ms: what is watched would be seen by now */
        const names = await client.names();
        assert.ok(names.includes('echo') && !names.includes('greet'));
        const report = await client.value('theseus_reload');
        assert.deepEqual(report.tools, { added: ['greet'], removed: ['echo'], changed: [] });
        home.configure({ plugins: { watch: 'yes' } });
        await client.value('theseus_reload');
        home.drop('version1');
        await client.appears('version');
    }, { sections: { plugins: { watch: 'no' } } });

    observes('plugins.settle_ms', 'is how long a file must be quiet', async (client, home) => {
        await client.names();
        let begin = Date.now();
        home.drop('greet');
        await client.appears('greet');
        assert.ok(Date.now() - begin >= 2500, `${Date.now() - begin} ms`);
        home.configure({ plugins: { settle_ms: 1 } });
        await until('the new value to be taken', () => /settle_ms has changed/.test(home.log));
        begin = Date.now();
        home.drop('version1');
        await client.appears('version');
        assert.ok(Date.now() - begin < atMost(2400), `${Date.now() - begin} ms`);
    }, { sections: { plugins: { settle_ms: 2500 } } });

    observes('plugins.disable', 'takes plugins away and gives them back, at once', async (client, home) => {
        await client.appears('greet');
        home.configure({ plugins: { disable: 'ech*, greet' } });
        await client.vanishes('echo');
        await client.vanishes('greet');
        home.configure();
        await client.appears('echo');
        await client.appears('greet');
    }, { drops: ['greet'] });

    observes('plugins.disable', 'goes by the name that the plugin has, whatever its file is called', async (client, home) => {
        home.drop('greet', 'other');
        await client.refused('other.so', /plugin 'greet' is disabled by plugins\.disable/);
        home.configure();
        await client.appears('greet');
        home.configure({ plugins: { disable: 'greet' } });
        await client.vanishes('greet');
    }, { sections: { plugins: { disable: 'greet' } } });

    observes('tools.hide', 'hides tools and shows them again, at once', async (client, home) => {
        assert.ok(!(await client.names()).some((name) => /^theseus_(plug|call)/.test(name)));
        const { error, result } = await client.call('theseus_call', { name: 'echo', arguments: { message: 'x' } });
        assert.ok(error || result.isError, 'a hidden tool does not answer');
        home.configure({ tools: { hide: 'echo' } });
        await client.appears('theseus_call');
        await client.vanishes('echo');
        await until('both changes to be told', () => client.changes() >= 1);
    }, { sections: { tools: { hide: 'theseus_plug*, theseus_call' } } });

    observes('limits.max_line', 'is the longest line; one byte more is an error without an id', async (client, home) => {
        const answered = async (bytes) => {
            const before = client.idless.length;
            const { id, answer } = client.start('ping');
            await answer;
            client.problems.length = 0;
            client.write(ping(id, bytes));
            return until('an answer', () => client.problems.pop() ? 'yes' : client.idless.length > before && 'no');
        };
        assert.equal(await answered(4096), 'yes');
        assert.equal(await answered(4097), 'no');
        assert.match(client.idless[0].error.message, /max_line/);
        home.configure({ limits: { max_line: '8K' } });
        await until('the new limit', async () => await answered(4097) === 'yes');
        assert.equal(await answered(8193), 'no');
    }, { sections: { limits: { max_line: '4K' } } });

    observes('limits.max_in_flight', 'is how many requests run; more are held, ping and cancellation are not', async (client) => {
        await client.appears('parallel');
        const answered = [];
        const asked = (method, params) => client.start(method, params).answer.then((answer) => { answered.push(method); return answer; });
        const calls = Array.from({ length: 6 }, () => asked('tools/call', { name: 'parallel', arguments: { ms: 1000 } }));
        await asked('ping');
        const most = (await within('the calls', Promise.all(calls))).map((one) => one.result.structuredContent.most);
        assert.equal(answered[0], 'ping', 'ping is read past held requests');
        assert.equal(Math.max(...most), 2);
    }, { drops: ['serial'], sections: { server: { workers: 8 }, limits: { max_in_flight: 2 } } });

    observes('limits.max_buffered', 'bounds what is kept for a client that does not read', async (client) => {
        await client.names();
        const before = rss(client.pid), message = 'm'.repeat(20_000), calls = sanitized ? 500 : 2500; /* 50 MB each way */
        client.process.stdout.pause();
        const answers = Array.from({ length: calls }, () => client.call('echo', { message }));
        let last = -1;
        await until('the server to stop reading', async () => {
            await pause(200); /* between two looks: has it taken nothing meanwhile? */
            const left = client.process.stdin.writableLength, still = left === last && left > 0;
            last = left;
            return still;
        });
        const grown = rss(client.pid) - before;
        assert.ok(grown < atMost(8 * 1024), `it keeps ${grown} KiB`);
        client.process.stdout.resume();
        for (const { result } of await within('all answers', Promise.all(answers), 30_000))
            assert.equal(result.content[0].text.length, message.length);
    }, { sections: { limits: { max_line: '64K', max_buffered: '1M', max_result: '64K' } } });

    observes('limits.call_timeout', 'is when a call is answered, and its handler asked to stop', async (client) => {
        await client.appears('version');
        const begin = Date.now();
        const { result, error } = await within('the answer', client.call('version', { ms: 20_000 }));
        const ms = Date.now() - begin;
        assert.ok(ms >= 950 && ms < atMost(5000), `${ms} ms`);
        assert.ok(error || result.isError);
        await until('the handler to stop', async () => (await client.plugin('version')).in_flight === 0, 3000);
    }, { drops: ['version1'], sections: { limits: { call_timeout: 1 } } });

    observes('limits.max_result', 'is the longest answer', async (client) => {
        await client.appears('huge');
        assert.equal((await client.text('huge', { bytes: 60_000 })).length, 60_000);
        const { result, error } = await client.call('huge', { bytes: 70_000 });
        assert.match(error?.message ?? result.content[0].text, /max_result/);
        assert.ok(error || result.isError);
        const far = await client.call('huge', { bytes: 100_000_000 });
        assert.match(far.error?.message ?? far.result.content[0].text, /max_result/);
    }, { drops: ['huge'], sections: { limits: { max_result: '64K' } } });

    observes('limits.max_result', 'lets the text copy of structured content give way first', async (client) => {
        await client.appears('config_get');
        const { structuredContent, content } = await client.result('config_get');
        assert.equal(structuredContent.config.text.length, 40_000);
        assert.ok(content[0].text.length < 1000, content[0].text.slice(0, 200));
    }, { drops: ['config'], sections: { limits: { max_result: '64K' }, 'plugin:config': { text: 't'.repeat(40_000) } } });

    observes('limits.memory', 'is how much memory there is, at once', async (client, home) => {
        await client.appears('hog_polite');
        const most = async () => Number(/(\d+) MiB/.exec(await client.text('hog_polite'))[1]);
        if (sanitized) { /* it needs memory of its own, and no limit is set */
            assert.match(home.log, /limits\.memory has no effect in this build/);
            return;
        }
        const first = await most();
        assert.ok(first > 40 && first < 80, `${first} MiB`);
        home.configure({ limits: { memory: '160M' } });
        await until('the new limit', async () => await most() > first + 48);
    }, { drops: ['hog'], sections: { limits: { memory: '96M' } } });

    observesSocket('limits.max_clients', 'is how many clients there may be', async (one, home) => {
        const [first] = await one.many(2);
        const third = await one.connect();
        await within('the end of the connection', third.closed);
        assert.equal(third.idless.length, 1);
        assert.equal(third.idless[0].error.code, -32600);
        assert.match(third.idless[0].error.message, /there are 2 clients already \(limits\.max_clients\)/);
        home.configure({ limits: { max_clients: 3 } });
        await until('one more', async () => {
            const client = await one.connect();
            await Promise.race([client.closed, client.initialize().catch(() => {})]);
            return !client.ended;
        });
        assert.equal(await first.text('echo', { message: 'x' }), 'x');
    }, { sections: { limits: { max_clients: 2 } } });

    observes('limits.rate', 'holds the requests beyond so many in a second', async (client, home) => {
        const asked = (count) => within('the answers', Promise.all(Array.from({ length: count }, () => client.ask('tools/list'))));
        await client.names();
        await pause(300); /* so many, and no fewer, may come at once */
        const begin = Date.now();
        await asked(30);
        const ms = Date.now() - begin;
        assert.ok(ms >= 900 && ms < atMost(4000), `${ms} ms for 30 requests at 15 in a second`);
        home.configure({ limits: { rate: 0 } });
        await until('no limit', async () => {
            const again = Date.now();
            await asked(30);
            return Date.now() - again < 800;
        });
    }, { sections: { limits: { rate: 15 } } });

    observesSocket('limits.first_line', 'is how long a first message may take', async (one) => {
        const client = await one.client();
        const idle = await one.connect(), slow = await one.connect();
        const begin = Date.now();
        slow.write('{"jsonrpc":');
        await within('the end of the connection', slow.closed);
        const ms = Date.now() - begin;
        assert.ok(ms >= 950 && ms < atMost(4000), `${ms} ms`);
        assert.match(slow.idless[0].error.message, /not whole within 1 s \(limits\.first_line\)/);
        client.write('{"jsonrpc":"2.0",');
        await idle.initialize();
        await pause(1500); /* longer than a first message may take */
        client.write('"id":"late","method":"ping"}\n');
        await until('the answer', () => client.problems.length === 1);
        assert.match(client.problems.pop(), /"late"/);
        assert.equal(await idle.text('echo', { message: 'x' }), 'x');
    }, { sections: { limits: { first_line: 1 } } });

    observesSocket('listen.session_expiry', 'is how long a client whose socket has ended is awaited', async (one, home) => {
        const watcher = await one.client(), session = await Session.hello(one);
        const sessions = async () => (await watcher.value('orchestrator_reconnect_test')).results.sessions;
        await session.drop();
        await until('the end of the socket', async () =>
            (await sessions()).find((other) => other.session_id === session.id).state === 'disconnected');
        home.configure({ listen: { session_expiry: '1s' } });
        await until('the end of the session', async () => !(await sessions()).some((other) => other.session_id === session.id));
    });

    observesSocket('listen.unix', 'is where clients connect, from the next image on', async (one, home) => {
        const client = await one.client(home.path('elsewhere', 'theseus.sock'));
        home.configure({ listen: { unix: 'third/theseus.sock' } });
        await until('the change', async () =>
            (await client.value('orchestrator_health_check')).checks.configuration.pending_reexec.includes('listen.unix'));
        await restarts({ value: (name, args) => client.value(name, args), pid: one.pid });
        const other = await one.client(home.path('third', 'theseus.sock'));
        assert.equal(await other.text('echo', { message: 'a' }), 'a');
        assert.equal(await client.text('echo', { message: 'b' }), 'b');
        assert.ok(!existsSync(home.path('elsewhere', 'theseus.sock')));
    }, { sections: { listen: { unix: 'elsewhere/theseus.sock' } } });

    observesSocket('access.allow_uid', 'names users who are let in', (one, home) =>
        admits(one, home, 'allow_uid'), {
        skip: skipStrangers, sections: { listen: { unix: passed('allow_uid') }, access: { allow_uid: `1, ${NOBODY}` } },
    });
    observesSocket('access.allow_gid', 'names groups that are let in', (one, home) =>
        admits(one, home, 'allow_gid'), {
        skip: skipStrangers, sections: { listen: { unix: passed('allow_gid') }, access: { allow_gid: `${NOBODY}` } },
    });

    observes('restart.total_restart', 'is how long a restart may take that says nothing else', async (client) => {
        await client.appears('orchestrator_restart_server');
        const { timeout, success } = await client.value('orchestrator_restart_server');
        assert.equal(timeout, 44);
        assert.equal(success, true);
        assert.equal((await client.value('orchestrator_restart_server', { timeout: 10 })).timeout, 10);
    }, { sections: { restart: { total_restart: 44 } } });

    observes('restart.watch_binary', 'restarts when another program stands in its place', async (client, home) => {
        await client.appears('orchestrator_health_check');
        const boot = async () => (await client.value('orchestrator_health_check')).boot_id;
        const first = await boot();
        home.install(binary);
        await pause(300); /* longer than it settles */
        assert.equal(await boot(), first);
        home.configure({ restart: { watch_binary: 'yes' } });
        await until('the option to be taken', async () =>
            (await client.value('orchestrator_health_check')).checks.configuration.generation === 2);
        home.install(binary);
        await until('another boot', async () => (await boot()) !== first);
    }, { Place: Installed });

    observes('crash.max_execs', 'is after how many crashes with nothing in between the server leaves', async (client, home) => {
        await client.names();
        home.drop('startcrashes');
        assert.equal((await within('the end', client.exited)).code, 1);
        assert.equal(home.log.match(/crashed with SIGABRT in start/g).length, 4);
    }, { sections: { crash: { ...unlimited.crash, max_execs: 4 } }, skip: skipCrashes });

    observes('crash.execs_window', 'is the time in which they have to come', async (client, home) => {
        await client.names();
        home.drop('startcrashes');
        await until('more crashes than the limit', () => home.log.match(/crashed with SIGABRT in start/g)?.length > 4);
        home.delete('startcrashes.so');
        await until('them to end', async () => (await client.names()).includes('echo'));
        assert.equal(client.process.exitCode, null);
    }, { sections: { crash: { ...unlimited.crash, max_execs: 4, execs_window: 0 } }, skip: skipCrashes });

    observes('crash.guard', 'is whether what was written over is there again', async (client, home) => {
        const kept = async () => {
            await client.appears('scribble');
            await client.appears('die_null');
            await client.text('keep', { value: 'looked for' });
            assert.ok((await client.value('scribble', { where: 'open', find: ['looked ', 'for'] })).count > 0);
            await crash(client, 'null');
            return (await client.value('kept')).value;
        };
        assert.equal(await kept(), null);
        home.configure({ ...unlimited, crash: { ...unlimited.crash, guard: 'yes' } });
        await until('the option to be taken', async () =>
            (await client.value('orchestrator_health_check')).checks.configuration.generation === 2);
        assert.equal(await kept(), 'looked for');
    }, { drops: ['dies', 'scribbles'], sections: { ...unlimited, crash: { ...unlimited.crash, guard: 'no' } }, skip: skipCrashes });

    observes('restart.shutdown_timeout', 'is how long a call may still run on SIGTERM', async (client) => {
        await client.appears('version');
        void client.call('version', { ms: 20_000 });
        await until('the call to run', async () => (await client.plugin('version')).in_flight === 1);
        const { ms } = await client.signal('SIGTERM');
        assert.ok(ms < atMost(5000), `${ms} ms`);
    }, { drops: ['version1'], sections: { restart: { shutdown_timeout: 0 } } });

    observes('restart.task_suspension', 'is how long a replacement holds new calls for old ones', async (client, home) => {
        await client.appears('keeper_add');
        const slow = client.call('keeper_add', { ms: 5000 });
        await until('the call to run', async () => (await client.plugin('keeper')).in_flight === 1);
        const begin = Date.now();
        home.drop('keeper');
        const { waiting } = await client.value('theseus_reload');
        const ms = Date.now() - begin;
        assert.equal(waiting.length, 1);
        assert.ok(ms >= 900 && ms < atMost(4000), `it was held for ${ms} ms`);
        await within('the slow call', slow);
    }, { drops: ['keeper'], sections: { restart: { task_suspension: 1 } } });

    observes('restart.process_startup', 'is how long the examination of a plugin may take', async (client, home) => {
        const begin = Date.now();
        home.drop('ctorhang');
        await client.refused('ctorhang.so', /did not load within 2000 ms/);
        const ms = Date.now() - begin;
        assert.ok(ms >= 2000 && ms < atMost(8000), `${ms} ms`);
    }, { sections: { restart: { process_startup: 2 } } });

    /* Resident memory while sixty bulky requests are held. */
    const held = async (client) => {
        await client.appears('version');
        const first = client.call('version', { ms: 20_000 });
        const before = rss(client.pid);
        const calls = Array.from({ length: 60 }, () => client.call('echo', bulky));
        await client.ask('ping'); /* all of them are read */
        const grown = rss(client.pid) - before;
        client.notify('notifications/cancelled', { requestId: client.lastId - 61 });
        await within('the held requests', Promise.all(calls));
        void first;
        return grown;
    };
    const one = { limits: { max_in_flight: 1 } };
    observes('buffer.max_buffer_size', 'bounds the requests that are held in parsed form', async (client) => {
        const grown = await held(client);
        assert.ok(grown < atMost(30 * 1024), `${grown} KiB for 6 MB of text`);
    }, { drops: ['version1'], sections: { ...one, buffer: { max_buffer_size: 2 } } });
    observes('buffer.max_buffer_size', 'keeps so many of them parsed', async (client) => {
        const grown = await held(client);
        assert.ok(grown > 60 * 1024, `${grown} KiB for 6 MB of text`);
    }, { drops: ['version1'], sections: { ...one, buffer: { max_buffer_size: 100 } } });

    observes('buffer.buffer_expiration', 'is how long a request may be held', async (client, home) => {
        await client.appears('version');
        const slow = client.call('version', { ms: 20_000 });
        const held = client.call('version', { ms: 1 }); /* for a worker */
        await client.ask('ping');
        home.configure({ server: { workers: 1 }, buffer: { buffer_expiration: 1 } });
        const { error } = await within('the error', held);
        assert.match(error.message, /held for 1 s \(buffer\.buffer_expiration\) and was never begun; it may be sent again/);
        client.notify('notifications/cancelled', { requestId: client.lastId - 2 });
        assert.equal(await client.text('version', {}), 'one'); /* and it may */
        void slow;
    }, { drops: ['version1'], sections: { server: { workers: 1 } } });
    observes('buffer.buffer_expiration', 'is how long a request may wait for its turn', async (client) => {
        await client.appears('version');
        const begin = Date.now();
        const slow = client.call('version', { ms: 5000 });
        const { error } = await within('the error', client.call('echo', { message: 'x' }));
        const ms = Date.now() - begin;
        assert.match(error.message, /never begun/);
        assert.ok(ms >= 950 && ms < atMost(4000), `${ms} ms`);
        assert.ok((await within('the slow call', slow)).result, 'what runs is left alone');
    }, { drops: ['version1'], sections: { ...one, buffer: { buffer_expiration: 1 } } });

    observes('buffer.cleanup_interval', 'is how often what dead servers left is removed', async (client, home) => {
        await client.appears('echo');
        const draft = home.path('state', 'snapshots', 'dead.00000001.0.snap.new');
        const old = home.path('state', 'snapshots', 'dead.00000002.0.snap.refused');
        mkdirSync(home.path('state', 'snapshots'), { mode: 0o700 });
        for (const path of [draft, old])
            writeFileSync(path, 'left behind', { mode: 0o600 });
        utimesSync(old, 1000, 1000);
        await pause(1500); /* longer than the interval to come */
        assert.ok(existsSync(draft) && existsSync(old));
        home.configure({ buffer: { cleanup_interval: 1 } });
        await until('both to go', () => !existsSync(draft) && !existsSync(old));
    }, { sections: { buffer: { cleanup_interval: 3600 } } });

    /* What becomes of a plugin that crashes, in the words that the client gets. */
    const breaks = async (client) => {
        await client.appears('brittle');
        return (await client.result('brittle', { crash: true }))._meta['theseus/crash'].next;
    };
    const reconfigured = async (client, home, sections) => {
        const generation = async () => (await client.value('orchestrator_health_check')).checks.configuration.generation;
        const before = await generation();
        home.configure(sections);
        await until('the new configuration', async () => await generation() > before);
    };

    observes('crash.limit', 'is the number of crashes that a plugin is allowed', async (client, home) => {
        assert.deepEqual([await breaks(client), await breaks(client), await breaks(client)], Array(3).fill('still there'));
        await reconfigured(client, home, { crash: { limit: 5, probation: 0 } });
        assert.deepEqual([await breaks(client), await breaks(client)], ['still there', 'unloaded']);
    }, { skip: skipCrashes, drops: ['brittle2'], sections: { crash: { limit: 0, probation: 0 } } });

    observes('crash.window', 'is for how long a crash counts', async (client, home) => {
        assert.deepEqual([await breaks(client), await breaks(client)], ['still there', 'still there']);
        await reconfigured(client, home, { crash: { limit: 2, window: 3600, probation: 0 } });
        assert.equal(await breaks(client), 'unloaded');
    }, { skip: skipCrashes, drops: ['brittle2'], sections: { crash: { limit: 2, window: 0, probation: 0 } } });

    observes('crash.probation', 'is for how long a plugin is new', async (client, home) => {
        assert.equal(await breaks(client), 'still there');
        await reconfigured(client, home, { crash: { probation: 3600 } });
        assert.equal(await breaks(client), 'unloaded');
    }, { skip: skipCrashes, drops: ['brittle2'], sections: { crash: { probation: 0 } } });

    observes('crash.probation_calls', 'is for how many calls a plugin is new', async (client, home) => {
        assert.equal(await breaks(client), 'still there');
        await reconfigured(client, home, { crash: { probation_calls: 2 } });
        await client.text('brittle');
        assert.equal((await client.plugin('brittle')).probation, true);
        await client.text('brittle');
        assert.equal((await client.plugin('brittle')).probation, false);
        await reconfigured(client, home, { crash: { probation_calls: 100 } });
        assert.equal(await breaks(client), 'unloaded');
    }, { skip: skipCrashes, drops: ['brittle2'], sections: { crash: { probation_calls: 0 } } });

    observes('history.keep', 'is how long the history remembers', async (client, home) => {
        const past = async () => (await client.value('orchestrator_restart_status', { include_history: true })).history.total_restarts;
        await restarts(client);
        await until('the history to have it', async () => await past() === 1);
        home.configure({ buffer: { cleanup_interval: 1 }, history: { keep: '1s' } });
        await until('the history to forget it', async () => await past() === 0);
    }, { sections: { buffer: { cleanup_interval: 1 }, history: { keep: '1h' } } });

    observes('history.audit_lines', 'is how many lines the audit keeps', async (client, home) => {
        const lines = () => execFileSync(binary, ['audit', '--json', '-c', home.config], { encoding: 'utf8' }).split('\n').length - 1;
        for (let i = 0; i < 15; i++)
            await client.result('theseus_reload');
        await until('the audit to have them', () => lines() === 15);
        home.configure({ buffer: { cleanup_interval: 1 }, history: { audit_lines: 10 } });
        await until('the oldest to go', () => lines() === 10);
    }, { sections: { buffer: { cleanup_interval: 1 } } });

    observes('tasks.promote_after', 'is how long a call runs before it becomes a task', async (client, home) => {
        await client.appears('plain_wait');
        const call = async () => (await client.start('tools/call', {
            name: 'plain_wait', arguments: { ms: 1500 },
            _meta: {
                'io.modelcontextprotocol/protocolVersion': '2026-07-28',
                'io.modelcontextprotocol/clientCapabilities': { extensions: { 'io.modelcontextprotocol/tasks': {} } },
            },
        }).answer).result.resultType;
        assert.equal(await call(), 'complete');
        home.configure({ tasks: { promote_after: 1 } });
        await until('the new value', async () => await call() === 'task', 20_000);
    }, { drops: ['longwork'], sections: { tasks: { promote_after: 0 } } });

    observes('state.key_file', 'is where the key is that snapshots are sealed with', async (client, home) => {
        await client.appears('shared_count');
        await client.value('shared_count');
        await until('the key', () => existsSync(home.path('elsewhere.key')));
        assert.equal(statSync(home.path('elsewhere.key')).size, 32);
        assert.ok(!existsSync(home.path('state', 'key')));
    }, { drops: ['shared'], sections: { state: { key_file: 'elsewhere.key' } } });

    observes('metrics.file', 'is where figures are written for a collector', async (client, home) => {
        await client.names();
        const path = home.path('figures.prom');
        assert.equal(existsSync(path), false);
        home.configure({ metrics: { file: path } });
        await until('the figures', () => existsSync(path));
        assert.match(readFileSync(path, 'utf8'), /^theseus_clients 1$/m);
        assert.equal(statSync(path).mode & 0o777, 0o644);
    });

    observes('access.restart', 'set to no forbids a reload to the client', async (client, home) => {
        const { isError, content } = await client.result('theseus_reload');
        assert.ok(isError);
        assert.match(content[0].text, /access\.restart is 'no'/);
        home.configure();
        await until('the new value', async () => !(await client.result('theseus_reload')).isError);
    }, { sections: { access: { restart: 'no' } } });

    observes('access.reload', 'is as access.restart, unless it says otherwise', async (client, home) => {
        const { isError, content } = await client.result('theseus_reload');
        assert.ok(isError);
        assert.match(content[0].text, /access\.reload is 'no'/);
        home.configure({ access: { restart: 'no', reload: 'own' } });
        await until('the new value', async () => !(await client.result('theseus_reload')).isError);
        home.configure({ access: { restart: 'confirm' } });
        await until('the configuration to be taken', async () => (await client.text('orchestrator_restart_server')).includes('elicitation'));
        assert.ok(!(await client.result('theseus_reload')).isError);
    }, { sections: { access: { reload: 'no' } } });

    observes('access.call', 'is who may call tools', async (client, home) => {
        const called = async () => (await client.result('echo', { message: 'a' })).content[0].text;
        assert.match(await called(), /access\.call/);
        home.configure({ access: { call: 'own' } });
        await until('the new value', async () => await called() === 'a');
    }, { sections: { access: { call: 'others' } } });

    observes('access.deny', 'is what may not be called', async (client, home) => {
        const called = async () => (await client.result('echo', { message: 'a' })).content[0].text;
        assert.match(await called(), /access\.deny has 'echo@own'/);
        assert.ok((await client.names()).includes('echo'));
        home.configure({ access: { deny: 'echo@others' } });
        await until('the new value', async () => await called() === 'a');
    }, { sections: { access: { deny: 'echo@own' } } });

    observes('access.hide', 'is what is not there', async (client, home) => {
        await client.appears('theseus_plugins');
        assert.ok(!(await client.names()).includes('echo'));
        const before = client.changes();
        home.configure({ access: { hide: 'theseus_plugins' } });
        await client.appears('echo');
        await client.vanishes('theseus_plugins');
        await until('the client to be told', () => client.changes() > before);
    }, { sections: { access: { hide: 'ech?@own' } } });

    observes('access.confirm_within', 'is how long the person may take', async (client) => {
        await client.ask('initialize', {
            protocolVersion: '2025-11-25', capabilities: { elicitation: {} }, clientInfo: { name: 'system', version: '1' },
        });
        await client.appears('orchestrator_restart_server');
        const { isError, content } = await client.result('orchestrator_restart_server');
        assert.ok(isError);
        assert.match(content[0].text, /did not answer within access\.confirm_within/);
        const [asked, cancelled] = ['elicitation/create', 'notifications/cancelled'].map((method) =>
            client.notifications.find((one) => one.method === method));
        assert.equal(cancelled.params.requestId, asked.id);
    }, { sections: { access: { restart: 'confirm', confirm_within: 1 } } });

    observes('access.call_by_name', 'is what theseus_call may run', async (client, home) => {
        const may = async (name) => !(await client.result('theseus_call', { name, arguments: {} })).isError;
        await client.appears('count');
        assert.deepEqual([await may('counted'), await may('count')], [true, false]);
        home.configure({ access: { call_by_name: 'yes' } });
        await until('everything to be allowed', () => may('count'));
        home.configure({ access: { call_by_name: 'no' } });
        await until('nothing to be allowed', async () => !await may('counted'));
        assert.equal((await client.value('counted')).count, 1);
    }, { drops: ['counter'] });
});

test('every option of config/theseus.ini is observed here', () => {
    const path = fileURLToPath(new URL('../../config/theseus.ini', import.meta.url));
    const options = [];
    let section;
    for (const line of readFileSync(path, 'utf8').split('\n')) {
        section = /^\[([a-z]+)\]$/.exec(line)?.[1] ?? (/^;\[/.test(line) ? undefined : section);
        const key = /^;([a-z_]+) =/.exec(line)?.[1];
        if (section && key)
            options.push(`${section}.${key}`);
    }
    assert.ok(options.length > 20, options.join(' '));
    assert.deepEqual([...observed].sort(), options.sort());
});
