/* The monitoring loop: tools/monitor beside a server that a host uses; both have the same state directory. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, copyFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { until, within } from '../../clients/lib/until.js';
import { binary } from '../lib/home.js';
import { run } from '../lib/proc.js';
import { hosting } from '../lib/sdk.js';

const monitor = fileURLToPath(new URL('../../../tools/monitor', import.meta.url));
const LINE = /^\S+Z healthy, version \S+, 1 client, phase idle, (\d+) restarts?, success rate (.+)$/m;

const arguments_ = (home, words) => {
    const { command, args, env } = home.command;
    return [[monitor, ...words, '--', command, ...args], { env: { PATH: process.env.PATH, ...env } }];
};
const watch = (home, ...words) => {
    const [args, options] = arguments_(home, words);
    return run(process.execPath, args, options);
};

/* A server whose file the test can break. */
function ofItsOwn(home) {
    home.configure();
    copyFileSync(binary, home.path('theseus'));
    Object.defineProperty(home, 'command', { value: { ...home.command, command: home.path('theseus') } });
}

describe('the monitoring loop', { concurrency: 4 }, () => {
    test('says a line about a server that is well, and its restarts', () => hosting(async (host, home) => {
        const first = await watch(home, '--once');
        assert.equal(first.code, 0, first.out + first.err);
        assert.deepEqual(LINE.exec(first.out)?.slice(1), ['0', 'none yet'], first.out);
        await host.restart();
        await host.restart();
        const second = await until('the restarts to be in the history', async () => {
            const { code, out } = await watch(home, '--once');
            assert.equal(code, 0, out);
            return LINE.exec(out)?.[1] === '2' && out;
        });
        assert.equal(LINE.exec(second)[2], '100 %');
        assert.equal(second.trim().split('\n').length, 1, 'one line a round');
    }));

    test('ends with the alert when the server is not well', () => hosting(async (host, home) => {
        home.drop('nosymbol');
        const { code, out } = await watch(home, '--once');
        assert.equal(code, 1, out);
        assert.match(out, /^\S+Z NOT healthy/m);
        assert.match(out, /^ALERT not healthy: .*nosymbol\.so/m);
    }));

    test('ends with the alert when restarts fail', () => hosting(async (host, home) => {
        chmodSync(home.path('theseus'), 0o600);
        const report = await host.restart();
        assert.equal(report.success, false);
        assert.equal(report.phase, 'failed');
        chmodSync(home.path('theseus'), 0o700);
        const { history } = await until('the alert', async () => {
            const status = await host.status({ include_history: true });
            return status.history.alerts.length > 0 && status;
        });
        assert.equal(history.metrics.success_rate.value, 0);
        const { code, out } = await watch(home, '--once');
        assert.equal(code, 1, out);
        assert.match(out, /^\S+Z healthy/m, 'the server itself is well');
        assert.match(out, /^ALERT fewer than 95 % of the restarts/m);
    }, { prepare: ofItsOwn }));

    test('goes round until there is an alert', () => hosting(async (host, home) => {
        const [args, options] = arguments_(home, ['--interval', '0.05']);
        const child = spawn(process.execPath, args, { ...options, stdio: ['ignore', 'pipe', 'inherit'] });
        const closed = new Promise((resolve) => child.on('close', resolve));
        let out = '';
        child.stdout.setEncoding('utf8').on('data', (text) => { out += text; });
        try {
            await until('three rounds', () => out.split('\n').length > 3);
            assert.doesNotMatch(out, /ALERT/);
            home.drop('nosymbol');
            assert.equal(await within('the end of the loop', closed), 1);
            assert.match(out, /^ALERT not healthy/m);
        } finally {
            child.kill('SIGKILL');
        }
    }));

    test('takes a server that cannot be reached for an alert', async () => {
        for (const [command, text] of [[['/nonexistent/theseus'], 'cannot be started'], [['true'], 'has left']]) {
            const { code, out } = await run(process.execPath, [monitor, '--once', '--', ...command]);
            assert.equal(code, 1);
            assert.match(out, new RegExp(`^ALERT .*${text}`, 'm'));
        }
    });

    test('refuses a command line that it does not understand', async () => {
        for (const words of [['--twice'], ['--interval'], ['--interval', '0'], ['--']]) {
            const { code, err } = await run(process.execPath, [monitor, ...words]);
            assert.equal(code, 2, words.join(' '));
            assert.match(err, /usage: tools\/monitor/);
        }
    });
});
