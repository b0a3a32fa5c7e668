/*
 * A server and its two streams, byte by byte: what is written goes out at once, and nothing is read ahead, so that a
 * test decides how much of an answer the client has taken at any moment.
 *
 * `carrier` is 'sockets', a UNIX socket pair for each direction as Node's own spawn() gives them, or 'pipes'.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';

import { pause, until, within } from '../../clients/lib/until.js';
import { Home } from './home.js';

export const CARRIERS = ['pipes', 'sockets'];

const { O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

/* Both ends of a pipe, which needs a name for a moment. */
function pipe(home, name) {
    const path = home.path(name);
    execFileSync('mkfifo', ['-m', '600', path]);
    const from = openSync(path, O_RDONLY | O_NONBLOCK);
    return { from, to: openSync(path, O_WRONLY | O_NONBLOCK) };
}

/* read(2) or write(2) of a descriptor that does not block: 0 where it would. */
function tried(attempt) {
    try {
        return attempt();
    } catch (error) {
        if (error.code !== 'EAGAIN')
            throw error;
        return 0;
    }
}

export class Wire {
    stderr = '';
    #own = [];
    #rest = Buffer.alloc(0);

    constructor(home, carrier) {
        const { command, args, env } = home.command;
        const options = { env: { PATH: process.env.PATH, ...env } };
        this.home = home;
        if (carrier === 'pipes') {
            const input = pipe(home, 'input'), output = pipe(home, 'output');
            this.process = spawn(command, args, { ...options, stdio: [input.from, output.to, 'pipe'] });
            closeSync(input.from);
            closeSync(output.to);
            this.#own = [input.to, output.from];
            [this.to, this.from] = this.#own;
        } else {
            this.process = spawn(command, args, { ...options, stdio: ['pipe', 'pipe', 'pipe'] });
            this.process.stdout._handle.readStop(); /* Node would read ahead */
            this.to = this.process.stdin._handle.fd;
            this.from = this.process.stdout._handle.fd;
        }
        this.exited = new Promise((resolve, reject) => {
            this.process.on('error', reject);
            this.process.on('exit', (code, signal) => resolve({ code, signal }));
        });
        this.process.stderr.setEncoding('utf8').on('data', (text) => { this.stderr += text; });
    }

    async write(bytes) {
        const all = Buffer.from(bytes);
        for (let sent = 0; sent < all.length;) {
            const n = tried(() => writeSync(this.to, all, sent));
            sent += n;
            if (n === 0)
                await pause(1);
        }
    }

    /* At most `most` bytes of what is there at this moment; how many. */
    #take(most) {
        const part = Buffer.alloc(Math.min(most, 1 << 16));
        const count = tried(() => readSync(this.from, part, 0, part.length, null));
        this.#rest = Buffer.concat([this.#rest, part.subarray(0, count)]);
        return count;
    }

    /* Exactly `count` bytes, and not one more. */
    async take(count) {
        const end = Date.now() + 15_000;
        for (let left = count; left > 0;) {
            const n = this.#take(left);
            left -= n;
            assert.ok(Date.now() < end, `${left} of ${count} bytes never came`);
            if (n === 0)
                await pause(1);
        }
    }

    /* The next line, as JSON. */
    async next() {
        const end = Date.now() + 15_000;
        for (;;) {
            const at = this.#rest.indexOf(10);
            if (at >= 0) {
                const line = this.#rest.subarray(0, at).toString();
                this.#rest = this.#rest.subarray(at + 1);
                return JSON.parse(line);
            }
            assert.ok(Date.now() < end, `no line came, but '${this.#rest.subarray(0, 200)}'; ${this.stderr.slice(-2000)}`);
            if (this.#take(1 << 16) === 0)
                await pause(1);
        }
    }

    async answer(id) {
        for (;;) {
            const message = await this.next();
            if (message.method !== undefined)
                continue;
            assert.equal(message.id, id, JSON.stringify(message).slice(0, 300));
            return message.result ?? assert.fail(JSON.stringify(message.error));
        }
    }

    async ask(id, method, params) {
        await this.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, ...(params && { params }) })}\n`);
        return this.answer(id);
    }

    /* Restarts that are complete, and that failed. */
    get restarts() {
        const count = (pattern) => this.home.log.match(pattern)?.length ?? 0;
        return { complete: count(/restart: complete/g), failed: count(/restart: failed|restart failed/g) };
    }

    async restarted(before) {
        await until('the restart to be complete', () => this.restarts.complete > before.complete);
        assert.equal(this.restarts.failed, before.failed, this.home.log.slice(-2000));
    }

    async dispose() {
        if (this.process.exitCode === null && this.process.signalCode === null)
            this.process.kill('SIGKILL');
        await this.exited;
        this.#own.forEach(closeSync);
    }
}

/* Runs `body(wire, home)` with a server that has shaken hands, and ends it at the end of its input. */
export async function wired(carrier, body, { prepare = () => {} } = {}) {
    const home = new Home();
    let wire;
    try {
        prepare(home);
        wire = new Wire(home, carrier);
        await wire.ask('shake', 'initialize', {
            protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'wire', version: '1' },
        });
        await wire.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n');
        await body(wire, home);
        assert.deepEqual(await wire.ask('last', 'ping'), {});
        assert.doesNotMatch(wire.stderr, /Sanitizer|runtime error/);
        wire.process.kill('SIGTERM');
        const { signal } = await within('leaving', wire.exited);
        assert.equal(signal, null);
    } finally {
        await wire?.dispose();
        home.dispose();
    }
}
