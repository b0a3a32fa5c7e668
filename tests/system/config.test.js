/* The configuration, edited while a conversation is open. */
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { fixture } from './lib/home.js';

const tool = (text) => ({ command: `/bin/echo ${text}`, description: 'Use this in a test.', read_only: 'yes' });
const toolFile = (name, text) => `[tool:${name}]\ncommand = /bin/echo ${text}\ndescription = Use this in a test.\n`;

/* The report of a reload. */
const reload = (client) => client.value('theseus_reload');

describe('a server without a configuration', () => {
    test('takes up the file, the directory, a plugin and a tool file as they are made', () => serving(async (client, home) => {
        const config = home.path('home', '.config', 'theseus'), plugins = home.path('home', '.local', 'share', 'theseus', 'plugins');
        assert.ok((await client.names()).includes('echo'), 'the shipped plugins are there');
        mkdirSync(config, { recursive: true, mode: 0o700 });
        home.write(toolFile('from_config', 'one'), { path: join(config, 'theseus.ini') });
        await client.appears('from_config');
        assert.equal(await client.text('from_config'), 'one\n');
        mkdirSync(plugins, { recursive: true, mode: 0o700 });
        copyFileSync(fixture('greet'), join(plugins, 'greet.so'));
        await client.appears('greet');
        writeFileSync(join(plugins, 'more.ini'), toolFile('from_directory', 'two'), { mode: 0o600 });
        await client.appears('from_directory');
        assert.equal(await client.text('from_directory'), 'two\n');
        await until('each change to be told', () => client.changes() >= 3);
        assert.ok(existsSync(home.path('home', '.local', 'state', 'theseus', 'log', 'theseus.log')));
    }, { args: [] }));
});

describe('an edit of the configuration', { concurrency: 4 }, () => {
    for (const inPlace of [false, true])
        test(`takes effect ${inPlace ? 'written over the old text' : 'by rename'}`, () => serving(async (client, home) => {
            home.configure({ 'tool:word': tool('one') }, { inPlace });
            await client.appears('word');
            assert.equal(await client.text('word'), 'one\n');
            home.configure({ 'tool:word': tool('two') }, { inPlace });
            await until('the new command', async () => (await client.text('word')) === 'two\n');
            home.configure({}, { inPlace });
            await client.vanishes('word');
        }));

    const refuses = (what, text, why) => test(`is refused as a whole, by file and line: ${what}`, () => serving(async (client, home) => {
        home.configure({ 'tool:word': tool('one') });
        await client.appears('word');
        home.write(`[tools]\nhide = echo\n${text}`);
        await until('the refusal in the log', () => why.test(home.log));
        assert.match((await reload(client)).configuration, new RegExp(`^refused: .*${why.source}`));
        const names = await client.names();
        assert.ok(names.includes('echo') && names.includes('word'), 'the running configuration goes on');
        home.configure();
        await client.vanishes('word');
        assert.equal((await reload(client)).configuration, 'unchanged');
    }));

    refuses('an unknown key, with the nearest', '[limits]\nmax_lime = 8M\n', /theseus\.ini:4: .*max_lime.*max_line/);
    refuses('an unknown section, with the nearest', '[limit]\nmax_line = 8M\n', /theseus\.ini:3: .*limit.*limits/);
    refuses('a value out of bounds', '[server]\nworkers = 0\n', /theseus\.ini:4: .*workers/);
    refuses('a key given twice', '[limits]\nmax_line = 8M\nmax_line = 9M\n', /theseus\.ini:5: .*max_line.*4/);
    refuses('no number', '[limits]\ncall_timeout = soon\n', /theseus\.ini:4: .*call_timeout/);
    refuses('no section', 'call_timeout 5\n', /theseus\.ini:3: /);
    refuses('a tool section that exec cannot use', '[tool:bad]\ncommand = /bin/echo {nothing}\ndescription = No.\n',
        /theseus\.ini:[345]: .*nothing/);

    test('that opens the file to others is refused, naming the chmod', () => serving(async (client, home) => {
        chmodSync(home.config, 0o666);
        assert.match((await reload(client)).configuration, /^refused: .*chmod go-w/);
    }));

    test('is taken on SIGHUP where nothing is watched, and so are plugins', () => serving(async (client, home) => {
        home.drop('greet');
        home.configure({ plugins: { watch: 'no' }, 'tool:word': tool('one') });
        await client.names();
        client.process.kill('SIGHUP');
        await client.appears('word');
        await client.appears('greet');
    }, { prepare: (home) => home.configure({ plugins: { watch: 'no' } }) }));

    test('does not overrule the command line', () => serving(async (client, home) => {
        assert.ok(!(await client.names()).includes('echo'));
        home.configure({ tools: { hide: 'theseus_call' }, 'tool:word': tool('one') });
        await client.appears('word');
        const names = await client.names();
        assert.ok(!names.includes('echo') && names.includes('theseus_call'), names.join(' '));
    }, { more: ['--set', 'tools.hide=echo'] }));
});

describe('a plugin\'s own section', { concurrency: 4 }, () => {
    const two = (home) => ['config', 'greet'].forEach((name) => home.drop(name));
    const generations = async (client) => Object.fromEntries(
        (await client.value('theseus_plugins')).plugins.map((one) => [one.name, one.generation]));

    test('is taken in place by that plugin alone', () => serving(async (client, home) => {
        assert.deepEqual((await client.value('config_get')).config, { number: 7, switch: false });
        const before = await generations(client);
        home.configure({ 'plugin:config': { number: 8, switch: 'yes', text: 'a ; b' } });
        await until('the settings', async () => (await client.value('config_get')).config.number === 8);
        assert.deepEqual((await client.value('config_get')).config, { number: 8, switch: true, text: 'a ; b' });
        assert.deepEqual(await generations(client), before);
        assert.equal((await client.value('config_get')).times, 2);
    }, { prepare: two }));

    const refuses = (what, section, why) => test(`is refused, and with it the edit: ${what}`, () => serving(async (client, home) => {
        await client.appears('config_get');
        home.configure({ tools: { hide: 'greet' }, 'plugin:config': section });
        await until('the refusal in the log', () => why.test(home.log));
        assert.match((await reload(client)).configuration, why);
        assert.ok((await client.names()).includes('greet'), 'nothing of the edit was taken');
        assert.equal((await client.value('config_get')).config.number, 7);
    }, { prepare: two }));

    refuses('by its check', { text: 'bad' }, /theseus\.ini:\d+: .*may not be 'bad'/);
    refuses('by its schema', { number: 1001 }, /theseus\.ini:\d+: .*number/);
    refuses('for an unknown key', { nummer: 5 }, /theseus\.ini:\d+: .*nummer.*number/);
    refuses('for a secret that is not there', { secret: 'env:THESEUS_TEST_NOWHERE' }, /theseus\.ini:\d+: .*THESEUS_TEST_NOWHERE/);

    test('that its plugin does not take after all is told at the plugin, until it does', () => serving(async (client, home) => {
        await client.appears('config_get');
        home.configure({ 'plugin:config': { text: 'too late' } });
        const why = 'the settings are those of before: configure: the fixture does not take it after all';
        await until('the reason', async () => (await client.plugin('config')).reason === why);
        assert.equal((await client.value('config_get')).config.text, undefined);
        home.configure({ 'plugin:config': { text: 'in time' } });
        await until('no reason', async () => (await client.plugin('config')).reason === undefined);
        assert.equal((await client.value('config_get')).config.text, 'in time');
    }, { prepare: two }));

    for (const [how, value] of [['env', () => 'env:THESEUS_TEST_SECRET'], ['file', (home) => `file:${home.path('secret')}`]])
        test(`keeps a secret from ${how}: out of the log and of every answer`, () => serving(async (client, home) => {
            const shown = [];
            assert.equal((await client.value('config_get')).has_secret, true);
            home.configure({ server: { log_level: 'debug' }, 'plugin:config': { secret: value(home), number: 9 } });
            await until('the settings', async () => (await client.value('config_get')).config.number === 9);
            home.configure({ server: { log_level: 'debug' }, 'plugin:config': { secret: value(home), number: 'wrong' } });
            await until('the refusal', () => /wrong|number/.test(home.log));
            for (const name of ['config_get', 'theseus_plugins', 'theseus_reload'])
                shown.push(JSON.stringify(await client.result(name)));
            shown.push(home.log, client.stderr, JSON.stringify(await client.ask('tools/list')));
            assert.ok(!shown.join().includes('hunter2'), 'the secret is shown');
        }, {
            env: { THESEUS_TEST_SECRET: 'hunter2' },
            prepare: (home) => {
                home.drop('config');
                writeFileSync(home.path('secret'), 'hunter2\n', { mode: 0o600 });
                home.configure({ server: { log_level: 'debug' }, 'plugin:config': { secret: value(home) } });
            },
        }));

    test('that was wrong when its plugin came is mended by an edit', () => serving(async (client, home) => {
        await client.refused('config.so', /number/);
        home.configure({ 'plugin:config': { number: 1 } });
        await client.appears('config_get');
    }, {
        prepare: (home) => {
            home.drop('config');
            home.configure({ 'plugin:config': { number: -1 } });
        },
    }));
});

describe('a file with tools in a plugin directory', { concurrency: 4 }, () => {
    test('is a tool at once, changes it at once, and takes it away', () => serving(async (client, home) => {
        home.put('word.ini', toolFile('word', 'one'));
        await client.appears('word');
        home.put('word.ini', toolFile('word', 'two'));
        await until('the new command', async () => (await client.text('word')) === 'two\n');
        home.delete('word.ini');
        await client.vanishes('word');
    }));

    for (const [what, text, why] of [
        ['with another section', '[server]\nname = x\n', /bad\.ini:1: /],
        ['that exec cannot use', '[tool:bad]\ncommand =\n', /bad\.ini:?\d*: /],
        ['with a tool that another file has', toolFile('good', 'bad'), /bad\.ini:1: .*good/],
    ])
        test(`is refused alone: one ${what}`, () => serving(async (client, home) => {
            home.put('agood.ini', toolFile('good', 'one'));
            await client.appears('good');
            home.put('bad.ini', text);
            assert.match(`bad.ini:${await client.refused('bad.ini')}`, why);
            assert.equal(await client.text('good'), 'one\n');
            home.put('bad.ini', toolFile('mended', 'two'));
            await client.appears('mended');
            assert.deepEqual((await client.value('theseus_plugins')).refused, []);
        }));
});
