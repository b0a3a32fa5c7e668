/* A section [plugin:NAME] that is no plugin's: a warning wherever somebody looks, and no error. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { Home, binary } from './lib/home.js';
import { run } from './lib/proc.js';
import { restarts } from './lib/restart.js';

const ISOLATED = { '.isolation': 'process' };
const wrong = (name, hint = '') =>
    new RegExp(`theseus\\.ini:\\d+: \\[plugin:${name}\\] is no plugin's that is there, so nothing in it is in force.*${hint}`);

const health = (client) => client.value('orchestrator_health_check');
const warned = (client, pattern) => until(`a warning ${pattern}`, async () => {
    const { warnings, healthy, issues } = await health(client);
    assert.deepEqual([healthy, issues], [true, []]);
    return warnings.length === 1 && pattern.test(warnings[0]) && warnings[0];
});
const notWarned = (client) => until('no warning', async () => (await health(client)).warnings.length === 0);
const times = (home, pattern) => home.log.split('\n').filter((line) => pattern.test(line)).length;

describe('a section that is no plugin\'s', { concurrency: 4 }, () => {
    test('is named in the log and by the health check, with the plugin that was meant', () => serving(async (client, home) => {
        const warning = await warned(client,
            wrong('slwo', ', and no plugin is isolated by it; did you mean \\[plugin:slow\\]\\?'));
        const line = Number(/theseus\.ini:(\d+):/.exec(warning)[1]);
        assert.equal(readFileSync(home.config, 'utf8').split('\n')[line - 1], '[plugin:slwo]');
        assert.equal((await client.plugin('slow')).isolation, 'none');
        await until('the log', () => times(home, wrong('slwo')) === 1);
        await client.value('theseus_reload');
        assert.equal(times(home, wrong('slwo')), 1, 'said once');
        home.configure({ 'plugin:slow': ISOLATED });
        await notWarned(client);
        await until('it to be isolated', async () => (await client.plugin('slow'))?.isolation === 'process');
    }, { prepare: (home) => {
        home.configure({ 'plugin:slwo': ISOLATED });
        home.drop('slow');
    } }));

    test('may be one\'s that is still to come', () => serving(async (client, home) => {
        await warned(client, wrong('counter'));
        home.drop('counter');
        await client.appears('count');
        await notWarned(client);
        assert.equal((await client.plugin('counter')).isolation, 'process');
        home.delete('counter.so');
        await warned(client, wrong('counter'));
    }, { prepare: (home) => home.configure({ 'plugin:counter': ISOLATED }) }));

    test('comes with an edit, and stays behind a restart', () => serving(async (client, home) => {
        await notWarned(client);
        home.configure({ 'plugin:ecoh': {} });
        await warned(client, wrong('ecoh', '; did you mean \\[plugin:echo\\]\\?'));
        await restarts(client);
        await warned(client, wrong('ecoh'));
    }));

    for (const [what, sections, file] of [
        ['refused', { 'plugin:ctorcrash': {} }, 'ctorcrash'],
        ['disabled', { 'plugin:slow': {}, plugins: { disable: 'slow' } }, 'slow'],
    ])
        test(`is not one whose plugin is ${what}`, () => serving(async (client) => {
            await client.appears('echo');
            assert.deepEqual((await health(client)).warnings, []);
        }, { prepare: (home) => {
            home.configure(sections);
            home.drop(file);
        } }));

    test('is a warning of check, which is content', async () => {
        const home = new Home();
        try {
            home.configure({ 'plugin:slwo': ISOLATED });
            home.drop('slow');
            const { code, out, err } = await run(binary, ['check', '-c', home.config]);
            assert.equal(code, 0, err);
            assert.match(out, / 0 problems/);
            assert.match(err, wrong('slwo', 'did you mean \\[plugin:slow\\]\\? \\(a warning\\)'));
        } finally {
            home.dispose();
        }
    });
});
