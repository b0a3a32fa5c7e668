/* Behind a restart clients are heard before the plugins are there: pings are answered, and all else waits. */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { beginRestart } from './lib/restart.js';

const CONSTRUCTOR_MS = 800; /* of ctorslow, at least */

/* `body(client, mine)` when the new image of a restart waits for its plugins; it does until mine.letGo(). */
function waiting(body) {
    const env = {};
    return serving(async (client, home) => {
        await until('the plugin to serve', () => client.plugin('ctorslow')); /* what is held is that of the new image alone */
        writeFileSync(home.path('hold'), `${client.pid}`); /* not the process in which a candidate is examined */
        const mine = beginRestart(client);
        await mine.reaches('resuming_tasks');
        mine.letGo = () => rmSync(home.path('hold'));
        await body(client, mine);
    }, {
        env,
        prepare: (home) => {
            home.drop('ctorslow');
            env.CTORSLOW_HOLD = home.path('hold');
        },
    });
}

const isOver = (mine) => mine.steps().some((one) => one.message === 'enabling_connections');

describe('a restart whose plugins take their time', { concurrency: 3 }, () => {
    test('answers pings meanwhile, and tool calls behind', () => waiting(async (client, mine) => {
        const call = client.start('tools/call', { name: 'echo', arguments: { message: 'held' } });
        for (let i = 0; i < 3; i++)
            assert.deepEqual((await client.ask('ping')).result, {});
        assert.equal(isOver(mine), false, 'the pings waited for the plugins');
        mine.letGo();
        assert.equal((await call.answer).result.content[0].text, 'held');
        assert.ok(isOver(mine), 'the call did not wait for its plugin');
        const report = await mine.report;
        assert.equal(report.success, true, JSON.stringify(report));
        /* The constructor has run twice, in the examination and in the new image; neither time nothing was handled. */
        const handled = report.duration_ms - report.blackout_ms;
        assert.ok(handled > 1.75 * CONSTRUCTOR_MS, `${handled} of ${report.duration_ms} ms`);
        assert.ok(report.held_ms > 0, 'the call was held');
    }));

    test('takes back a call that is cancelled meanwhile', () => waiting(async (client, mine) => {
        const call = client.start('tools/call', { name: 'echo', arguments: { message: 'cancelled' } });
        call.answer.catch(() => {}); /* it has none */
        client.notify('notifications/cancelled', { requestId: call.id });
        await client.ask('ping');
        assert.equal(isOver(mine), false);
        mine.letGo();
        assert.equal((await mine.report).success, true);
        assert.equal((await client.call('echo', { message: 'after' })).result.content[0].text, 'after');
        assert.equal(client.open, 1, 'the cancelled call was answered');
    }));

    test('leaves when its client is gone meanwhile', () => waiting(async (client, mine) => {
        assert.equal(isOver(mine), false);
        client.start('ping').answer.catch(() => {}); /* nobody is there to read it */
        mine.report.catch(() => {});
        client.process.stdout.destroy();
        client.process.stdin.end();
        mine.letGo();
        assert.deepEqual(await within('leaving', client.exited), { code: 0, signal: null });
    }));

    test('leaves behind its answer when its client ends meanwhile', () => waiting(async (client, mine) => {
        const ping = client.start('ping');
        client.process.stdin.end();
        assert.deepEqual((await ping.answer).result, {});
        mine.letGo();
        assert.equal((await mine.report).success, true);
        assert.deepEqual(await client.exited, { code: 0, signal: null });
    }));
});
