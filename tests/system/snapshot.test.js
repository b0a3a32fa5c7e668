/* What a cold start brings back from the sealed snapshot, and what never gets there. */
import assert from 'node:assert/strict';
import {
    chmodSync, closeSync, existsSync, openSync, readSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync,
    writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { pause, until } from '../clients/lib/until.js';
import { Client } from './lib/client.js';
import { Home, sanitized } from './lib/home.js';
import { run } from './lib/proc.js';

/* Two seconds, and what the machine takes; the next one would be five later. */
const WITHIN_MS = sanitized ? 10_000 : 6000;

/* `body(start, home)`; start() is a server that has shaken hands. Whatever runs at the end is killed. */
const lives = (body, prepare = () => {}) => async () => {
    const home = new Home(), clients = [];
    try {
        home.drop('vault');
        prepare(home);
        await body(async (options) => {
            const client = new Client(home, options);
            clients.push(client);
            return client.initialize();
        }, home);
        for (const client of clients)
            assert.deepEqual([client.problems, /Sanitizer|runtime error/.test(client.stderr)], [[], false]);
    } finally {
        await Promise.all(clients.map((client) => client.kill()));
        home.dispose();
    }
};

const directory = (home) => home.path('state', 'snapshots');
const files = (home, ending = '.snap') => (existsSync(directory(home)) ? readdirSync(directory(home)) : [])
    .filter((name) => name.endsWith(ending));
const put = (client, key, value) => client.text('vault_put', { key, value });
const get = async (client, key) => (await client.value('vault_get', { key })).value;
const sealed = (home, withinMs) => until('the snapshot', () => files(home).length === 1, withinMs);

/* A server that had a value, and was killed when that was on disk: the path of what it left. */
async function die(start, home, value = 'kept') {
    const client = await start();
    await put(client, 'first', value);
    await sealed(home);
    await client.kill();
    return join(directory(home), files(home)[0]);
}

describe('a snapshot', { concurrency: 4 }, () => {
    test('brings the state back that a killed server had, before any plugin is started', lives(async (start, home) => {
        await die(start, home);
        const client = await start();
        assert.equal(await get(client, 'first'), 'kept');
        assert.equal(await get(client, 'found_at_start'), 'kept');
    }));

    test('is on disk within two seconds, and the next one not sooner than five after it', lives(async (start, home) => {
        const client = await start();
        await client.names();
        await put(client, 'first', 1);
        await sealed(home, WITHIN_MS);
        await put(client, 'first', 2);
        await until('the second', () => files(home).length === 2);
        const [first, second] = files(home).map((name) => statSync(join(directory(home), name)).mtimeMs).sort((a, b) => a - b);
        assert.ok(second - first > 3000, `${second - first} ms`);
    }));

    test('is written at a clean exit: at the end of input and on SIGTERM', lives(async (start, home) => {
        let client = await start();
        await put(client, 'first', 'one');
        assert.equal((await client.close()).code, 0);
        assert.equal(files(home).length, 1);
        client = await start();
        assert.equal(await get(client, 'first'), 'one');
        await put(client, 'first', 'two');
        assert.equal((await client.signal('SIGTERM')).code, 0);
        client = await start();
        assert.equal(await get(client, 'first'), 'two');
        assert.equal(files(home, '.lock').length, 1);
    }));

    test('is not made, nor a key, while there is nothing to carry', lives(async (start, home) => {
        const client = await start();
        await client.text('echo', { message: 'x' });
        await client.value('theseus_plugins');
        await pause(2500); /* longer than a change may wait */
        await client.close();
        assert.deepEqual(readdirSync(home.path('state')), ['log']);
    }));

    test('goes when there is nothing to carry any more', lives(async (start, home) => {
        await die(start, home);
        let client = await start();
        await put(client, 'first', null);
        await put(client, 'found_at_start', null);
        await client.close();
        assert.deepEqual(readdirSync(directory(home)), []);
        client = await start();
        assert.equal(await get(client, 'first'), null);
    }));

    test('is one of at most five', lives(async (start, home) => {
        const client = await start();
        const latest = () => Math.max(0, ...files(home).map((name) => parseInt(name.split('.')[1], 16)));
        for (let i = 1; i <= 6; i++) {
            await put(client, 'first', i);
            await until('the next one', () => latest() >= i);
            await until('it to be told of', async () => {
                const told = (await client.value('orchestrator_health_check')).checks.database.last_snapshot;
                const times = files(home).map((name) => statSync(join(directory(home), name), { throwIfNoEntry: false })?.mtimeMs);
                return times.some((ms) => Math.abs(ms - Date.parse(told)) < 2);
            });
            await until('the oldest one to go', () => files(home).length <= 5); /* when the next one is on disk */
        }
        assert.equal(files(home).length, 5);
    }));

    test('that was claimed goes when the successor has its own on disk', lives(async (start, home) => {
        const path = await die(start, home);
        const client = await start();
        await get(client, 'first');
        assert.ok(!existsSync(path));
        await until('its own', () => files(home).length === 1 && /\.00000001\.0\.snap$/.test(files(home)[0]));
        await client.kill();
        assert.equal(await get(await start(), 'first'), 'kept');
    }));

    test('is taken by exactly one of two that start at once', lives(async (start, home) => {
        await die(start, home);
        const both = await Promise.all([start(), start()]);
        const values = await Promise.all(both.map((client) => get(client, 'first')));
        assert.deepEqual(values.map(String).sort(), ['kept', 'null']);
    }));

    test('of a server that lives is left alone', lives(async (start, home) => {
        const client = await start();
        await put(client, 'first', 'mine');
        await sealed(home);
        const other = await start();
        assert.equal(await get(other, 'first'), null);
        assert.equal(await get(client, 'first'), 'mine');
    }));

    test('is not touched by a probe', lives(async (start, home) => {
        const path = await die(start, home);
        const before = [readdirSync(directory(home)), statSync(path).mtimeMs];
        for (let i = 0; i < 3; i++) {
            const probe = new Client(home);
            await probe.ask('initialize', {
                protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'probe', version: '1' },
            });
            await probe.close();
        }
        assert.deepEqual([readdirSync(directory(home)), statSync(path).mtimeMs], before);
        assert.equal(await get(await start(), 'first'), 'kept');
    }));

    test('serves `theseus call` as well', lives(async (start, home) => {
        await die(start, home);
        const { command, args, env } = home.command;
        const call = (...rest) => run(command, ['call', ...args, ...rest], { env: { PATH: process.env.PATH, ...env } });
        assert.match((await call('vault_get', '{"key":"first"}')).out, /kept/);
        assert.match((await call('vault_put', '{"key":"first","value":"next"}')).out, /kept/);
        assert.equal(await get(await start(), 'first'), 'next');
    }));

    test('names the calls that a killed server was at', lives(async (start, home) => {
        const client = await start();
        await client.names();
        void client.call('vault_work', { checkpoint: true });
        await sealed(home);
        await client.kill();
        await (await start()).names();
        await until('the report', () => /the call of tool 'vault_work' was interrupted behind a checkpoint/.test(home.log));
        await until('the history', () => existsSync(home.path('state', 'theseus.db')));
        await until('the claimed one to go', () => files(home).length === 0);
    }));
});

describe('a snapshot is refused with a message, and the server serves', { concurrency: 4 }, () => {
    /* The shortest head that a later format can have: magic, format 2, length, checksum. */
    const nextFormat = Buffer.from('8e5448530d0a1a0a0200000018000000a62bd40600dd70f4', 'hex');
    const flip = (path, at) => {
        const fd = openSync(path, 'r+'), byte = Buffer.alloc(1);
        readSync(fd, byte, 0, 1, at);
        byte[0] ^= 1;
        writeSync(fd, byte, 0, 1, at);
        closeSync(fd);
    };
    const refused = (what, spoil, text) => test(what, lives(async (start, home) => {
        spoil(await die(start, home), home);
        const client = await start();
        assert.equal(await get(client, 'first'), null);
        await until('the message', () => text.test(client.stderr));
        await put(client, 'first', 'new');
        await client.close();
        assert.equal(await get(await start(), 'first'), 'new');
    }));

    refused('when it is truncated', (path) => truncateSync(path, statSync(path).size - 1), /is refused: .*truncated/);
    refused('when it is empty', (path) => truncateSync(path, 0), /a snapshot is refused/);
    refused('when a bit of its head is another', (path) => flip(path, 40), /is refused: .*damaged/);
    refused('when a bit of its content is another', (path) => flip(path, statSync(path).size - 20),
        /is refused: .*changed or damaged/);
    refused('when the key is another', (path, home) => writeFileSync(home.path('state', 'key'), Buffer.alloc(32, 7)),
        /sealed with another key/);
    refused('when the key is gone', (path, home) => rmSync(home.path('state', 'key')),
        /but not their key, '.*\/state\/key'; put it back/);
    refused('when a newer version wrote it', (path) => writeFileSync(path, nextFormat), /is refused: .*newer version, in format 2/);
    refused('when it is open to others', (path) => chmodSync(path, 0o644), /mend it with: chmod 600/);
});

describe('a secret', { concurrency: 4 }, () => {
    const shows = async (client) => {
        await client.text('vault_leak');
        await put(client, 'first', 'harmless');
    };

    test('that a plugin was given never comes back, for it never was in the snapshot', lives(async (start, home) => {
        const client = await start({ env: { VAULT_SECRET: 'tr"ust no 1' } });
        await shows(client);
        await sealed(home);
        await until('the message', () =>
            /the value of plugin 'vault' under the key 'leak' is left out of the snapshot/.test(home.log));
        assert.doesNotMatch(home.log + client.stderr, /ust no 1/);
        await client.kill();
        const next = await start({ env: { VAULT_SECRET: 'another one' } });
        assert.equal(await get(next, 'first'), 'harmless');
        assert.equal(await get(next, 'leak'), null);
    }, (home) => home.configure({ 'plugin:vault': { secret: 'env:VAULT_SECRET' } })));

    test('is what the plugin marks so, wherever it stands', lives(async (start, home) => {
        const client = await start();
        await shows(client);
        await client.close();
        const next = await start();
        assert.equal(await get(next, 'first'), 'harmless');
        assert.equal(await get(next, 'leak'), null);
    }, (home) => home.configure({ 'plugin:vault': { secret: 'written in the file' } })));
});

test('a server goes on when the disk takes no snapshot, and says so once', lives(async (start, home) => {
    const client = await start();
    await client.names();
    writeFileSync(directory(home), 'in the way');
    await put(client, 'first', 'kept');
    await until('the message', () => /no snapshot can be written/.test(client.stderr));
    await put(client, 'first', 'still');
    assert.equal(await get(client, 'first'), 'still');
    rmSync(directory(home));
    await client.close();
    assert.equal(client.stderr.match(/no snapshot can be written/g).length, 1);
    assert.equal(await get(await start(), 'first'), 'still');
}));
