/* A plugin writes where it has no business: into the ledger. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { crash, judgeCrash, mortal, skip } from './lib/crash.js';
import { mappings, restart, restarts } from './lib/restart.js';

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

    /* Live, and of the server itself. The words are put together there, lest the call is hit as well. */
    const RECORDS = {
        'who it was and how it is started': async (client) => {
            const { boot_id } = await client.value('orchestrator_health_check');
            return [boot_id.slice(0, 8), boot_id.slice(8)];
        },
        'a descriptor that goes along': () => ['images.', 'lock'],
        'the connection': () => ['std', 'io'],
    };
    const ledgerOf = async (client) => {
        const { issues, checks } = await client.value('orchestrator_health_check');
        return { issues: issues.join('\n'), ...checks.ledger };
    };
    const isWholeAgain = async (client) => {
        await restarts(client);
        const { issues, damaged_batches } = await ledgerOf(client);
        assert.deepEqual([issues, damaged_batches], ['', 0]);
        await served(client);
    };

    for (const [what, wordsOf] of Object.entries(RECORDS)) {
        test(`costs no restart when it hits the record of ${what}`, () => serving(async (client) => {
            await client.appears('scribble');
            const find = await wordsOf(client), { pid } = client;
            await until('the record to be there', async () =>
                (await client.value('scribble', { where: 'open', find, echo: true })).count > 0);
            const report = await restart(client);
            assert.equal(report.success, true, JSON.stringify(report));
            assert.equal(client.pid, pid);
            await served(client);
            const { issues, damaged_batches } = await ledgerOf(client);
            assert.match(issues, /ledger: \d+ records, or more, were lost when this image began/);
            assert.ok(damaged_batches > 0);
            await isWholeAgain(client);
        }, wild));
    }

    /* Hit on the way or not, depending on who is faster: in either case somebody is answered, once. */
    for (const words of [['starting_', 'process'], ['manual_', 'request']]) {
        test(`costs no more than the report when it hits the record of a restart (${words.join('')})`, () =>
            serving(async (client) => {
                await client.appears('haunt');
                await client.text('haunt', { find: words });
                const { pid } = client;
                for (let i = 0; i < 5; i++) {
                    const { result } = await within('the answer', client.call('orchestrator_restart_server', {}), 20_000);
                    if (result.isError)
                        assert.match(result.content[0].text, /may have executed|restart/);
                    await served(client);
                    await client.text('haunt', { find: words });
                }
                assert.equal(client.pid, pid);
            }, wild));
    }
});
