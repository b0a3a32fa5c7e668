/*
 * What the official SDK (version 1) hears of restarts, on standard input and through `theseus connect`: by
 * notifications/message, from the log level on that it has set, before and after, also behind a server that was killed.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { Home } from './lib/home.js';
import { alive } from './lib/proc.js';
import { Host } from './lib/sdk.js';
import { MemoryHome } from './lib/survivor.js';

class Shared extends MemoryHome {
    get command() {
        const command = super.command;
        return { ...command, args: ['connect', ...command.args] };
    }
}

/* One that has set this level; `heard` is what the SDK hands to its user. */
async function listener(home, level) {
    const host = new Host(home);
    host.heard = [];
    host.client.fallbackNotificationHandler = async ({ method, params }) => {
        if (method === 'notifications/message' && params.logger === 'theseus')
            host.heard.push(params);
    };
    await host.connect();
    if (level)
        await host.client.setLoggingLevel(level);
    return host;
}

const events = (host) => host.heard.map(({ data }) => data.event);
const pidOf = async (host) => (await host.health()).pid;

async function kill(host) {
    const pid = await pidOf(host);
    process.kill(pid, 'SIGKILL');
    await until('another server', async () => await pidOf(host) !== pid);
}

describe('the SDK hears of a restart', { concurrency: 2 }, () => {
    test('that it did not ask for, on standard input', async () => {
        const home = new Home();
        const host = await listener(home, 'info');
        try {
            process.kill(host.pid, 'SIGUSR2');
            await until('both notices', () => host.heard.length === 2);
            assert.deepEqual(events(host), ['restart_pending', 'restart_complete']);
            assert.ok(host.heard[1].data.blackout_ms > 0);
            assert.deepEqual(host.errors, []);
        } finally {
            await host.client.close();
            home.dispose();
        }
    });

    test('through theseus connect, from its level on, also behind a kill -9', async () => {
        const home = new Shared();
        const hosts = await Promise.all([listener(home, 'info'), listener(home, 'error'), listener(home)]);
        const [hears, ...others] = hosts;
        try {
            const restarted = async (count) => {
                await others[0].restart();
                await until('both notices', () => hears.heard.length === 2 * count);
            };
            await restarted(1);
            await kill(hears);
            await restarted(2);
            assert.deepEqual(events(hears), ['restart_pending', 'restart_complete', 'restart_pending', 'restart_complete']);
            for (const host of others) {
                await host.client.ping();
                assert.deepEqual(host.heard, []);
            }
            for (const host of hosts)
                assert.deepEqual([host.closed, host.errors], [false, []]);
        } finally {
            const pid = await pidOf(hears).catch(() => 0);
            await Promise.all(hosts.map((host) => host.client.close()));
            if (pid)
                process.kill(pid, 'SIGTERM');
            await until('the server to leave', () => !pid || !alive(pid));
            home.dispose();
        }
    });
});
