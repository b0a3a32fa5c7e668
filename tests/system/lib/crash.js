/* Calls that crash the server (tests/plugins/dies.c), and what each must be answered with. */
import assert from 'node:assert/strict';

import { within } from '../../clients/lib/until.js';
import { sanitized } from './home.js';

export const KEY = 'theseus/crash';
export const skip = sanitized && 'a sanitizer has the signals of crashes: the server does not handle them in this build';

/* Way to die → its signal. */
export const WAYS = {
    null: 'SIGSEGV', bus: 'SIGBUS', fpe: 'SIGFPE', ill: 'SIGILL', abort: 'SIGABRT', smash: 'SIGABRT', overflow: 'SIGSEGV',
    free: 'SIGABRT', jump: 'SIGSEGV', heap: 'SIGABRT', malloc: 'SIGSEGV', lost: 'SIGILL', signal: 'SIGSEGV',
};

/* Thread that dies → how the call is made. */
export const PLACES = {
    worker: (way, args) => [`die_${way}`, args],
    loop: (way, args) => [`inline_${way}`, args],
    thread: (way, args) => [`die_${way}`, { ...args, where: 'thread' }],
};

/* The limits that would keep a server from crashing as often as a test wants. */
export const unlimited = { crash: { max_execs: 0, limit: 0, probation: 0 } };

export function judgeCrash(answer, { signal, plugin = 'dies', version = '1.0' }) {
    const text = JSON.stringify(answer);
    assert.equal(answer.result?.isError, true, text);
    assert.deepEqual(answer.result._meta?.[KEY],
        { plugin, version, signal, may_have_executed: true, next: 'still there' }, text);
    assert.match(answer.result.content[0].text, new RegExp(`plugin '${plugin}' ${version} crashed with ${signal}`));
    assert.match(answer.result.content[0].text, /may have executed/);
}

/* One crash, from the call to its answer. */
export async function crash(client, way, place = 'worker', args = {}) {
    const [name, all] = PLACES[place](way, args);
    judgeCrash(await within(`the answer of ${name}`, client.call(name, all)), { signal: WAYS[way] });
}

/* A server at which crashes are nothing special; `more` is added to its configuration. */
export const mortal = (more = {}, plugins = []) => ({
    prepare: (home) => {
        for (const plugin of ['dies', ...plugins])
            home.drop(plugin);
        home.configure({ ...unlimited, ...more });
    },
});
