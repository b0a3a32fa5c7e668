/*
 * The plainest client, whatever it talks over: lines out, lines in. It is fast enough to load a server, and it judges
 * what it can without the schemas: every line is a JSON object, every answer belongs to a request that was made, once.
 * What is derived from it has write(), and gives take() what comes.
 */
import assert from 'node:assert/strict';

import { until, within } from '../../clients/lib/until.js';

export class Talker {
    problems = [];
    notifications = [];
    idless = []; /* errors without an id */
    bytes = 0; /* of stdout */
    #left; /* how: nobody is there any more */
    #open = new Map(); /* id → {method, resolve, reject} of who waits */
    #nextId = 1;
    #rest = '';

    take(text) {
        this.bytes += text.length;
        const lines = (this.#rest + text).split('\n');
        this.#rest = lines.pop();
        for (const line of lines)
            this.#line(line);
    }

    #line(line) {
        let message;
        try {
            message = JSON.parse(line);
        } catch {
            this.problems.push(`not JSON: ${line.slice(0, 200)}`);
            return;
        }
        if (message.method !== undefined)
            this.notifications.push(message);
        else if (message.id === undefined)
            this.idless.push(message);
        else if (this.#open.has(message.id))
            this.#settle(message);
        else
            this.problems.push(`an answer to no open request: ${line.slice(0, 200)}`);
    }

    #settle(message) {
        const { resolve } = this.#open.get(message.id);
        this.#open.delete(message.id);
        resolve(message);
    }

    /* Whoever still waits for an answer learns that the server has left. */
    disappoint(status) {
        this.#left ??= status;
        for (const { method, reject } of this.#open.values())
            reject(this.#loss(method));
    }

    #loss(method) {
        return new Error(`the server left (${this.#left}) without an answer to ${method}`);
    }

    /* The id of the latest request. */
    get lastId() {
        return this.#nextId - 1;
    }

    get open() {
        return this.#open.size;
    }

    notify(method, params) {
        this.write(`${JSON.stringify({ jsonrpc: '2.0', method, ...(params && { params }) })}\n`);
    }

    /* {id, answer}: the promise of the whole answer. A request that is never answered leaves it open. */
    start(method, params, id = this.#nextId++) {
        const answer = new Promise((resolve, reject) => this.#open.set(id, { method, resolve, reject }));
        answer.catch(() => {}); /* not everybody waits */
        if (this.#left)
            this.#open.get(id).reject(this.#loss(method));
        this.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, ...(params && { params }) })}\n`);
        return { id, answer };
    }

    ask(method, params) {
        return within(`the answer to ${method}`, this.start(method, params).answer);
    }

    call(name, args = {}) {
        return this.start('tools/call', { name, arguments: args }).answer;
    }

    /* The result of a tool; a protocol error fails the test. */
    async result(name, args) {
        const answer = await within(`the answer of ${name}`, this.call(name, args));
        assert.ok(answer.result, `${name}: ${JSON.stringify(answer.error)}`);
        return answer.result;
    }

    async text(name, args) {
        return (await this.result(name, args)).content.map((item) => item.text).join('');
    }

    async value(name, args) {
        const result = await this.result(name, args);
        assert.ok(result.structuredContent, JSON.stringify(result).slice(0, 400));
        return result.structuredContent;
    }

    async names() {
        return (await this.ask('tools/list')).result.tools.map((tool) => tool.name);
    }

    appears(name) {
        return until(`tool '${name}' to appear`, async () => (await this.names()).includes(name));
    }

    vanishes(name) {
        return until(`tool '${name}' to go`, async () => !(await this.names()).includes(name));
    }

    /* The report on one plugin's active generation. */
    async plugin(name, state = 'active') {
        const { plugins } = await this.value('theseus_plugins');
        return plugins.find((plugin) => plugin.name === name && plugin.state === state);
    }

    /* Why `file` (the end of its path) is refused, once it is. */
    refused(file, pattern = /./) {
        return until(`${file} to be refused with ${pattern}`, async () => {
            const { refused } = await this.value('theseus_plugins');
            return refused.find((one) => one.file.endsWith(`/${file}`) && pattern.test(one.reason))?.reason;
        });
    }

    changes() {
        return this.notifications.filter((one) => one.method === 'notifications/tools/list_changed').length;
    }

    async initialize() {
        await this.ask('initialize', {
            protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'system', version: '1' },
        });
        this.notify('notifications/initialized');
        await this.ask('ping');
        return this;
    }
}
