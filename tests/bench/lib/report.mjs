/*
 * What the benchmark says of its numbers: tables in Markdown, ratios within this run, and whether the figures that
 * Theseus promises are held. Only ratios travel from machine to machine.
 */
import { thousands } from './chart.mjs';

export const median = (numbers) => {
    const sorted = [...numbers].sort((a, b) => a - b), middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

const row = (cells) => `| ${cells.join(' | ')} |`;
export const table = (head, rows) => [row(head), row(head.map((_, i) => i ? '---:' : '---')), ...rows.map(row)].join('\n');
const ratio = (number) => `${number >= 10 ? number.toFixed(0) : number.toFixed(2)} ×`;

/* `runs[workload][server]`: the median of each measure. */
export function throughputTable(runs, servers, workloads) {
    return table(['calls per second', ...workloads.map((w) => w.title)], servers.map((server) =>
        [server.name, ...workloads.map((w) => thousands(runs[w.key][server.key].per_second))]));
}

export function ratioTable(runs, servers, workloads) {
    return table(['Theseus against', ...workloads.map((w) => w.title)], servers.filter((s) => !s.ours).map((server) =>
        [server.name, ...workloads.map((w) =>
            ratio(runs[w.key].theseus.per_second / runs[w.key][server.key].per_second))]));
}

export function detailTable(runs, servers, workloads) {
    const head = ['', 'p50 µs', 'p90 µs', 'p99 µs', 'max µs', 'server CPU µs a call'];
    const rows = workloads.flatMap((w) => servers.map((server) => {
        const run = runs[w.key][server.key];
        const times = [run.p50_us, run.p90_us, run.p99_us, run.max_us].map((n) => n.toFixed(1));
        return [`${server.name}, ${w.title}`, ...times, run.cpu_us.toFixed(2)];
    }));
    return table(head, rows);
}

export function startTable(starts, idle, servers) {
    return table(['', 'start to initialize answered, ms', 'memory when idle, KB'], servers.map((server) =>
        [server.name, starts[server.key].toFixed(2), thousands(idle[server.key])]));
}

export function reloadTable(reload) {
    return table(['reload of a plugin under load', ''], [
        ['reloads', thousands(reload.reloads)],
        ['calls per second meanwhile', thousands(reload.per_second)],
        ['calls, all answered once and right', thousands(reload.calls)],
        ['slowest call on either side of a swap: p50, p99, max µs',
            [reload.swap_p50_us, reload.swap_p99_us, reload.swap_max_us].map((n) => n.toFixed(0)).join(', ')],
        ['any call: p50, p99 µs', `${reload.call_p50_us.toFixed(0)}, ${reload.call_p99_us.toFixed(0)}`],
        ['file replaced to first answer of the new code, p50 ms', reload.shown_p50_ms.toFixed(1)],
        ['memory after 50 reloads and at the end, KB', reload.rss_kb.map(thousands).join(', ')],
        ['descriptors after 50 reloads and at the end', reload.fds.join(', ')],
    ]);
}

const PEERS = ['sdk1', 'sdk2'];

/* The promises as [text, measured, held]. */
export function figures(runs, starts, idle, reload) {
    const speed = (workload, server) => runs[workload][server].per_second;
    const least = (workload) => Math.min(...PEERS.map((p) => speed(workload, 'theseus') / speed(workload, p)));
    const overFloor = starts.theseus / starts.floor;
    const overPeers = Math.min(...PEERS.map((p) => starts[p] / starts.theseus));
    const parse = speed('32x64', 'theseus') / speed('32x64', 'jansson');
    const list = [
        ['start: at most 3 times the floor program\'s', ratio(overFloor), overFloor <= 3],
        ['start: at least 30 times faster than the SDKs\'', ratio(overPeers), overPeers >= 30],
        ['32 bytes, 64 in flight: more calls per second than every SDK', ratio(least('32x64')), least('32x64') > 1],
        ['32 bytes, one in flight: more calls per second than every SDK', ratio(least('32x1')), least('32x1') > 1],
        ['32 bytes, 64 in flight: at least 0.6 of parsing and dumping with jansson', ratio(parse), parse >= 0.6],
        ['4 KiB, 64 in flight: more calls per second than every SDK', ratio(least('4096x64')), least('4096x64') > 1],
        ['4 KiB, one in flight: more calls per second than every SDK', ratio(least('4096x1')), least('4096x1') > 1],
        ['memory when idle, all plugins loaded: under 6 MB', `${(idle.theseus / 1024).toFixed(2)} MB`,
            idle.theseus < 6 * 1024],
    ];
    return reload ? [...list, ...reloadFigures(reload)] : list;
}

function reloadFigures(reload) {
    const growth = reload.rss_kb[1] - reload.rss_kb[0];
    return [
        [`${reload.reloads} reloads: no call lost, failed or answered twice`,
            `${reload.calls - reload.answered} of ${thousands(reload.calls)}`, reload.calls === reload.answered],
        ['reload: at least 1,000 calls per second meanwhile', thousands(reload.per_second), reload.per_second >= 1000],
        ['reload: p99 of the swap, as a client sees it, under 1 ms', `${reload.swap_p99_us.toFixed(0)} µs`,
            reload.swap_p99_us < 1000],
        ['reload: no growth of descriptors', reload.fds.join(' to '), reload.fds[1] <= reload.fds[0]],
        ['reload: memory within 1 MB', `${growth} KB`, growth <= 1024],
    ];
}

const three = ({ p50, p99, max }) => [p50, p99, max].map((ms) => ms.toFixed(2)).join(', ');
const faults = (run) => run.lost + run.doubled + run.wrong + run.unexplained;

const KINDS = [['inline', 'a tool that is THESEUS_INLINE'], ['worker', 'an ordinary tool']];

export function isolationTable(isolation) {
    const head = ['isolation of a plugin', 'none: p50, p99 µs', 'process: p50, p99 µs', 'none: calls per second, 64 in flight',
        'process'];
    const times = ({ p50_us: p50, p99_us: p99 }) => `${p50.toFixed(1)}, ${p99.toFixed(0)}`;
    return table(head, KINDS.map(([tool, name]) => [`${name}, one in flight`,
        ...['none', 'process'].map((kind) => times(isolation[tool][kind][1])),
        ...['none', 'process'].map((kind) => thousands(isolation[tool][kind][64].per_second))]));
}

export function isolationFigures(isolation) {
    return KINDS.map(([tool, name]) => {
        const times = isolation[tool].process[1].p50_us / isolation[tool].none[1].p50_us;
        return [`isolation = process, ${name}: round trip at most 3 times that in the server's process`, ratio(times), times <= 3];
    });
}

export function restartTable({ load, quiet, back, reload }) {
    return table(['restarts with about 1 MiB in the ledger', 'under load', 'with pings only', 'the way back'], [
        ['restarts', ...[load, quiet, back].map((one) => thousands(one.count))],
        ['requests per second meanwhile', ...[load, quiet, back].map((one) => thousands(one.per_second))],
        ['lost, doubled, wrong, unexplained errors',
            ...[load, quiet, back].map((one) => [one.lost, one.doubled, one.wrong, one.unexplained].join(', '))],
        ['blackout as the server tells it: p50, p99, max ms', ...[load, quiet, back].map((one) => three(one.blackout_ms))],
        ['as the client sees it: p50, p99, max ms', ...[load, quiet, back].map((one) => three(one.gap_ms))],
        ['the bare exec of the same binary: p50, p99, max ms', '', three(quiet.bare_exec_ms), ''],
        ['held beyond the wait for running calls: p50, p99, max ms', three(load.held_over_ms), '', ''],
        ['from asking to the answer: p50, p99, max ms', ...[load, quiet, back].map((one) => three(one.whole_ms))],
        ['longest tool call, ms', load.longest_call_ms.toFixed(1), '', ''],
        ['memory after ten and at the end, KB', ...[load, quiet, back].map((one) => one.rss_kb.map(thousands).join(', '))],
        ['descriptors after ten and at the end', ...[load, quiet, back].map((one) => one.fds.join(', '))],
        [`the same load over ${thousands(reload.count)} reloads: lost, doubled, wrong, unexplained errors`,
            [reload.lost, reload.doubled, reload.wrong, reload.unexplained].join(', '), '', ''],
    ]);
}

export function restartFigures({ load, quiet, back, reload }) {
    const bare = quiet.blackout_ms.p50 / quiet.bare_exec_ms.p50, seen = quiet.gap_ms.p50 / quiet.bare_exec_ms.p50;
    const wayBack = back.gap_ms.p50 / quiet.gap_ms.p50;
    const right = (run) => faults(run) === 0 && run.failed === 0;
    const counted = (run) => `${faults(run)} of ${thousands(run.requests)}`;
    return [
        [`${load.count} restarts under load: nothing lost, doubled or unexplained`, counted(load), right(load)],
        [`${reload.count} reloads under load: nothing lost, doubled or unexplained`, counted(reload), right(reload)],
        ['restarts and reloads: at least 1,000 requests per second meanwhile',
            thousands(Math.min(load.per_second, reload.per_second)), Math.min(load.per_second, reload.per_second) >= 1000],
        ['blackout: p50 under 5 ms', `${quiet.blackout_ms.p50.toFixed(2)} ms`, quiet.blackout_ms.p50 < 5],
        ['blackout: p99 under 15 ms', `${quiet.blackout_ms.p99.toFixed(2)} ms`, quiet.blackout_ms.p99 < 15],
        ['blackout: at most 4 times the bare exec of the same binary', ratio(bare), bare <= 4],
        ['blackout as the client sees it: p50 under 5 ms', `${quiet.gap_ms.p50.toFixed(2)} ms, ${ratio(seen)} the bare exec`,
            quiet.gap_ms.p50 < 5],
        ['blackout as the client sees it: p99 under 15 ms', `${quiet.gap_ms.p99.toFixed(2)} ms`, quiet.gap_ms.p99 < 15],
        ['the same under load: p50 under 5 ms, p99 under 15 ms',
            `${load.gap_ms.p50.toFixed(2)}, ${load.gap_ms.p99.toFixed(2)} ms`, load.gap_ms.p50 < 5 && load.gap_ms.p99 < 15],
        ['tool calls: held at most 20 ms longer than running calls are waited for',
            `${load.held_over_ms.max.toFixed(1)} ms`, load.held_over_ms.max <= 20],
        ['the way back: under 4 times the blackout of a good restart', ratio(wayBack), right(back) && wayBack < 4],
    ];
}

const verdict = ([text, measured, held]) => [text, measured, held ? 'held' : 'falls short'];
export const figureTable = (list) => table(['figure', 'measured', ''], list.map(verdict));
