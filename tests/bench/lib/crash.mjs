/* What is said of crashes: the table and the figures. */
import { median, table } from './report.mjs';

/* `runs`: by size of the message, then `yes` and `no`: processor time of a request in µs, pair by pair. */
export function guardCosts(runs) {
    return Object.entries(runs).map(([bytes, { yes, no }]) => ({
        bytes: Number(bytes), yes: median(yes), no: median(no), percent: 100 * (median(yes.map((us, i) => us / no[i])) - 1),
    }));
}

export function guardTable(costs) {
    return table(['the guard of the ledger, 64 in flight', ...costs.map((one) => `${one.bytes} bytes`)], [
        ['processor time of a call of the echo tool with it, µs', ...costs.map((one) => one.yes.toFixed(2))],
        ['without it (crash.guard = no), µs', ...costs.map((one) => one.no.toFixed(2))],
        ['what it costs, median of the pairs', ...costs.map((one) => `${one.percent.toFixed(1)} %`)],
    ]);
}

export function guardFigures(costs) {
    return costs.map((one) => [`the guard of the ledger, ${one.bytes} bytes: under 2 % of the processor time of a request`,
        `${one.percent.toFixed(1)} %`, one.percent < 2]);
}

const three = ({ p50, p99, max }) => [p50, p99, max].map((one) => one.toFixed(2)).join(', ');

export function crashTable(crash) {
    return table(['crashes with about 1 MiB in the ledger', 'on the loop', 'on a worker', 'planned restarts in between'], [
        ['how many', crash.count, crash.count, 2 * crash.count],
        ['from the request to the answer; a restart: blackout. p50, p99, max ms', three(crash.loop_ms), three(crash.worker_ms),
            three(crash.planned_ms)],
        ['to say whose code runs, ns per request; processor time of a request in all, ns', crash.blame_ns.toFixed(1),
            crash.request_ns.toFixed(0), ''],
    ]);
}

export function crashFigures(crash) {
    const slowest = Math.max(crash.loop_ms.p99, crash.worker_ms.p99), ratio = slowest / crash.planned_ms.p50;
    const cost = 100 * crash.blame_ns / crash.request_ns;
    return [
        ['from a crash to the next answer: p99 under 4 times the blackout of a planned restart', `${slowest.toFixed(2)} ms, ${ratio.toFixed(1)} ×`,
            ratio < 4],
        ['saying whose code runs: under 2 % of the processor time of a request', `${cost.toFixed(2)} %`, cost < 2],
    ];
}
