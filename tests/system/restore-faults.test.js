/*
 * A restore of which one step fails: afterwards the database is the one before or the restored one, and one that was lost
 * is still known to be. Some of the steps are tried; all of them, if THESEUS_LONG=1.
 */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { describe, test } from 'node:test';

import { serving } from './lib/client.js';
import { Fault } from './lib/fault.js';
import { sanitized } from './lib/home.js';
import { run } from './lib/proc.js';
import { sample } from './lib/sample.js';

const skip = sanitized && 'a library that is preloaded comes before the run-time library of the sanitizer';
const WANTED = 24; /* steps of each kind */

/* A home with a backup, and what can be laid out in it: the database after that, and its log. */
class Lost {
    constructor(home) {
        this.home = home;
        this.path = home.path('state', 'theseus.db');
        this.kept = ['db', 'log', 'backup'].reduce((all, name) => ({ ...all, [name]: home.path(`kept.${name}`) }), {});
        this.fault = new Fault(home.path('fault'));
    }

    theseus(words, env = {}) {
        const { command, args, env: own } = this.home.command;
        return run(command, [...words, ...args], { env: { PATH: process.env.PATH, ...own, ...env }, cwd: this.home.root });
    }

    async make(client) {
        await client.appears('db_put');
        await client.text('db_put', { key: 'a', value: 'kept' });
        assert.equal((await this.theseus(['backup', this.kept.backup])).code, 0);
        for (let i = 0; i < 40; i++)
            await client.text('db_put', { key: i % 2 ? `b${i}` : 'a', value: 'later' });
        copyFileSync(`${this.path}-wal`, this.kept.log);
        await client.close();
        copyFileSync(this.path, this.kept.db);
    }

    layOut(what) {
        const dir = this.home.path('state');
        readdirSync(dir).filter((name) => name.startsWith('theseus.db')).forEach((name) => rmSync(`${dir}/${name}`));
        copyFileSync(this.kept[what], what === 'log' ? `${this.path}-wal` : this.path);
    }

    async restore(what, nth) {
        this.layOut(what);
        this.fault.arm(nth, { pid: 0, more: 1 });
        const done = await this.theseus(['restore', this.kept.backup], this.fault.env);
        const name = this.fault.failed, count = this.fault.count;
        this.fault.arm(0, { pid: 0 });
        return { ...done, name, count };
    }

    async value() {
        return JSON.parse((await this.theseus(['call', 'db_get', '{"key":"a"}'])).out || '{}').value;
    }
}

async function failEach(lost, what, t) {
    const whole = await lost.restore(what, 0xffffffff);
    assert.equal(whole.code, 0, whole.err);
    const { numbers, words } = sample(whole.count, WANTED);
    t.diagnostic(words);
    for (const nth of numbers) {
        const { code, err, name } = await lost.restore(what, nth), where = `call ${nth} (${name}): ${code}, ${err}`;
        if (code === 0)
            assert.equal(await lost.value(), 'kept', where);
        else if (what === 'db' || existsSync(lost.path))
            assert.match(await lost.value(), what === 'db' ? /^(kept|later)$/ : /^kept$/, where);
        else
            assert.ok(existsSync(`${lost.path}-wal`), `there is neither database nor log, after ${where}`);
        assert.ok(code === 0 || /^theseus: \S/m.test(err), where);
    }
}

describe('a restore of which one step fails', { concurrency: 2, skip }, () => {
    for (const [name, what] of [['over a database', 'db'], ['where only a log is left', 'log']])
        test(name, (t) => serving(async (client, home) => {
            const lost = new Lost(home);
            try {
                await lost.make(client);
                await failEach(lost, what, t);
            } finally {
                lost.fault.close();
            }
        }, { prepare: (home) => home.drop('database') }));
});
