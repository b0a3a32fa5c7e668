/*
 * The second part of the demo: two hosts share one server through `theseus connect`. It is restarted and killed under
 * them, while both ask without a pause; what each has seen is printed, and how long it took.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

const TMPFS = 0x01021994;
const SLOW_MS = 600;
const PATIENCE_MS = 20_000;

/* What a server is to go on with after kill -9 must lie in memory that outlives it. */
function runtimeDirectory(home) {
    try {
        accessSync('/dev/shm', constants.W_OK);
        if (statfsSync('/dev/shm').type === TMPFS)
            return mkdtempSync('/dev/shm/theseus-demo-');
    } catch { /* there is none, or it is not ours to use */ }
    return join(home, 'run');
}

/* One host: it starts `theseus connect` as its server. */
class Host {
    constructor(name, { server, config, home, mode }) {
        this.name = name;
        this.client = new Client({ name, version: '1.0.0' }, { versionNegotiation: { mode } });
        this.transport = new StdioClientTransport({
            command: server, args: ['connect', '-c', config], env: { HOME: home, PATH: process.env.PATH, TMPDIR: home }, stderr: 'ignore',
        });
        this.client.onerror = (error) => { this.trouble ??= error; };
        this.client.onclose = () => { this.closed = true; };
    }

    async ask(name, args = {}) {
        const result = await this.client.callTool({ name, arguments: args });
        const text = result.content.map((item) => item.text).join('');
        assert.ok(!result.isError, `${this.name}: ${name} answered: ${text}`);
        return result.structuredContent ?? text;
    }

    /* Asks without a pause until `over` is settled; {calls, slowest}. */
    async work(over) {
        let going = true, calls = 0, slowest = 0;
        const end = over.finally(() => { going = false; });
        for (; going; calls++) {
            const begin = performance.now();
            assert.equal(await this.ask('echo', { message: `${this.name} ${calls}` }), `${this.name} ${calls}`);
            slowest = Math.max(slowest, performance.now() - begin);
        }
        await end;
        return { calls, slowest };
    }
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const rounded = (ms) => `${Number(ms.toPrecision(3))} ms`;

export class Shared {
    #hosts = [];

    constructor({ home, server, plugins, narrator }) {
        this.say = narrator;
        this.server = server;
        this.home = join(home, 'shared');
        mkdirSync(this.home, { mode: 0o700 });
        this.runtime = runtimeDirectory(this.home);
        this.config = join(this.home, 'theseus.ini');
        writeFileSync(this.config, `[server]
state_dir = state
runtime_dir = ${this.runtime}

[plugins]
path = ${plugins}

[tool:slow]
command = sh -c 'sleep ${SLOW_MS / 1000}; echo "as asked by $0"' {who}
input.who = string: who asks
read_only = yes
`, { mode: 0o600 });
    }

    theseus(...args) {
        return execFileSync(this.server, [...args, '-c', this.config], { encoding: 'utf8', cwd: this.home });
    }

    get process() {
        return this.#hosts[0].ask('orchestrator_health_check').then(({ pid }) => pid);
    }

    async connect() {
        const { step, did, came, shown } = this.say;
        step('Share one server', 'Two hosts, of which one speaks a revision of MCP with a handshake and one the revision without.'
            + '\n   Each starts `theseus connect` as its server; whichever comes first has the real one started.');
        const options = { server: this.server, config: this.config, home: this.home };
        this.#hosts = [new Host('host A', { ...options, mode: 'legacy' }), new Host('host B', { ...options, mode: 'auto' })];
        did(`${shown(this.server)} connect -c ${shown(this.config)}     (twice, at the same moment)`);
        const begin = performance.now();
        await Promise.all(this.#hosts.map((host) => host.client.connect(host.transport)));
        const pids = await Promise.all(this.#hosts.map((host) => host.ask('orchestrator_health_check').then(({ pid }) => pid)));
        came(this.#hosts.map((host, i) => `${host.name}: protocol ${host.client.getNegotiatedProtocolVersion()}, served by process ${pids[i]}`).join('\n')
            + `\nafter ${rounded(performance.now() - begin)}`);
        assert.equal(pids[0], pids[1], 'both have one server');
    }

    /* While both ask without a pause, and wait for an answer each, `event` happens. */
    async #under(event) {
        const { sent, came } = this.say, waiting = this.#hosts.map((host) => host.ask('slow', { who: host.name }));
        sent(`tools/call slow {"who":"host A"}, and of host B: each takes ${SLOW_MS} ms`);
        sent('tools/call echo … without a pause, from both, and meanwhile:');
        await pause(SLOW_MS / 3); /* long enough for them to be running */
        const over = Promise.all([event(), ...waiting]);
        const seen = await Promise.all(this.#hosts.map((host) => host.work(over)));
        const [, ...slow] = await over;
        this.#hosts.forEach((host, i) => {
            came(`${host.name}: ${seen[i].calls} of ${seen[i].calls} calls answered, the slowest after ${rounded(seen[i].slowest)}; slow: ${JSON.stringify(slow[i].trim())}`);
            assert.equal(slow[i].trim(), `as asked by ${host.name}`);
            assert.ok(!host.closed && !host.trouble, `${host.name} has noticed: ${host.trouble?.message ?? 'its connection was closed'}`);
            assert.ok(seen[i].calls > 0);
        });
    }

    async restart() {
        const { step, sent, came } = this.say;
        step('Restart it under both', 'One of them asks for it. The other one is not asked, and does not notice.');
        await this.#under(async () => {
            sent('tools/call orchestrator_restart_server {}     (host B)');
            const answer = await this.#hosts[1].ask('orchestrator_restart_server');
            came(`${answer.phase}: blackout ${rounded(answer.blackout_ms)}, ${answer.requests_held} requests held`);
            assert.equal(answer.success, true, answer.message);
        });
    }

    async kill() {
        const { step, did, came } = this.say;
        step('Kill it', 'kill -9: there is no warning, and nothing that the server could do. `theseus connect` starts another one,'
            + '\n   which goes on with what lies in shared memory; what only reads is done again.');
        const before = await this.process;
        await this.#under(async () => {
            did(`kill -9 ${before}`);
            process.kill(before, 'SIGKILL');
            const begin = performance.now(), after = await this.process;
            came(`process ${after} serves, ${rounded(performance.now() - begin)} later`);
            assert.notEqual(after, before);
        });
    }

    async watch() {
        const { step, did, came } = this.say, message = 'and from a shell';
        step('Watch it', 'The same server, seen and asked from outside.');
        did(`theseus call --running echo '{"message":"${message}"}'`);
        const said = this.theseus('call', '--running', 'echo', JSON.stringify({ message }));
        came(said);
        assert.equal(said.trim(), message);
        did('theseus status');
        let text;
        for (const end = Date.now() + PATIENCE_MS; !/clients {8}2\n/.test(text ?? ''); text = this.theseus('status'))
            assert.ok(Date.now() < end, `the two clients are not seen: ${text}`);
        came(text.replaceAll(`${this.home}/`, '').replaceAll(this.home, '.'));
        for (const { name } of this.#hosts)
            assert.ok(text.includes(`${name} 1.0.0, unix`), `${name} is not seen`);
    }

    async leave() {
        const pid = await this.process;
        await Promise.all(this.#hosts.map((host) => host.client.close()));
        this.say.did(`kill ${pid}     (it ends by SIGTERM, not with a client)`);
        await this.end();
    }

    get servers() {
        return JSON.parse(this.theseus('status', '--json')).servers;
    }

    /* Every server that runs here, and what it has left. */
    async end() {
        this.servers.forEach(({ pid }) => process.kill(pid, 'SIGTERM'));
        for (const end = Date.now() + PATIENCE_MS; this.servers.length > 0; await pause(20))
            assert.ok(Date.now() < end, 'the server does not end by SIGTERM');
        rmSync(this.runtime, { recursive: true, force: true });
    }

    async run() {
        await this.connect();
        await this.restart();
        await this.kill();
        await this.watch();
        await this.leave();
    }

    async abandon() {
        await Promise.all(this.#hosts.map((host) => host.client.close().catch(() => {})));
        await this.end();
    }
}
