/* What a plugin may do to the process short of a crash (tests/plugins/meddles.c), and what becomes of the server. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { Client, serving } from './lib/client.js';
import { KEY, skip, unlimited } from './lib/crash.js';
import { Home } from './lib/home.js';
import { alive } from './lib/proc.js';

const served = async (client) => assert.equal(await client.text('echo', { message: 'there' }), 'there');
const meddled = (more = {}) => ({
    prepare: (home) => {
        home.drop('meddles');
        home.configure({ ...unlimited, ...more });
    },
});
const PLACES = {
    'a worker': (what) => [`do_${what}`, {}],
    'the loop': (what) => [`inline_${what}`, {}],
    'a thread of its own': (what) => [`do_${what}`, { where: 'thread' }],
};

async function crashes(client, name, args, { signal = 'SIGSEGV', called } = {}) {
    const answer = await within(`the answer of ${name}`, client.call(name, args));
    const text = JSON.stringify(answer);
    assert.equal(answer.result?.isError, true, text);
    assert.deepEqual(answer.result._meta?.[KEY], {
        plugin: 'meddles', version: '1.0', signal, ...(called && { called }), may_have_executed: true, next: 'still there',
    }, text);
    const how = called ? `called ${called}` : `crashed with ${signal}`;
    assert.ok(answer.result.content[0].text.startsWith(`plugin 'meddles' 1.0 ${how} `), text);
    await served(client);
}

describe('a plugin that ends the process from within costs its call', { skip, concurrency: 4 }, () => {
    for (const [what, called] of [['exit', 'exit(3)'], ['quick', 'quick_exit()'], ['thread_exit', 'pthread_exit()'], ['cancel', 'pthread_exit()']])
        test(`by ${called} (${what})`, () => serving(async (client) => {
            await client.appears('do_exit');
            for (const [place, way] of Object.entries(PLACES)) {
                if (called === 'pthread_exit()' && place === 'a thread of its own')
                    continue; /* which it may end as it likes */
                for (let round = 0; round < 3; round++)
                    await crashes(client, ...way(what), { signal: 'SIGABRT', called });
            }
            const { recent_crashes: [last] } = await until('the history', async () => {
                const { history } = await client.value('orchestrator_restart_status', { include_history: true });
                return history.recent_crashes.length > 0 && history;
            });
            assert.equal(last.errors[0].signal, called);
        }, meddled()));

    test('many at once', () => serving(async (client) => {
        await client.appears('do_exit');
        const names = ['do_exit', 'do_quick', 'do_thread_exit', 'do_cancel', 'do_crash'];
        const dying = Array.from({ length: 10 }, (_, index) => client.call(names[index % names.length]));
        for (const answer of dying)
            assert.match((await within('an answer', answer)).result.content[0].text, /plugin 'meddles' 1.0 .*may have executed/);
        await served(client);
    }, meddled({ server: { workers: 16 } })));

    test('and one that does so in start() is not served', () => serving(async (client, home) => {
        await client.appears('echo');
        await until('the crash', () => /plugin 'meddles' 1.0 called exit\(3\) in start/.test(home.log));
        await client.refused('meddles.so', /with exit\(3\)/);
        await served(client);
    }, {
        prepare: (home) => {
            home.drop('meddles');
            home.configure({ 'plugin:meddles': { at_start: 'exit' } });
        },
    }));

    test('while a thread of its own ends as it likes', () => serving(async (client, home) => {
        await client.appears('do_exit');
        for (let round = 0; round < 20; round++)
            client.start('tools/call', { name: 'do_thread_exit', arguments: { where: 'thread' } });
        await served(client);
        assert.doesNotMatch(home.log, /pthread_exit/);
    }, meddled()));

    test('but the server ends as it always does', () => serving(async (client, home) => {
        await client.appears('do_exit');
        assert.equal((await client.close()).code, 0);
        assert.doesNotMatch(home.log, /called exit/);
    }, meddled()));
});

describe('a child that a plugin has forked', { skip, concurrency: 4 }, () => {
    for (const where of ['here', 'thread'])
        test(`ends alone when it ends (${where})`, () => serving(async (client, home) => {
            await client.appears('forks');
            const pid = Number(await client.text('forks', { where }));
            await until('its end', () => !alive(pid));
            await served(client);
            assert.doesNotMatch(home.log, /called/);
        }, meddled()));

    for (const [how, leave] of Object.entries({
        'its client leaves': (client) => client.close(),
        'it is told to': (client) => client.signal('SIGTERM'),
    }))
        test(`ends with the server, when ${how}`, () => serving(async (client, home) => {
            await client.appears('forks');
            const pids = [Number(await client.text('forks')), Number(await client.text('forks'))];
            assert.ok(pids.every(alive));
            await leave(client);
            assert.ok(!pids.some(alive));
            assert.match(home.log, new RegExp(`process ${pids[0]} is ended with the server: a plugin has forked it`));
        }, meddled()));

    test('ends with the image that crashes', () => serving(async (client) => {
        await client.appears('forks');
        const pid = Number(await client.text('forks'));
        await crashes(client, 'do_crash', {});
        await until('its end', () => !alive(pid));
    }, meddled()));
});

describe('a plugin that closes all descriptors', { skip, concurrency: 4 }, () => {
    for (const [place, way] of Object.entries(PLACES))
        test(`on ${place} ends the server, which says why`, () => serving(async (client) => {
            await client.appears('do_close');
            const call = client.call(...way('close'));
            call.catch(() => {});
            client.start('ping').answer.catch(() => {});
            const { code, signal } = await within('the end', client.exited);
            assert.deepEqual({ code, signal }, { code: null, signal: 'SIGABRT' });
            /* By name, unless the thread has looked within 10 ms before, or nobody looks at it. */
            assert.match(client.stderr, /a plugin has closed descriptors of the server's|plugin 'meddles'.* has closed descriptors/);
        }, meddled()));
});

describe('what a plugin changes of the handling of crashes is put back', { skip, concurrency: 4 }, () => {
    const SAID = {
        default: /plugin 'meddles' 1.0, in or before tool '\w+_default', has changed what SIGSEGV does/,
        ignore: /plugin 'meddles' 1.0, in or before tool '\w+_ignore', has changed what SIGSEGV does/,
        handle: /plugin 'meddles' 1.0 has changed what SIGSEGV does/,
        pipe: /plugin 'meddles' 1.0, in or before tool '\w+_pipe', has changed what SIGPIPE does/,
        block: /plugin 'meddles' 1.0, in or before tool '\w+_block', has blocked the signals of crashes/,
        stack: /plugin 'meddles' 1.0, in or before tool '\w+_stack', has taken the stack for handlers/,
        no_stack: /plugin 'meddles' 1.0, in or before tool '\w+_no_stack', has taken the stack for handlers/,
    };

    for (const [what, said] of Object.entries(SAID))
        for (const kind of ['do', 'inline'])
            test(`${what} (${kind})`, () => serving(async (client, home) => {
                await client.appears('do_exit');
                assert.equal(await client.text(`${kind}_${what}`), 'done');
                await until('it to be said', () => said.test(home.log));
                await crashes(client, `${kind}_overflow`, {});
                await crashes(client, `${kind}_crash`, {});
            }, meddled({ server: { workers: 1 } })));

    for (const what of ['handle', 'default', 'block'])
        test(`${what}, in start()`, () => serving(async (client, home) => {
            await client.appears('do_exit');
            await until('it to be said', () => /plugin 'meddles' 1.0.* has (changed what SIGSEGV does|blocked the signals of crashes)/.test(home.log));
            await crashes(client, 'inline_crash', {});
            await crashes(client, 'do_crash', {});
        }, meddled({ 'plugin:meddles': { at_start: what } })));
});

/* SQLite tells of damage in one place for the whole process. */
test('damage in a database of its own is not taken for the server\'s', () => serving(async (client, home) => {
    const file = home.path('own.db');
    writeFileSync(file, 'this is no database, and long enough to be seen for what it is: '.repeat(100));
    await client.appears('reads');
    for (let round = 0; round < 3; round++)
        assert.equal(await client.text('reads', { file }), '26');
    assert.match(home.log, /a statement has come upon damage in a database that is not the server's: the file is not a database/);
    assert.deepEqual((await client.value('orchestrator_health_check')).issues, []);
}, meddled()));

test('an isolated plugin ends itself alone, however it does so', { skip }, async () => {
    const home = new Home();
    home.drop('meddles');
    home.configure({ ...unlimited, 'plugin:meddles': { '.isolation': 'process' } });
    const client = new Client(home);
    try {
        await client.initialize();
        await client.appears('do_exit');
        for (const [name, how] of [['do_exit', /ended by itself \(exit status 3\)/], ['do_quick', /ended by itself \(exit status 3\)/],
            ['do_thread_exit', /crashed with SIGABRT/], ['do_crash', /crashed with SIGSEGV/]]) {
            const { result } = await within(name, client.call(name));
            assert.match(result.content[0].text, how);
            await served(client);
        }
        assert.equal((await client.close()).code, 0);
    } finally {
        await client.kill();
        home.dispose();
    }
});
