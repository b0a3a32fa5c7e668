/*
 * Many clients in one process, each with a session of its own that goes on over any number of sockets: what many
 * `theseus connect` do, without the processes. Whatever becomes of the sockets and of the server, each request is to be
 * answered once.
 */
import { connect } from 'node:net';

import { pause, until } from '../../clients/lib/until.js';

const ACK_MS = 100, AGAIN_MS = 10;

const line = (message) => `${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`;

class Member {
    open = new Map(); /* id → {text, answers} of what is not answered, in the order in which it was asked */
    state = 'away'; /* greeting, open, gone */
    received = 0;
    #acknowledged = 0;
    #rest = '';
    #lastId = 0;

    constructor(crowd) {
        this.crowd = crowd;
        this.#dial();
    }

    #dial() {
        const socket = connect(this.crowd.path);
        this.socket = socket;
        this.#rest = '';
        socket.setEncoding('utf8');
        socket.on('connect', () => this.#greet(socket));
        socket.on('data', (text) => this.#take(text));
        socket.on('error', () => {}); /* it closes, too */
        socket.on('close', () => this.#lost());
    }

    async #lost() {
        if (this.state === 'gone')
            return;
        if (this.state === 'open')
            this.crowd.sockets++;
        this.state = 'away';
        await pause(AGAIN_MS * (1 + Math.random()));
        if (this.state === 'away')
            this.#dial();
    }

    #greet(socket) {
        const own = { protocol: 1, version: '0', directory: '/', pid: process.pid };
        this.state = 'greeting';
        socket.write(this.session === undefined
            ? line({ id: 'theseus:1', method: 'theseus/hello', params: own })
            : line({
                id: 'theseus:2', method: 'theseus/resume', params: {
                    ...own, session: this.session, secret: this.secret, received: this.received,
                    unanswered: [...this.open].filter(([, asked]) => asked.sent).map(([id]) => id),
                },
            }));
    }

    #greeted({ result, error }) {
        if (!result) {
            this.crowd.problems.push(`a session is refused: ${JSON.stringify(error)}`);
            return;
        }
        this.state = 'open';
        if (this.session === undefined) {
            this.session = result.session;
            this.secret = result.secret;
        } else {
            this.crowd.resumptions++;
            this.#acknowledged = this.received;
            this.#meet(result.fates);
        }
        for (const asked of this.open.values())
            if (!asked.sent)
                this.#send(asked);
        this.crowd.served();
    }

    #meet(fates) {
        for (const { id, fate } of fates) {
            this.crowd.fates[fate]++;
            if (fate === 'never seen')
                this.open.get(id).sent = false;
        }
    }

    #send(asked) {
        asked.sent = true;
        this.socket.write(this.#ack() + asked.text);
    }

    #ack() {
        if (this.#acknowledged === this.received)
            return '';
        this.#acknowledged = this.received;
        return line({ method: 'theseus/ack', params: { received: this.received } });
    }

    /* What nobody has asked after for a while. */
    acknowledge() {
        const text = this.state === 'open' ? this.#ack() : '';
        if (text)
            this.socket.write(text);
    }

    #take(text) {
        const lines = (this.#rest + text).split('\n');
        this.#rest = lines.pop();
        for (const one of lines)
            this.#message(JSON.parse(one));
    }

    #message(message) {
        if (this.state === 'greeting') {
            this.#greeted(message);
        } else if (message.method === undefined && message.id !== undefined) {
            this.received++;
            const asked = this.open.get(message.id);
            this.open.delete(message.id);
            if (asked)
                asked.resolve(message);
            else
                this.crowd.problems.push(`an answer to no open request: ${JSON.stringify(message)}`);
        } else if (message.method === undefined) {
            this.crowd.problems.push(`an error without an id: ${JSON.stringify(message)}`);
        }
    }

    /* The answer. */
    ask(method, params) {
        const id = ++this.#lastId;
        return new Promise((resolve) => {
            const asked = { text: line({ id, method, params }), resolve, sent: false };
            this.open.set(id, asked);
            if (this.state === 'open')
                this.#send(asked);
        });
    }

    call(name, args) {
        return this.ask('tools/call', { name, arguments: args });
    }

    async initialize() {
        await this.ask('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'member', version: '1' } });
        this.socket.write(line({ method: 'notifications/initialized' }));
        return this;
    }

    leave() {
        this.state = 'gone';
        this.socket.destroy();
    }
}

export class Crowd {
    members = [];
    problems = [];
    fates = { 'never seen': 0, pending: 0, answered: 0, uncertain: 0 };
    sockets = 0; /* that have ended */
    resumptions = 0;
    servedMs = 0; /* when the latest was let in */

    constructor(path) {
        this.path = path;
        this.timer = setInterval(() => this.members.forEach((member) => member.acknowledge()), ACK_MS);
    }

    served() {
        this.servedMs = Date.now();
    }

    async join(count) {
        const more = Array.from({ length: count }, () => new Member(this));
        this.members.push(...more);
        await Promise.all(more.map((member) => member.initialize()));
        return this;
    }

    /* Everybody is served. */
    gathered() {
        return until('every client to be served', () => this.members.every((member) => member.state === 'open'), 30_000);
    }

    leave() {
        clearInterval(this.timer);
        this.members.forEach((member) => member.leave());
    }
}
