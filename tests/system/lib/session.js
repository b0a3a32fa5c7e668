/* One side of a session that outlives its sockets: what `theseus connect` says, said by hand. */
import assert from 'node:assert/strict';

import { until, within } from '../../clients/lib/until.js';

const line = (message) => `${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`;

export class Session {
    lines = []; /* that have come, of all sockets together */
    received = 0; /* answers among them that count */
    #rest = '';

    constructor(listening) {
        this.listening = listening;
    }

    static async hello(listening, path) {
        const session = new Session(listening);
        await session.open(path);
        const { result } = await session.ask('theseus/hello', { protocol: 1, version: '0', directory: '/', pid: process.pid }, 'theseus:1');
        Object.assign(session, { id: result.session, secret: result.secret });
        await session.ask('initialize', {
            protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'session', version: '1' },
        }, 'initialize');
        session.say({ method: 'notifications/initialized' });
        return session;
    }

    async open(path = this.path) {
        this.path = path; /* of later ones, too */
        const client = await this.listening.connect(path);
        this.client = client;
        this.socket = client.socket;
        this.#rest = '';
        this.socket.removeAllListeners('data');
        this.socket.on('data', (text) => this.socket === client.socket && this.#take(text));
    }

    #take(text) {
        const lines = (this.#rest + text).split('\n');
        this.#rest = lines.pop();
        for (const one of lines.map((text) => JSON.parse(text))) {
            this.lines.push(one);
            if (one.method === undefined && one.id !== undefined && !`${one.id}`.startsWith('theseus:'))
                this.received++;
        }
    }

    say(message) {
        this.socket.write(line(message));
    }

    send(id, name, args = {}) {
        this.say({ id, method: 'tools/call', params: { name, arguments: args } });
    }

    answers(id) {
        return this.lines.filter((one) => one.id === id && one.method === undefined);
    }

    async answer(id, count = 1) {
        await until(`the answer to ${id}`, () => this.answers(id).length >= count);
        return this.answers(id)[count - 1];
    }

    ask(method, params, id) {
        const before = this.answers(id).length;
        this.say({ id, method, params });
        return this.answer(id, before + 1);
    }

    async text(id, name, args) {
        this.send(id, name, args);
        return (await this.answer(id)).result.content[0].text;
    }

    ack(received = this.received) {
        this.say({ method: 'theseus/ack', params: { received } });
    }

    /* The socket goes, and with it all that was on its way. */
    async drop() {
        this.socket.removeAllListeners('data');
        this.socket.on('data', () => {});
        await within('the end of the socket', this.client.destroy());
    }

    /* The answer to a resumption on a new socket. */
    async resume(unanswered = [], more = {}) {
        await this.open();
        return this.resumeHere(unanswered, more);
    }

    resumeHere(unanswered = [], more = {}) {
        return this.ask('theseus/resume', {
            protocol: 1, version: '0', directory: '/', pid: process.pid, session: this.id, secret: this.secret, unanswered,
            received: this.received, ...more,
        }, 'theseus:2');
    }

    /* The same, granted: {id: fate}. */
    async fates(unanswered, more) {
        const { result, error } = await this.resume(unanswered, more);
        assert.ok(result, JSON.stringify(error));
        assert.equal(result.session, this.id);
        assert.deepEqual(result.fates.map((one) => one.id), unanswered);
        return Object.fromEntries(result.fates.map((one) => [one.id, one.fate]));
    }
}
