/* A plugin writes where it has no business: into the ledger. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { serving } from './lib/client.js';
import { crash, judgeCrash, mortal, skip } from './lib/crash.js';
import { mappings } from './lib/restart.js';

const NEEDLE = ['a value that is ', 'looked for'];
const wild = mortal({ plugins: { watch: 'no' } }, ['scribbles', 'ballast']);

const served = async (client) => assert.equal(await client.text('echo', { message: 'there' }), 'there');
const ledger = (pid) => mappings(pid).filter((line) => line.includes('memfd:theseus-ledger'));

/* A value is kept, and one byte of it changed in the ledger. */
async function scribbled(client, echo) {
    await client.appears('scribble');
    await client.appears('die_null');
    await client.text('keep', { value: NEEDLE.join('') });
    const { count } = await client.value('scribble', { where: 'open', find: NEEDLE, echo });
    assert.ok(count > 0, 'it is in the ledger');
}

describe('a plugin that writes into the ledger', { skip }, () => {
    test('crashes where that is sealed, and is blamed', () => serving(async (client, home) => {
        await client.appears('scribble');
        await client.appears('ballast');
        await client.text('ballast', { kib: 4096 });
        await client.text('keep', { value: 'here' });
        const lines = ledger(client.pid);
        assert.ok(lines.some((line) => / r--s /.test(line)), lines.join('\n'));
        for (let i = 0; i < 3; i++) {
            judgeCrash(await client.call('scribble', { where: 'sealed' }), { signal: 'SIGSEGV', plugin: 'scribbles' });
            await served(client);
            assert.deepEqual(await client.value('kept'), { value: 'here' });
        }
        assert.doesNotMatch(home.log, /damaged|is lost|are lost/);
    }, wild));

    test('changes nothing where there is an echo of it', () => serving(async (client, home) => {
        await scribbled(client, false);
        await crash(client, 'null');
        await served(client);
        assert.deepEqual(await client.value('kept'), { value: NEEDLE.join('') });
        assert.match(home.log, /the ledger was damaged: \d+ batches of records had been written over, and were taken from their echo/);
    }, wild));

    test('costs the record that it has hit, and nothing else', () => serving(async (client, home) => {
        await scribbled(client, true);
        await client.text('ballast', { kib: 16 });
        const before = client.pid;
        await crash(client, 'null');
        await served(client);
        assert.deepEqual(await client.value('kept'), { value: null });
        assert.equal(client.pid, before);
        assert.match(home.log, /the ledger is damaged: in \d+ batches of records, or more, something cannot be read; \d+ records, or more, are lost/);
    }, wild));
});
