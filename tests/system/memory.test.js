/* Plugins that take all memory: it costs their own calls, not the server. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { KEY, unlimited } from './lib/crash.js';
import { ask } from './lib/mcp-tasks.js';
import { sanitized } from './lib/home.js';
import { ofThreads } from './lib/proc.js';

const skip = sanitized && 'a sanitizer needs memory of its own, and no limit is set';
const MIB = 1 << 20;

/* The names of the server's threads. */
const threads = (pid) => ofThreads(pid, 'comm').map((name) => name.trim());

const health = (client) => client.value('orchestrator_health_check');
const memory = async (client) => (await health(client)).checks.memory;

const hungry = (limit = '128M', ...drops) => ({
    prepare: (home) => {
        ['hog', ...drops].forEach((name) => home.drop(name));
        home.configure({ limits: { memory: limit } });
    },
});

/* What a call is refused with meanwhile. */
const isShort = (error) => /short of memory: \d+ of 128 MiB \(limits\.memory\) are in use; this call was not begun, and can be sent again/.test(error?.message);

describe('limits.memory', { concurrency: 2, skip }, () => {
    test('is an error to a tool that asks for more, and to nobody else', () => serving(async (client) => {
        await client.appears('hog_polite');
        const text = await client.text('hog_polite');
        const [, mib] = /^no memory after (\d+) MiB$/.exec(text);
        assert.ok(mib > 80 && mib < 112, `${mib} MiB of 128, less the reserve of 16`);
        assert.equal(await client.text('echo', { message: 'well' }), 'well');
        const { limit, used, short } = await memory(client);
        assert.equal(limit, 128 * MIB);
        assert.ok(used > 0 && used < 64 * MIB, `${used}`);
        assert.equal(short, false);
    }, hungry()));

    test('is a clean error where a result grows beyond it', () => serving(async (client) => {
        await client.appears('hog_json');
        for (let i = 0; i < 3; i++) {
            const { result, error } = await client.call('hog_json');
            assert.match(error?.message ?? result.content[0].text, /no memory|max_result/);
            assert.ok(error || result.isError);
        }
        await until('calls to be taken', async () => (await client.call('echo', { message: 'well' })).result);
    }, hungry()));

    test('leaves the core its reserve: calls are refused until there is memory again', () => serving(async (client, home) => {
        await client.appears('hog_keep');
        await client.text('hog_keep');
        let refused = 0;
        for (let i = 0; i < 2000; i++) { /* many times what a reserve that is never given back would take */
            const { error, result } = await client.call('echo', { message: 'm'.repeat(10_000) });
            assert.ok(isShort(error) || result?.content[0].text.length === 10_000, JSON.stringify({ error, result }).slice(0, 300));
            refused += Boolean(error);
        }
        assert.ok(refused > 0, 'it was noticed');
        assert.ok((await client.names()).length > 5);
        const report = await health(client);
        assert.equal(report.healthy, false);
        assert.equal(report.checks.memory.short, true);
        assert.ok(report.checks.memory.used <= 128 * MIB);
        assert.match(report.issues.join('\n'), /the server is short of memory/);
        assert.match(home.log, /error .*short of memory: \d+ of 128 MiB \(limits\.memory\) are in use; calls are refused .* raise limits\.memory/);
        home.configure(); /* whoever knows better may take the limit away */
        await until('calls to be taken', async () => (await client.call('hog_free')).result);
        assert.equal(await client.text('echo', { message: 'well' }), 'well');
        assert.equal((await memory(client)).short, false);
    }, hungry()));

    test('that nobody gives back is a reason to begin anew', () => serving(async (client, home) => {
        await client.appears('hog_keep');
        const before = (await health(client)).boot_id;
        await client.text('hog_keep');
        await until('it to be noticed', async () => isShort((await client.call('echo', { message: 'm' })).error));
        await until('another image', async () => (await health(client)).boot_id !== before, 25_000);
        await until('calls to be taken', async () => (await client.call('echo', { message: 'well' })).result);
        const { short, limit, used } = await memory(client);
        assert.deepEqual([short, limit], [false, 128 * MIB]);
        assert.ok(used < 64 * MIB);
        const [event] = await until('the history', async () => {
            const { history } = await client.value('orchestrator_restart_status', { include_history: true });
            return history.recent_restarts.length > 0 && history.recent_restarts;
        });
        assert.equal(event.reason, 'error_recovery');
        assert.match(JSON.stringify(event), /the server is short of memory/);
        assert.match(home.log, /the server restarts to be rid of that/);
    }, hungry()));

    test('leaves no request unread for ever: what cannot be read is a reason to begin anew', () => serving(async (client, home) => {
        await client.appears('hog_keep');
        const before = (await health(client)).boot_id;
        await client.text('hog_keep');
        const message = 'm'.repeat(MIB);
        const { result } = await within('the answer', client.call('echo', { message }), 25_000);
        assert.equal(result.content[0].text, message);
        assert.notEqual((await health(client)).boot_id, before);
        assert.match(home.log, /error .*the server has no memory to read what a client sends: \d+ of 128 MiB \(limits\.memory\) are in use; the server restarts/);
        assert.ok(home.log.match(/memory/g).length < 10, 'it is not said again and again');
    }, hungry()));

    test('lets a server whose memory is used up see that its client has gone', () => serving(async (client) => {
        await client.appears('hog_keep');
        await client.text('hog_keep');
        void client.call('echo', { message: 'm'.repeat(MIB) }).catch(() => {});
        await until('it to be noticed', () => /short of memory|no memory to read/.test(client.stderr));
        client.process.stdin.destroy();
        const { code } = await within('leaving', client.exited, 9000); /* and not with the image that comes after 10 s */
        assert.equal(code, 0);
    }, hungry()));

    /* Looking for a task takes a thread of its own, which nothing has asked for until then. */
    const asksForTask = (client) => ask(client, 'tasks/get', { taskId: 'f'.repeat(32) });

    test('leaves the core memory for its threads', () => serving(async (client, home) => {
        await client.appears('hog_keep');
        await client.text('hog_keep');
        assert.ok(!threads(client.pid).includes('tasks'));
        assert.equal((await asksForTask(client)).error.code, -32602);
        assert.ok(threads(client.pid).includes('tasks'));
        assert.doesNotMatch(home.log, /cannot start the thread/);
    }, hungry()));

    test('is named where it leaves no room for a thread, once', () => serving(async (client, home) => {
        await client.appears('hog_reserve');
        await client.text('hog_reserve');
        const text = /the database of tasks cannot be asked: cannot start the thread 'tasks': limits\.memory leaves no room for its stack: \d+ of 128 MiB are in use; raise it, or look which plugin keeps so much/;
        const asked = asksForTask(client);
        const { issues, healthy } = await until('it to be said', async () => {
            const report = await health(client);
            return report.issues.some((one) => text.test(one)) && report;
        });
        assert.equal(healthy, false);
        assert.ok(issues.some((one) => /short of memory/.test(one)));
        assert.equal((await asked).error.code, -32602, 'by the image that the shortage leads to');
        assert.equal(home.log.match(new RegExp(`error .*${text.source}`, 'g')).length, 1);
    }, hungry()));

    test('ends a plugin that does not look whether it got any, and no other call', () => serving(async (client) => {
        await client.appears('hog_careless');
        await client.appears('version');
        const other = client.call('version', { ms: 1000 });
        const { result } = await within('the answer', client.call('hog_careless'));
        assert.equal(result.isError, true);
        assert.equal(result._meta[KEY].plugin, 'hog');
        assert.equal(result._meta[KEY].signal, 'SIGSEGV');
        assert.equal(await client.text('echo', { message: 'well' }), 'well');
        assert.equal((await within('the other call', other)).result.content[0].text, 'one');
        const { limit, used } = await memory(client);
        assert.equal(limit, 128 * MIB);
        assert.ok(used < 64 * MIB);
    }, { prepare: (home) => {
        ['hog', 'version1'].forEach((name) => home.drop(name));
        home.configure({ ...unlimited, limits: { memory: '128M' } });
    } }));

    test('changes at once, upwards and downwards', () => serving(async (client, home) => {
        await client.appears('hog_polite');
        const most = async () => Number(/(\d+) MiB/.exec(await client.text('hog_polite'))[1]);
        const first = await most();
        for (const [limit, bytes] of [['256M', 256 * MIB], ['128M', 128 * MIB]]) {
            home.configure({ limits: { memory: limit } });
            await until('the limit', async () => (await memory(client)).limit === bytes);
            const now = await most();
            assert.ok(Math.abs(now - first - (bytes / MIB - 128)) < 16, `${first} MiB, then ${now}`);
        }
    }, hungry()));

    test('is refused where nothing could run with it', () => serving(async (client, home) => {
        await client.names();
        home.configure({ limits: { memory: '63M' } });
        const { issues } = await until('the refusal', async () => {
            const report = await health(client);
            return report.healthy ? undefined : report;
        });
        assert.match(issues.join('\n'), /theseus\.ini:\d+: limits\.memory: 66060288 bytes are too few to run with; at least 64M, or 0 for no limit/);
    }, hungry()));
});

describe('what a plugin keeps', { concurrency: 2 }, () => {
    test('is refused beyond so many bytes, and beyond so many keys', { skip: sanitized && 'a sanitizer is slow' }, () => serving(async (client) => {
        await client.appears('hog_state');
        assert.match(await within('the state', client.text('hog_state', { bytes: 4 * MIB }), 60_000),
            /^31: plugin 'hog' keeps \d+ bytes already, and with \d+ more would be over the limit of 134217728; remove some$/);
        assert.equal(await client.text('echo', { message: 'well' }), 'well');
        assert.match(await within('the state', client.text('hog_state', { bytes: 9 * MIB }), 60_000),
            /^0: .* is longer than 8388608$/);
        assert.match(await within('the state', client.text('hog_state', { bytes: 1 }), 60_000),
            /^10000: plugin 'hog' has 10000 keys already/);
    }, { prepare: (home) => home.drop('hog') }));

    test('is refused where limits.memory has no room for it', { skip }, () => serving(async (client) => {
        await client.appears('hog_state');
        const text = await within('the state', client.text('hog_state', { bytes: 4 * MIB }), 60_000);
        assert.match(text, /^\d+: .*no memory|NULL/);
        await until('calls to be taken', async () => (await client.call('echo', { message: 'well' })).result);
    }, hungry('96M')));
});

test('a server that has no means to look at the directories of plugins takes none of them for gone', () => serving(async (client, home) => {
    const descriptors = (count) => execFileSync('prlimit', ['--pid', `${client.pid}`, `--nofile=${count}:4096`]);
    await client.appears('greet');
    const before = await client.names();
    descriptors(3);
    client.process.kill('SIGHUP');
    await until('it to be said', () => /plugins' cannot be read now \(Too many open files\); its plugins stay as they are/.test(home.log));
    assert.deepEqual(await client.names(), before);
    descriptors(1024);
    home.delete('greet.so');
    await client.vanishes('greet');
}, { prepare: (home) => home.drop('greet') }));
