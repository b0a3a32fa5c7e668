/* The history across restarts that follow each other so fast that one is hardly written when the next one comes. */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { Client, serving } from './lib/client.js';
import { Home, binary, sanitized } from './lib/home.js';

const RESTARTS = 20, SLOW_MS = 3000;

test('no restart is missing from the history, however soon the next one comes', () => serving(async (client) => {
    for (let i = 0; i < RESTARTS; i++) {
        const reason = i % 2 ? 'emergency_shutdown' : 'manual_request';
        assert.equal((await client.value('orchestrator_restart_server', { reason })).success, true);
    }
    const history = await until('the last one to be written', async () => {
        const status = await client.value('orchestrator_restart_status', { include_history: true });
        const [latest] = status.history.recent_restarts;
        return latest?.boot_id.after === (await client.value('orchestrator_health_check')).boot_id && status.history;
    });
    assert.equal(history.total_restarts, RESTARTS);
}));

/* Each restart follows on the line of the audit that says who asked for it, and on the event of the one before. */
test('no restart waits until the history of the one before is on the disk', {
    skip: sanitized && 'a library that is preloaded comes before the run-time library of the sanitizer',
}, async () => {
    const home = new Home(), full = home.path('full');
    const client = new Client(home, { env: {
        LD_PRELOAD: join(dirname(binary), 'tests', 'system', 'preload', 'full.so'),
        THESEUS_DISK: home.path('state'), THESEUS_DISK_FULL: full,
    } });
    try {
        await client.initialize();
        const restart = () => client.value('orchestrator_restart_server');
        const written = (count) => until(`${count} restarts in the history`, async () => {
            const { history } = await client.value('orchestrator_restart_status', { include_history: true });
            return history.total_restarts === count && history;
        });
        await restart();
        await written(1); /* the database is made, and is on the disk */
        writeFileSync(full, `SLOW ${SLOW_MS}`);
        for (let i = 0; i < 3; i++) {
            const report = await restart();
            assert.ok(report.duration_ms < SLOW_MS - 500, `${report.duration_ms} ms`);
        }
        assert.doesNotMatch(client.stderr, /the database is slow/);
        assert.ok((await written(4)).recent_restarts.every((one) => one.success));
        rmSync(full); /* the last connection brings all to the disk */
        await client.close();
    } finally {
        await client.kill();
        home.dispose();
    }
});
