/* The part of the benchmark that is about many clients of one server, on its socket and behind `theseus connect`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { thousands } from './chart.mjs';
import { median, table } from './report.mjs';

const WORKLOADS = [[32, 1], [32, 64], [4096, 1], [4096, 64]];
const SIZES = [10, 100, 250, 500, 1000];
const MOST = SIZES.at(-1);
const RELAYS = '8';

const listens = (path) => new Promise((done) => {
    const socket = connect(path, () => { socket.destroy(); done(true); }).on('error', () => done(false));
});

/* A server of its own on a socket, for as long as `body` takes. */
async function serving(argv, socket, home, body) {
    const server = spawn(argv[0], ['serve', '--listen', ...argv.slice(1)],
        { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, HOME: home } });
    const exited = once(server, 'exit');
    try {
        while (server.exitCode === null && !(await listens(socket)))
            await new Promise((done) => { setTimeout(done, 5); });
        return await body();
    } finally {
        server.kill();
        await exited;
    }
}

/* The same server over pipes, and through a `theseus connect` on the same pipes, in turns that are short. */
async function measureConnect({ theseus, run, quick, home }, runtime) {
    const rounds = quick ? 3 : 7, seconds = quick ? '0.25' : '0.4';
    const runs = Object.fromEntries(WORKLOADS.map(([bytes, depth]) => [`${bytes}x${depth}`, { direct: [], connect: [] }]));
    const direct = theseus('connect-direct', 50), shared = theseus('connect-shared', 50, undefined, '', runtime);
    const [program, ...config] = shared.argv;
    await serving(shared.argv, join(runtime, 'theseus.sock'), home, async () => {
        for (let round = 0; round < rounds; round++)
            for (const [bytes, depth] of WORKLOADS)
                for (const kind of round % 2 ? ['connect', 'direct'] : ['direct', 'connect'])
                    runs[`${bytes}x${depth}`][kind].push(await run('load', ['-d', String(depth), '-s', String(bytes), '-t', seconds,
                        '-w', '0.1', '--', ...(kind === 'direct' ? direct.argv : [program, 'connect', '--no-start', ...config])]));
    });
    return runs;
}

/* As many clients as that on a server of their own, which is restarted, and killed at last. */
async function measureCrowd({ theseus, run }, name, runtime, args) {
    const { argv: [program, ...config] } = theseus(name, 50, undefined, '', runtime);
    return run('clients', [...args, '-r', RELAYS, '-u', join(runtime, 'theseus.sock'), '--', program, 'connect', ...config]);
}

/*
 * `theseus(name, settle, program, more, runtime)` makes a server in a home of its own: {root, argv}; `run(program, args)`
 * answers what a program of the build prints. What servers keep for the case of a kill -9 lies on a tmpfs.
 */
export async function measureClients(env) {
    const rounds = env.quick ? 1 : 3, restarts = env.quick ? '5' : '10', kills = env.quick ? '3' : '10';
    const memory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'theseus-bench-'));
    try {
        process.stderr.write('clients: theseus connect\n');
        const connects = await measureConnect(env, join(memory, 'connect'));
        const crowds = Object.fromEntries(SIZES.map((size) => [size, []]));
        for (let round = 0; round < rounds; round++)
            for (const size of SIZES) {
                process.stderr.write(`clients: ${size}, round ${round + 1} of ${rounds}\n`);
                crowds[size].push(await measureCrowd(env, `crowd-${size}-${round}`, join(memory, `${size}-${round}`),
                    ['-c', String(size), '-n', restarts]));
            }
        process.stderr.write('clients: kill -9\n');
        const killed = await measureCrowd(env, 'crowd-killed', join(memory, 'killed'), ['-c', String(MOST), '-m', '-k', kills]);
        return { connects, crowds, killed };
    } finally {
        rmSync(memory, { recursive: true, force: true });
    }
}

/* Of each pair that was measured side by side. */
const ratio = (pairs, measure) => median(pairs.connect.map((one, i) => one[measure] / pairs.direct[i][measure]));
const middle = (list, measure) => median(list.map((one) => one[measure]));
const blackout = (clients, size, measure = 'blackout_ms') => median(clients.crowds[size].map((one) => one[measure].p50));
const most = (clients, size, measure) => Math.max(...clients.crowds[size].map((one) => one[measure].max));
const times = (number) => `${number.toFixed(2)} ×`;
const three = ({ p50, p99, max }) => [p50, p99, max].map((ms) => ms.toFixed(0)).join(', ');
const all = ({ crowds, killed }) => [...Object.values(crowds).flat(), killed];
const sum = (clients, key) => all(clients).reduce((total, one) => total + one[key], 0);

/* What a client adds, in µs: of the first half of them, and of the second. From the quarter of the restarts that took
 * least, for what else the machine does only ever adds to them. */
export function slopes(clients) {
    const [few] = SIZES, half = MOST / 2;
    const least = (size) => Math.min(...clients.crowds[size].map((one) => one.blackout_ms.p25));
    const slope = (from, to) => 1000 * (least(to) - least(from)) / (to - from);
    return [slope(few, half), slope(half, MOST)];
}

export function clientsTable(clients) {
    const { connects, killed } = clients;
    const name = ([bytes, depth]) => `${bytes === 32 ? '32 bytes' : '4 KiB'}, ${depth === 1 ? 'one' : depth} in flight`;
    return [
        table(['through theseus connect', ...WORKLOADS.map(name)], [
            ['round trip, directly: p50 µs', ...WORKLOADS.map(([b, d]) => middle(connects[`${b}x${d}`].direct, 'p50_us').toFixed(1))],
            ['through connect: p50 µs', ...WORKLOADS.map(([b, d]) => middle(connects[`${b}x${d}`].connect, 'p50_us').toFixed(1))],
            ['calls per second, directly', ...WORKLOADS.map(([b, d]) => thousands(middle(connects[`${b}x${d}`].direct, 'per_second')))],
            ['through connect', ...WORKLOADS.map(([b, d]) => thousands(middle(connects[`${b}x${d}`].connect, 'per_second')))],
            ['processor time of connect, µs a call', ...WORKLOADS.map(([b, d]) => middle(connects[`${b}x${d}`].connect, 'cpu_us').toFixed(2))],
        ]),
        table(['restarts under idle clients', ...SIZES.map(thousands)], [
            ['blackout as the server tells it: p50 ms', ...SIZES.map((size) => blackout(clients, size).toFixed(2))],
            ['max ms', ...SIZES.map((size) => most(clients, size, 'blackout_ms').toFixed(2))],
            ['as a client sees it: p50 ms', ...SIZES.map((size) => blackout(clients, size, 'gap_ms').toFixed(2))],
            ['max ms', ...SIZES.map((size) => most(clients, size, 'gap_ms').toFixed(2))],
        ]),
        table([`kill -9 with ${thousands(MOST)} sessions, each with a call on its way`, 'p50, p99, max ms'], [
            ['until a session on a socket has its next answer', three(killed.back_ms)],
            [`until a client behind one of ${killed.relays} theseus connect has it`, three(killed.relays_back_ms)],
            ['until the last one of all has it', three(killed.all_back_ms)],
        ]),
    ].join('\n\n');
}

/* The promises as [text, measured, held]. */
export function clientsFigures(clients) {
    const { connects, killed } = clients, [first, second] = slopes(clients);
    const turn = Math.max(...[32, 4096].map((bytes) => ratio(connects[`${bytes}x1`], 'p50_us')));
    const flow = Math.min(...[32, 4096].map((bytes) => ratio(connects[`${bytes}x64`], 'per_second')));
    const seen = blackout(clients, MOST, 'gap_ms'), told = blackout(clients, MOST);
    const lost = sum(clients, 'requests') - sum(clients, 'answered') + sum(clients, 'faults') + sum(clients, 'pings_lost');
    return [
        ['theseus connect, one in flight: round trip at most twice the direct one', times(turn), turn <= 2],
        ['theseus connect, 64 in flight: at least half of the calls per second', times(flow), flow >= 0.5],
        [`${thousands(MOST)} idle clients: under 20 KB of the server's memory each`, `${killed.kb_each.toFixed(1)} KB`, killed.kb_each < 20],
        [`restart with ${thousands(MOST)} clients: blackout under 50 ms, also as a client sees it`,
            `${told.toFixed(1)}, ${seen.toFixed(1)} ms`, Math.max(told, seen) < 50],
        ['… linear in clients: one of the second half adds at most 1.5 times what one of the first half does',
            `${first.toFixed(1)}, ${second.toFixed(1)} µs`, second <= 1.5 * first],
        ['kill -9: every client has its next answer within 2 s', `${killed.all_back_ms.max.toFixed(0)} ms`, killed.all_back_ms.max < 2000],
        ['restarts and kills: no request lost, doubled or answered wrongly', `${lost} of ${thousands(sum(clients, 'requests'))}`,
            lost === 0],
    ];
}
