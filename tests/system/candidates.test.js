/*
 * Candidates for a restart that must not be taken, and those that look good and are not: whatever they do, the server
 * that runs goes on, says why, and loses nothing.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';

import { until, within } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { skip } from './lib/crash.js';
import { binary } from './lib/home.js';
import { Installed, candidate, candidateVersion } from './lib/installed.js';
import { children, standing } from './lib/proc.js';

const RESTART_DEADLINE_MS = 60_000;

const restart = (client, args = {}) => within('the answer to the restart',
    client.call('orchestrator_restart_server', args), RESTART_DEADLINE_MS);

const identity = async (client) => {
    const { pid, boot_id, server_version } = await client.value('orchestrator_health_check');
    return { pid, boot_id, server_version };
};

/* Calls of several kinds around a restart: each is answered, once (the client sees to that). */
function traffic(client) {
    const calls = [];
    return {
        add: (count) => {
            for (let i = 0; i < count; i++)
                calls.push(client.call('echo', { message: `call ${calls.length}` }));
        },
        check: async () => {
            for (const [i, call] of calls.entries()) {
                const { result, error } = await within(`call ${i}`, call);
                assert.equal(result?.content?.[0]?.text, `call ${i}`, JSON.stringify(error));
            }
        },
    };
}

/* What is open when nothing has changed at some looks. */
async function settled(pid) {
    let before, same = 0;
    await until('the descriptors to be settled', () => {
        const now = standing(pid);
        same = isDeepStrictEqual(now, before) ? same + 1 : 0;
        before = now;
        return same === 5;
    });
    return before;
}

/* The restart fails with `words`, and nothing else happens. Returns the answer. */
async function failing(client, home, words) {
    const before = await identity(client);
    const open = await settled(client.pid);
    const calls = traffic(client);
    const count = await client.value('count');
    calls.add(5);
    const answer = restart(client, { timeout: 30 });
    calls.add(20);
    const { result, error } = await answer;
    assert.ok(result, JSON.stringify(error));
    const report = result.structuredContent;
    calls.add(5);
    await calls.check();
    assert.equal(report.success, false, JSON.stringify(report));
    assert.equal(report.phase, 'failed');
    assert.match(report.message, words);
    assert.ok(report.errors.length > 0);
    const after = await identity(client);
    assert.equal(after.pid, before.pid);
    assert.equal(after.server_version, before.server_version);
    assert.deepEqual(report.server_version, { before: before.server_version, after: before.server_version });
    assert.deepEqual(await client.value('count'), { ...count, count: count.count + 1 }, 'the plugins keep their state');
    await until('nothing to be left of it', () => children(client.pid).length === 0 && home.leftovers.length === 0);
    return { report, before, after, open };
}

/* The private copies that the plugin is served from. */
function removeImages(home, plugin) {
    const [boot] = readdirSync(home.path('run'));
    for (const name of readdirSync(home.path('run', boot)))
        if (name.startsWith(`${plugin}.`))
            rmSync(home.path('run', boot, name));
}

const soon = { restart: { process_startup: 3 } }; /* of which a good one needs a part */
const counting = ['counter'];

function candidates(title, body, { sections = {}, drops = counting, program, ...options } = {}) {
    test(title, () => serving(async (client, home) => {
        await client.appears('count');
        await body(client, home);
    }, {
        ...options,
        Place: Installed,
        prepare: (home) => {
            if (program)
                home.install(candidate(program));
            drops.forEach((name) => home.drop(name));
            home.configure(sections);
        },
    }));
}

/* Nothing was executed, so it is the very same image that goes on. */
function refuses(what, install, words, options) {
    candidates(`${what} is refused`, async (client, home) => {
        install(home);
        const { report, before, after, open } = await failing(client, home, words);
        assert.equal(report.phase_reached, 'preparing');
        assert.match(report.message, /To mend it, .*put another build of the server at '.*', and ask again$/);
        assert.equal(after.boot_id, before.boot_id);
        await until('the same descriptors', () => isDeepStrictEqual(standing(client.pid), open));
    }, options);
}

describe('a candidate that', { concurrency: 3 }, () => {
    refuses('may not be executed', (home) => home.install(binary, 0o644),
        /may not be executed; mend it with: chmod \+x '/);
    refuses('is a script', (home) => home.installText(`#!/bin/sh\nexec ${binary} "$@"\n`), /is a script/);
    refuses('is of no known format', (home) => home.installText('MZ and much more of the kind'),
        /is no program \(its format is not ELF\)/);
    refuses('is half a program', (home) => home.installText(readFileSync(binary).subarray(0, 5000)),
        /cannot execute|was ended by SIG|left its examination/);
    refuses('is not there', (home) => home.uninstall(), /cannot open '.*': No such file/);
    refuses('is a directory', (home) => { home.uninstall(); mkdirSync(home.program); }, /is no regular file/);
    refuses('is another program and succeeds', (home) => home.install('/bin/true'),
        /gave no proof that it is a server that can go on from here/);
    refuses('is another program and fails', (home) => home.install('/bin/false'),
        /left its examination with exit status 1/);
    refuses('leaves when it is examined', (home) => home.install(candidate('preflight-exits')),
        /left its examination with exit status 3/);
    refuses('crashes when it is examined', (home) => home.install(candidate('preflight-crashes')),
        /was ended by SIGSEGV during its examination/);
    refuses('hangs when it is examined', (home) => home.install(candidate('preflight-hangs')),
        /did not finish its examination within 3000 ms/, { sections: soon });
    refuses('reads the ledger otherwise', (home) => home.install(candidate('preflight-differs')),
        /reads the ledger differently \(digest [0-9a-f]{16} instead of [0-9a-f]{16}\)/);

    candidates('cannot read the configuration is refused, with file and line', async (client, home) => {
        home.configure({ plugins: { watch: 'no' } });
        await until('the file to be watched no more', () => /plugins\.watch has changed/.test(home.log));
        home.configure({ server: { worker: 3 }, plugins: { watch: 'no' } });
        const { report } = await failing(client, home, /theseus\.ini:|worker/);
        const place = report.errors.find((one) => one.file);
        assert.equal(place.file, home.config);
        assert.equal(place.line, readFileSync(home.config, 'utf8').split('\n').indexOf('worker = 3') + 1);
        assert.match(place.text, /worker/);
    });

    candidates('would lose a plugin is refused, and the plugin named', async (client, home) => {
        home.configure({ plugins: { watch: 'no' } });
        await until('nothing to be watched any more', () => /plugins\.watch has changed/.test(home.log));
        removeImages(home, 'counter');
        home.drop('ctorcrash', 'counter'); /* the file in its place does no better */
        await failing(client, home, /plugin 'counter' would be lost: it crashed with SIGSEGV when it was loaded/);
    });
});

/* A call that may not be repeated keeps the restart waiting, behind the examination and before the exec. */
async function meanwhile(client, home, change) {
    home.install(candidate('none'));
    const slow = client.call('linger', { until: home.path('changed') });
    const words = failing(client, home, /was changed or replaced since it was examined/);
    await until('the calls to be waited for', async () => {
        const { current_status } = await client.value('orchestrator_restart_status');
        return current_status.phase === 'suspending_tasks';
    });
    change(home);
    writeFileSync(home.path('changed'), '');
    const { report } = await words;
    assert.equal(report.phase_reached, 'starting_process');
    assert.match((await slow).result.content[0].text, /lingered/);
}

describe('between examination and execution', { concurrency: 2 }, () => {
    const options = { sections: { 'tool:linger': { command: "sh -c 'while [ ! -e $1 ]; do sleep 0.02; done; echo lingered' sh {until}", 'input.until': 'string' } } };

    candidates('a candidate that is written over is refused', (client, home) =>
        meanwhile(client, home, () => home.overwrite(binary)), options);
    candidates('a candidate that is replaced is refused', (client, home) =>
        meanwhile(client, home, () => home.install(binary)), options);
});

/* The image before takes over again: the same process, from the ledger, as another boot. */
function returns(name, words, options) {
    candidates(`${name} leads back`, async (client, home) => {
        home.install(candidate(name));
        const { report, before, after, open } = await failing(client, home, words);
        assert.notEqual(after.boot_id, before.boot_id);
        assert.equal(report.boot_id.before, before.boot_id);
        await until('the same descriptors', () => standing(client.pid).length === open.length);
        await failing(client, home, words); /* and again, from an image that has come back */
        home.install(candidate('none')); /* it can still go on */
        home.configure({ restart: { process_startup: 30 } });
        await until('time to do so', async () => /unchanged/.test((await client.value('theseus_reload')).configuration));
        const { result } = await restart(client);
        assert.equal(result.structuredContent.success, true, JSON.stringify(result.structuredContent));
        assert.equal((await identity(client)).server_version, candidateVersion);
    }, options);
}

describe('a candidate that passes its examination and then', { concurrency: 3 }, () => {
    candidates('leads back with all state where none was to be carried on', async (client, home) => {
        const before = await client.value('count');
        home.install(candidate('late-exits'));
        const { result } = await restart(client, { preserve_state: false });
        assert.equal(result.structuredContent.success, false, JSON.stringify(result.structuredContent));
        assert.deepEqual(await client.value('count'), { ...before, count: before.count + 1 });
    });

    const left = /the new server left by itself before it served/;

    /* Before it has the ledger an image has nowhere to write what ends it. */
    for (const how of ['exits', 'crashes', 'aborts', 'hangs'])
        returns(`first-${how}`, /and the server goes on as before: the new server/, { sections: soon });

    returns('early-fails', /the new server gave up: this server fails on purpose/);
    for (const when of ['early', 'late']) {
        returns(`${when}-exits`, left);
        returns(`${when}-crashes`, /the new server was ended by SIGSEGV/);
        returns(`${when}-aborts`, /the new server was ended by SIGABRT/);
        returns(`${when}-hangs`, /the new server did not come up within restart\.process_startup \(3 s\)/,
            { sections: soon });
    }
});

/* The restart is over in the records, and its call is not answered: the next image knows the answer. */
describe('a server that crashes between the end of a restart and the answer', { skip }, () => {
    const candidateCrash = /the server crashed with SIGSEGV; the server goes on in a new image/;
    const tells = async (client, home, expected) => {
        await until('the crash to be said', () => candidateCrash.test(home.log));
        const { history, current_status } = await until('the history', async () => {
            const seen = await client.value('orchestrator_restart_status', { include_history: true });
            return seen.history.recent_crashes.length === 1 && seen;
        });
        assert.equal(history.recent_restarts.length, 1, JSON.stringify(history));
        assert.equal(history.recent_restarts[0].success, expected);
        assert.equal(current_status.maintenance_mode, false);
    };

    candidates('tells that it was complete', async (client, home) => {
        const before = await identity(client), calls = traffic(client);
        home.install(candidate('ended-crashes'));
        const answer = restart(client);
        calls.add(20);
        const { result, error } = await answer;
        assert.ok(result, JSON.stringify(error));
        assert.equal(result.isError, undefined, JSON.stringify(result));
        const report = result.structuredContent;
        assert.deepEqual([report.success, report.phase, report.progress], [true, 'complete', 100]);
        assert.deepEqual(report.server_version, { before: before.server_version, after: candidateVersion });
        assert.equal(report.boot_id.before, before.boot_id);
        assert.ok(report.blackout_ms > 0 && report.plugins.length > 0);
        assert.deepEqual(JSON.parse(result.content[0].text), report);
        await calls.check();
        await tells(client, home, true);
    });

    candidates('tells that it has failed', async (client, home) => {
        home.uninstall();
        const { result, error } = await restart(client);
        assert.ok(result, JSON.stringify(error));
        const report = result.structuredContent;
        assert.deepEqual([report?.success, report?.phase, report?.phase_reached], [false, 'failed', 'preparing'], JSON.stringify(result));
        assert.match(report.message, /cannot open '.*': No such file/);
        await tells(client, home, false);
    }, { program: 'ended-crashes' });
});

describe('a good candidate', () => {
    candidates('is taken, and tells both versions', async (client, home) => {
        const before = await identity(client);
        const calls = traffic(client);
        home.install(candidate('none'));
        calls.add(5);
        const answer = restart(client);
        calls.add(20);
        const { structuredContent } = (await answer).result;
        calls.add(5);
        await calls.check();
        assert.equal(structuredContent.success, true, JSON.stringify(structuredContent));
        assert.deepEqual(structuredContent.server_version, { before: before.server_version, after: candidateVersion });
        assert.deepEqual(structuredContent.pid, { before: client.pid, after: client.pid });
        home.install(binary); /* and back to what was */
        assert.equal((await restart(client)).result.structuredContent.server_version.after, before.server_version);
        assert.deepEqual(home.leftovers, []);
    });

    candidates('is taken on SIGUSR2, and a bad one is not', async (client, home) => {
        const before = await identity(client);
        home.install('/bin/true');
        client.process.kill('SIGUSR2');
        await until('the refusal', () => /gave no proof that it is a server/.test(home.log));
        assert.deepEqual(await identity(client), before);
        home.install(candidate('none'));
        client.process.kill('SIGUSR2');
        await until('the new version', async () => (await identity(client)).server_version === candidateVersion);
        assert.equal((await identity(client)).pid, before.pid);
    });
});
