/*
 * A server that says what a test tells it to, on a socket: for `theseus connect`, to which every fate of a request has to
 * happen at a known moment.
 */
import { rmSync } from 'node:fs';
import { createServer } from 'node:net';

import { until } from '../../clients/lib/until.js';

class Peer {
    lines = []; /* parsed; what is no JSON as a text */
    raw = [];
    ended = false;
    #taken = 0;
    #rest = '';

    constructor(socket) {
        this.socket = socket;
        socket.setEncoding('utf8');
        socket.on('data', (text) => this.#take(text));
        socket.on('end', () => { this.ended = true; });
        socket.on('error', () => {});
    }

    #take(text) {
        const lines = (this.#rest + text).split('\n');
        this.#rest = lines.pop();
        for (const line of lines) {
            this.raw.push(line);
            try {
                this.lines.push(JSON.parse(line));
            } catch {
                this.lines.push(line);
            }
        }
    }

    /* The next line that is no acknowledgement. */
    async next() {
        const isNews = (line, i) => i >= this.#taken && line.method !== 'theseus/ack';
        await until('the next line from connect', () => this.lines.some(isNews));
        const at = this.lines.findIndex(isNews);
        this.#taken = at + 1;
        return this.lines[at];
    }

    get acknowledged() {
        return this.lines.filter((line) => line.method === 'theseus/ack').at(-1)?.params.received;
    }

    say(message) {
        this.socket.write(`${typeof message === 'string' ? message : JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
    }

    answer(id, result = {}) {
        this.say({ id, result });
    }

    /* hello: a session of that name. */
    async greet(session = 'one') {
        const hello = await this.next();
        this.answer(hello.id, { protocol: 1, version: '0', pid: process.pid, boot_id: 'b', session, secret: 's'.repeat(64) });
        return hello;
    }

    async refuse(reason) {
        const greeting = await this.next();
        this.say({ id: greeting.id, error: { code: -32600, message: reason, data: { reason } } });
        return greeting;
    }

    /* resume: `fates` by id. */
    async resume(fates = {}) {
        const greeting = await this.next();
        this.answer(greeting.id, {
            protocol: 1, version: '0', pid: process.pid, boot_id: 'b', session: greeting.params.session,
            fates: greeting.params.unanswered.map((id) => ({ id, fate: fates[id] ?? 'pending' })),
        });
        return greeting;
    }

    drop() {
        this.socket.destroy();
    }
}

export class Scripted {
    peers = [];
    #taken = 0;

    constructor(path) {
        this.path = path;
    }

    async start() {
        rmSync(this.path, { force: true });
        this.server = createServer({ allowHalfOpen: true }, (socket) => this.peers.push(new Peer(socket)));
        await new Promise((resolve) => this.server.listen(this.path, resolve));
        return this;
    }

    async peer() {
        await until('connect to come', () => this.peers.length > this.#taken);
        return this.peers[this.#taken++];
    }

    /* Nobody listens any more; those who are there stay. */
    stop() {
        this.server.close();
        rmSync(this.path, { force: true });
    }

    end() {
        this.stop();
        for (const peer of this.peers)
            peer.drop();
    }
}
