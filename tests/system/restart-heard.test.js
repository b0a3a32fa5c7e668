/* Behind a restart clients are heard before the plugins are there: pings are answered, and all else waits. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { serving } from './lib/client.js';
import { beginRestart } from './lib/restart.js';

const CONSTRUCTOR_MS = 800; /* of ctorslow */

const slow = { prepare: (home) => home.drop('ctorslow') };

/* Until the new image waits for its plugins. */
async function waits(client) {
    await client.appears('echo');
    await client.ask('tools/list');
    const mine = beginRestart(client);
    await mine.reaches('resuming_tasks');
    return mine;
}

const isOver = (mine) => mine.steps().some((one) => one.message === 'enabling_connections');

describe('a restart whose plugins take their time', { concurrency: 3 }, () => {
    test('answers pings meanwhile, and tool calls behind', () => serving(async (client) => {
        const mine = await waits(client);
        const call = client.start('tools/call', { name: 'echo', arguments: { message: 'held' } });
        for (let i = 0; i < 3; i++)
            assert.deepEqual((await client.ask('ping')).result, {});
        assert.equal(isOver(mine), false, 'the pings waited for the plugins');
        assert.equal((await call.answer).result.content[0].text, 'held');
        assert.ok(isOver(mine), 'the call did not wait for its plugin');
        const report = await mine.report;
        assert.equal(report.success, true, JSON.stringify(report));
        assert.ok(report.blackout_ms < CONSTRUCTOR_MS / 2, `${report.blackout_ms} ms`);
        assert.ok(report.held_ms > 0, 'the call was held');
    }, slow));

    test('takes back a call that is cancelled meanwhile', () => serving(async (client) => {
        const mine = await waits(client);
        const call = client.start('tools/call', { name: 'echo', arguments: { message: 'cancelled' } });
        call.answer.catch(() => {}); /* it has none */
        client.notify('notifications/cancelled', { requestId: call.id });
        await client.ask('ping');
        assert.equal(isOver(mine), false);
        assert.equal((await mine.report).success, true);
        assert.equal((await client.call('echo', { message: 'after' })).result.content[0].text, 'after');
        assert.equal(client.open, 1, 'the cancelled call was answered');
    }, slow));

    test('leaves behind its answer when its client ends meanwhile', () => serving(async (client) => {
        const mine = await waits(client);
        const ping = client.start('ping');
        client.process.stdin.end();
        assert.deepEqual((await ping.answer).result, {});
        assert.equal((await mine.report).success, true);
        assert.deepEqual(await client.exited, { code: 0, signal: null });
    }, slow));
});
