/* Servers one after the other in one home, each killed without a word; what they know lies on a tmpfs. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { until } from '../../clients/lib/until.js';
import { Home } from './home.js';
import { Listening, markOf } from './socket.js';

export const MEMORY = '/dev/shm';

export class MemoryHome extends Home {
    run = mkdtempSync(join(MEMORY, 'theseus-run-'));

    constructor() {
        super();
        this.configure();
    }

    configure(more = {}, options = {}) {
        super.configure(this.run ? { ...more, server: { runtime_dir: this.run, ...more.server } } : more, options);
    }

    get ledgers() {
        return readdirSync(this.run).filter((name) => name.startsWith('ledger.')).map((name) => join(this.run, name));
    }

    dispose() {
        rmSync(this.run, { recursive: true, force: true, maxRetries: 5 });
        super.dispose();
    }
}

export class Dynasty {
    all = [];

    constructor(home) {
        this.home = home;
    }

    /* The next one; `at`: where it is expected to listen. */
    begin(options = {}, at = join(this.home.run, 'theseus.sock')) {
        const one = new Listening(this.home, { ...options, leftOver: markOf(at) });
        one.path = at;
        this.all.push(one);
        return one;
    }

    get one() {
        return this.all.at(-1);
    }

    async kill() {
        await this.one.server.kill(); /* before its clients: it shall not hear of their end */
        this.one.clients.forEach((client) => client.socket.destroy());
    }

    /* Killed and begun again; a client of the next one. */
    async succeed(options) {
        await this.kill();
        return this.begin(options).client();
    }

    async end() {
        for (const one of this.all) {
            one.clients.forEach((client) => client.socket.destroy());
            await one.server.kill();
        }
    }
}

/* `body(dynasty, home)`, and the last server leaves in order. */
export async function surviving(body, { prepare = () => {} } = {}) {
    const home = new MemoryHome();
    const dynasty = new Dynasty(home);
    try {
        prepare(home);
        await body(dynasty, home);
        const { server, clients } = dynasty.one;
        for (const client of clients)
            await client.destroy();
        if (server.process.exitCode === null && server.process.signalCode === null)
            assert.deepEqual(await server.signal('SIGTERM').then(({ code, signal }) => [code, signal]), [0, null], server.stderr);
        for (const one of dynasty.all)
            assert.doesNotMatch(one.server.stderr, /Sanitizer|runtime error/);
    } finally {
        await dynasty.end();
        home.dispose();
    }
}

/* What the history says of the servers that were killed, the youngest first, once there are so many. */
export const deaths = (client, count) => until(`${count} events in the history`, async () => {
    const { history } = await client.value('orchestrator_restart_status', { include_history: true });
    const own = history.recent_crashes.filter((one) => one.mechanism === 'ledger');
    return own.length >= count && own;
});
