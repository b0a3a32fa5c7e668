/* One server and the plainest client, on its standard input and output. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';

import { within } from '../../clients/lib/until.js';
import { Home } from './home.js';
import { Talker } from './talker.js';

export class Client extends Talker {
    stderr = '';

    /* `args` replaces the arguments; `more` and `env` are added; `stdio` as spawn() takes it. */
    constructor(home, { args, more = [], env = {}, bare = false, cwd, uid, gid, stdio = ['pipe', 'pipe', 'pipe'] } = {}) {
        super();
        const command = home.command;
        this.process = spawn(command.command, args ?? [...command.args, ...more], {
            env: bare ? env : { PATH: process.env.PATH, ...command.env, ...env }, cwd, uid, gid, stdio,
        });
        this.exited = new Promise((resolve, reject) => {
            this.process.on('error', reject);
            this.process.on('close', (code, signal) => {
                this.disappoint(`${code ?? signal}: ${this.stderr.slice(-4000)}`);
                resolve({ code, signal });
            });
        });
        this.process.stdin?.on('error', () => {}); /* a server that left is seen by `exited` */
        this.process.stderr?.setEncoding('utf8').on('data', (text) => { this.stderr += text; });
        this.process.stdout?.setEncoding('utf8').on('data', (text) => this.take(text));
    }

    get pid() {
        return this.process.pid;
    }

    write(text) {
        this.process.stdin.write(text);
    }

    /* End of input; {code, signal, ms}. */
    async close(deadlineMs = 10_000) {
        const begin = Date.now();
        this.process.stdin.end();
        const exit = await within('leaving at the end of input', this.exited, deadlineMs);
        return { ...exit, ms: Date.now() - begin };
    }

    async signal(name, deadlineMs = 10_000) {
        const begin = Date.now();
        this.process.kill(name);
        const exit = await within(`leaving on ${name}`, this.exited, deadlineMs);
        return { ...exit, ms: Date.now() - begin };
    }

    async kill() {
        if (this.process.exitCode === null && this.process.signalCode === null)
            this.process.kill('SIGKILL');
        await this.exited;
    }
}

/*
 * Runs `body(client, home)` with a server that has shaken hands; `prepare(home)` comes before it is started. `Place` is
 * the kind of home.
 */
export async function serving(body, { prepare = () => {}, shake = true, Place = Home, ...options } = {}) {
    const home = new Place();
    let client;
    try {
        prepare(home);
        client = new Client(home, options);
        if (shake)
            await client.initialize();
        await body(client, home);
        if (client.process.exitCode === null && client.process.signalCode === null)
            await client.close();
        assert.deepEqual(client.problems, [], 'stdout carries answers and nothing else');
        assert.doesNotMatch(client.stderr, /Sanitizer|runtime error/);
    } finally {
        await client?.kill();
        home.dispose();
    }
}
