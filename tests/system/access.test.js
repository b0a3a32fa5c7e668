/*
 * Who may do what: users that the kernel names, tools that are denied to them or hidden from them, the person who is
 * asked before a restart; what the audit says of it, and what clients hear of restarts.
 */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { audit, audited } from './lib/audit.js';
import { serving } from './lib/client.js';
import { Installed } from './lib/installed.js';
import { run } from './lib/proc.js';
import { TOOL, restarts } from './lib/restart.js';
import { NOBODY, Stranger, listening, skipStrangers } from './lib/socket.js';

/* Other users may pass through. */
const passage = mkdtempSync(join(tmpdir(), 'theseus-access-'));
chmodSync(passage, 0o711);
after(() => rmSync(passage, { recursive: true }));
let sockets = 0;

/* `body(own, stranger, home)`: a client of the server's user, and one of another. */
const withStranger = (access, body) => {
    const unix = join(passage, `${++sockets}`, 'theseus.sock');
    const configure = (home, more) => home.configure({ listen: { unix }, access: { allow_uid: NOBODY, ...more } });
    return listening(async (one, home) => {
        const own = await one.client(unix);
        const stranger = new Stranger(unix);
        try {
            await stranger.initialize();
            await body(own, stranger, home, (more) => configure(home, more));
            await stranger.close();
        } finally {
            await stranger.kill();
        }
    }, { prepare: (home) => configure(home, access) });
};

async function refuses(client, name, args, pattern) {
    const { isError, content } = await client.result(name, args);
    assert.equal(isError, true, JSON.stringify(content));
    assert.match(content[0].text, pattern);
}

describe('principals', { skip: skipStrangers }, () => {
    test('may restart and reload as the lists say, and the audit has who tried', () => withStranger(
        { restart: 'own', reload: `uid:${NOBODY}` }, async (own, stranger, home) => {
            await stranger.appears(TOOL);
            await refuses(stranger, TOOL, {}, /not allowed to user 65534: access\.restart/);
            await refuses(own, 'theseus_reload', {}, /not allowed to user \d+: access\.reload/);
            assert.ok((await stranger.value('theseus_reload')).configuration);
            await restarts({ pid: (await own.value('orchestrator_health_check')).pid, value: (...args) => own.value(...args) });
            await refuses(stranger, TOOL, {}, /access\.restart/); /* the next image knows it as well */
            const [line] = await audited(home, { action: 'restart', result: 'refused' }, 2);
            assert.equal(line.requested_by.uid, NOBODY);
            assert.equal(line.requested_by.transport, 'unix');
            assert.equal(line.requested_by.name, 'system');
            assert.match(line.detail, /access\.restart/);
            await audited(home, { action: 'reload', result: 'accepted' });
            await audited(home, { action: 'reload', result: 'refused' });
        }));

    test('are denied tools, or do not see them, also by name and in a batch', () => withStranger(
        { deny: `ech*@uid:${NOBODY}`, hide: 'theseus_plugins@others', call_by_name: 'yes' },
        async (own, stranger, home, configure) => {
            await stranger.appears('echo');
            assert.ok(!(await stranger.names()).includes('theseus_plugins'));
            assert.ok((await own.names()).includes('theseus_plugins'));
            assert.equal(await own.text('echo', { message: 'own' }), 'own');
            const denied = /denied to user 65534: access\.deny has 'ech\*@uid:65534'/;
            await refuses(stranger, 'echo', { message: 'a' }, denied);
            await refuses(stranger, 'theseus_call', { name: 'echo', arguments: { message: 'a' } }, denied);
            await refuses(stranger, 'theseus_call', { name: 'theseus_plugins' }, /there is no tool 'theseus_plugins'/);
            const { results } = await stranger.value('batch', { calls: [{ tool: 'echo', arguments: { message: 'a' } }] });
            assert.match(results[0].text, denied);
            home.drop('abi');
            await own.refused('abi.so', /ABI/);
            const unknown = async (client, name) => (await client.ask('tools/call', { name, arguments: {} })).error;
            assert.deepEqual(await unknown(stranger, 'theseus_plugins'), { code: -32602, message: "unknown tool 'theseus_plugins'" });
            assert.equal((await unknown(stranger, 'nowhere')).message, "unknown tool 'nowhere'", 'who may not see what is refused is not told here');
            assert.match((await unknown(own, 'nowhere')).message, /plugin 'abi' is refused/);
            const lines = await audited(home, { action: 'call', target: 'echo', result: 'refused' }, 3);
            assert.ok(lines.every((line) => line.requested_by.uid === NOBODY && line.timestamp && line.session));
            await audited(home, { action: 'call', target: 'theseus_plugins', result: 'refused' }, 2);
            const before = stranger.changes();
            configure({});
            await until('the client to be told that it sees more', () => stranger.changes() > before);
            assert.ok((await stranger.names()).includes('theseus_plugins'));
            assert.equal(await stranger.text('echo', { message: 'allowed' }), 'allowed');
        }));

    test('may be kept from every call', () => withStranger({ call: 'own' }, async (own, stranger) => {
        await own.appears('echo');
        await refuses(stranger, 'echo', { message: 'a' }, /not allowed to user 65534: access\.call/);
        const read = await stranger.ask('resources/read', { uri: 'theseus://status' });
        assert.match(read.error.message, /access\.call/);
        assert.ok((await own.ask('resources/read', { uri: 'theseus://status' })).result);
        assert.equal(await own.text('echo', { message: 'own' }), 'own');
    }));
});

describe('users and groups that are not there', () => {
    for (const [key, what] of [['allow_uid', 'user'], ['allow_gid', 'group']])
        test(`are refused: access.${key}`, () => listening(async (one, home) => {
            const client = await one.client();
            const why = new RegExp(`theseus\\.ini:\\d+: .*there is no ${what} 'nosuch-one'; write the number`);
            home.configure({ access: { [key]: `0, nosuch-one` } });
            await until('the refusal', () => why.test(home.log));
            const { command: binary, env, args } = home.command;
            const { code, err } = await run(binary, ['check', ...args], { env: { PATH: process.env.PATH, ...env } });
            assert.equal(code, 1);
            assert.match(err, why);
            assert.equal(await client.text('echo', { message: 'a' }), 'a');
        }));
});

/* A legacy client whose person can be asked. */
async function person(one) {
    const client = await one.connect();
    await client.ask('initialize', {
        protocolVersion: '2025-11-25', capabilities: { elicitation: {} }, clientInfo: { name: 'person', version: '1' },
    });
    client.notify('notifications/initialized');
    await client.appears(TOOL);
    return client;
}

const questions = (client) => client.notifications.filter((one) => one.method === 'elicitation/create');
const question = (client, number = 1) => until('the person to be asked', () => questions(client)[number - 1]);
const says = (client, { id }, result) => client.write(`${JSON.stringify({ jsonrpc: '2.0', id, result })}\n`);
const agreed = { action: 'accept', content: { restart: true } };

describe('access.restart = confirm', () => {
    const confirming = (body, access = {}) => listening(body, {
        prepare: (home) => home.configure({ access: { restart: 'confirm', ...access } }),
    });

    test('restarts when the person agrees, and not before', () => confirming(async (one, home) => {
        const client = await person(one);
        const call = client.call(TOOL);
        const asked = await question(client);
        const boot = (await client.value('orchestrator_health_check')).boot_id;
        const other = await person(one);
        says(other, asked, agreed); /* it was not asked */
        await other.ask('ping');
        assert.equal((await client.value('orchestrator_health_check')).boot_id, boot);
        says(client, asked, agreed);
        const { structuredContent } = (await within('the restart', call)).result;
        assert.equal(structuredContent.success, true, JSON.stringify(structuredContent));
        assert.notEqual(structuredContent.boot_id.after, boot);
        await audited(home, { action: 'restart', result: 'accepted' });
    }));

    test('refuses what is declined, and says so in the audit', () => confirming(async (one, home) => {
        const client = await person(one);
        const call = client.call(TOOL, { reason: 'emergency_shutdown' });
        const asked = await question(client);
        assert.match(asked.params.message, /emergency_shutdown, without waiting for running calls, without keeping state/);
        says(client, asked, { action: 'decline' });
        assert.match((await call).result.content[0].text, /the person declined/);
        const [line] = await audited(home, { action: 'restart', result: 'refused' });
        assert.match(line.detail, /declined/);
        assert.equal(line.requested_by.name, 'person');
    }));

    test('forgets a question when its client goes, or another restart comes', () => confirming(async (one, home) => {
        const [gone, waiting, client] = [await person(one), await person(one), await person(one)];
        gone.call(TOOL).catch(() => {});
        await question(gone);
        await gone.destroy();
        const [line] = await audited(home, { action: 'restart', result: 'refused' });
        assert.match(line.detail, /given up before the person answered/);
        const left = waiting.call(TOOL);
        const late = await question(waiting);
        const begun = client.call(TOOL);
        says(client, await question(client), agreed);
        assert.match((await within('the refusal', left)).result.content[0].text, /another restart is under way/);
        assert.equal((await within('the restart', begun)).result.structuredContent.success, true);
        says(waiting, late, agreed); /* of the image before */
        await waiting.ask('ping');
        assert.ok(waiting.notifications.some((one) => one.method === 'notifications/cancelled' && one.params.requestId === late.id));
        await audited(home, { action: 'restart', result: 'accepted' }, 1);
        assert.equal(audit(home).filter((one) => one.action === 'restart' && one.result === 'accepted').length, 1);
    }));

    test('is not waited for when the server leaves', () => confirming(async (one) => {
        const client = await person(one);
        const call = client.call(TOOL);
        await question(client);
        const left = one.server.signal('SIGTERM');
        assert.match((await within('the refusal', call)).result.content[0].text, /the server is ending/);
        assert.equal((await left).code, 0);
    }));
});

const notices = (client) => client.notifications.filter((one) => one.method === 'notifications/message')
    .map((one) => one.params).filter((one) => one.logger === 'theseus');

describe('notices of a restart', () => {
    test('reach every legacy client that has set a level, and no other', () => listening(async (one) => {
        const [asker, hears, worse, silent] = await one.many(4);
        await asker.appears(TOOL);
        await hears.ask('logging/setLevel', { level: 'info' });
        await worse.ask('logging/setLevel', { level: 'error' });
        const { blackout_ms } = await asker.value(TOOL);
        await until('both notices', () => notices(hears).length === 2);
        const [pending, complete] = notices(hears);
        assert.deepEqual([pending.level, pending.data.event, pending.data.reason], ['notice', 'restart_pending', 'manual_request']);
        assert.deepEqual([complete.level, complete.data.event], ['notice', 'restart_complete']);
        assert.equal(complete.data.blackout_ms, blackout_ms);
        for (const client of [asker, worse, silent]) {
            await client.ask('ping');
            assert.deepEqual(notices(client), []);
        }
        await asker.value(TOOL, { reason: 'configuration_update' }); /* no other image */
        await hears.ask('ping');
        assert.equal(notices(hears).length, 2);
    }));

    test('say why it failed', () => serving(async (client, home) => {
        await client.appears(TOOL);
        await client.ask('logging/setLevel', { level: 'notice' });
        home.installText('no program');
        assert.equal((await client.value(TOOL)).success, false);
        await until('both notices', () => notices(client).length === 2);
        const [pending, failed] = notices(client);
        assert.equal(pending.data.event, 'restart_pending');
        assert.deepEqual([failed.level, failed.data.event], ['warning', 'restart_failed']);
        assert.ok(failed.data.error.length > 0);
    }, { Place: Installed }));
});
