/* The part of the benchmark that is about the plugin `tasks`: what is measured, and what is said of it. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { thousands } from './chart.mjs';
import { median } from './report.mjs';

const DEPTH = 64;
const row = (cells) => `| ${cells.join(' | ')} |`;

/*
 * `theseus(name)` makes a server in a home of its own: {root, argv}; `run(program, args)` answers what a program of the
 * build prints. Server and bare loop take turns, so that what the machine does meanwhile meets both alike. The loop writes
 * in as many transactions as the server has just written the same calls in, and then, to compare, in groups of all calls
 * that are in flight, which a server that answers some while it writes others does not form.
 */
export async function measureTasks({ theseus, run, quick }) {
    const rounds = quick ? 2 : 5, count = String(quick ? 5_000 : 20_000), stored = quick ? 10_000 : 100_000;
    const results = { full: [], normal: [], bare_full: [], bare_normal: [], whole_full: [], whole_normal: [] };
    const common = ['-d', String(DEPTH), '-n', count];
    const limits = ['--set', 'tasks.max_active=1000000']; /* which is looked after, too */
    for (let round = 0; round < rounds; round++)
        for (const durability of ['full', 'normal']) {
            process.stderr.write(`tasks, durability ${durability}, round ${round + 1} of ${rounds}\n`);
            const { root, argv } = theseus(`tasks-${durability}-${round}`);
            const loop = (name, ...more) => {
                mkdirSync(join(root, name), { mode: 0o700 });
                return run('tasks', [...common, ...more, '-s', durability.toUpperCase(), '-b', join(root, name, 'bare.db')]);
            };
            const server = await run('tasks', [...common, '-c', join(root, 'state', 'theseus.db'), '--', ...argv, ...limits,
                '--set', `tasks.durability=${durability}`]);
            results[durability].push(server);
            results[`bare_${durability}`].push(await loop('bare', '-t', server.transactions.join()));
            results[`whole_${durability}`].push(await loop('whole'));
            rmSync(root, { recursive: true });
        }
    process.stderr.write(`${stored} tasks\n`);
    const { argv } = theseus('tasks-many'), empty = theseus('tasks-none');
    const many = await run('tasks', ['-d', String(DEPTH), '-n', String(stored), '-q', quick ? '200' : '1000', '--', ...argv,
        ...limits, '--set', 'tasks.durability=normal']);
    const blackouts = { many: [], none: [] };
    for (let round = 0; round < rounds; round++)
        for (const [key, server] of [['none', empty.argv], ['many', argv]])
            blackouts[key].push((await run('restart', ['-q', '-n', quick ? '10' : '40', '--', ...server])).blackout_ms.p50);
    const group = (servers) => median(servers.map((server) => groupOf(server, Number(count)))).toFixed(0);
    return { ...results, groups: { full: group(results.full), normal: group(results.normal) }, stored, many, blackouts };
}

/* Calls of a transaction. */
const groupOf = (server, count) => count * server.transactions.length / server.transactions.reduce((sum, one) => sum + one);
const middle = (list, key) => median(list.map((one) => one[key]));
const three = ({ p50, p99, max }) => [p50, p99, max].map((ms) => ms.toFixed(2)).join(', ');

export function tasksTable(tasks) {
    const kinds = ['full', 'normal'].flatMap((durability) => [
        [durability, `durability ${durability}, which formed groups of ${tasks.groups[durability]}`],
        [`bare_${durability}`, 'its statements in a bare loop, in the same groups'],
        [`whole_${durability}`, `its statements in a bare loop, in groups of ${DEPTH}`]]);
    const measures = ['plan_per_second', 'update_per_second', 'complete_per_second', 'per_second'];
    return [
        row([`writes per second, ${DEPTH} in flight`, 'plan', 'update', 'complete', 'all', 'CPU µs a call']),
        row(['---', '---:', '---:', '---:', '---:', '---:']),
        ...kinds.map(([key, name]) => row([name, ...measures.map((measure) => thousands(middle(tasks[key], measure))),
            middle(tasks[key], 'cpu_us').toFixed(1)])),
        '',
        row([`in ${thousands(tasks.stored)} tasks`, 'p50, p99, max ms']),
        row(['---', '---:']),
        row(['a page of 100 by status', three(tasks.many.by_status_ms)]),
        row(['a page of 100 by words', three(tasks.many.by_words_ms)]),
        row(['blackout of a restart, with an empty store and with that, p50 ms',
            `${median(tasks.blackouts.none).toFixed(2)}, ${median(tasks.blackouts.many).toFixed(2)}`]),
    ].join('\n');
}

/* The promises as [text, measured, held]. */
export function tasksFigures(tasks) {
    /* Of each pair that was measured side by side. */
    const against = (loops) => median(tasks.full.map((one, i) => one.per_second / loops[i].per_second));
    const ratio = against(tasks.bare_full);
    const slower = median(tasks.blackouts.many.map((ms, i) => ms / tasks.blackouts.none[i]));
    const rate = middle(tasks.normal, 'per_second');
    return [
        ['tasks, durability normal: at least 20,000 writes per second', thousands(rate), rate >= 20_000],
        [`tasks, durability full: at least 0.7 of the same statements in a bare loop with the same groups (of ${tasks.groups.full})`,
            `${ratio.toFixed(2)} × (with groups of ${DEPTH}: ${against(tasks.whole_full).toFixed(2)} ×)`, ratio >= 0.7],
        [`a page by status in ${thousands(tasks.stored)} tasks: p99 under 5 ms`, `${tasks.many.by_status_ms.p99.toFixed(2)} ms`,
            tasks.many.by_status_ms.p99 < 5],
        [`a page by words in ${thousands(tasks.stored)} tasks: p99 under 5 ms`, `${tasks.many.by_words_ms.p99.toFixed(2)} ms`,
            tasks.many.by_words_ms.p99 < 5],
        [`restart with ${thousands(tasks.stored)} tasks: blackout within 1.2 times that with none`, `${slower.toFixed(2)} ×`,
            slower <= 1.2],
    ];
}
