/*
 * The plainest client: one line out, lines in. It says what no SDK would say, and sees what an SDK would hide: order,
 * exact bytes, and lines that are not JSON.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { Recorder } from './recorder.js';
import { MODERN } from './schemas.js';
import { until, within } from './until.js';

/* The members of a modern request's _meta; `more` adds to them. */
export const modernMeta = (more = {}) => ({
    'io.modelcontextprotocol/protocolVersion': MODERN,
    'io.modelcontextprotocol/clientCapabilities': {},
    'io.modelcontextprotocol/clientInfo': { name: 'line', version: '1' },
    ...more,
});

export class LineClient {
    lines = [];
    recorder = new Recorder();
    #nextId = 1;

    constructor({ command, args, env }) {
        this.process = spawn(command, args, {
            env: { PATH: process.env.PATH, ...env },
            stdio: ['pipe', 'pipe', 'inherit'],
        });
        this.exited = new Promise((resolve, reject) => {
            this.process.on('error', reject);
            this.process.on('close', (code, signal) => resolve({ code, signal }));
        });
        this.process.stdin.on('error', () => {}); /* a server that left is seen by `exited` */
        createInterface({ input: this.process.stdout, crlfDelay: 0 }).on('line', (line) => this.#take(line));
    }

    #take(line) {
        this.lines.push(line);
        let message;
        try {
            message = JSON.parse(line);
        } catch {
            this.recorder.problems.push(`not JSON: ${line.slice(0, 200)}`);
            return;
        }
        this.recorder.got(message);
    }

    get messages() {
        return this.recorder.received;
    }

    text(line) {
        this.process.stdin.write(`${line}\n`);
    }

    say(message) {
        this.recorder.sent(message);
        this.text(JSON.stringify(message));
    }

    notify(method, params) {
        this.say({ jsonrpc: '2.0', method, ...(params && { params }) });
    }

    /* Sends a request and returns its id at once. */
    start(method, params, id = this.#nextId++) {
        this.say({ jsonrpc: '2.0', id, method, ...(params && { params }) });
        return id;
    }

    answer(id) {
        return until(`an answer to ${JSON.stringify(id)}`, () => this.recorder.answersTo(id)[0]);
    }

    async ask(method, params, id) {
        return this.answer(this.start(method, params, id));
    }

    /* The same with a modern _meta. */
    async askModern(method, params = {}, id = undefined) {
        return this.ask(method, { ...params, _meta: modernMeta(params._meta) }, id);
    }

    notifications(method) {
        return this.messages.filter((message) => message.method === method);
    }

    async initialize(protocolVersion) {
        const answer = await this.ask('initialize', {
            protocolVersion, capabilities: {}, clientInfo: { name: 'line', version: '1' },
        });
        this.notify('notifications/initialized');
        await this.ask('ping'); /* the server has now read all of the handshake */
        return answer;
    }

    /* End of input: the server has to leave by itself. How soon it does is a matter for the benchmark. */
    async close(deadlineMs = 15_000) {
        this.process.stdin.end();
        try {
            return await within('leaving at the end of input', this.exited, deadlineMs);
        } finally {
            this.process.kill('SIGKILL');
        }
    }
}
