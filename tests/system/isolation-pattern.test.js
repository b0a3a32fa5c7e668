/* Regular expressions in the schemas of plugins: their library is opened when the first one is met, wherever that is. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { isolated, processOf } from './lib/isolated.js';
import { restarts } from './lib/restart.js';

const has = (pid) => readFileSync(`/proc/${pid}/maps`, 'utf8').includes('libpcre2-8');

async function matches(client) {
    await client.appears('pattern');
    assert.deepEqual(await client.value('pattern', { word: 'small' }), { word: 'small' });
    for (const args of [{ word: 'LARGE' }, { word: 'small', answer: 'LARGE' }])
        assert.match(await client.text('pattern', args), /must match the pattern/);
}

describe('a plugin with patterns', { concurrency: 4 }, () => {
    test('is served in a process of its own', () => isolated(['pattern'], async (client) => {
        await matches(client);
        assert.ok(has((await processOf(client, 'pattern')).pid), 'the library was opened behind the walls');
    }));

    test('has settings that match, or is refused there', () => isolated(['pattern'], async (client, home) => {
        await client.appears('pattern');
        home.isolate({ 'plugin:pattern': { '.isolation': 'process', word: 'LARGE' } });
        await until('the refusal', () => /must match the pattern/.test(home.log));
        await matches(client);
    }));

    test('is served by the server itself, which has opened the library for it', () => serving(async (client) => {
        await matches(client);
        assert.ok(has(client.pid));
    }, { prepare: (home) => home.drop('pattern') }));

    for (const [where, sections] of [['there', {}], ['here', { 'plugin:pattern': {} }]])
        test(`is served behind a restart, ${where}`, () => isolated(['pattern'], async (client) => {
            await matches(client);
            await restarts(client);
            await matches(client);
        }, { sections }));

    test('is served where memory is short', () => isolated(['pattern'], matches, {
        more: { '.memory': '64M' },
        sections: { limits: { memory: '256M' } },
    }));
});
