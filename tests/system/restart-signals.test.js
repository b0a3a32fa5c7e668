/* Signals at every moment of a restart: none kills, none is lost, and those that end the server let it answer first. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { DEADLINE_MS, until, within } from '../clients/lib/until.js';
import { Client, serving } from './lib/client.js';
import { Home, sanitized } from './lib/home.js';
import { Installed, candidate } from './lib/installed.js';
import { TOOL, beginRestart, restarts, settledTable, settles } from './lib/restart.js';

const PHASES = ['preparing', 'maintenance_mode', 'suspending_tasks', 'serializing_state', 'starting_process', 'loading_state',
    'restoring_database', 'resuming_tasks', 'enabling_connections', 'complete'];
const RESTARTS = sanitized ? 10 : 50;
const MOMENTS = sanitized ? 10 : 40;

/* Sends it again and again until `body` is done. */
async function under(client, signal, body) {
    let sent = 0, over = false;
    const shower = (async () => {
        for (; !over; sent++) {
            client.process.kill(signal);
            await new Promise((resolve) => setImmediate(resolve));
        }
    })();
    try {
        await body();
    } finally {
        over = true;
        await shower;
    }
    return sent;
}

/* One that is asked for while another is under way is told so, or that the image went which it had asked; and asked again. */
const restartAtLast = (client) => until('a restart of our own', async () => {
    const { structuredContent: report, content } = await client.result(TOOL, {});
    assert.ok(report?.success || /under way|was restarted while/.test(content[0].text), content[0].text);
    return report?.success;
});

describe('signals during restarts', { concurrency: 2 }, () => {
    for (const signal of ['SIGHUP', 'SIGUSR2', 'SIGCHLD', 'SIGALRM', 'SIGPIPE', 'SIGWINCH'])
        test(`${signal}, all the time during ${RESTARTS}`, (t) => serving(async (client) => {
            await restarts(client);
            const before = await settledTable(client);
            const sent = await under(client, signal, async () => {
                for (let i = 0; i < RESTARTS; i++) {
                    await restartAtLast(client);
                    assert.equal(await client.text('echo', { message: `m${i}` }), `m${i}`);
                }
            });
            t.diagnostic(`${sent} signals`);
            await restartAtLast(client);
            await settles(client, before);
        }));

    test('SIGUSR2 restarts the server once, at whatever moment of another restart it comes', () => serving(async (client) => {
        const boot = async () => (await client.value('orchestrator_health_check')).boot_id;
        const restarted = await boot();
        client.process.kill('SIGUSR2');
        await until('another image', async () => (await boot()) !== restarted);
        for (const phase of PHASES) {
            await until('a restart to have passed it', async () => {
                const mine = beginRestart(client);
                await Promise.race([mine.reaches(phase), mine.report]);
                client.process.kill('SIGUSR2');
                return (await within('the answer', mine.report)).success; /* or the signal of the turn before was first */
            });
            assert.equal(await client.text('echo', { message: phase }), phase);
        }
    }));
});

/* As soon as it is so: a restart is over in less time than until() waits between two looks. */
async function spin(what, condition) {
    const end = Date.now() + DEADLINE_MS;
    while (!condition()) {
        assert.ok(Date.now() < end, what);
        await new Promise((resolve) => setImmediate(resolve));
    }
}

const arrivesAt = (mine, phase) => spin(`phase ${phase}`, () => mine.steps().some((one) => one.message === phase));

/* A server of its own is told to end at `moment(restart)`; it has answered the restart, as is given, and is gone. */
async function ends(signal, moment) {
    const home = new Home();
    const client = new Client(home);
    try {
        await client.initialize();
        await client.names();
        const mine = beginRestart(client);
        const report = mine.report.catch((error) => error);
        await arrivesAt(mine, 'preparing');
        await moment(mine);
        client.process.kill(signal);
        const exit = await within(`leaving on ${signal}`, client.exited);
        assert.deepEqual(exit, { code: 0, signal: null }, client.stderr);
        const answer = await report;
        assert.ok(!(answer instanceof Error), `${answer}`);
        assert.match(answer.phase, /^(complete|failed)$/);
        assert.deepEqual(client.problems, []);
        return answer;
    } finally {
        await client.kill();
        home.dispose();
    }
}

describe('a server that is told to end during a restart answers and leaves', { concurrency: 4 }, () => {
    for (const signal of ['SIGTERM', 'SIGINT']) {
        for (const phase of PHASES)
            test(`${signal} in ${phase}`, () => ends(signal, (mine) => arrivesAt(mine, phase)));

        test(`${signal} at ${MOMENTS} moments`, async (t) => {
            const { duration_ms: whole } = await ends(signal, (mine) => mine.report);
            let complete = 0;
            for (let i = 0; i < MOMENTS; i++) {
                const { success } = await ends(signal, () => {
                    const due = performance.now() + i * whole / MOMENTS;
                    return spin('the moment', () => performance.now() >= due);
                });
                complete += success;
            }
            t.diagnostic(`${complete} restarts of ${MOMENTS} were complete by then`);
        });
    }
});

describe('a server that is told to end during a restart that does not get on answers and leaves', { concurrency: 4 }, () => {
    const slots = { plugins: { watch: 'no' }, 'plugin:hangstop': { hang: 'start' } };
    for (const signal of ['SIGTERM', 'SIGINT'])
        for (const [phase, stall] of [
            ['preparing', (home) => home.install(candidate('preflight-hangs'))],
            ['resuming_tasks', (home) => home.configure(slots)],
        ])
            test(`${signal} in ${phase}`, () => serving(async (client, home) => {
                await client.appears('hangs');
                stall(home);
                const mine = beginRestart(client);
                await mine.reaches(phase);
                client.process.kill(signal);
                const report = await within('the answer', mine.report);
                assert.equal(report.success, false);
                assert.equal(report.phase_reached, phase);
                assert.match(report.message, /told to end, and leaves before the restart is complete/);
                assert.deepEqual(await within('leaving', client.exited), { code: 0, signal: null });
            }, { Place: Installed, prepare: (home) => { home.drop('hangstop'); home.configure({ plugins: { watch: 'no' } }); } }));
});
