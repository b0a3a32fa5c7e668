/* A plugin that crashes is taken away, or what served before it comes back; until its file holds something else. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, statSync, utimesSync } from 'node:fs';
import { describe, test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { Client, serving } from './lib/client.js';

/* Nothing is ever too new, or known to be good at once; crashes count for a minute. */
const rules = (crash) => ({ prepare: (home) => home.configure({ crash }) });
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

/* The first version serves, and is kept as a good one. */
async function prove(client, home) {
    const plugin = await drop(client, home, 1);
    await until('version 1 to be kept', () => images(home).includes(`${plugin.hash}.so`));
    return plugin;
}

const health = (client) => client.value('orchestrator_health_check');
const status = (client) => client.value('orchestrator_restart_status', { include_history: true });

/* What the crashed call is told of the plugin's fate. */
const nextOf = (result) => {
    assert.equal(result.isError, true, JSON.stringify(result));
    const data = result._meta['theseus/crash'];
    assert.equal(data.plugin, 'brittle');
    assert.equal(data.signal, 'SIGABRT');
    return data.next;
};

describe('a plugin that crashes', { concurrency: 2 }, () => {
    test('too often is reverted to the version before, which was good', () => serving(async (client, home) => {
        const good = await prove(client, home);
        const bad = await drop(client, home, 2);
        assert.equal(nextOf(await crash(client)), 'still there');
        assert.equal(await client.text('brittle'), 'version 2');
        assert.equal(nextOf(await crash(client)), 'still there');
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
        const { history } = await status(client);
        assert.equal(history.total_crashes, 3);
        const [latest] = history.recent_crashes;
        assert.equal(latest.kind, 'crash');
        assert.equal(latest.subject, 'brittle');
        const [details] = latest.errors;
        assert.deepEqual([details.plugin, details.version, details.hash, details.signal, details.tool, details.next, details.crashes],
            ['brittle', '2.0', bad.hash, 'SIGABRT', 'brittle', 'reverted', 3]);
        assert.ok(details.backtrace.some((line) => /^brittle\.so: brittle_break\+0x[0-9a-f]+$/.test(line)), details.backtrace.join('\n'));
        assert.match(home.log, /error .*brittle\.so: brittle_break\+0x/);
        await drop(client, home, 3);
        assert.equal(await client.text('brittle'), 'version 3');
        assert.deepEqual((await health(client)).issues, []);
    }, rules({ ...GOOD_AT_ONCE })));
});
