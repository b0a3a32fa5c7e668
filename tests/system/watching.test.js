/* Watching servers from outside: status, metrics and audit, and the commands that signal one and wait. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';

import { until } from '../clients/lib/until.js';
import { Client, serving } from './lib/client.js';
import { binary } from './lib/home.js';
import { readMetrics } from './lib/prometheus.js';
import { listening } from './lib/socket.js';

/* {code, stdout, stderr} of `theseus ARGUMENTS` in that home. */
async function theseus(home, ...args) {
    const command = home.command;
    try {
        const done = await promisify(execFile)(binary, [...args, '-c', home.config], { env: { PATH: process.env.PATH, ...command.env } });
        return { code: 0, ...done };
    } catch (error) {
        assert.equal(typeof error.code, 'number', String(error));
        return error;
    }
}

const status = async (home) => JSON.parse((await theseus(home, 'status', '--json')).stdout);
const signs = async (home) => (await status(home)).servers;
const seen = (home, count = 1) => until(`${count} servers to be seen`, async () => {
    const list = await signs(home);
    return list.length === count && list;
});

/* As a client of that name. */
const hello = (client, name) => client.ask('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name, version: '1' } });

describe('theseus status', { concurrency: 4 }, () => {
    test('shows a server that runs: who it serves, and how it is', () => serving(async (client, home) => {
        await client.names();
        const [sign] = await until('its client to be seen', async () => {
            const list = await signs(home);
            return list[0]?.clients.length === 1 && list[0].host?.name && list;
        });
        assert.equal(sign.pid, client.process.pid);
        assert.equal(sign.config, home.config);
        assert.equal(sign.host.name, 'system');
        assert.equal(sign.clients.length, 1);
        assert.equal(sign.health.healthy, true);
        assert.ok(sign.plugins.some((plugin) => plugin.name === 'echo' && plugin.state === 'active'));
        const { stdout } = await theseus(home, 'status');
        assert.match(stdout, new RegExp(`pid ${client.process.pid}, healthy, up 0 min`));
        assert.match(stdout, /clients {8}1\n +system 1, stdio, active/);
        assert.match(stdout, /echo \S+, active: \d+ calls, 0 failed/);
        const path = home.path('run', 'servers', `${client.process.pid}.json`);
        assert.equal(statSync(path).mode & 0o777, 0o600);
    }));

    test('says what is to be mended, soon after it is so', () => serving(async (client, home) => {
        await client.names();
        await seen(home);
        writeFileSync(home.path('plugins', 'bad.so'), 'no plugin', { mode: 0o700 });
        await until('the issue to be seen', async () => /NOT HEALTHY[^]*to be mended +plugin refused: .*bad\.so/.test((await theseus(home, 'status')).stdout));
    }));

    test('shows all of them, and none that is gone', () => serving(async (client, home) => {
        await client.names();
        const other = await new Client(home).initialize();
        await other.names();
        await seen(home, 2);
        await other.close();
        await seen(home, 1);
        await client.kill(); /* it leaves its file */
        assert.equal(readdirSync(home.path('run', 'servers')).length, 1);
        assert.deepEqual(await signs(home), []);
        assert.deepEqual(readdirSync(home.path('run', 'servers')), []);
        assert.match((await theseus(home, 'status')).stdout, /^no server runs/);
    }));

    test('a file of another process of that number is not believed', () => serving(async (client, home) => {
        await client.names();
        const [sign] = await seen(home);
        writeFileSync(home.path('run', 'servers', `${process.pid}.json`), JSON.stringify({ ...sign, pid: process.pid }));
        assert.equal((await signs(home)).length, 1);
    }));

    test('says how old the figures are', () => serving(async (client, home) => {
        await client.names();
        await seen(home);
        client.process.kill('SIGSTOP'); /* it writes no other */
        const path = home.path('run', 'servers', `${client.process.pid}.json`);
        const shown = async (seconds) => {
            const then = Date.now() / 1000 - seconds;
            utimesSync(path, then, then);
            return { text: (await theseus(home, 'status')).stdout, age: (await signs(home))[0].age_s };
        };
        await until('fresh figures', async () => !/as of/.test((await shown(0)).text));
        const aged = await shown(12);
        client.process.kill('SIGCONT');
        assert.match(aged.text, /healthy, up 0 min \d+ s, as of 1\d s ago\n/);
        assert.ok(aged.age >= 12 && aged.age < 20, String(aged.age));
    }));

    test('tells one that is silent from one that works', () => serving(async (client, home) => {
        await client.names();
        await seen(home);
        const path = home.path('run', 'servers', `${client.process.pid}.json`);
        client.process.kill('SIGSTOP');
        const then = Date.now() / 1000 - 100;
        utimesSync(path, then, then);
        const { stdout } = await theseus(home, 'status');
        client.process.kill('SIGCONT');
        assert.match(stdout, /NOT HEARD OF, up 1 min \d+ s, silent for 1 min 4\d s\n +to be mended +it runs and says nothing/);
    }));

    test('shows one that listens before it has a client, and its clients as they come and go', () => listening(async (one, home) => {
        const [sign] = await seen(home);
        assert.equal(sign.listener.path, one.path);
        assert.match((await theseus(home, 'status')).stdout, /socket {9}\/.*theseus\.sock\n {2}clients {8}0\n/);
        const clients = await one.many(3);
        await until('the clients to be seen', async () => /clients {8}3\n +3 × system 1, unix, active/.test((await theseus(home, 'status')).stdout));
        await Promise.all(clients.map((client) => client.end()));
        await until('the clients to be gone', async () => /clients {8}0\n/.test((await theseus(home, 'status')).stdout));
    }));

    test('names a client that has shaken no hands by its first call', () => listening(async (one, home) => {
        const client = await one.connect();
        await client.ask('tools/call', { name: 'echo', arguments: { message: 'a' }, _meta: {
            'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {},
            'io.modelcontextprotocol/clientInfo': { name: 'modern', version: '2' },
        } });
        await until('its name', async () => /clients {8}1\n +modern 2, unix, active/.test((await theseus(home, 'status')).stdout));
    }));

    test('fits on a terminal, and lets no client write on it', () => serving(async (client, home) => {
        await hello(client, 'x\u001b[31m\u009b');
        await client.names();
        writeFileSync(home.path('plugins', 'bad.so'), 'no plugin', { mode: 0o700 });
        const { stdout } = await until('the issue to be seen', async () => {
            const shown = await theseus(home, 'status');
            return shown.stdout.includes('to be mended') && shown;
        });
        for (const line of stdout.split('\n').filter((line) => !line.includes('/')))
            assert.ok(line.length <= 80, line);
        assert.match(stdout, /x\?\[31m\?\? 1, stdio/);
        assert.doesNotMatch(stdout, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
    }, { shake: false }));

    test('shows what plugins have to say in numbers, with or without a server', () => serving(async (client, home) => {
        await client.text('orchestrator_plan_task', { title: 'a', description: 'a' });
        await client.close();
        assert.match((await theseus(home, 'status')).stdout, /^no server runs[^]*tasks {10}1 pending$/m);
        assert.deepEqual((await status(home)).figures, { tasks: { tasks: { pending: 1 } } });
        assert.match((await theseus(home, 'metrics')).stdout, /^theseus_plugin_figure\{plugin="tasks",name="tasks",label="pending"\} 1$/m);
    }));

    test('a probe leaves no sign', () => serving(async (client, home) => {
        await client.close();
        assert.equal(existsSync(home.path('run', 'servers')), false);
    }));
});

describe('a command that signals a server', { concurrency: 4 }, () => {
    test('reload waits for what comes of it', () => serving(async (client, home) => {
        await client.names();
        await seen(home);
        home.configure({ tools: { hide: 'echo' } });
        const { code, stdout } = await theseus(home, 'reload');
        assert.match(stdout, /^configuration: (reloaded|unchanged)$/m);
        assert.equal(code, 0);
        assert.equal((await client.names()).includes('echo'), false);
        home.write('[server]\nno_such_key = 1\n');
        const bad = await theseus(home, 'reload', String(client.process.pid));
        assert.match(bad.stdout + bad.stderr, /no_such_key/);
        assert.equal(bad.code, 1);
    }));

    test('restart waits for what comes of it', () => serving(async (client, home) => {
        await client.names();
        await seen(home);
        const { code, stdout } = await theseus(home, 'restart');
        assert.match(stdout, /the last restart is complete/);
        assert.equal(code, 0);
        await client.names();
        const [sign] = await seen(home);
        assert.equal(sign.restarts, 1);
        await until('the history', async () => /last restarts +\S+Z manual_request, complete, blackout/.test((await theseus(home, 'status')).stdout));
    }));

    test('asks which one, and says that there is none', () => serving(async (client, home) => {
        await client.names();
        const other = await new Client(home).initialize();
        await other.names();
        await seen(home, 2);
        const both = await theseus(home, 'reload');
        assert.equal(both.code, 1);
        for (const { pid } of [client.process, other.process])
            assert.match(both.stderr, new RegExp(`say which server is meant, by its pid: .*${pid}`));
        assert.match((await theseus(home, 'reload', 'x')).stderr, /'x' is no process id/);
        await other.close();
        await client.close();
        assert.match((await theseus(home, 'restart')).stderr, /no server runs with this configuration/);
    }));
});

/* Somebody has just broken the file, and wants to know how the server is. */
describe('with a mistake in the configuration', { concurrency: 4 }, () => {
    const broken = (home) => `[server]\nstate_dir = ${home.path('state')}\nno_such_key = 1\nruntime_dir = ${home.path('run')}\nworkers = many\n`;
    const warned = (home, { stderr }) => {
        assert.match(stderr, /^theseus: warning: .*theseus\.ini:3: unknown key 'no_such_key'/);
        assert.match(stderr, /^theseus: warning: .*theseus\.ini:5: server\.workers: /m);
        assert.match(stderr, new RegExp(`read as far as it can be; servers are looked for in '${home.path('run')}', the database in '${home.path('state')}'`));
    };

    test('servers are still seen, asked and told', () => listening(async (one, home) => {
        await one.client();
        await seen(home);
        home.write(broken(home));
        const shown = await theseus(home, 'status');
        assert.match(shown.stdout, new RegExp(`pid ${one.pid}, `));
        assert.equal(shown.code, 0);
        warned(home, shown);
        const asked = await theseus(home, 'call', '--running', 'echo', '{"message":"a"}');
        assert.equal(asked.stdout, 'a\n');
        assert.equal(asked.code, 0);
        warned(home, asked);
        const counted = await theseus(home, 'metrics');
        assert.match(counted.stdout, /^theseus_healthy\{/m);
        assert.equal(counted.code, 0);
        warned(home, counted);
        const reloaded = await theseus(home, 'reload');
        assert.match(reloaded.stdout, /^configuration: refused: .*no_such_key/m);
        assert.equal(reloaded.code, 1);
        warned(home, reloaded);
        const restarted = await theseus(home, 'restart', String(one.pid));
        assert.match(restarted.stdout, /the last restart/);
        warned(home, restarted);
        const audited = await theseus(home, 'audit', '--since', '1h');
        assert.equal(audited.code, 0);
        warned(home, audited);
    }));

    test('the exit status is that of the command, and --set is none of the file\'s', () => serving(async (client, home) => {
        await client.close();
        home.write(broken(home));
        assert.equal((await theseus(home, 'status')).code, 0);
        const reloaded = await theseus(home, 'reload');
        assert.equal(reloaded.code, 1);
        assert.match(reloaded.stderr, /^theseus: no server runs with this configuration$/m);
        assert.equal((await theseus(home, 'call', '--running', 'echo')).code, 2);
        const set = await theseus(home, 'status', '--set', 'server.no_such=1');
        assert.equal(set.code, 1);
        assert.match(set.stderr, /^theseus: --set server\.no_such: unknown key/m);
    }));
});

describe('theseus metrics', { concurrency: 4 }, () => {
    test('prints what Prometheus reads', () => serving(async (client, home) => {
        await client.text('echo', { message: 'a' });
        await seen(home);
        await until('the call to be counted', async () => {
            await theseus(home, 'reload');
            return /^theseus_tool_calls_total\{pid="\d+",plugin="echo",result="served"\} 1$/m.test((await theseus(home, 'metrics')).stdout);
        });
        const { stdout } = await theseus(home, 'metrics');
        const families = readMetrics(stdout);
        const echo = families.theseus_tool_call_seconds.samples.filter(({ labels }) => labels.plugin === 'echo');
        assert.equal(echo.find(({ name }) => name.endsWith('_count')).value, 1);
        assert.match(stdout, /^theseus_healthy\{pid="\d+"\} 1$/m);
        assert.match(stdout, /^theseus_history_restarts\{result="complete"\} 0$/m);
    }));

    test('of several servers, of plugins in several states, and with names of any kind, is still what Prometheus reads', () => serving(async (client, home) => {
        await client.names();
        const other = new Client(home), name = 'a "host"\\\n{x="1"}';
        await hello(other, name);
        await other.names();
        await seen(home, 2);
        const families = readMetrics((await theseus(home, 'metrics')).stdout);
        assert.deepEqual(families.theseus_info.samples.map(({ labels }) => labels.host).sort(), [name, 'system']);
        await other.close();
    }));

    test('goes to a file, whole at every moment', () => serving(async (client, home) => {
        const path = home.path('home', 'theseus.prom');
        await client.names();
        await until('the file', () => existsSync(path));
        const written = () => statSync(path, { bigint: true }).mtimeNs;
        for (let i = 0; i < 3; i++) {
            const before = written();
            process.kill(client.pid, 'SIGHUP'); /* something to say */
            await until('another file', () => {
                readMetrics(readFileSync(path, 'utf8'));
                return written() > before;
            });
        }
        const families = readMetrics(readFileSync(path, 'utf8'));
        for (const name of ['clients', 'sessions', 'requests_in_flight', 'buffered_bytes', 'tool_calls_total', 'tool_call_seconds', 'restarts_total', 'resumptions_total', 'plugin_state'])
            assert.ok(families[`theseus_${name}`].samples.length > 0, name);
        assert.equal(statSync(path).mode & 0o777, 0o644);
    }, { prepare: (home) => home.configure({ metrics: { file: home.path('home', 'theseus.prom') } }) }));
});

describe('theseus audit', { concurrency: 4 }, () => {
    test('says who asked for what', () => serving(async (client, home) => {
        await client.value('orchestrator_restart_server', {});
        await until('the line', async () => /restart: .*by system over stdio/.test((await theseus(home, 'audit')).stdout));
        const lines = (await theseus(home, 'audit', '--json', '--since', '1h')).stdout.trim().split('\n').map((line) => JSON.parse(line));
        assert.ok(lines.some((line) => line.action === 'restart' && line.requested_by.name === 'system'));
        assert.equal((await theseus(home, 'audit', '--since', 'soon')).code, 1);
    }));

    test('an option of another command is refused', () => serving(async (client, home) => {
        const { code, stderr } = await theseus(home, 'metrics', '--watch');
        assert.notEqual(code, 0);
        assert.match(stderr, /--watch is not for this command; use: theseus metrics/);
    }));
});
