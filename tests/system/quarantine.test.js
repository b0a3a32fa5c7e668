/* A plugin that crashes is taken away, or what served before it comes back; until its file holds something else. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { describe, test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { Client, serving } from './lib/client.js';
import { run } from './lib/proc.js';
import { skip } from './lib/crash.js';
import { fixture, sanitized } from './lib/home.js';
import { isolation } from './lib/isolated.js';
import { historyWith, restarts } from './lib/restart.js';

/* Where the plugin is. In a process of its own the rules are the same. */
const PLACES = [
    { where: 'in the server', skip, still: 'still there', sections: {} },
    { where: 'in a process of its own', still: 'restarted', sections: isolation(['brittle']) },
];

/* Nothing is ever too new, or known to be good at once; crashes count for a minute. */
const GOOD_AT_ONCE = { probation: 0, probation_calls: 0 };

const crash = (client) => client.result('brittle', { crash: true });
const images = (home) => (existsSync(home.path('state', 'images')) ? readdirSync(home.path('state', 'images')) : [])
    .filter((name) => name.endsWith('.so'));

/* That version of the plugin is put into the directory, and serves. */
async function drop(client, home, version, state = 'active') {
    home.drop(`brittle${version}`, 'brittle');
    return until(`version ${version} to be ${state}`, async () => {
        const plugin = await client.plugin('brittle', state);
        return plugin?.version === `${version}.0` && plugin;
    });
}

const banned = (home) => until('the ban to be on the disk', () => {
    const path = home.path('state', 'images', 'brittle.json');
    return existsSync(path) && /"banned": ?\[\{/.test(readFileSync(path, 'utf8'));
});

/* Another file with the same content. */
const touch = (home) => home.put('brittle.so', readFileSync(home.path('plugins', 'brittle.so')), 0o700);

/* The first version serves, and is kept as a good one. */
async function prove(client, home) {
    const plugin = await drop(client, home, 1);
    await until('version 1 to be kept', () => images(home).includes(`${plugin.hash}.so`));
    return plugin;
}

const health = (client) => client.value('orchestrator_health_check');
const crashes = (client, count) => historyWith(client, `${count} crashes`, (history) => history.recent_crashes.length >= count);

/* What the crashed call is told of the plugin's fate. */
const nextOf = (result) => {
    assert.equal(result.isError, true, JSON.stringify(result));
    const data = result._meta['theseus/crash'];
    assert.equal(data.plugin, 'brittle');
    assert.equal(data.signal, 'SIGABRT');
    return data.next;
};

/* From a frame of the crash, as it is told, to the function in the file that crashed. */
async function leadsToItsLine(client, home, details) {
    const at = details.backtrace.map((line) => /^brittle\.so\+(0x[0-9a-f]+): brittle_break\+0x[0-9a-f]+$/.exec(line)?.[1]).find(Boolean);
    assert.ok(at, details.backtrace.join('\n'));
    assert.match(details.backtrace_hint, /addr2line -Cfie MODULE OFFSET/);
    const line = await run('addr2line', ['-Cfie', fixture('brittle2'), at], { env: process.env });
    assert.match(line.out, /^brittle_break$/m);
    await until('the log to have it', () => new RegExp(`error .*\\[${client.pid}\\]   #\\d+ brittle\\.so\\+${at}: brittle_break\\+0x`).test(home.log));
    assert.match(home.log, /error .*\[\d+\] the way to the crash, innermost first \(MODULE\+OFFSET: addr2line .*\): .*brittle' 2\.0/);
}

for (const { where, skip: skipped, still, sections } of PLACES)
    describe(where, { skip: skipped }, () => {
        const rules = (crash) => ({ prepare: (home) => home.configure({ ...sections, crash }) });

        describe('a plugin that crashes', { concurrency: 2 }, () => {
            test('too often is reverted to the version before, which was good', () => serving(async (client, home) => {
                const good = await prove(client, home);
                const bad = await drop(client, home, 2);
                assert.equal(nextOf(await crash(client)), still);
                assert.equal(await client.text('brittle'), 'version 2');
                assert.equal(nextOf(await crash(client)), still);
                assert.equal(nextOf(await crash(client)), 'reverted');
                assert.equal(await client.text('brittle'), 'version 1');
                const plugin = await client.plugin('brittle', 'reverted');
                assert.equal(plugin.hash, good.hash);
                assert.match(plugin.reason, /^version 2\.0 of plugin 'brittle' crashed with SIGABRT in tool 'brittle' at .*, for the 3\. time within 60 s; version 1\.0 serves instead\. To mend it, put another file at '.*brittle\.so'/);
                const lost = await client.result('brittle_new');
                assert.match(lost.content[0].text, /tool 'brittle_new' is not served: version 2\.0 of plugin 'brittle' crashed/);
                const { healthy, issues } = await health(client);
                assert.equal(healthy, false);
                assert.match(issues.join(), /brittle\.so: version 2\.0 of plugin 'brittle' crashed with SIGABRT/);
                const history = await crashes(client, 3);
                assert.equal(history.total_crashes, 3);
                const [latest] = history.recent_crashes;
                assert.equal(latest.kind, 'crash');
                assert.equal(latest.subject, 'brittle');
                const [details] = latest.errors;
                assert.deepEqual([details.plugin, details.version, details.hash, details.signal, details.tool, details.next, details.crashes],
                    ['brittle', '2.0', bad.hash, 'SIGABRT', 'brittle', 'reverted', 3]);
                if (!sanitized)
                    await leadsToItsLine(client, home, details);
                const { instead_of: instead, since } = plugin;
                assert.deepEqual([instead.version, instead.hash, instead.file], ['2.0', bad.hash, home.path('plugins', 'brittle.so')]);
                assert.match(instead.reason, /^crashed with SIGABRT in tool 'brittle'/);
                assert.ok(Date.parse(since) >= Date.parse(instead.since) - 1000 && Date.parse(since) <= Date.now() + 1000, JSON.stringify(plugin));
                assert.match(await client.text('theseus_plugins'), /^brittle 1\.0, generation \d+, reverted: it serves since \S+ in place of version 2\.0 at '.*brittle\.so', refused since \S+ because it crashed with SIGABRT in tool 'brittle'/m);
                await drop(client, home, 3);
                assert.equal(await client.text('brittle'), 'version 3');
                assert.deepEqual((await health(client)).issues, []);
            }, rules({ ...GOOD_AT_ONCE })));

            test('at long intervals stays, and is taken away when they become short', () => serving(async (client, home) => {
                await prove(client, home);
                await drop(client, home, 2);
                for (let i = 0; i < 2; i++) {
                    assert.equal(nextOf(await crash(client)), still);
                    const begin = Date.now();
                    await until('the window to pass', () => Date.now() - begin > 3000);
                }
                assert.equal(nextOf(await crash(client)), still);
                assert.equal(nextOf(await crash(client)), 'reverted');
                assert.equal(await client.text('brittle'), 'version 1');
            }, rules({ ...GOOD_AT_ONCE, limit: 2, window: 3 })));

            test('while it is new is reverted at once', () => serving(async (client, home) => {
                await prove(client, home);
                home.configure({ ...sections, crash: { probation: 3600, probation_calls: 4 } });
                await until('the new rules', async () => (await health(client)).checks.configuration.generation === 2);
                assert.equal((await drop(client, home, 2)).probation, true);
                assert.equal(await client.text('brittle'), 'version 2');
                assert.equal(nextOf(await crash(client)), 'reverted');
                assert.equal(await client.text('brittle'), 'version 1');
                const [latest] = (await crashes(client, 1)).recent_crashes;
                assert.equal(latest.errors[0].crashes, 1);
                const reverted = await client.plugin('brittle', 'reverted');
                assert.equal(reverted.probation, false, 'what is known to be good is not new');
                assert.match(reverted.reason, /while it was new; version 1\.0 serves instead/);
            }, rules(GOOD_AT_ONCE)));

            test('is new no more when it has answered enough calls, and good when it is old enough, too', () => serving(async (client, home) => {
                const { hash } = await drop(client, home, 2);
                for (let i = 0; i < 4; i++)
                    assert.equal(await client.text('brittle'), 'version 2');
                await until('its probation to be over', async () => (await client.plugin('brittle')).probation === false);
                assert.equal(nextOf(await crash(client)), still);
                assert.equal((await client.plugin('brittle')).probation, false, 'that is known behind the crash');
                assert.deepEqual(images(home).filter((name) => name.startsWith(hash)), [], 'it is not known to be good');
                home.configure({ ...sections, crash: { probation: 1, probation_calls: 4 } });
                await until('it to be kept', () => images(home).includes(`${hash}.so`));
            }, rules({ probation: 3600, probation_calls: 4 })));

            test('and was good itself is reverted to the good one before it', () => serving(async (client, home) => {
                await prove(client, home);
                const { hash } = await drop(client, home, 2);
                await until('version 2 to be kept', () => images(home).includes(`${hash}.so`));
                assert.equal(nextOf(await crash(client)), 'reverted');
                assert.equal(await client.text('brittle'), 'version 1');
            }, rules({ ...GOOD_AT_ONCE, limit: 1 })));
        });

        describe('a plugin without a good version', { concurrency: 2 }, () => {
            const NEW = { probation: 3600, probation_calls: 1000 };
            const isTakenAway = async (client) => {
                const { isError, content } = await client.result('brittle');
                assert.equal(isError, true);
                assert.match(content[0].text, /tool 'brittle' is not served: version 2\.0 of plugin 'brittle' crashed with SIGABRT.*while it was new; its tools are not served\. To mend it, put another file at '/);
                assert.ok(!(await client.names()).includes('brittle'));
            };

            test('is unloaded, and its tools say so until another file comes', () => serving(async (client, home) => {
                await drop(client, home, 2);
                assert.equal(nextOf(await crash(client)), 'unloaded');
                await isTakenAway(client);
                const plugin = await client.plugin('brittle', 'unloaded');
                assert.deepEqual([plugin.version, plugin.crashes, plugin.tools], ['2.0', 1, []]);
                const { healthy, issues } = await health(client);
                assert.equal(healthy, false);
                assert.match(issues.join(), /brittle\.so: version 2\.0 of plugin 'brittle' crashed/);
                touch(home);
                assert.deepEqual((await client.value('theseus_reload')).plugins.loaded, []);
                await client.value('theseus_reload', { plugin: 'brittle' });
                await isTakenAway(client);
                await drop(client, home, 3);
                assert.equal(await client.text('brittle'), 'version 3');
                assert.equal((await health(client)).healthy, true);
                assert.equal(await client.plugin('brittle', 'unloaded'), undefined);
            }, rules(NEW)));

            test('stays unloaded in the next image and in the next process', () => serving(async (client, home) => {
                await drop(client, home, 2);
                assert.equal(nextOf(await crash(client)), 'unloaded');
                await restarts(client);
                await isTakenAway(client);
                await banned(home);
                await client.kill();
                const next = await new Client(home).initialize();
                try {
                    await next.refused('brittle.so', /SIGABRT/);
                    await isTakenAway(next);
                    home.drop('brittle3', 'brittle');
                    await next.appears('brittle');
                    assert.equal(await next.text('brittle'), 'version 3');
                } finally {
                    await next.kill();
                }
            }, rules(NEW)));

            test('is tried again by a restart for error_recovery', () => serving(async (client, home) => {
                await drop(client, home, 2);
                assert.equal(nextOf(await crash(client)), 'unloaded');
                await restarts(client, { reason: 'error_recovery' });
                await client.appears('brittle');
                assert.equal(await client.text('brittle'), 'version 2');
                assert.deepEqual((await health(client)).issues, []);
                assert.equal(nextOf(await crash(client)), 'unloaded');
            }, rules(NEW)));

            test('that crashes when it is started is not started again, and the others serve', () => serving(async (client) => {
                assert.equal(await client.text('echo', { message: 'x' }), 'x');
                assert.match(await client.refused('brittle.so', /SIGABRT/), /plugin 'brittle' crashed with SIGABRT in its 'start' at/);
                const [latest] = (await crashes(client, 1)).recent_crashes;
                assert.deepEqual([latest.subject, latest.errors[0].slot, latest.errors[0].next], ['brittle', 'start', 'unloaded']);
            }, { prepare: (home) => {
                home.configure({ crash: NEW, 'plugin:brittle': { ...sections['plugin:brittle'], crash_in_start: 'yes' } });
                home.drop('brittle2', 'brittle');
            } }));
        });

        describe('a plugin that was reverted', { concurrency: 2 }, () => {
            const reverts = async (client, home) => {
                await prove(client, home);
                await drop(client, home, 2);
                assert.equal(nextOf(await crash(client)), 'reverted');
            };
            const isReverted = async (client) => {
                await until('version 1 to serve', async () => (await client.plugin('brittle', 'reverted'))?.version === '1.0');
                assert.equal(await client.text('brittle'), 'version 1');
            };

            test('stays so whoever looks at the directory again', () => serving(async (client, home) => {
                await reverts(client, home);
                await client.value('theseus_reload');
                await isReverted(client);
                await client.value('theseus_reload', { plugin: 'brittle' });
                await isReverted(client);
                touch(home);
                client.process.kill('SIGHUP');
                await client.value('theseus_reload');
                await isReverted(client);
            }, rules({ ...GOOD_AT_ONCE, limit: 1 })));

            test('stays so in the next image and in the next process', () => serving(async (client, home) => {
                await reverts(client, home);
                await restarts(client);
                await isReverted(client);
                await banned(home);
                await client.kill();
                const next = await new Client(home).initialize();
                try {
                    await next.appears('brittle');
                    await isReverted(next);
                    assert.match(await next.refused('brittle.so'), /version 2\.0 of plugin 'brittle' crashed/);
                    await drop(next, home, 3);
                    assert.deepEqual((await health(next)).issues, []);
                } finally {
                    await next.kill();
                }
            }, rules({ ...GOOD_AT_ONCE, limit: 1 })));

            test('is tried again by a restart for error_recovery', () => serving(async (client, home) => {
                await reverts(client, home);
                await restarts(client, { reason: 'error_recovery' });
                await until('version 2 to serve', async () => (await client.plugin('brittle'))?.version === '2.0');
                assert.equal(await client.text('brittle'), 'version 2');
                assert.deepEqual((await health(client)).issues, []);
            }, rules({ ...GOOD_AT_ONCE, limit: 1 })));

            test('before its new version came to serve goes on with the old one', () => serving(async (client, home) => {
                await prove(client, home);
                home.drop('brittle2', 'brittle');
                assert.match(await client.refused('brittle.so', /SIGABRT/), /in its 'start' at .*; version 1\.0 serves instead/);
                await isReverted(client);
                await drop(client, home, 3);
                assert.equal(await client.text('brittle'), 'version 3');
            }, { prepare: (home) => home.configure({ crash: { probation: 1, probation_calls: 0, limit: 1 },
                'plugin:brittle': { ...sections['plugin:brittle'], crash_in_start: 'yes' } }) }));

            test('is so by a server that begins with a file that crashes', () => serving(async (client, home) => {
                await prove(client, home);
                await client.close();
                home.drop('brittle2', 'brittle');
                const next = await new Client(home).initialize();
                try {
                    await next.appears('brittle');
                    await isReverted(next);
                    assert.match(await next.refused('brittle.so', /SIGABRT/), /in its 'start' at .*; version 1\.0 serves instead/);
                } finally {
                    await next.kill();
                }
            }, { prepare: (home) => home.configure({ crash: { probation: 1, probation_calls: 0, limit: 1 },
                'plugin:brittle': { ...sections['plugin:brittle'], crash_in_start: 'yes' } }) }));

            test('leaves files that nobody else may read', () => serving(async (client, home) => {
                await reverts(client, home);
                await banned(home);
                const mode = (...names) => (statSync(home.path('state', 'images', ...names)).mode & 0o777).toString(8);
                assert.deepEqual([mode(), mode('brittle.json'), mode('lock'), ...images(home).map((name) => mode(name))].sort(),
                    ['600', '600', ...images(home).map(() => '700'), '700']);
            }, rules({ ...GOOD_AT_ONCE, limit: 1 })));
        });
    });
