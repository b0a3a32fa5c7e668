/*
 * The narrated demo: node demo.js [BUILD]
 *
 * One client of the official SDK holds one conversation with one server process, and meanwhile tools come, change, fail
 * and go, and then the whole server is replaced. Then two clients share another one (shared.js). Every step says what is done ($), what is sent (→) and what comes back
 * (←), and ends the demo with exit status 1 if that is not what it should be. All files of the server, its own program
 * among them, are in BUILD/demo, which is removed at the end.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

import { Shared } from './shared.js';

const checkout = fileURLToPath(new URL('../..', import.meta.url));
const build = resolve(checkout, process.argv[2] ?? 'build');
const home = join(build, 'demo');
const plugins = join(home, 'plugins');
const config = join(home, 'theseus.ini');
const built = join(build, 'theseus');
const server = join(home, 'bin', 'theseus'); /* a copy: another program will stand at its place */
const PATIENCE_MS = 10_000;
const SLOW_MS = 3000;
const ECHOES = 100; /* calls beside one that crashes */
const PARTS = 8, PARTS_BEFORE = 3; /* of a batch; done when the restart is asked for */

process.chdir(checkout);
const shown = (path) => relative(process.cwd(), path) || '.';
const wrapped = (text) => text.replace(/(.{1,92})(?: |$)/g, '$1\n');
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

let steps = 0;
let shared;

function step(title, why) {
    console.log(`\n${++steps}. ${title}\n   ${why}\n`);
}

function did(text) {
    console.log(`   $ ${text}`);
}

function sent(text) {
    console.log(`   → ${text}`);
}

function came(text) {
    console.log(text.trimEnd().split('\n').map((line, i) => `   ${i ? ' ' : '←'} ${line}`).join('\n'));
}

/* The tool lists that the client fetched because the server said that something had changed. */
const lists = [];

const client = new Client({ name: 'theseus-demo', version: '1.0.0' }, {
    versionNegotiation: { mode: 'auto' },
    listChanged: {
        tools: {
            debounceMs: 0,
            onChanged: (error, tools) => lists.push(error ? [] : tools.map((tool) => tool.name)),
        },
    },
});

const transport = new StdioClientTransport({
    command: server,
    args: ['-c', config],
    env: { HOME: home, PATH: process.env.PATH, TMPDIR: home },
    stderr: 'ignore',
});

let known = [];

/* Waits until the client has been told of a list that suits, and says what is new in it. */
async function listChanges(suits) {
    for (const end = Date.now() + PATIENCE_MS; !lists.some(suits);) {
        assert.ok(Date.now() < end, `no tools/list_changed that suits within ${PATIENCE_MS} ms`);
        await pause(5);
    }
    const names = lists.splice(0).at(-1);
    const added = names.filter((name) => !known.includes(name)), gone = known.filter((name) => !names.includes(name));
    came('notifications/tools/list_changed' + (added.length ? `; new: ${added.join(', ')}` : '')
        + (gone.length ? `; gone: ${gone.join(', ')}` : ''));
    known = names;
}

async function ask(name, args) {
    const result = await client.callTool({ name, arguments: args });
    return result.content.map((item) => item.text).join('');
}

async function structured(name, args) {
    return (await client.callTool({ name, arguments: args })).structuredContent;
}

async function report(name, args) {
    sent(`tools/call ${name} ${JSON.stringify(args)}`);
    return structured(name, args);
}

async function call(name, args, expected) {
    sent(`tools/call ${name} ${JSON.stringify(args)}`);
    const text = await ask(name, args);
    came(JSON.stringify(text));
    assert.match(text, expected, `${name} answered something else than was expected`);
}

/* Whole or not at all, as a good build and a good installer do it. */
function copy(from, to) {
    copyFileSync(from, `${to}.new`);
    renameSync(`${to}.new`, to);
}

function put(file, as) {
    const from = join(build, 'tests', 'plugins', file), to = join(plugins, as);
    did(`cp ${shown(from)} ${shown(to)}`);
    copy(from, to);
}

function installServer(from, name) {
    did(`install ${name} ${shown(server)}`);
    copy(from, server);
    chmodSync(server, 0o755);
}

function prepare() {
    rmSync(home, { recursive: true, force: true });
    mkdirSync(plugins, { recursive: true, mode: 0o700 });
    mkdirSync(join(home, 'bin'), { mode: 0o700 });
    copyFileSync(built, server);
    chmodSync(server, 0o755);
    writeFileSync(config, `[server]
state_dir = state
runtime_dir = run

[plugins]
path = plugins:../plugins
`, { mode: 0o600 });
}

async function connect() {
    step('Connect', 'The official TypeScript SDK starts the server as a child process, as a host does.');
    did(`${shown(server)} -c ${shown(config)}`);
    await client.connect(transport);
    const { name, version } = client.getServerVersion();
    came(`${name} ${version}, protocol ${client.getNegotiatedProtocolVersion()}, process ${transport.pid}`);
    assert.equal(name, 'theseus');
}

async function list() {
    step('List', 'Which tools are there? These come with Theseus.');
    sent('tools/list');
    known = (await client.listTools()).tools.map((tool) => tool.name);
    came(known.join(', '));
    assert.ok(known.includes('echo') && known.includes('theseus_plugins'), 'a shipped tool is missing');
}

async function dropIn() {
    step('Drop in a plugin', 'A file in the plugin directory is a tool in the conversation that is already open.');
    put('version1.so', 'version.so');
    await listChanges((names) => names.includes('version'));
    await call('version', {}, /^one$/);
}

async function replace() {
    step('Replace it at work', `Its tool is called and takes ${SLOW_MS} ms. Meanwhile another version takes its place:`
        + '\n   the call that runs ends on the code that it began on, new calls get the new code.');
    const begin = Date.now();
    sent(`tools/call version {"ms":${SLOW_MS}}`);
    let over = false;
    const slow = ask('version', { ms: SLOW_MS }).finally(() => {
        over = true;
    });
    await ask('echo', { message: 'behind it' }); /* whose turn came later: the slow one is running, not held */
    put('version2.so', 'version.so');
    await listChanges((names) => names.includes('version_extra'));
    await call('version', {}, /^two$/);
    assert.ok(!over, 'the slow call ended too soon to show anything');
    came(`${JSON.stringify(await slow)}, the slow call, after ${Date.now() - begin} ms`);
    assert.equal(await slow, 'one');
}

async function broken() {
    step('Break it', 'A build that cannot be loaded takes its place. It is refused, and why is said;'
        + '\n   the version before it goes on serving.');
    put('undefined.so', 'version.so');
    let refused;
    for (const end = Date.now() + PATIENCE_MS; !refused; await pause(20)) {
        assert.ok(Date.now() < end, 'the broken plugin was not refused');
        refused = (await ask('theseus_plugins', {})).split('\n').find((line) => line.startsWith('refused:'));
    }
    sent('tools/call theseus_plugins {}');
    came(wrapped(refused.replaceAll(`${home}/`, '')));
    assert.match(refused, /undefined symbol/);
    await call('version', {}, /^two$/);
}

async function configure() {
    const section = ['', '[tool:count_lines]', 'command = wc -l -- {file}', 'description = Use this to count the lines of a file.',
        'input.file = string: the file', 'read_only = yes'];
    step('Edit the configuration', 'A section in the INI file is a tool as well: a program, without a line of C.');
    did(`cat >>${shown(config)} <<END${section.join('\n     ')}\n     END`);
    appendFileSync(config, `${section.join('\n')}\n`);
    await listChanges((names) => names.includes('count_lines'));
    const file = 'Makefile'; /* the server's directory is the client's */
    const lines = readFileSync(file, 'utf8').split('\n').length - 1;
    await call('count_lines', { file }, new RegExp(`^ *${lines} `));
}

async function remove() {
    step('Delete it', 'The plugin\'s file is removed, and its tools go. So far, nothing was restarted.');
    did(`rm ${shown(join(plugins, 'version.so'))}`);
    rmSync(join(plugins, 'version.so'));
    await listChanges((names) => !names.includes('version'));
    sent('tools/list');
    const names = (await client.listTools()).tools.map((tool) => tool.name);
    came(names.join(', '));
    assert.ok(!names.includes('version') && names.includes('count_lines') && names.includes('echo'));
}

const figure = (value, unit) => value === null ? 'not known' : `${Number(value.toPrecision(3))} ${unit}`;

/* Says what became of a restart. */
function describe(answer) {
    const { success, phase, phase_reached: reached, message, pid, boot_id: boot, blackout_ms: blackout } = answer;
    came(success ? `${phase}: process ${pid.before} is process ${pid.after}, image ${boot.before} is now ${boot.after}
blackout: for ${figure(blackout, 'ms')} nothing was handled`
        : wrapped(`${phase} in ${reached}: ${message}`));
    return answer;
}

/* A tool that takes a moment, so that a restart can come between, and leaves a mark, so that it can be counted. */
async function addTool() {
    const section = ['', '[tool:work]', 'command = sh -c \'sleep 0.25; echo "part $0" >>$HOME/done\' {part}',
        'description = Use this to do one part of the work.', 'input.part = integer: which one', '', '[access]', 'call_by_name = yes'];
    did(`cat >>${shown(config)} <<END${section.join('\n     ').replaceAll(/ +$/gm, '')}\n     END`);
    appendFileSync(config, `${section.join('\n')}\n`);
    await listChanges((names) => names.includes('work'));
}

async function restart() {
    step('Restart it at work', `Now the whole server. A batch of ${PARTS} calls runs, and in its midst the process is replaced`
        + '\n   by a new image of its program. That one answers the call which asked for it, and the batch goes on.');
    await addTool();
    const calls = Array.from({ length: PARTS }, (_, i) => ({ tool: 'work', arguments: { part: i + 1 } }));
    let asked, last = -1;
    sent(`tools/call batch {"calls":[{"tool":"work","arguments":{"part":1}}, … ${PARTS} of them]}`);
    const onprogress = ({ progress, total }) => {
        assert.ok(progress > last, 'progress went back');
        last = progress;
        came(`notifications/progress ${progress} of ${total}`);
        if (progress === PARTS_BEFORE)
            asked = report('orchestrator_restart_server', {}).then(describe);
    };
    const { structuredContent: batch } = await client.callTool({ name: 'batch', arguments: { calls } }, { onprogress });
    came(`batch: ${batch.completed} of ${batch.total} done; went on from its checkpoint: ${batch.resumed} ×`);
    const answer = await asked;
    assert.equal(answer?.success, true, answer?.message);
    assert.notEqual(answer.boot_id.after, answer.boot_id.before);
    assert.deepEqual([batch.completed, batch.resumed], [PARTS, 1]);
    assert.ok(last > PARTS_BEFORE, 'progress went on behind the restart');
    did(`paste -sd, ${shown(join(home, 'done'))}`);
    const marks = readFileSync(join(home, 'done'), 'utf8').trim().split('\n');
    assert.deepEqual(marks, calls.map((_, i) => `part ${i + 1}`), 'each part is done once');
    came(marks.join(','));
}

/* The plugin in the directory is this version, in that state. */
async function serves(version, state) {
    for (const end = Date.now() + PATIENCE_MS;; await pause(20)) {
        const { plugins: all } = await structured('theseus_plugins', {});
        const plugin = all.find((one) => one.name === 'brittle');
        if (plugin?.version === version && plugin.state === state && (version !== '1.0' || plugin.good))
            return plugin;
        assert.ok(Date.now() < end, `version ${version} is not ${state}: ${JSON.stringify(plugin)}`);
    }
}

/* Says what a call has come to that has crashed. */
async function crash(name, args) {
    sent(`tools/call ${name} ${JSON.stringify(args)}`);
    const { isError, content, _meta: meta } = await client.callTool({ name, arguments: args });
    came(wrapped(content[0].text));
    assert.equal(isError, true);
    return meta['theseus/crash'];
}

async function crashAndRevert() {
    const section = ['', '[crash]', 'limit = 1', 'probation = 0', 'probation_calls = 1'];
    step('Crash it at work', 'A new version of a plugin calls abort(). That costs the call in which it happens, and no other;'
        + '\n   the version before it, which has proved good, serves again. (Good after one call: else after a minute and 100.)');
    did(`cat >>${shown(config)} <<END${section.join('\n     ')}\n     END`);
    appendFileSync(config, `${section.join('\n')}\n`);
    put('brittle1.so', 'brittle.so');
    await listChanges((names) => names.includes('brittle'));
    await call('brittle', {}, /^version 1$/);
    await serves('1.0', 'active');
    put('brittle2.so', 'brittle.so');
    await listChanges((names) => names.includes('brittle_new'));
    sent(`tools/call echo … ${ECHOES} of them, and among them:`);
    const echoes = Array.from({ length: ECHOES }, (_, i) => ask('echo', { message: `echo ${i}` }));
    const { next, signal } = await crash('brittle', { crash: true });
    assert.deepEqual([next, signal], ['reverted', 'SIGABRT']);
    const answers = await Promise.all(echoes);
    assert.deepEqual(answers, answers.map((_, i) => `echo ${i}`));
    came(`echo: ${answers.length} of ${ECHOES} answered`);
    await call('brittle', {}, /^version 1$/);
    const { reason } = await serves('1.0', 'reverted');
    came(wrapped(reason.replaceAll(`${home}/`, '')));
    const { history: past } = await structured('orchestrator_restart_status', { include_history: true });
    const [{ blackout_ms: blackout, errors: [{ backtrace }] }] = past.recent_crashes;
    came(`blackout: ${figure(blackout, 'ms')}; where it was: ${backtrace.filter((line) => line.startsWith('brittle')).join(', ')}`);
    put('brittle3.so', 'brittle.so');
    await serves('3.0', 'active');
    await call('brittle', {}, /^version 3$/);
}

async function badBinary() {
    step('Install a bad version', 'What stands at the server\'s place is no server. It is tried before anything is given up,'
        + '\n   and refused; the server that runs goes on.');
    installServer('/bin/true', '/bin/true');
    const refused = describe(await report('orchestrator_restart_server', {}));
    assert.deepEqual([refused.success, refused.phase, refused.phase_reached], [false, 'failed', 'preparing']);
    await call('echo', { message: 'still here' }, /^still here$/);
    installServer(built, shown(built));
    const answer = describe(await report('orchestrator_restart_server', {}));
    assert.equal(answer.success, true, answer.message);
}

async function history() {
    step('Look back', 'Every restart is in the history, with what it has cost.');
    sent('tools/call orchestrator_restart_status {"include_history":true}');
    let past;
    for (const end = Date.now() + PATIENCE_MS; past?.total_restarts !== 3; await pause(20)) { /* it is written beside the work */
        assert.ok(Date.now() < end, 'the history does not have the three restarts');
        past = (await structured('orchestrator_restart_status', { include_history: true })).history;
    }
    const lines = past.recent_restarts.map((one) => `${one.timestamp} ${one.reason}, asked by ${one.requested_by.name}: `
        + (one.success ? `complete in ${figure(one.duration * 1000, 'ms')}, blackout ${figure(one.blackout_ms, 'ms')}` : `failed in ${one.phase}`));
    const { success_rate: success, state_preservation_rate: state } = past.metrics;
    came([...lines, `success rate ${figure(success.value, '%')}, state preserved ${figure(state.value, '%')}`,
        ...past.alerts.map((alert) => `alert: ${alert.message}`)].join('\n'));
    assert.deepEqual(past.recent_restarts.map((one) => one.success), [true, false, true]);
    assert.equal(past.alerts.length, 1, 'one of three has failed: that is an alert');
}

async function leave(pid) {
    assert.equal(transport.pid, pid, 'the server is no longer the process that it was');
    const begin = Date.now();
    await client.close();
    console.log(`\nAll of it was one process, ${pid}, and one connection. It left ${Date.now() - begin} ms after the client.`);
}

async function main() {
    prepare();
    console.log('Theseus: one server, one client, one conversation; then one server and two clients.  ($ done, → sent to the server, ← came back)');
    await connect();
    const { pid } = transport;
    await list();
    step('Call', 'One of them repeats what it is told.');
    await call('echo', { message: 'Hello, Theseus' }, /^Hello, Theseus$/);
    await dropIn();
    await replace();
    await broken();
    await configure();
    await remove();
    await restart();
    await crashAndRevert();
    await badBinary();
    await history();
    await leave(pid);
    shared = new Shared({ home, server, plugins: join(build, 'plugins'), narrator: { step, did, sent, came, shown } });
    await shared.run();
    console.log(`\nYour turn. This is what your host needs to know.\n\n${execFileSync(built, ['client', 'claude-code'], { encoding: 'utf8' })}`);
    console.log(`The text for another host: ${shown(built)} client claude-desktop | vscode | cursor | windsurf`);
}

try {
    await main();
} catch (error) {
    console.error(`\nThe demo failed: ${error.message}`);
    try {
        console.error(`\nThe end of the server's log:\n${readFileSync(join(home, 'state', 'log', 'theseus.log'), 'utf8').split('\n').slice(-15).join('\n')}`);
    } catch {
        console.error('The server has written no log.');
    }
    await client.close().catch(() => {});
    await shared?.abandon();
    process.exitCode = 1;
} finally {
    rmSync(home, { recursive: true, force: true });
}
