/* Restarts of one server, and what must be the same before and behind them. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';

import { until } from '../../clients/lib/until.js';
import { children, descriptors } from './proc.js';

export const TOOL = 'orchestrator_restart_server';

/* The report, whatever it says. */
export const restart = (client, args = {}) => client.value(TOOL, args);

export async function restarts(client, args = {}) {
    const report = await restart(client, args);
    assert.equal(report.success, true, JSON.stringify(report));
    assert.equal(report.phase, 'complete');
    assert.deepEqual(report.pid, { before: client.pid, after: client.pid });
    assert.notEqual(report.boot_id.before, report.boot_id.after);
    return report;
}

/* A restart that is begun, with its phases as they are told. */
export function beginRestart(client, args = {}) {
    const token = `restart-${client.lastId + 1}`;
    const { id, answer } = client.start('tools/call', { name: TOOL, arguments: args, _meta: { progressToken: token } });
    answer.catch(() => {}); /* it may never come, and nobody may wait for it */
    const steps = () => client.notifications.filter((one) => one.params?.progressToken === token).map((one) => one.params);
    return {
        id, steps,
        get report() {
            return answer.then((one) => one.result?.structuredContent ?? assert.fail(JSON.stringify(one)));
        },
        reaches: (phase) => until(`phase ${phase}`, () => steps().some((one) => one.message === phase)),
    };
}

/* The history, once it is so: what has just happened is written beside the answers. */
export const historyWith = (client, what, holds) => until(`the history to have ${what}`, async () => {
    const { history } = await client.value('orchestrator_restart_status', { include_history: true });
    return holds(history) && history;
});

/* What the open descriptors lead to. The pipes of an event loop are new in each image; a lock comes with a snapshot. */
export const descriptorTable = (pid) => descriptors(pid).filter((target) => !/snapshots\/\w+\.lock$/.test(target))
    .map((target) => target.replace(/^pipe:.*/, 'pipe')).sort();

/* The same, when the files are open that are opened beside the work, and nothing has changed at many looks. */
export async function settledTable(client) {
    let before, same = 0;
    await until('the descriptors to be settled', () => {
        const table = descriptorTable(client.pid);
        same = isDeepStrictEqual(table, before) && table.some((target) => target.endsWith('theseus.db-wal')) ? same + 1 : 0;
        before = table;
        return same === 20;
    });
    return before;
}

/* Directories in `dir` in which candidates are examined. */
export const rooms = (dir) => readdirSync(dir).filter((name) => name.startsWith('theseus-preflight-'));

export const status = (pid, name) => new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1];
export const mappings = (pid) => readFileSync(`/proc/${pid}/maps`, 'utf8').trim().split('\n');

/* Nothing that a restart has taken is left: descriptors, children, zombies, blocked signals. */
export async function settles(client, before) {
    await until('no child to be left', () => children(client.pid).length === 0);
    const same = () => isDeepStrictEqual(descriptorTable(client.pid), before);
    await until('the descriptors to be as before', same).catch(() => assert.deepEqual(descriptorTable(client.pid), before));
    /* The first answers may leave before the image that makes them takes its signals again. */
    await until('no signal to be blocked', () => status(client.pid, 'SigBlk') === '0000000000000000');
}
