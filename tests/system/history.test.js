/* The history across restarts that follow each other so fast that one is hardly written when the next one comes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { serving } from './lib/client.js';

const RESTARTS = 20;

test('no restart is missing from the history, however soon the next one comes', () => serving(async (client) => {
    for (let i = 0; i < RESTARTS; i++) {
        const reason = i % 2 ? 'emergency_shutdown' : 'manual_request';
        assert.equal((await client.value('orchestrator_restart_server', { reason })).success, true);
    }
    const history = await until('the last one to be written', async () => {
        const status = await client.value('orchestrator_restart_status', { include_history: true });
        const [latest] = status.history.recent_restarts;
        return latest.boot_id.after === (await client.value('orchestrator_health_check')).boot_id && status.history;
    });
    assert.equal(history.total_restarts, RESTARTS);
}));
