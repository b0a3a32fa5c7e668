/* Plugins that are wrong in every way there is: each is refused in words, and what served before goes on serving. */
import assert from 'node:assert/strict';
import { truncateSync } from 'node:fs';
import { describe, test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { Client, serving } from './lib/client.js';
import { atMost } from './lib/home.js';

/* Long enough for what does not hang, on a machine that is busy. */
const STARTUP = { process_startup: 3 };
const impatient = { prepare: (home) => home.configure({ restart: STARTUP }) };

/* Each takes the file of a plugin that serves. `why` is what a person is told. */
const bad = {
    abi: /was built for ABI \d+ of the plugin contract, this server has ABI 1/,
    nosymbol: /theseus_plugin/,
    undefined: /theseus_fixture_nowhere/,
    needs: /libtheseus-nowhere\.so\.1/,
    startfails: /the fixture does not want to start/,
    selftestfails: /the fixture does not work/,
    activatefails: /the fixture cannot begin to serve/,
    ctorcrash: /constructor crashed with SIGSEGV/,
    ctorexit: /constructor ended the process/,
    ctorhang: /did not load within 3000 ms/,
    duptool: /two tools with the name 'twin'/,
    badschema: /is not JSON: line 1/,
    badkeyword: /maxWords/,
    wildpointer: /wrong pointer .* crashed with SIGSEGV/,
};

describe('a bad plugin', { concurrency: 4 }, () => {
    for (const [name, why] of Object.entries(bad))
        test(`(${name}) is refused, the version before it serves, and a good one mends it`, () => serving(async (client, home) => {
            home.drop('version1', 'version');
            await client.appears('version');
            const before = await client.plugin('version');
            home.drop(name, 'version');
            await client.refused('version.so', why);
            assert.equal(await client.text('version'), 'one');
            assert.equal((await client.plugin('version')).generation, before.generation);
            assert.match(home.log, why, 'the log says it too');
            const report = await client.value('theseus_reload');
            assert.match(report.refused.find((one) => one.file.endsWith('/version.so')).reason, why);
            home.drop('version2', 'version');
            await client.appears('version_extra');
            assert.deepEqual((await client.value('theseus_plugins')).refused, []);
        }, impatient));

    test('that is there from the beginning delays and hurts no other', () => serving(async (client) => {
        const names = await client.names();
        assert.ok(names.includes('echo') && names.includes('greet'), names.join(' '));
        await client.refused('abi.so', bad.abi);
        await client.refused('ctorcrash.so', bad.ctorcrash);
        assert.equal((await client.value('theseus_plugins')).refused.length, 3);
    }, {
        prepare: (home) => ['abi', 'ctorcrash', 'greet', 'nosymbol'].forEach((name) => home.drop(name)),
    }));

    test('is named to who calls a tool that is not there, for it may be one of its tools', () => serving(async (client, home) => {
        const call = async (name) => (await client.ask('tools/call', { name, arguments: {} })).error;
        assert.deepEqual(await call('nowhere'), { code: -32602, message: "unknown tool 'nowhere'" });
        home.drop('abi');
        await client.refused('abi.so', bad.abi);
        const { code, message } = await call('nowhere');
        assert.equal(code, -32602);
        assert.match(message, /^unknown tool 'nowhere'; plugin 'abi' is refused: was built for ABI \d+ .*build it against/);
        const byName = await client.result('theseus_call', { name: 'nowhere' });
        assert.match(byName.content[0].text, /there is no tool 'nowhere'; plugin 'abi' is refused: was built for ABI/);
        home.put('half.ini', '[tool:half]\n');
        ['nosymbol', 'needs', 'duptool'].forEach((name) => home.drop(name));
        await client.refused('duptool.so', bad.duptool);
        await client.refused('needs.so', bad.needs);
        await client.refused('nosymbol.so', bad.nosymbol);
        const many = (await call('nowhere')).message;
        assert.equal(many.match(/ is refused: /g).length, 3);
        assert.match(many, /; so are \d others, which theseus_plugins names$/);
        for (const name of ['abi', 'nosymbol', 'needs', 'duptool'])
            home.delete(`${name}.so`);
        home.delete('half.ini');
        await until('nothing to be refused', async () => (await call('nowhere')).message === "unknown tool 'nowhere'");
    }));

    test('for want of a database says how to mend it when its tools are called', () => serving(async (client, home) => {
        await client.text('orchestrator_plan_task', { title: 'a', description: 'a' });
        await client.close();
        truncateSync(home.path('state', 'theseus.db'));
        const other = await new Client(home).initialize();
        await other.refused('tasks.so', /it was truncated/);
        const { error } = await other.ask('tools/call', { name: 'orchestrator_plan_task', arguments: { title: 'a', description: 'a' } });
        assert.match(error.message, /^unknown tool 'orchestrator_plan_task'.*; plugin 'tasks' is refused: .*it was truncated.*theseus restore FILE/);
        await other.close();
    }));

    test('whose thread_local has a destructor is quarantined, visibly, when it goes', () => serving(async (client, home) => {
        home.drop('tls');
        await client.appears('pin');
        assert.equal(await client.text('pin'), 'pinned');
        home.drop('tls');
        const quarantined = await until('the quarantine', () => client.plugin('tls', 'quarantined'));
        assert.match(quarantined.reason, /thread_local/);
        assert.equal(await client.text('pin'), 'pinned', 'the next generation serves');
    }));

    test('whose stop hangs is quarantined, and nothing waits for it', () => serving(async (client, home) => {
        home.drop('hangstop');
        await client.appears('hangs');
        home.drop('hangstop');
        const quarantined = await until('the quarantine', () => client.plugin('hangstop', 'quarantined'));
        assert.match(quarantined.reason, /'stop' did not come back/);
        assert.equal(await client.text('hangs'), 'not here');
        home.drop('greet');
        await client.appears('greet');
        assert.ok((await client.close()).ms < atMost(8000));
    }, { prepare: (home) => home.configure({ restart: STARTUP, 'plugin:hangstop': { hang: 'stop' } }) }));

    for (const slot of ['start', 'selftest', 'activate', 'save'])
        test(`whose ${slot} hangs is refused after its time, and the one before serves`, () => serving(async (client, home) => {
            const hanging = { restart: STARTUP, 'plugin:hangstop': { hang: slot } };
            if (slot === 'save') /* the old one hangs, not the new one */
                home.configure(hanging);
            home.drop('hangstop');
            await client.appears('hangs');
            const { generation } = await client.plugin('hangstop');
            if (slot === 'save')
                home.drop('hangstop');
            else
                home.configure(hanging);
            await client.refused('hangstop.so', /did not come back within 3000 ms/);
            assert.equal(await client.text('hangs'), 'not here');
            assert.equal((await client.plugin('hangstop')).generation, generation);
            assert.match((await client.plugin('hangstop', 'quarantined')).reason, /did not come back/);
            home.drop('greet');
            await client.appears('greet');
        }, impatient));

    test('that prints while it is loaded does not reach the protocol', () => serving(async (client, home) => {
        home.drop('chatty');
        await until('chatty to be loaded', () => client.plugin('chatty'));
        await client.ask('ping');
    }));
});

describe('two plugins that claim one tool', { concurrency: 4 }, () => {
    test('are told apart: the first keeps it, the second gets it when the first goes', () => serving(async (client, home) => {
        home.drop('version1', 'first');
        await client.appears('version');
        home.drop('clash');
        await client.refused('clash.so', /tool 'echo' is already offered by plugin 'echo'/);
        assert.equal(await client.text('echo', { message: 'usual' }), 'usual');
        home.configure({ plugins: { disable: 'echo' } });
        await until('the second to serve it', async () => {
            const { result } = await client.call('echo');
            return result && /the other echo/.test(result.content[0].text);
        });
        assert.deepEqual((await client.value('theseus_plugins')).refused, []);
    }));

    test('are told apart when they claim one plugin name, too', () => serving(async (client, home) => {
        home.drop('version1', 'a');
        await client.appears('version');
        home.drop('version2', 'b');
        await client.refused('b.so', /plugin 'version' is already served from '.*\/a\.so'/);
        assert.equal(await client.text('version'), 'one');
        home.delete('a.so');
        await client.appears('version_extra');
        assert.equal(await client.text('version'), 'two');
    }));
});
