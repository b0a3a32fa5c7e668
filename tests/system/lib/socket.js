/* A server that listens on its socket, and clients that connect to it. */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { connect } from 'node:net';

import { until, within } from '../../clients/lib/until.js';
import { Client } from './client.js';
import { Home } from './home.js';
import { Talker } from './talker.js';

export class SocketClient extends Talker {
    ended = false; /* the server has closed its end */

    constructor(path, options = {}) {
        super();
        this.socket = connect({ path, ...options });
        this.connected = new Promise((resolve, reject) => {
            this.socket.on('connect', resolve);
            this.socket.on('error', reject); /* one that comes later finds this settled, and is seen by `closed` */
        });
        this.connected.catch(() => {});
        this.closed = new Promise((resolve) => {
            this.socket.on('close', () => {
                this.ended = true;
                this.disappoint('the connection is closed');
                resolve();
            });
        });
        this.socket.setEncoding('utf8').on('data', (text) => this.take(text));
    }

    write(text) {
        this.socket.write(text);
    }

    /* At once, whatever is on its way. */
    destroy() {
        this.socket.destroy();
        return this.closed;
    }

    /* Nothing more is said; what was asked is still answered. */
    end() {
        this.socket.end();
        return within('the end of the connection', this.closed);
    }
}

/* A client that is another user's process. Only root can start one. */
export const NOBODY = 65534;
export const skipStrangers = process.getuid() !== 0 && 'only root can be other users, too';
const pipe = `const socket = require('node:net').connect(process.argv[1]);
    process.stdin.pipe(socket).pipe(process.stdout);
    socket.on('error', (error) => { console.error(error.code); process.exitCode = 3; });
    socket.on('close', () => process.exit());`;

export class Stranger extends Client {
    constructor(path, uid = NOBODY, gid = NOBODY) {
        super({ command: { command: process.execPath, args: ['-e', pipe, path], env: {} } }, { uid, gid, cwd: '/' });
    }
}

/* Tells one socket from the next one of the same name. */
export const markOf = (path) => {
    const { ino, ctimeMs } = statSync(path, { throwIfNoEntry: false }) ?? {};
    return ino && `${ino} ${ctimeMs}`;
};

export class Listening {
    clients = [];
    #leftOver; /* the mark of a dead server's socket: a child that it was starting may hold it for a moment more */

    constructor(home, { more = [], stdio = ['ignore', 'pipe', 'pipe'], env = {}, leftOver } = {}) {
        this.home = home;
        this.#leftOver = leftOver;
        this.path = home.path('run', 'theseus.sock');
        this.server = new Client(home, { more: ['--listen', ...more], stdio, env });
    }

    get pid() {
        return this.server.pid;
    }

    async #reach(path) {
        if (this.#leftOver === undefined || markOf(path) !== this.#leftOver) {
            const one = new SocketClient(path);
            if (await one.connected.then(() => true, () => false))
                return one;
        }
        const { exitCode, signalCode } = this.server.process;
        assert.equal(exitCode ?? signalCode, null, this.server.stderr);
        return undefined;
    }

    /* One that is connected; the first ones wait until somebody listens. */
    async connect(path = this.path) {
        const client = await until(`somebody to listen on ${path}`, () => this.#reach(path));
        this.clients.push(client);
        return client;
    }

    async client(path) {
        return (await this.connect(path)).initialize();
    }

    async many(count) {
        const all = [];
        for (let i = 0; i < count; i++)
            all.push(await this.client());
        return all;
    }
}

/* `body(listening, home)` with a server that listens; then it leaves, and nobody was told what is no MCP. */
export async function listening(body, { prepare = () => {}, ...options } = {}) {
    const home = new Home();
    let one;
    try {
        prepare(home);
        one = new Listening(home, options);
        await body(one, home);
        for (const client of one.clients)
            await client.destroy();
        if (one.server.process.exitCode === null && one.server.process.signalCode === null)
            { const left = await one.server.signal('SIGTERM'); assert.deepEqual([left.code, left.signal], [0, null], one.server.stderr); }
        for (const client of one.clients)
            assert.deepEqual(client.problems, [], 'a client is sent answers and nothing else');
        assert.doesNotMatch(one.server.stderr, /Sanitizer|runtime error/);
    } finally {
        one?.clients.forEach((client) => client.socket.destroy());
        await one?.server.kill();
        home.dispose();
    }
}
