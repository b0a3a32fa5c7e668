/*
 * The benchmark: node tests/bench/run.mjs [--quick] [--build DIR] [--peers] [--only-reload] [--only-restart]
 *                     [--only-tasks] [--only-isolation] [--only-guard] [--only-clients] [--only-migration]
 *
 * Theseus beside an echo server on each version of the TypeScript SDK (the peers), beside the floor program and beside a
 * program that only parses and dumps. All of them are measured in turns within one run, several rounds, and medians are
 * compared: what the machine does meanwhile meets all of them alike. The load itself is made and judged by
 * build/bench/load, reload, restart, crash and clients. Writes build/bench/report.md, results.json and chart.svg.
 */
import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { chart, thousands } from './lib/chart.mjs';
import { clientsFigures, clientsTable, measureClients } from './lib/clients.mjs';
import { crashFigures, crashTable, guardCosts, guardFigures, guardTable } from './lib/crash.mjs';
import { measureMigration, migrationFigures, migrationTable } from './lib/migration.mjs';
import { detailTable, figureTable, figures, isolationFigures, isolationTable, median, ratioTable, reloadTable,
    restartFigures, restartTable, startTable, throughputTable } from './lib/report.mjs';
import { measureTasks, tasksFigures, tasksTable } from './lib/tasks.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const { values: options } = parseArgs({
    options: {
        'quick': { type: 'boolean', default: false },       /* under 40 s, less certain */
        'peers': { type: 'boolean', default: false },       /* all but Theseus */
        'only-reload': { type: 'boolean', default: false },
        'only-restart': { type: 'boolean', default: false },
        'only-isolation': { type: 'boolean', default: false },
        'only-guard': { type: 'boolean', default: false },
        'only-tasks': { type: 'boolean', default: false },
        'only-clients': { type: 'boolean', default: false },
        'only-migration': { type: 'boolean', default: false },
        'build': { type: 'string', default: join(here, '..', '..', 'build') },
    },
});
const build = resolve(options.build);
const bench = join(build, 'bench');
const plan = options.quick ? { rounds: 2, seconds: 0.25, warmUp: 0.25, starts: [10, 2], reloads: 200, restarts: 20 }
    : { rounds: 5, seconds: 1, warmUp: 0.5, starts: [20, 3], reloads: 1000, restarts: 100 };

const WORKLOADS = [
    { key: '32x64', bytes: 32, depth: 64, title: '32 bytes, 64 in flight' },
    { key: '32x1', bytes: 32, depth: 1, title: '32 bytes, one in flight' },
    { key: '4096x64', bytes: 4096, depth: 64, title: '4 KiB, 64 in flight' },
    { key: '4096x1', bytes: 4096, depth: 1, title: '4 KiB, one in flight' },
];

const home = mkdtempSync(join(tmpdir(), 'theseus-bench-'));
const said = [];

function say(text) {
    said.push(text);
    console.log(text);
}

/* A Theseus of its own, `program` if not the build's; the reload bench lets it look at changed files sooner. */
function theseus(name, settle, program = join(build, 'theseus'), more = '', runtime = join(home, name, 'run')) {
    const root = join(home, name), config = join(root, 'theseus.ini');
    for (const folder of [root, join(root, 'home'), join(root, 'plugins'), join(root, 'state'), runtime])
        mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(config, `[server]
state_dir = ${join(root, 'state')}
runtime_dir = ${runtime}

[plugins]
path = ${join(root, 'plugins')}:${join(build, 'plugins')}
settle_ms = ${settle}
${more}`, { mode: 0o600 });
    return { root, argv: [program, '-c', config] };
}

const ours = () => ({ key: 'theseus', name: 'Theseus', ours: true, argv: theseus('load', 50).argv });
const node = (file) => [process.execPath, join(here, 'peers', file)];
const servers = [
    ...(options.peers ? [] : [ours()]),
    { key: 'jansson', name: 'jansson only', argv: [join(bench, 'jansson_echo')] },
    { key: 'sdk1', name: 'SDK v1', argv: node('echo-sdk1.mjs'), slow: true },
    { key: 'sdk2', name: 'SDK v2', argv: node('echo-sdk2.mjs'), slow: true },
    { key: 'floor', name: 'floor', argv: [join(bench, 'floor')], fixed: true },
];

function run(program, args) {
    return new Promise((done, failed) => {
        execFile(join(bench, program), args, { env: { ...process.env, HOME: join(home, 'home') }, maxBuffer: 1 << 26 },
            (error, stdout, stderr) => {
                if (error)
                    failed(new Error(stderr.split('\n').filter((line) => line.startsWith(program)).join('\n') || stderr
                        || error.message));
                else
                    done(JSON.parse(stdout));
            });
    });
}

function load(server, workload) {
    const floor = server.fixed ? ['-f'] : [];
    const argv = server.fixed ? [...server.argv, String(workload.bytes)] : server.argv;
    return run('load', ['-d', String(workload.depth), '-s', String(workload.bytes), '-t', String(plan.seconds),
        '-w', String(plan.warmUp), ...floor, '--', ...argv]);
}

/* The order turns with every round, so that nobody always follows the same neighbour. */
const turned = (list, by) => [...list.slice(by % list.length), ...list.slice(0, by % list.length)];

async function measureLoad() {
    const all = Object.fromEntries(WORKLOADS.map((w) => [w.key, Object.fromEntries(servers.map((s) => [s.key, []]))]));
    const starts = Object.fromEntries(servers.map((s) => [s.key, []]));
    const idle = Object.fromEntries(servers.map((s) => [s.key, []]));
    for (let round = 0; round < plan.rounds; round++) {
        process.stderr.write(`round ${round + 1} of ${plan.rounds}\n`);
        for (const workload of WORKLOADS)
            for (const server of turned(servers, round))
                all[workload.key][server.key].push(await load(server, workload));
        for (const { key, slow, argv } of turned(servers, round)) {
            starts[key].push(await run('load', ['-S', String(plan.starts[slow ? 1 : 0]), '--', ...argv]));
            idle[key].push(await run('load', ['-i', '--', ...argv]));
        }
    }
    return { all, starts, idle };
}

/* The median of each measure over the rounds. */
function condense(list) {
    return Object.fromEntries(Object.keys(list[0]).map((key) => [key, median(list.map((one) => one[key]))]));
}

async function measureReload() {
    const { root, argv } = theseus('reload', 5);
    const builds = ['greet.so', 'greet2.so'].map((name) => join(build, 'tests', 'plugins', name));
    process.stderr.write('reloads\n');
    return run('reload', ['-n', String(plan.reloads), '-r', '2000', ...builds, join(root, 'draft'),
        join(root, 'plugins', 'greet.so'), '--', ...argv]);
}

const fixture = (name) => join(build, 'tests', 'plugins', `${name}.so`);

const STATE_KIB = '900'; /* with what is in the ledger anyway, about 1 MiB */

/* One server for each: under load, with pings only, into a server that leaves at once, and reloads under load. */
async function measureRestart() {
    const server = (name, plugins, program) => {
        const { root, argv } = theseus(name, 5, program);
        plugins.forEach((one) => copyFileSync(fixture(one), join(root, 'plugins', `${one}.so`)));
        return { root, argv };
    };
    const binary = join(build, 'theseus'), count = String(plan.restarts);
    process.stderr.write('restarts\n');
    const load = server('restart-load', ['version1', 'ballast']);
    const quiet = server('restart-quiet', ['ballast']);
    const program = join(home, 'theseus'), candidate = join(home, 'candidate');
    copyFileSync(binary, program);
    copyFileSync(join(build, 'tests', 'candidates', 'early-exits'), candidate);
    const back = server('restart-back', ['ballast'], program);
    const reload = server('restart-reload', []);
    return {
        load: await run('restart', ['-n', count, '-b', STATE_KIB, '--', ...load.argv]),
        quiet: await run('restart', ['-n', count, '-b', STATE_KIB, '-q', '-e', binary, '--', ...quiet.argv]),
        back: await run('restart', ['-n', String(plan.restarts / 2), '-b', STATE_KIB, '-q', '-f', '-c', candidate,
            '-p', program, '--', ...back.argv]),
        reload: await run('restart', ['-n', String(plan.reloads), '-r', join(reload.root, 'plugins', 'version.so'),
            fixture('version1'), fixture('version2'), join(reload.root, 'draft'), '--', ...reload.argv]),
    };
}

/* The same tool in the server's process and in one of its own, in turns: an INLINE one, and one that runs on a worker. */
async function measureIsolation() {
    const own = (plugin, kind) => (kind === 'process' ? `[plugin:${plugin}]\n.isolation = process\n` : '');
    const servers = ['none', 'process'].flatMap((kind) => {
        const inline = theseus(`isolation-inline-${kind}`, 50, undefined, own('echo', kind));
        const worker = theseus(`isolation-worker-${kind}`, 50, undefined, `disable = echo\n\n${own('ordinary', kind)}`);
        copyFileSync(fixture('ordinary'), join(worker.root, 'plugins', 'ordinary.so'));
        return [{ tool: 'inline', kind, argv: inline.argv }, { tool: 'worker', kind, argv: worker.argv }];
    });
    const all = {};
    process.stderr.write('isolation\n');
    for (let round = 0; round < plan.rounds; round++)
        for (const { tool, kind, argv } of turned(servers, round))
            for (const depth of [1, 64])
                ((((all[tool] ??= {})[kind] ??= {})[depth] ??= [])).push(await load({ argv }, { depth, bytes: 32 }));
    const each = (object, fn) => Object.fromEntries(Object.entries(object).map(([key, value]) => [key, fn(value)]));
    return each(all, (kinds) => each(kinds, (depths) => each(depths, condense)));
}

/* A server at which crashes are nothing special. */
async function measureCrash() {
    const { root, argv } = theseus('crash', 5);
    ['dies', 'ballast'].forEach((one) => copyFileSync(fixture(one), join(root, 'plugins', `${one}.so`)));
    process.stderr.write('crashes\n');
    const lenient = ['limit', 'probation', 'max_execs'].flatMap((rule) => ['--set', `crash.${rule}=0`]);
    return run('crash', ['-n', '100', '-b', STATE_KIB, '--', ...argv, ...lenient]);
}

/* The same server with and without the guard of the ledger, in many pairs of short turns: what it costs is less than what
 * differs from one second to the next. */
async function measureGuard() {
    const servers = ['yes', 'no'].map((guard) =>
        ({ guard, argv: theseus(`guard-${guard}`, 50, undefined, `\n[crash]\nguard = ${guard}\n`).argv }));
    const runs = Object.fromEntries([32, 256, 4096].map((bytes) => [bytes, { yes: [], no: [] }]));
    process.stderr.write('the guard of the ledger\n');
    for (let round = 0; round < 6 * plan.rounds; round++)
        for (const bytes of Object.keys(runs))
            for (const { guard, argv } of turned(servers, round))
                runs[bytes][guard].push((await run('load', ['-d', '64', '-s', bytes, '-t', String(plan.seconds / 4),
                    '-w', String(plan.warmUp / 4), '--', ...argv])).cpu_us);
    return guardCosts(runs);
}

function panels(runs) {
    return WORKLOADS.map((w) => ({
        title: w.title,
        rows: servers.filter((s) => !s.fixed).map(({ key, name, ours: mine }) =>
            ({ name, ours: mine, value: runs[w.key][key].per_second })),
        note: `floor program: ${thousands(runs[w.key].floor.per_second)}`,
    }));
}

function reportLoad(runs, starts, idle) {
    say(`\n${throughputTable(runs, servers, WORKLOADS)}\n`);
    if (!options.peers)
        say(`${ratioTable(runs, servers, WORKLOADS)}\n`);
    say(`${startTable(starts, idle, servers)}\n`);
    say(`${detailTable(runs, servers, WORKLOADS)}\n`);
    writeFileSync(join(bench, 'chart.svg'), chart('Calls of an echo tool per second', panels(runs)));
}

async function main() {
    for (const path of [join(bench, 'load'), ...(options.peers ? [] : [join(build, 'theseus')])])
        if (!existsSync(path))
            throw new Error(`'${path}' is not there; make it with: make bench`);
    say(`${cpus().length} × ${cpus()[0].model}, Linux ${release()}, Node ${process.version}; ` +
        `${plan.rounds} rounds of ${plan.seconds} s after ${plan.warmUp} s of warm-up, medians.`);
    const results = {};
    const only = ['reload', 'restart', 'tasks', 'isolation', 'guard', 'clients', 'migration'].find((part) => options[`only-${part}`]);
    if (!only) {
        const { all, starts, idle } = await measureLoad();
        results.runs = Object.fromEntries(WORKLOADS.map((w) => [w.key,
            Object.fromEntries(servers.map((s) => [s.key, condense(all[w.key][s.key])]))]));
        results.starts = Object.fromEntries(servers.map((s) => [s.key, condense(starts[s.key]).start_ms]));
        results.idle = Object.fromEntries(servers.map((s) => [s.key, condense(idle[s.key]).rss_kb]));
        reportLoad(results.runs, results.starts, results.idle);
    }
    if (!options.peers && (!only || only === 'reload')) {
        results.reload = await measureReload();
        say(`${reloadTable(results.reload)}\n`);
    }
    if (!options.peers && (!only || only === 'isolation')) {
        results.isolation = await measureIsolation();
        say(`${isolationTable(results.isolation)}\n`);
    }
    if (!options.peers && (!only || only === 'restart')) {
        results.restart = await measureRestart();
        say(`${restartTable(results.restart)}\n`);
        results.crash = await measureCrash();
        say(`${crashTable(results.crash)}\n`);
    }
    if (!options.peers && (!only || only === 'guard')) {
        results.guard = await measureGuard();
        say(`${guardTable(results.guard)}\n`);
    }
    if (!options.peers && (!only || only === 'clients')) {
        results.clients = await measureClients({ theseus, run, quick: options.quick, home: join(home, 'home') });
        say(`${clientsTable(results.clients)}\n`);
    }
    if (!options.peers && (!only || only === 'tasks')) {
        results.tasks = await measureTasks({ theseus: (name) => theseus(name, 50), run, quick: options.quick });
        say(`${tasksTable(results.tasks)}\n`);
    }
    if (!options.peers && (!only || only === 'migration')) {
        results.migration = await measureMigration({ build, home, quick: options.quick });
        say(`${migrationTable(results.migration)}\n`);
    }
    const held = [...(results.runs ? figures(results.runs, results.starts, results.idle, results.reload) : []),
        ...(results.isolation ? isolationFigures(results.isolation) : []),
        ...(results.restart ? restartFigures(results.restart) : []),
        ...(results.crash ? crashFigures(results.crash) : []),
        ...(results.guard ? guardFigures(results.guard) : []),
        ...(results.clients ? clientsFigures(results.clients) : []),
        ...(results.tasks ? tasksFigures(results.tasks) : []),
        ...(results.migration ? migrationFigures(results.migration) : [])];
    if (held.length > 0)
        say(`${figureTable(held)}\n`);
    writeFileSync(join(bench, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);
    writeFileSync(join(bench, 'report.md'), `${said.join('\n').trim()}\n`);
    console.log(`written: ${['report.md', 'results.json', 'chart.svg'].map((name) => join(bench, name)).join(', ')}`);
}

process.on('exit', () => rmSync(home, { recursive: true, force: true }));
process.on('SIGINT', () => process.exit(130));
try {
    await main();
} catch (error) {
    console.error(`bench: ${error.message}`);
    process.exitCode = 1;
}
