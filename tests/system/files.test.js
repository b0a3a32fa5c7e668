/* The files of plugins: who may have written them, how they come, change and go. */
import assert from 'node:assert/strict';
import {
    appendFileSync, chmodSync, chownSync, closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, renameSync,
    rmSync, statSync, symlinkSync, truncateSync, writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { pause, until, within } from '../clients/lib/until.js';
import { serving } from './lib/client.js';
import { atMost, fixture, shipped } from './lib/home.js';

const root = process.getuid() === 0;

describe('a file that is no plugin', { concurrency: 4 }, () => {
    const refuses = (what, name, why, make) => test(`is refused: ${what}`, () => serving(async (client, home) => {
        make(home);
        await client.refused(name, why);
        assert.equal(await client.text('echo', { message: 'still' }), 'still');
    }));

    refuses('a text', 'text.so', /is not an ELF file/, (home) => home.put('text.so', 'no plugin\n'));
    refuses('an empty file', 'empty.so', /is empty/, (home) => home.put('empty.so', ''));
    refuses('a static library', 'lib.so', /static library/, (home) => home.put('lib.so', '!<arch>\n'));
    refuses('an executable', 'true.so', /is an executable/, (home) => home.put('true.so', readFileSync('/bin/true'), 0o700));
    refuses('a directory', 'x.so', /is not a regular file/, (home) => {
        mkdirSync(join(home.plugins, 'x.so')); /* not an event: it is seen with the next file that comes */
        home.drop('greet');
    });
    refuses('a link that leads nowhere', 'away.so', /No such file/,
        (home) => symlinkSync('/nowhere/away.so', join(home.plugins, 'away.so')));
    refuses('half a plugin', 'half.so', /truncated or damaged/, (home) => {
        const whole = readFileSync(fixture('greet'));
        home.put('half.so', whole.subarray(0, whole.length >> 1));
    });

    test('is no reason to wait for the others, though it is the last of them', () => serving(async (client) => {
        assert.ok((await client.names()).includes('echo'));
        await client.refused('zzz.so', /is not an ELF file/);
    }, {
        prepare: (home) => {
            home.put('zzz.so', 'no plugin\n');
            home.configure({ plugins: { path: `${shipped}:${home.plugins}` } });
        },
    }));

    test('is not looked at under another name', () => serving(async (client, home) => {
        home.put('greet.so.bak', readFileSync(fixture('greet')));
        home.put('.hidden.so', readFileSync(fixture('greet')));
        home.drop('version1');
        await client.appears('version');
        assert.ok(!(await client.names()).includes('greet'));
        assert.deepEqual((await client.value('theseus_plugins')).refused, []);
    }));
});

describe('a file that others could have written', { concurrency: 4 }, () => {
    test('is refused, naming the chmod, which mends it at once', () => serving(async (client, home) => {
        const path = join(home.plugins, 'greet.so');
        home.put('greet.so', readFileSync(fixture('greet')));
        chmodSync(path, 0o666);
        await client.refused('greet.so', /may be written by others; mend it with: chmod go-w '.*\/greet\.so'/);
        chmodSync(path, 0o644);
        await client.appears('greet'); /* or is there still, if it was seen before the first chmod */
        await until('nothing to be refused', async () => (await client.value('theseus_plugins')).refused.length === 0);
    }));

    test('is refused in a directory that is open to all, and chmod mends it at once', () => serving(async (client, home) => {
        chmodSync(home.plugins, 0o777);
        home.drop('greet');
        await client.refused('greet.so', /plugins' may be written by others; mend it with: chmod go-w/);
        chmodSync(home.plugins, 0o700);
        await client.appears('greet');
    }));

    test('is refused under a parent that is open to all', () => serving(async (client, home) => {
        chmodSync(home.root, 0o777);
        home.drop('greet');
        await client.refused('greet.so', /may be written by others; mend it with: chmod go-w/);
        chmodSync(home.root, 0o700);
        await client.value('theseus_reload');
        await client.appears('greet');
    }));

    test('is refused when it is another user\'s', { skip: !root && 'only root can give a file away' }, () => serving(async (client, home) => {
        home.put('greet.so', readFileSync(fixture('greet')));
        chownSync(join(home.plugins, 'greet.so'), 12345, 12345);
        await client.refused('greet.so', /belongs to another user \(uid 12345\); mend it with: chown 0/);
        chownSync(join(home.plugins, 'greet.so'), 0, 0);
        await client.appears('greet');
    }));
});

describe('a file that is being written', { concurrency: 4 }, () => {
    test('is not refused for good, and is loaded when it is whole', () => serving(async (client, home) => {
        const whole = readFileSync(fixture('greet')), path = join(home.plugins, 'greet.so');
        const fd = openSync(path, 'w', 0o600);
        for (let at = 0; at < whole.length; at += 2048) {
            writeSync(fd, whole, at, Math.min(2048, whole.length - at));
            await pause(30); /* the writer's own pace, slower than settle_ms */
        }
        assert.deepEqual((await client.value('theseus_plugins')).refused, [], 'nothing was said of it so far');
        closeSync(fd);
        await client.appears('greet');
        assert.deepEqual((await client.value('theseus_plugins')).refused, []);
    }));

    test('in place leaves the running version untouched, to its last byte', () => serving(async (client, home) => {
        const path = join(home.plugins, 'version.so'), whole = readFileSync(fixture('version2'));
        home.drop('version1', 'version');
        await client.appears('version');
        const slow = client.call('version', { ms: 600 });
        const fd = openSync(path, 'r+');
        ftruncateSync(fd, 0);
        assert.equal(await client.text('version'), 'one');
        for (let at = 0; at < whole.length; at += 4096) {
            writeSync(fd, whole, at, Math.min(4096, whole.length - at), at);
            assert.equal(await client.text('version'), 'one');
        }
        closeSync(fd);
        await client.appears('version_extra');
        assert.equal(await client.text('version'), 'two');
        assert.equal((await within('the slow call', slow)).result.content[0].text, 'one');
    }));

    test('and was cut off is refused while the version before serves', () => serving(async (client, home) => {
        home.drop('version1', 'version');
        await client.appears('version');
        truncateSync(join(home.plugins, 'version.so'), 5000);
        await client.refused('version.so', /truncated or damaged/);
        assert.equal(await client.text('version'), 'one');
    }));

    test('again with the same bytes is taken again, and appended rubbish hurts nothing', () => serving(async (client, home) => {
        home.drop('version1', 'version');
        await client.appears('version');
        appendFileSync(join(home.plugins, 'version.so'), 'rubbish');
        await until('the next generation', async () => (await client.plugin('version')).generation > 4);
        assert.equal(await client.text('version'), 'one');
    }));
});

describe('a file that goes', { concurrency: 4 }, () => {
    test('takes its tools away after a second, and a running call ends well', () => serving(async (client, home) => {
        home.drop('version1', 'version');
        await client.appears('version');
        const slow = client.call('version', { ms: 5000 }), begin = Date.now();
        home.delete('version.so');
        await client.vanishes('version');
        const ms = Date.now() - begin;
        assert.ok(ms >= 900 && ms < atMost(4000), `after ${ms} ms`);
        assert.ok(await client.plugin('version', 'draining'));
        assert.equal((await within('the running call', slow)).result.content[0].text, 'one');
        await until('its image to go', async () => !await client.plugin('version', 'draining'));
        const { error, result } = await client.call('version');
        assert.match(error?.message ?? result.content[0].text, /version/, 'a removed tool answers in words');
    }));

    test('and is back within the second was never away', () => serving(async (client, home) => {
        home.drop('version1', 'version');
        await client.appears('version');
        const path = join(home.plugins, 'version.so');
        const leave = async () => {
            const before = [(await client.plugin('version')).generation, client.changes()], begin = Date.now();
            renameSync(path, `${path}.away`);
            await pause(300); /* a file that is away for a while is the case under test */
            renameSync(`${path}.away`, path);
            const ms = Date.now() - begin;
            await pause(1200); /* longer than a missing file is waited for */
            await client.appears('version');
            if (ms < 900) /* else it was away for too long */
                assert.deepEqual([(await client.plugin('version')).generation, client.changes()], before);
            return ms < 900;
        };
        await until('it to be away for a moment', leave);
    }));

    test('while its successor waits for calls is missed by nobody', () => serving(async (client, home) => {
        home.drop('keeper');
        await client.appears('keeper_add');
        const slow = client.call('keeper_add', { ms: 1800 });
        await until('the slow call to run', async () => (await client.plugin('keeper')).in_flight === 1);
        home.drop('keeper');
        home.delete('keeper.so');
        home.drop('keeper');
        await until('the successor to wait', async () => /waits|generation/.test(home.log));
        home.delete('keeper.so');
        await client.vanishes('keeper_add');
        assert.equal((await within('the slow call', slow)).result.structuredContent.count, 1);
        await until('all of it to go', async () =>
            !(await client.value('theseus_plugins')).plugins.some((one) => one.name === 'keeper'));
        home.drop('keeper');
        await client.appears('keeper_add');
    }));

    test('while its plugin is being activated takes it along when that is over', () => serving(async (client, home) => {
        await client.names(); /* what is there at first is waited for; what comes later is not */
        home.drop('hangstop');
        await client.appears('hangs');
        home.delete('hangstop.so');
        await client.vanishes('hangs');
        await until('all of it to go', async () => !await client.plugin('hangstop', 'draining'));
        assert.equal(await client.text('echo', { message: 'still' }), 'still');
    }, { prepare: (home) => home.configure({ restart: { process_startup: 2 }, 'plugin:hangstop': { hang: 'activate' } }) }));

    test('with its directory takes its tools along, and they come back with it', () => serving(async (client, home) => {
        home.drop('greet');
        await client.appears('greet');
        rmSync(home.plugins, { recursive: true });
        await client.vanishes('greet');
        mkdirSync(home.plugins, { mode: 0o700 });
        home.drop('greet');
        await client.appears('greet');
    }));

    test('and comes to a directory that was not there at first is found', () => serving(async (client, home) => {
        assert.deepEqual((await client.value('theseus_plugins')).refused, []);
        home.plugins = home.path('later', 'deeper');
        mkdirSync(home.plugins, { recursive: true, mode: 0o700 });
        home.drop('greet');
        await client.appears('greet');
    }, { prepare: (home) => home.configure({ plugins: { path: `${home.path('later', 'deeper')}:${shipped}` } }) }));

    test('in a directory behind a link is found, too', () => serving(async (client, home) => {
        home.drop('greet');
        await client.appears('greet');
        home.delete('greet.so');
        await client.vanishes('greet');
    }, {
        prepare: (home) => {
            symlinkSync(home.plugins, home.path('link'));
            home.configure({ plugins: { path: `${home.path('link')}:${shipped}` } });
        },
    }));

    test('was never opened for writing: a plugin file keeps its mode and time', () => serving(async (client, home) => {
        home.drop('greet');
        const before = statSync(join(home.plugins, 'greet.so'));
        await client.appears('greet');
        const after = statSync(join(home.plugins, 'greet.so'));
        assert.deepEqual([after.mode, after.mtimeMs, after.ctimeMs], [before.mode, before.mtimeMs, before.ctimeMs]);
    }));
});
