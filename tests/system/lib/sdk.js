/*
 * One server and one client of the official SDK, which is what most hosts have inside. The client checks by itself that
 * structured answers are what the tools' output schemas promise.
 */
import assert from 'node:assert/strict';

import { sdk1, sdk2 } from '../../clients/lib/session.js';
import { tap } from '../../clients/lib/tap.js';
import { within } from '../../clients/lib/until.js';
import { Home } from './home.js';

/* Both generations of the SDK, by name. */
export const generations = { 'SDK v1': sdk1, 'SDK v2': sdk2('auto') };

export class Host {
    errors = [];
    recorders = []; /* of all that was said on the wire */

    constructor(home, build = sdk1) {
        this.home = home;
        Object.assign(this, build({ ...home.command, stderr: 'ignore' }, {}));
        tap(this.transport, this.recorders);
        this.client.onerror = (error) => this.#fault(error);
        this.closed = false;
        this.client.onclose = () => { this.closed = true; };
    }

    /* The SDK forgets a progress token while it still handles what arrived with the answer. */
    #fault(error) {
        if (!/progress notification for an unknown token/.test(error.message))
            this.errors.push(error);
    }

    /* Everything that the client was told of progress, in the order of its arrival. */
    get progress() {
        return this.recorders.flatMap((recorder) => recorder.received)
            .filter((one) => one.method === 'notifications/progress').map((one) => one.params);
    }

    get pid() {
        return this.transport.pid;
    }

    async connect() {
        await this.client.connect(this.transport);
        await this.client.listTools(); /* with it, the SDK learns the output schemas */
        return this;
    }

    /* The whole result of a tool. */
    result(name, args = {}, options = undefined) {
        return within(`the answer of ${name}`, this.call(name, args, options), 60_000);
    }

    /* The structured answer of a tool that did not fail. */
    async ask(name, args) {
        const result = await this.result(name, args);
        assert.notEqual(result.isError, true, `${name}: ${JSON.stringify(result.content)}`);
        assert.ok(result.structuredContent, `${name} gave no structured answer`);
        return result.structuredContent;
    }

    async text(name, args) {
        return (await this.result(name, args)).content.map((item) => item.text).join('');
    }

    health(args) {
        return this.ask('orchestrator_health_check', args);
    }

    readiness(args) {
        return this.ask('orchestrator_shutdown_prepare', args);
    }

    status(args) {
        return this.ask('orchestrator_restart_status', args);
    }

    restart(args) {
        return this.ask('orchestrator_restart_server', args);
    }
}

/* Runs `body(host, home)`; `prepare(home)` comes before the server is started. The pipe stays open all the time. */
export async function hosting(body, { build = sdk1, prepare = (home) => home.configure() } = {}) {
    const home = new Home();
    let host;
    try {
        prepare(home);
        host = await new Host(home, build).connect();
        const { pid } = host;
        await body(host, home);
        assert.equal(host.closed, false, 'the connection was never lost');
        assert.equal(host.pid, pid);
        assert.deepEqual(host.errors, []);
    } finally {
        await host?.client.close();
        home.dispose();
    }
}
