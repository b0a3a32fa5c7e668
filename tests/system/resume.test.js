/* Sessions that outlive their socket: the fate of each request, whatever becomes of the socket and of the server. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { audited } from './lib/audit.js';
import { crash, mortal, skip as skipCrash } from './lib/crash.js';
import { Client } from './lib/client.js';
import { rssShared } from './lib/proc.js';
import { effectsOf } from './lib/kinds.js';
import { restarts } from './lib/restart.js';
import { Session } from './lib/session.js';
import { NOBODY, Stranger, listening, skipStrangers } from './lib/socket.js';

/* A socket to which other users find their way. */
const passage = mkdtempSync(join(tmpdir(), 'theseus-resume-'));
chmodSync(passage, 0o711);
after(() => rmSync(passage, { recursive: true, force: true }));
const passed = join(passage, 'server', 'theseus.sock');

const slow = { prepare: (home) => home.drop('slow') };
const tool = (client) => ({ value: (name, args) => client.value(name, args) });
const connections = async (client) => {
    const { contents: [content] } = (await client.ask('resources/read', { uri: 'theseus://connections' })).result;
    return JSON.parse(content.text);
};
const state = async (client, session) =>
    (await connections(client)).connections.find((one) => one.session_id === session.id)?.state;
const becomes = (client, session, wanted) =>
    until(`the session to be ${wanted}`, async () => await state(client, session) === wanted);

describe('a session that is resumed', { concurrency: 4 }, () => {
    test('tells each request its fate', () => listening(async (one) => {
        const watcher = await one.client(), session = await Session.hello(one);
        await watcher.appears('slow');
        assert.equal(await session.text('seen', 'echo', { message: 'a' }), 'a');
        session.ack();
        session.send('running', 'slow', { ms: 4000 });
        session.send('dropped', 'slow', { ms: 60_000 });
        session.send('lost', 'echo', { message: 'b' });
        await session.answer('lost');
        const { received } = session;
        session.socket.write('{"jsonrpc":"2.0","id":"half","method":"tools/call"');
        await until('the half of a line to be read', async () =>
            (await connections(watcher)).connections.find((other) => other.session_id === session.id).in_flight === 2);
        await session.drop();
        await becomes(watcher, session, 'disconnected');
        session.lines = [];
        session.received = received - 1; /* as if 'lost' had not come */
        assert.deepEqual(await session.fates(['running', 'lost', 'half', 'never']),
            { running: 'pending', lost: 'answered', half: 'never seen', never: 'never seen' });
        assert.equal((await session.answer('lost')).result.content[0].text, 'b');
        assert.equal(session.lines[0].id, 'theseus:2', 'the fates come first');
        assert.match((await session.answer('running')).result.content[0].text, /slept 4000/);
        assert.equal(session.answers('dropped').length, 0, 'a request that is not named is cancelled');
        assert.equal(await session.text('again', 'echo', { message: 'c' }), 'c');
        session.ack();
        await becomes(watcher, session, 'restored');
        const after = await connections(watcher);
        assert.equal(after.connections.find((other) => other.session_id === session.id).in_flight, 0);
        assert.equal(after.connections.length, 2, 'the connection of the new socket is no other one');
        assert.equal(after.resumptions.successful, 1);
        assert.doesNotMatch(one.home.log, new RegExp(session.secret));
    }, slow));

    test('gets what was answered while nobody was there, once and in order', () => listening(async (one, home) => {
        const watcher = await one.client(), session = await Session.hello(one), tags = ['a', 'b', 'c'];
        await watcher.appears('kind_once');
        for (const [i, tag] of tags.entries())
            session.send(tag, 'kind_once', { file: home.path('effects'), tag, ms: 2500 + 100 * i });
        await until('the calls', async () =>
            (await connections(watcher)).connections.find((other) => other.session_id === session.id).in_flight === 3);
        await session.drop();
        await until('the answers', async () =>
            (await connections(watcher)).connections.find((other) => other.session_id === session.id).in_flight === 0);
        assert.equal(effectsOf(home).filter(([what]) => what === 'end').length, 3);
        let order;
        for (let i = 0; i < 3; i++) { /* nothing is confirmed: they come each time */
            const { received } = session;
            assert.deepEqual(await session.fates(tags), { a: 'answered', b: 'answered', c: 'answered' });
            await Promise.all(tags.map((tag) => session.answer(tag, i + 1)));
            const [greeting, ...answers] = session.lines.slice(-4).map((line) => line.id);
            order ??= answers;
            assert.deepEqual([greeting, ...answers], ['theseus:2', ...order]);
            assert.deepEqual([...answers].sort(), tags);
            await session.drop();
            if (i < 2)
                session.received = received;
        }
        assert.deepEqual(await session.fates(['a']), { a: 'never seen' }); /* all were received: that is another one */
        assert.equal(session.lines.at(-1).id, 'theseus:2');
    }, { prepare: (home) => home.drop('kinds') }));

    test('counts every answer, whatever was asked', () => listening(async (one) => {
        const session = await Session.hello(one);
        assert.ok((await session.ask('theseus/nothing', {}, 'odd')).error);
        assert.ok((await session.ask('theseus/hello', { protocol: 1, directory: '/' }, 'odder')).error);
        await session.text('kept', 'echo', { message: 'k' });
        session.ack(session.received - 1);
        await session.drop();
        session.received--; /* as if the last one had not come */
        assert.deepEqual(await session.fates(['kept']), { kept: 'answered' });
    }));

    test('takes the place of a socket that still lives', () => listening(async (one) => {
        const session = await Session.hello(one), old = session.client;
        assert.deepEqual(await session.fates([]), {});
        await within('the end of the old socket', old.closed);
        assert.equal(await session.text(1, 'echo', { message: 'here' }), 'here');
    }));

    test('at each byte of its answers', () => listening(async (one) => {
        const session = await Session.hello(one);
        for (let i = 0; i < 40; i++) { /* the socket goes at another byte each time */
            const { received } = session, id = `r${i}`;
            await session.text(id, 'echo', { message: id });
            session.received = received + i % 2; /* read by the client as a whole, or not */
            const partial = `{"jsonrpc":"2.0","id":"${i}x","method":"ping"}`;
            session.socket.write(partial.slice(0, i % partial.length));
            await session.drop();
            const fates = await session.fates(i % 2 ? [`${i}x`] : [id, `${i}x`]);
            assert.deepEqual(fates, i % 2 ? { [`${i}x`]: 'never seen' } : { [id]: 'answered', [`${i}x`]: 'never seen' });
            if (i % 2 === 0)
                await session.answer(id, 2);
        }
    }));

    test('over a restart of the server', () => listening(async (one) => {
        const watcher = await one.client(), session = await Session.hello(one);
        await session.text('kept', 'echo', { message: 'k' });
        const { received } = session;
        await session.drop();
        await becomes(watcher, session, 'disconnected');
        await restarts({ ...tool(watcher), pid: one.pid });
        assert.equal(await state(watcher, session), 'disconnected');
        session.received = received - 1;
        assert.deepEqual(await session.fates(['kept', 'new']), { kept: 'answered', new: 'never seen' });
        await session.answer('kept', 2);
        await restarts({ ...tool(watcher), pid: one.pid });
        session.received = received - 1;
        await session.drop(); /* nothing was confirmed: what was kept is kept over a restart with a socket, too */
        assert.deepEqual(await session.fates(['kept']), { kept: 'answered' });
        await session.answer('kept', 3);
        assert.equal(await session.text('last', 'echo', { message: 'l' }), 'l');
    }));

    test('over a crash of the server', { skip: skipCrash }, () => listening(async (one) => {
        const watcher = await one.client(), session = await Session.hello(one);
        await watcher.appears('die_null');
        await session.text('kept', 'echo', { message: 'k' });
        const { received } = session;
        await session.drop();
        await becomes(watcher, session, 'disconnected');
        await crash(watcher, 'null');
        session.received = received - 1;
        assert.deepEqual(await session.fates(['kept', 'new']), { kept: 'answered', new: 'never seen' });
        await session.answer('kept', 2);
        assert.equal(await session.text('last', 'echo', { message: 'l' }), 'l');
    }, mortal()));

    test('is over after a bye, or when nobody has come in time', () => listening(async (one, home) => {
        const watcher = await one.client(), session = await Session.hello(one), other = await Session.hello(one);
        session.say({ method: 'theseus/bye' });
        session.send('last', 'echo', { message: 'l' });
        session.socket.end();
        await session.answer('last');
        await within('the end', session.client.closed);
        assert.equal((await session.resume()).error.data.reason, 'unknown session');
        await other.drop();
        await becomes(watcher, other, 'disconnected');
        home.configure({ listen: { session_expiry: '1s' } });
        await until('the session to end', async () => await state(watcher, other) === undefined);
        assert.equal((await other.resume()).error.data.reason, 'unknown session');
        assert.equal((await connections(watcher)).resumptions.expired, 1);
        assert.ok((await other.ask('theseus/hello', { protocol: 1, directory: '/' }, 'theseus:3')).result, 'the socket is good');
    }));
});

/* What stands between `theseus connect` and the server, and drops what it carries when it is told to. */
async function relay(path, target) {
    const pairs = new Set(), server = createServer((client) => {
        const far = connect(target), pair = [client, far];
        pairs.add(pair);
        for (const [one, other] of [pair, [far, client]]) {
            one.on('error', () => {});
            one.on('close', () => { pairs.delete(pair); other.destroy(); });
            one.pipe(other);
        }
    });
    await new Promise((resolve) => server.listen(path, resolve));
    return {
        drop: () => pairs.forEach(([client]) => client.destroy()),
        close: () => { server.close(); pairs.forEach(([client]) => client.destroy()); },
    };
}

test('theseus connect loses its socket, and its client nothing', () => listening(async (one, home) => {
    const watcher = await one.client(), path = join(mkdtempSync(home.path('relay-')), 'server.sock');
    await watcher.appears('slow');
    const between = await relay(path, one.path);
    const client = new Client(home, { args: ['connect', '--no-start', '-c', home.config, path] });
    try {
        await client.initialize();
        const calls = [];
        for (let i = 0; i < 200; i++) {
            calls.push(client.call('slow', { ms: i % 20 }));
            if (i % 40 === 20) {
                await until('the half of them', () => client.open < 10);
                between.drop();
            }
        }
        for (const [i, call] of calls.entries()) {
            const answer = await within('the answer', call);
            assert.match(answer.result?.content[0].text ?? JSON.stringify(answer.error), new RegExp(`slept ${i % 20} ms`));
        }
        assert.deepEqual(client.problems, []);
        assert.ok((await connections(watcher)).resumptions.successful >= 1);
    } finally {
        await client.kill();
        between.close();
    }
}, slow));

describe('a session that is not resumed', { concurrency: 4 }, () => {
    test('by who does not know its secret, and not by guessing', () => listening(async (one) => {
        const watcher = await one.client(), session = await Session.hello(one);
        await session.drop();
        await becomes(watcher, session, 'disconnected');
        const { secret } = session, wrong = secret.replace(/^./, (first) => (first === '0' ? '1' : '0'));
        const attempt = async (said) => (await session.resume([], { secret: said })).error?.data.reason;
        for (const said of [wrong, '', secret.slice(1), `${secret}0`, undefined])
            assert.equal(await attempt(said), 'wrong secret');
        assert.equal(await attempt(wrong), 'too many failures');
        assert.equal(await attempt(secret), 'too many failures');
        assert.equal(await state(watcher, session), 'failed');
        assert.equal((await connections(watcher)).resumptions.failed, 7);
        const health = await watcher.value('orchestrator_health_check');
        assert.ok(health.warnings.some((text) => /tried to take over a session/.test(text)), JSON.stringify(health.warnings));
        assert.doesNotMatch(one.home.log, new RegExp(`${secret}|${wrong}`));
        const report = await watcher.value('orchestrator_reconnect_test');
        assert.equal(report.results.reconnection_stats.failed_reconnections, 7);
        assert.equal(report.results.sessions.find((other) => other.session_id === session.id).state, 'failed');
    }));

    test('by another user, who has stolen its id and its secret', { skip: skipStrangers }, () => listening(async (one, home) => {
        const watcher = await one.client(passed), session = await Session.hello(one, passed), stranger = new Stranger(passed);
        const steal = () => within('the refusal', stranger.start('theseus/resume', {
            protocol: 1, directory: '/', session: session.id, secret: session.secret, unanswered: [], received: 0,
        }).answer);
        const alerts = async () => (await watcher.value('orchestrator_health_check')).warnings.filter((text) => /take over a session/.test(text));
        try {
            assert.deepEqual(await alerts(), []);
            for (let i = 0; i < 7; i++)
                assert.equal((await steal()).error.data.reason, i < 5 ? 'unknown session' : 'too many failures');
            assert.equal(await session.text(1, 'echo', { message: 'mine' }), 'mine');
            await session.drop();
            assert.deepEqual(await session.fates([]), {}, 'who is another user locks out nobody but himself');
            const { resumptions } = await connections(watcher);
            assert.deepEqual([resumptions.failed, resumptions.successful], [7, 1]);
            const lines = await audited(home, { action: 'resume', result: 'refused' }, 6);
            assert.deepEqual(lines.map((line) => line.requested_by.uid), Array(6).fill(NOBODY), 'five, and that no more are looked at');
            assert.equal((await alerts()).length, 1);
            await restarts({ ...tool(watcher), pid: one.pid });
            assert.equal((await alerts()).length, 1, 'a restart makes nobody forget it');
            assert.doesNotMatch(home.log, new RegExp(session.secret));
        } finally {
            await stranger.kill();
        }
    }, {
        prepare: (home) => home.configure({ listen: { unix: passed }, access: { allow_uid: `${NOBODY}` } }),
    }));

    test('by who speaks another language', () => listening(async (one) => {
        const session = await Session.hello(one);
        const { error } = await session.resume([], { protocol: 3 });
        assert.deepEqual(error.data, { protocol: 1 });
        assert.match(error.message, /upgrade the server/);
        assert.equal((await session.resume([], { protocol: 2 })).result.protocol, 1, 'the lower one');
    }));

    test('in the middle of other requests', () => listening(async (one) => {
        const session = await Session.hello(one), socket = connect(one.path);
        let text = '';
        socket.on('data', (data) => { text += data; });
        socket.write(`${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' })}\n`.repeat(2) +
            `${JSON.stringify({ jsonrpc: '2.0', id: 'theseus:2', method: 'theseus/resume', params: { protocol: 1, session: session.id, secret: session.secret, unanswered: [], received: 0 } })}\n` +
            '{"half');
        await until('the refusal', () => /theseus:2.*first line/.test(text));
        socket.destroy();
        assert.equal(await session.text(1, 'echo', { message: 'mine' }), 'mine');
    }));
});

describe('answers that nobody confirms', () => {
    const narrow = { prepare: (home) => home.configure({ limits: { max_line: '32K', max_buffered: '64K', max_in_flight: 4 } }) };
    const entry = async (watcher, session) =>
        (await connections(watcher)).connections.find((other) => other.session_id === session.id);

    test('stop the work for that client alone', () => listening(async (one) => {
        const watcher = await one.client(), session = await Session.hello(one);
        const size = JSON.stringify(await watcher.ask('tools/list')).length, count = Math.ceil(64 * 1024 / size) + 4;
        for (let i = 0; i < count; i++)
            session.say({ id: i, method: 'tools/list' });
        await until('requests to be held', async () => {
            const { held, in_flight } = await entry(watcher, session);
            return held > 0 && in_flight === 0;
        });
        assert.ok(session.received < count, `${session.received}`);
        assert.equal(await watcher.text('echo', { message: 'other' }), 'other');
        await until('all the answers', () => {
            session.ack();
            return session.received === count + 1;
        });
        assert.equal((await entry(watcher, session)).held, 0);
    }, narrow));

    test('are given up before neither side gets on', () => listening(async (one) => {
        const watcher = await one.client(), session = await Session.hello(one), message = 'x'.repeat(8000);
        for (let i = 0; i < 40; i++)
            session.send(i, 'echo', { message });
        await until('more answers than are kept', () => session.received > 20);
        await until('the rest', () => {
            session.ack();
            return session.received === 41;
        });
        await session.drop();
        await becomes(watcher, session, 'disconnected');
        assert.deepEqual(await session.fates(['what']), { what: 'uncertain' });
    }, narrow));
});

test('memory that answers have filled is given back when they are confirmed', () => listening(async (one) => {
    const watcher = await one.client(), message = 'x'.repeat(8000);
    await watcher.appears('orchestrator_health_check');
    const sessions = await Promise.all(Array.from({ length: 20 }, () => Session.hello(one)));
    for (const session of sessions)
        for (let i = 0; i < 100; i++)
            session.send(i, 'echo', { message });
    for (const session of sessions)
        await until('all the answers', () => session.received === 101);
    const { pid } = await watcher.value('orchestrator_health_check'), full = rssShared(pid);
    assert.ok(full > 14_000, `${full} KiB`);
    for (const session of sessions)
        session.ack();
    await until('the memory to be given back', () => rssShared(pid) < 8_000);
    for (const session of sessions)
        assert.equal(await session.text('again', 'echo', { message: 'here' }), 'here');
}));
