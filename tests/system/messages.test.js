/* What is refused or given up says whose it is, where that is set, and everything that is wrong at once. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { Home, fixture, shipped } from './lib/home.js';
import { run } from './lib/proc.js';

/* A home in which no server is started. */
async function in_home(body) {
    const home = new Home();
    try {
        const { command, env, args } = home.command;
        const theseus = (words, { named = true, more = {} } = {}) => run(command, [...words, ...(named ? args : [])],
            { env: { PATH: process.env.PATH, ...env, ...more }, cwd: home.root });
        await body(home, theseus);
    } finally {
        home.dispose();
    }
}

describe('a message', { concurrency: 4 }, () => {
    const gaveUp = async (limit, tool, args, sections) => serving(async (client) => {
        await client.appears(tool);
        const text = await client.text(tool, args);
        assert.match(text, new RegExp(`^tool '${tool}' did not end within 1 s and is given up; .* The limit is `));
        assert.ok(text.endsWith(`The limit is ${limit}`), text);
    }, { prepare: (home) => {
        home.drop('slow');
        home.drop('keeper');
        home.configure(sections);
    } });

    test('names the tool that took too long, and the setting that says so', async () => {
        await gaveUp('limits.call_timeout; .call_timeout in [plugin:keeper] would go before it', 'keeper_add', { ms: 4000 },
            { limits: { call_timeout: 1 } });
        await gaveUp('.call_timeout in [plugin:slow]', 'slow', { ms: 4000 }, { 'plugin:slow': { '.call_timeout': 1 } });
    });

    test('names the section of a program that took too long', () => serving(async (client) => {
        await client.appears('nap');
        assert.match(await client.text('nap'), /'sleep' was ended because it took longer than 1 s \(timeout in \[tool:nap\]\)/);
    }, { prepare: (home) => home.configure({ 'tool:nap': { command: 'sleep 30', timeout: 1 } }) }));

    test('names every argument that is missing', () => serving(async (client) => {
        await client.appears('orchestrator_complete_task');
        const missing = async (args) => /must have the propert(?:y|ies) (.*)/
            .exec((await client.result('orchestrator_complete_task', args)).content[0].text)?.[1];
        const all = { task_id: 'x', summary: 'x', detailed_work: 'x', next_action: 'complete' };
        assert.deepEqual((await missing({})).split(', ').sort(), Object.keys(all).map((name) => `'${name}'`).sort());
        const { summary: _, ...rest } = all;
        assert.equal(await missing(rest), '\'summary\'');
    }));

    test('of a plugin\'s option names the line of the key', () => in_home(async (home, theseus) => {
        home.write(`[server]\nstate_dir = ${home.path('state')}\n[plugins]\npath = ${shipped}\n\n` +
            '[plugin:tasks]\n; a comment\n\ndurability = fulll\n');
        const { code, err } = await theseus(['check']);
        assert.equal(code, 1);
        assert.equal(err.trim(), `${home.config}:9: key 'durability': must be one of "full", "normal", is "fulll"`);
    }));

    test('of a plugin file is not lost in a configuration that nobody has named', () => in_home(async (home, theseus) => {
        const dir = home.path('.config', 'theseus');
        mkdirSync(dir, { recursive: true, mode: 0o700 });
        writeFileSync(`${dir}/theseus.ini`, '[server]\nno_option = 1\n', { mode: 0o600 });
        const more = { HOME: home.root };
        const good = await theseus(['check', fixture('greet')], { named: false, more });
        assert.equal(good.code, 0, good.err);
        assert.match(good.out, /1 plugin is good, 0 problems/);
        assert.match(good.err, /theseus\.ini:2: unknown key 'no_option' .*\(no matter for the files that are checked/);
        writeFileSync(home.path('junk.so'), 'junk', { mode: 0o700 });
        const bad = await theseus(['check', 'junk.so'], { named: false, more });
        assert.equal(bad.code, 1);
        assert.match(bad.err, /junk\.so: is not an ELF file/);
        const meant = await theseus(['check', '-c', `${dir}/theseus.ini`, fixture('greet')], { named: false, more });
        assert.equal(meant.code, 1, 'a file that was named is meant');
    }));

    test('of an option that was changed comes once, not for those that follow it', () => serving(async (client, home) => {
        await client.appears('echo');
        const write = (name, more = '') => home.write(
            `[server]\nstate_dir = ${home.path(name)}\n${more}[plugins]\npath = ${shipped}\nsettle_ms = 20\n`);
        const told = () => client.stderr.match(/configuration: \S+ has changed/g) ?? [];
        write('other');
        await until('the change to be told', () => told().length > 0);
        await client.value('theseus_reload');
        assert.deepEqual(told(), ['configuration: server.state_dir has changed']);
        write('other', `runtime_dir = ${home.path('elsewhere')}\n`);
        await client.value('theseus_reload');
        await until('the other change to be told', () => told().length > 1);
        await client.value('theseus_reload');
        assert.deepEqual(told().slice(1), ['configuration: server.runtime_dir has changed']);
    }, { prepare: (home) => home.write(
        `[server]\nstate_dir = ${home.path('state')}\n[plugins]\npath = ${shipped}\nsettle_ms = 20\n`) }));
});
