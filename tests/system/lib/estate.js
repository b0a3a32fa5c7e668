/*
 * What a server can leave: tasks and artifacts, values and an interrupted call in a sealed snapshot, a ban. It is made
 * once, put back as often as it is wanted, and compared with what is there.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { until } from '../../clients/lib/until.js';
import { Client } from './client.js';
import { Home } from './home.js';
import { run } from './proc.js';
import { historyWith } from './restart.js';
import { Listening } from './socket.js';
import { MemoryHome } from './survivor.js';
import { Tasks } from './tasks.js';

const LARGE = 'a line that is a part of something large\n'.repeat(4000);
const TITLES = ['a small one', 'a large one', 'one that is left'];
const ROWS = ['SELECT task_id, session, title, description, status, created_at, completed_at FROM tasks ORDER BY id',
    'SELECT artifact_id, task, summary, content, hash, bytes, missing FROM task_artifacts ORDER BY id',
    'SELECT id, session_id, directory FROM task_sessions ORDER BY id'];

const snapshots = (home) => (existsSync(home.path('state', 'snapshots')) ? readdirSync(home.path('state', 'snapshots')) : [])
    .filter((name) => name.endsWith('.snap'));
const copy = (from, to) => execFileSync('cp', ['-a', '--sparse=always', from, to]);

async function rows(home) {
    const { code, out, err } = await run('sqlite3', ['-json', '-cmd', '.timeout 10000', home.path('state', 'theseus.db'), ROWS.join('; ')]);
    assert.equal(code, 0, err);
    return out;
}

const files = (dir) => (existsSync(dir) ? readdirSync(dir) : []).sort().map((name) => [name, readFileSync(`${dir}/${name}`, 'latin1')]);
const bans = (home) => JSON.parse(readFileSync(home.path('state', 'images', 'brittle.json'), 'utf8')).banned;
const key = (home) => readFileSync(home.path('state', 'key'), 'hex');

/* A server on its standard input and output; what it leaves when it is killed is in its snapshot. */
export class Piped {
    static Place = Home;
    static late = null;

    constructor(home, env = {}) {
        this.server = new Client(home, { env });
    }

    talk() {
        return this.server.initialize();
    }

    leave() {
        return this.server.close();
    }

    kill() {
        return this.server.kill();
    }
}

/* One on its socket; what it knew is in its ledger, too, also what has changed behind the snapshot. */
export class Listens {
    static Place = MemoryHome;
    static late = 'behind the snapshot';

    constructor(home, env = {}) {
        this.one = new Listening(home, { env });
        this.one.path = join(home.run, 'theseus.sock');
        this.server = this.one.server;
    }

    talk() {
        return this.one.client();
    }

    async leave() {
        for (const client of this.one.clients)
            await client.destroy();
        return this.server.signal('SIGTERM');
    }

    async kill() {
        await this.server.kill(); /* before its clients: it shall not hear of their end */
        this.one.clients.forEach((client) => client.socket.destroy());
    }
}

export class Estate {
    constructor(home, Kind) {
        Object.assign(this, { home, Kind });
        this.places = [home.path('state'), home.run ?? home.path('run')];
    }

    static prepare(home) {
        home.drop('vault');
        home.drop('brittle2', 'brittle');
        home.configure({ plugins: { watch: 'no' }, crash: { limit: 1, max_execs: 0 } });
    }

    /* By a server that leaves in order, and one that is killed. */
    async make() {
        const { home, Kind } = this;
        await this.#leaveTasks(await new Client(home).initialize());
        const one = new Kind(home), client = await one.talk();
        await client.appears('vault_put');
        await client.text('vault_put', { key: 'first', value: 'kept' });
        client.start('tools/call', { name: 'vault_work', arguments: { checkpoint: true } });
        await until('the snapshot', () => snapshots(home).length === 1);
        await client.text('vault_put', { key: 'late', value: Kind.late });
        await one.kill();
        this.places.forEach((place, i) => copy(place, home.path(`left-${i}`)));
        this.had = await this.#has();
        assert.equal(this.had.artifacts.length, 1);
        return this;
    }

    async #leaveTasks(client) {
        const { home } = this, tasks = new Tasks(client);
        await client.appears('brittle');
        await client.appears('orchestrator_plan_task');
        for (const title of TITLES.slice(0, 2))
            await tasks.finish(await tasks.plan(title), { detailed_work: title === 'a large one' ? LARGE : 'little' });
        await tasks.plan(TITLES[2]);
        await client.result('brittle', { crash: true });
        await until('the ban to be on disk', () => existsSync(home.path('state', 'images', 'brittle.json')) && bans(home)?.length === 1);
        await client.close();
        await rows(home); /* the last one to close it folds the log in */
    }

    async #has() {
        const { home } = this;
        return { rows: await rows(home), artifacts: files(home.path('state', 'artifacts')), bans: bans(home), key: key(home) };
    }

    /* As the dead have left it. */
    putBack() {
        this.places.forEach((place, i) => {
            execFileSync('rm', ['-rf', place]);
            copy(this.home.path(`left-${i}`), place);
        });
        this.inode = this.#inode();
    }

    #inode() {
        return statSync(this.home.path('state', 'theseus.db')).ino;
    }

    /* Nothing is lost, as a server without faults sees it, and as it lies there. */
    async check(where) {
        assert.equal(this.#inode(), this.inode, `another database, after ${where}`);
        const one = new this.Kind(this.home), client = await one.talk();
        await client.appears('vault_get');
        for (const [name, value] of [['first', 'kept'], ['late', this.Kind.late]])
            assert.deepEqual(await client.value('vault_get', { key: name }), { value }, where);
        await client.appears('orchestrator_plan_task');
        assert.deepEqual((await new Tasks(client).titles()).sort(), [...TITLES].sort(), where);
        const { plugins } = await client.value('theseus_plugins');
        assert.deepEqual(plugins.filter((one) => one.name === 'brittle').map((one) => one.state), ['unloaded'], where);
        await historyWith(client, `the call, after ${where}`, (history) => history.recent_crashes.some((one) => one.calls_interrupted === 1));
        const left = await one.leave();
        assert.deepEqual([left.code, left.signal], [0, null], `${where}: ${one.server.stderr}`);
        assert.equal(this.#inode(), this.inode, `another database behind ${where}`);
        assert.deepEqual(await this.#has(), this.had, where);
    }
}
