/*
 * One SDK client connected to one server of its own. Version 1 and version 2 differ in how a call is made and in how the
 * era of the protocol is chosen; here they look alike.
 */
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as Transport1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { Client as Client2 } from '@modelcontextprotocol/client';
import { StdioClientTransport as Transport2 } from '@modelcontextprotocol/client/stdio';

import { Sandbox } from './sandbox.js';
import { tap } from './tap.js';
import { until } from './until.js';

const INFO = { name: 'theseus-tests', version: '1.0.0' };

export class Session {
    recorders = [];
    errors = [];
    changes = []; /* the tool lists that list_changed brought */

    /* `build(options)` makes {client, transport, call}; see sdk1() and sdk2(). */
    static async open(build) {
        const session = new Session();
        session.sandbox = new Sandbox();
        const onChanged = (error, tools) => error ? session.errors.push(error) : session.changes.push(tools);
        Object.assign(session, build(session.sandbox.command, { listChanged: { tools: { onChanged } } }));
        tap(session.transport, session.recorders);
        session.client.onerror = (error) => session.#fault(error);
        try {
            await session.client.connect(session.transport);
            await session.names(); /* the server has now read all of the handshake */
        } catch (error) {
            session.sandbox.dispose();
            throw error;
        }
        return session;
    }

    /* The SDK forgets a progress token while it still handles what arrived with the answer; the recorder knows better. */
    #fault(error) {
        if (!/progress notification for an unknown token/.test(error.message))
            this.errors.push(error);
    }

    get recorder() {
        return this.recorders[0];
    }

    get pid() {
        return this.transport.pid;
    }

    async names() {
        return (await this.client.listTools()).tools.map((tool) => tool.name);
    }

    async text(name, args, options) {
        const result = await this.call(name, args, options);
        return result.content.map((item) => item.text).join('');
    }

    /* The client's own callback brought a list in which `present(names)` holds. */
    changed(what, present) {
        return until(what, () => {
            const tools = this.changes.at(-1);
            return tools !== undefined && present(tools.map((tool) => tool.name));
        });
    }

    async close() {
        await this.client.close();
    }

    async dispose() {
        await this.client.close();
        this.sandbox.dispose();
    }
}

export function sdk1(command, options) {
    const client = new Client1(INFO, options);
    return {
        client,
        transport: new Transport1(command),
        call: (name, args, more) => client.callTool({ name, arguments: args }, undefined, more),
    };
}

/* `mode`: 'legacy', 'auto' or {pin: REVISION}. */
export const sdk2 = (mode) => (command, options) => {
    const client = new Client2(INFO, { ...options, versionNegotiation: { mode } });
    return {
        client,
        transport: new Transport2(command),
        call: (name, args, more) => client.callTool({ name, arguments: args }, more),
    };
};
