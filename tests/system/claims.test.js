/* A section of the configuration that claims the name of another plugin's tool: refused alone, seen, and tried again. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { serving } from './lib/client.js';

const tool = (text) => ({ command: `/bin/echo ${text}`, description: 'Use this in a test.', read_only: 'yes' });
const toolFile = (name, text) => `[tool:${name}]\ncommand = /bin/echo ${text}\n`;
const taken = /tool 'echo' is already offered by plugin 'echo'/;

const usual = async (client) => assert.equal(await client.text('echo', { message: 'usual' }), 'usual');

describe('a section with the name of another plugin\'s tool', { concurrency: 4 }, () => {
    test('refuses an edit as a whole, by file and line', () => serving(async (client, home) => {
        await client.appears('echo');
        home.configure({ 'tool:echo': tool('other'), 'tool:two': tool('two') });
        await until('the refusal in the log', () => taken.test(home.log));
        assert.match((await client.value('theseus_reload')).configuration,
            /^refused: .*theseus\.ini:\d+: .*tool 'echo' is already offered by plugin 'echo'/);
        assert.ok(!(await client.names()).includes('two'), 'nothing of the edit was taken');
        await usual(client);
        home.configure({ 'tool:two': tool('two') });
        await client.appears('two');
    }));

    test('is left out at the start, visibly, and costs no other section', () => serving(async (client, home) => {
        assert.match(await client.refused('theseus.ini', taken), /^.*theseus\.ini:\d+: \[tool:echo\]/);
        assert.equal(await client.text('two'), 'two\n');
        await usual(client);
        const sections = { 'tool:echo': tool('other'), 'tool:two': tool('two') };
        home.configure({ ...sections, 'tool:three': tool('three') });
        await client.appears('three'); /* an edit of something else is not held against it */
        await client.refused('theseus.ini', taken);
        home.configure({ ...sections, plugins: { disable: 'echo' } });
        await until('the section to have the name', async () => (await client.text('echo')) === 'other\n');
        assert.deepEqual((await client.value('theseus_plugins')).refused, []);
    }, { prepare: (home) => home.configure({ 'tool:echo': tool('other'), 'tool:two': tool('two') }) }));

    test('refuses a dropped file alone, and the file is taken when the name is free', () => serving(async (client, home) => {
        await client.appears('echo');
        home.put('good.ini', toolFile('good', 'good'));
        home.put('bad.ini', toolFile('echo', 'other') + toolFile('more', 'more'));
        assert.match(await client.refused('bad.ini', taken), /bad\.ini:1: /);
        await client.appears('good');
        assert.ok(!(await client.names()).includes('more'));
        await usual(client);
        home.configure({ plugins: { disable: 'echo' } });
        await client.appears('more');
        assert.equal(await client.text('echo'), 'other\n');
        assert.deepEqual((await client.value('theseus_plugins')).refused, []);
    }));

    test('in a file refuses only that at the start', () => serving(async (client) => {
        assert.match(await client.refused('bad.ini', taken), /bad\.ini:1: /);
        assert.equal(await client.text('good'), 'good\n');
        await usual(client);
    }, {
        prepare: (home) => {
            home.put('bad.ini', toolFile('echo', 'other'));
            home.put('good.ini', toolFile('good', 'good'));
        },
    }));

    test('may take it in the very edit that switches the other plugin off', () => serving(async (client, home) => {
        await client.appears('echo');
        home.configure({ plugins: { disable: 'echo' }, 'tool:echo': tool('other') });
        await until('the section to have the name', async () => {
            const { result } = await client.call('echo');
            return result?.content[0].text === 'other\n';
        });
        assert.equal((await client.plugin('exec')).reason, undefined);
    }));
});

describe('a file refused for the name of a tool', { concurrency: 4 }, () => {
    const serves = (client) => until('the other plugin to serve it', async () => {
        const { result } = await client.call('echo');
        return result && /the other echo/.test(result.content[0].text);
    });

    test('is tried again when the section is deleted', () => serving(async (client, home) => {
        await until('the section', async () => (await client.text('echo')) === 'section\n');
        home.drop('clash');
        await client.refused('clash.so', /tool 'echo' is already offered by plugin 'exec'/);
        home.configure({ plugins: { disable: 'echo' } });
        await serves(client);
        assert.deepEqual((await client.value('theseus_plugins')).refused, []);
    }, { prepare: (home) => home.configure({ plugins: { disable: 'echo' }, 'tool:echo': tool('section') }) }));

    test('is tried again when a new version of the other plugin has no such tool', () => serving(async (client, home) => {
        home.drop('version2', 'version');
        await client.appears('version_extra');
        home.put('extra.ini', toolFile('version_extra', 'mine'));
        await client.refused('extra.ini', /tool 'version_extra' is already offered by plugin 'version'/);
        home.drop('version1', 'version');
        await until('the file to have the name', async () => (await client.call('version_extra')).result?.content[0].text === 'mine\n');
    }));

    test('is tried again when a tool is removed at run time', () => serving(async (client, home) => {
        home.drop('dynamic');
        await client.appears('grow');
        assert.equal(await client.text('grow'), 'grown_1');
        home.put('grown.ini', toolFile('grown_1', 'mine'));
        await client.refused('grown.ini', /tool 'grown_1' is already offered by plugin 'dynamic'/);
        assert.equal(await client.text('shrink'), 'grown_1');
        await until('the file to have the name', async () => (await client.call('grown_1')).result?.content[0].text === 'mine\n');
        assert.match(await client.text('grow'), /did not grow: tool 'grown_1' is already offered by plugin 'exec'/);
    }));
});

describe('tools of sections that change under load', () => {
    test('never fail and never run the old command with new arguments', () => serving(async (client, home) => {
        const version = (word) => ({
            'tool:word': { ...tool(`${word} {w}`), 'input.w': `enum(${word}|both)` },
            'tool:plain': tool(word),
            ...(word === 'one' ? { 'tool:sometimes': tool('sometimes') } : {}),
        });
        const words = ['one', 'two', 'both'], seen = new Set(), wrong = [];
        const config = { plugins: { settle_ms: 1 } };
        home.configure({ ...config, ...version('one') });
        await client.appears('word');
        let going = true, calls = 0;
        const lane = async (number) => {
            for (let i = number; going; i++) {
                const w = words[i % 3];
                const [word, plain] = await Promise.all([client.call('word', { w }), client.call('plain')]);
                const text = word.result?.content[0].text, refused = word.result?.isError && /^invalid arguments/.test(text);
                const right = refused ? w !== 'both' : w === 'both' ? /^(one|two) both\n$/.test(text) : text === `${w} ${w}\n`;
                if (!right || !/^(one|two)\n$/.test(plain.result?.content[0].text))
                    wrong.push(JSON.stringify([w, word, plain]));
                seen.add(text);
                calls += 2;
            }
        };
        const lanes = Promise.all([0, 1, 2, 3].map(lane));
        for (let i = 0; i < 60 || calls < 2000; i++) {
            const word = i % 2 ? 'one' : 'two';
            home.configure({ ...config, ...version(word) });
            await (word === 'one' ? client.appears('sometimes') : client.vanishes('sometimes'));
        }
        going = false;
        await lanes;
        assert.deepEqual(wrong.slice(0, 3), []);
        assert.ok(seen.has('one one\n') && seen.has('two two\n') && seen.has('one both\n') && seen.has('two both\n'), [...seen].join());
        assert.equal((await client.plugin('exec')).reason, undefined);
    }));
});

describe('theseus_reload of one plugin', { concurrency: 4 }, () => {
    test('loads its file again, though unchanged, and looks at no other', () => serving(async (client, home) => {
        await client.appears('version');
        await client.appears('greet');
        const before = await client.plugin('version');
        home.drop('version2', 'version');
        home.drop('serial');
        home.configure({ plugins: { watch: 'no' }, 'tool:word': tool('one') });
        const report = await client.value('theseus_reload', { plugin: 'greet' });
        assert.deepEqual(report.plugins.reloaded, ['greet']);
        assert.equal(report.configuration, 'not looked at');
        assert.equal((await client.plugin('version')).generation, before.generation);
        assert.equal(await client.plugin('serial'), undefined);
        assert.ok(!(await client.names()).includes('word'));
        assert.deepEqual((await client.value('theseus_reload', { plugin: 'version' })).tools.added, ['version_extra']);
    }, {
        prepare: (home) => {
            home.configure({ plugins: { watch: 'no' } });
            home.drop('greet');
            home.drop('version1', 'version');
        },
    }));

    test('loads a file that is new, and says what is wrong with one that was refused', () => serving(async (client, home) => {
        await client.names();
        home.drop('greet');
        assert.deepEqual((await client.value('theseus_reload', { plugin: 'greet' })).plugins.loaded, ['greet']);
        home.drop('nosymbol');
        assert.match((await client.value('theseus_reload', { plugin: 'nosymbol' })).refused[0].reason, /theseus_plugin/);
    }, { prepare: (home) => home.configure({ plugins: { watch: 'no' } }) }));

    for (const name of ['ecko', '*'])
        test(`refuses the name '${name}', listing those that there are`, () => serving(async (client) => {
            await client.appears('echo');
            const { isError, content } = await client.result('theseus_reload', { plugin: name });
            assert.ok(isError);
            assert.match(content[0].text, /^there is no plugin '(ecko|\*)'; there are: .*\badmin\b.*\becho\b/);
        }));
});

describe('theseus_plugins', () => {
    test('lists the files that are switched off', () => serving(async (client, home) => {
        await client.appears('theseus_plugins');
        const { disabled } = await client.value('theseus_plugins');
        assert.deepEqual(disabled.map((file) => file.split('/').pop()).sort(), ['echo.so', 'greet.so']);
        assert.match(await client.text('theseus_plugins'), /^disabled: .*\/greet\.so$/m);
        home.configure();
        await client.appears('greet');
        assert.deepEqual((await client.value('theseus_plugins')).disabled, []);
    }, {
        prepare: (home) => {
            home.drop('greet');
            home.configure({ plugins: { disable: 'echo, greet' } });
        },
    }));
});
