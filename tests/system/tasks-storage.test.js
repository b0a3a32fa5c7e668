/*
 * What was answered is stored, once, whatever happens: kill -9 at any moment, several processes on one database, a disk
 * that is full. THESEUS_LONG=1 runs them at length: a thousand moments, ten thousand writes of each process.
 */
import assert from 'node:assert/strict';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';

import { pause, until, within } from '../clients/lib/until.js';
import { Client } from './lib/client.js';
import { Home, binary, sanitized } from './lib/home.js';
import { Tasks, sql, worker } from './lib/tasks.js';

const long = Boolean(process.env.THESEUS_LONG);
const random = (below) => Math.floor(Math.random() * below);

async function integrity(home) {
    assert.deepEqual(await sql(home, 'PRAGMA integrity_check; PRAGMA foreign_key_check'), ['ok']);
    assert.deepEqual(await sql(home, 'INSERT INTO tasks_search (tasks_search, rank) VALUES (\'integrity-check\', 1); ' +
        'SELECT count(*) FROM task_unindexed'), ['0'], 'the full-text index is that of the tasks');
}

/* A home, and what a mixed workload was told: by title, what must hold of the task. */
class Workload {
    promised = new Map(); /* title → {task_id, status, artifacts, large} */
    tried = new Set();
    #count = 0;

    constructor(home) {
        this.home = home;
    }

    /* One task from its plan to its end; ends when the server does. */
    async one(client) {
        const title = `W${++this.#count} of ${client.pid}`;
        const ask = async (tool, args) => {
            const { result } = await client.call(`orchestrator_${tool}`, args);
            assert.ok(!result.isError, `${tool}: ${result.content[0].text}`);
            return result.structuredContent;
        };
        this.tried.add(title);
        const { task_id } = await ask('plan_task', { title, description: 'Words to be found' });
        const held = { task_id, least: 'pending', artifacts: 0 };
        this.promised.set(title, held);
        await ask('execute_task', { task_id });
        held.least = 'in_progress';
        const large = random(6) === 0;
        for (const next_action of ['continue', 'complete']) {
            const detailed_work = `${title} ${next_action} ${large ? 'x'.repeat(70_000) : ''}`;
            await ask('complete_task', { task_id, summary: title, detailed_work, next_action });
            held.artifacts++;
        }
        held.least = 'completed';
        if (random(4) === 0) {
            held.gone = 'perhaps';
            await ask('delete_task', { task_id, archive_instead: false });
            held.gone = 'yes';
        }
    }

    /* Several at a time, until the server is gone. */
    async run(client) {
        const until = async () => {
            for (;;)
                await this.one(client);
        };
        const ends = await Promise.allSettled(Array.from({ length: 12 }, until));
        for (const { reason } of ends)
            assert.match(reason.message, /the server left/);
    }

    async check() {
        await integrity(this.home);
        const order = ['pending', 'in_progress', 'completed'];
        const rows = new Map();
        for (const line of await sql(this.home, 'SELECT title, task_id, status, (SELECT count(*) FROM task_artifacts a WHERE ' +
            'a.task = t.id), (SELECT count(DISTINCT content IS NULL OR content) FROM task_artifacts a WHERE a.task = t.id) FROM tasks t')) {
            const [title, task_id, status, artifacts] = line.split('|');
            assert.ok(!rows.has(title), `'${title}' is there twice`);
            assert.ok(this.tried.has(title), `'${title}' was never asked for`);
            rows.set(title, { task_id, status, artifacts: Number(artifacts) });
        }
        for (const [title, held] of this.promised) {
            const row = rows.get(title);
            if (held.gone === 'yes') {
                assert.equal(row, undefined, `'${title}' was deleted`);
                continue;
            }
            if (held.gone && !row)
                continue;
            assert.ok(row, `'${title}' was answered and is not there`);
            assert.equal(row.task_id, held.task_id);
            assert.ok(order.indexOf(row.status) >= order.indexOf(held.least), `${title}: ${row.status}, ${held.least} was answered`);
            assert.ok(row.artifacts === held.artifacts || row.artifacts === held.artifacts + 1,
                `${title}: ${row.artifacts} artifacts, ${held.artifacts} were answered`);
        }
    }
}

describe('kill -9', { concurrency: 4 }, () => {
    const homes = long ? 20 : 2, moments = long ? 50 : 8;
    for (let n = 0; n < homes; n++)
        test(`at ${moments} moments of a mixed workload loses nothing that was answered (${n + 1} of ${homes})`, async () => {
            const home = new Home(), work = new Workload(home);
            home.configure({ tasks: { durability: n % 2 ? 'normal' : 'full' } });
            try {
                for (let i = 0; i < moments; i++) {
                    const client = await new Client(home, { cwd: home.path('home') }).initialize();
                    const running = work.run(client);
                    if (i === 0) /* there is something to lose from then on */
                        await until('the first tasks', () => work.promised.size > moments);
                    await pause(random(120));
                    client.process.kill('SIGKILL');
                    await within('the end of the workload', running);
                    await client.exited;
                    assert.deepEqual(client.problems, []);
                    await work.check();
                }
                assert.ok(work.promised.size > moments, 'something was done');
                const { client, tasks } = await worker(home, 'home');
                const report = await tasks.do('maintenance_coordinator', { action: 'validate_structure', validation_level: 'full_audit', scope: 'full_project' });
                assert.deepEqual(report.problems.filter((one) => one.kind !== 'stray_file'), [], 'each artifact has its file');
                await client.close();
            } finally {
                home.dispose();
            }
        });
});

test('four processes write on one database, and none is told that it is locked', { timeout: 600_000 }, async () => {
    const home = new Home(), each = long ? 10_000 : 1_000, depth = 16;
    const workers = [];
    home.configure({ tasks: { max_active: 0 } });
    try {
        for (const name of ['a', 'b', 'c', 'd'])
            workers.push(await worker(home, name));
        const shared = await workers[0].tasks.do('plan_task', { title: 'Shared', description: 'x' });
        await Promise.all(workers.map(async ({ client }, w) => {
            let sent = 0;
            await Promise.all(Array.from({ length: depth }, async () => {
                while (sent < each) {
                    const i = sent++;
                    const [tool, args] = i % 4 === 3
                        ? ['complete_task', { task_id: shared.task_id, session_id: shared.session_id, summary: `${w} ${i}`, detailed_work: 'x', next_action: 'continue' }]
                        : ['plan_task', { title: `${w} ${i}`, description: 'x' }];
                    const { result } = await client.call(`orchestrator_${tool}`, args);
                    assert.ok(!result.isError, result.content[0].text);
                }
            }));
        }));
        const wanted = (mine) => Array.from({ length: each }, (_, i) => i).filter((i) => (i % 4 === 3) !== mine).length;
        for (let w = 0; w < 4; w++) {
            assert.deepEqual(await sql(home, `SELECT count(*), count(DISTINCT title) FROM tasks WHERE title LIKE '${w} %'`),
                [`${wanted(true)}|${wanted(true)}`]);
            assert.deepEqual(await sql(home, `SELECT count(*), count(DISTINCT summary) FROM task_artifacts WHERE summary LIKE '${w} %'`),
                [`${wanted(false)}|${wanted(false)}`]);
        }
        for (const { client } of workers) {
            await client.close();
            assert.deepEqual(client.problems, []);
            assert.doesNotMatch(client.stderr + home.log, /locked/);
        }
        await integrity(home);
    } finally {
        await Promise.all(workers.map(({ client }) => client.kill()));
        home.dispose();
    }
});

/* body(tasks, home, fill, room) with a server whose disk the test fills. */
async function onDisk(body) {
    const home = new Home(), control = home.path('full');
    const env = {
        LD_PRELOAD: join(dirname(binary), 'tests', 'system', 'preload', 'full.so'),
        THESEUS_DISK: home.path('state'), THESEUS_DISK_FULL: control,
    };
    let client;
    try {
        client = (await worker(home, 'work', { env })).client;
        await body(new Tasks(client), home, (error) => writeFileSync(control, error), () => rmSync(control));
        await client.close();
        assert.deepEqual(client.problems, []);
    } finally {
        await client?.kill();
        home.dispose();
    }
}

describe('a disk that takes no more', {
    concurrency: 4, skip: sanitized && 'a library that is preloaded comes before the run-time library of the sanitizer',
}, () => {
    for (const [error, words] of [['ENOSPC', /disk is full; nothing of this call was stored: free some space/],
        ['EROFS', /nothing of this call was stored/], ['EIO', /nothing of this call was stored/]])
        test(`${error}: is named, loses nothing, and is forgotten when it is over`, () => onDisk(async (tasks, home, fill, room) => {
            const kept = await tasks.plan('Kept');
            await tasks.do('execute_task', { task_id: kept });
            for (let round = 0; round < 3; round++) {
                fill(error);
                await tasks.refused('plan_task', { title: 'Lost', description: 'x' }, words);
                const many = await Promise.all(Array.from({ length: 50 }, () =>
                    tasks.client.call('orchestrator_plan_task', { title: 'Lost', description: 'x' })));
                for (const { result } of many) {
                    assert.equal(result.isError, true);
                    assert.match(result.content[0].text, words);
                }
                await tasks.refused('complete_task', {
                    task_id: kept, summary: 's', detailed_work: 'x'.repeat(100_000), next_action: 'complete',
                }, /(nothing of this call was|work is not) stored.*(No space|Read-only|Input\/output)/);
                const ill = await tasks.client.value('orchestrator_health_check');
                assert.equal(ill.healthy, false);
                assert.match(ill.issues.join('\n'), /^database: the database .*cannot be (written: |opened for writing)/);
                assert.deepEqual(await tasks.titles({ limit: 1000 }),
                    ['Kept', ...Array.from({ length: round }, (_, i) => `Later ${i}`)], 'reading goes on');
                room();
                await tasks.plan(`Later ${round}`);
                const well = await tasks.client.value('orchestrator_health_check');
                assert.deepEqual([well.healthy, well.issues], [true, []]);
                assert.equal(await tasks.status(kept), 'in_progress');
            }
            await tasks.do('complete_task', { task_id: kept, summary: 's', detailed_work: 'x'.repeat(100_000), next_action: 'complete' });
            await integrity(home);
        }));

    /* The commit is in the log, its calls wait for the disk, and the image goes away under them. */
    test('what is on its way there when the server is restarted is done once', () => onDisk(async (tasks, home, fill) => {
        const titles = [], ids = [];
        await tasks.plan('Tables');
        fill('SLOW');
        for (let round = 0; round < 4; round++) {
            const calls = [];
            let over = false;
            const restart = tasks.client.value('orchestrator_restart_server', { graceful: false }).finally(() => { over = true; });
            while (!over && calls.length < 240) { /* four times that fits into one list */
                const title = `R${round} ${calls.length}`;
                titles.push(title);
                calls.push(tasks.client.call('orchestrator_plan_task', { title, description: 'x' }));
                await pause(3);
            }
            const report = await restart;
            assert.equal(report.success, true, JSON.stringify(report));
            for (const { result } of await Promise.all(calls)) {
                assert.ok(!result.isError, result.content[0].text);
                ids.push(result.structuredContent.task_id);
            }
        }
        const rows = (await tasks.list({ limit: 1000 })).filter((row) => row.title !== 'Tables');
        assert.deepEqual(rows.map((row) => row.title).sort(), titles.sort());
        assert.deepEqual(rows.map((row) => row.task_id).sort(), ids.sort());
    }));

    test('a directory that cannot be written is named, and used when it can be', () => onDisk(async (tasks, home, fill, room) => {
        fill('EROFS');
        await tasks.refused('plan_task', { title: 'x', description: 'x' }, /database cannot be used: .*Read-only/);
        await tasks.refused('query_tasks', {}, /database cannot be used/);
        room();
        await tasks.plan('Now');
        assert.deepEqual(await tasks.titles(), ['Now']);
    }));
});

test('what calls were answered is known for as long as they may run again, and never without end', async () => {
    const home = new Home(), day = 86_400_000;
    let at = await worker(home, 'work');
    const again = async (statement) => {
        await at.client.close();
        await sql(home, statement);
        at = await worker(home, 'work');
        await at.tasks.plan('Sweeps');
        return (await sql(home, 'SELECT count(*) FROM task_answers'))[0];
    };
    try {
        await at.tasks.plan('One');
        await at.tasks.plan('Two');
        assert.equal(await again(`UPDATE task_answers SET answered_at = answered_at - ${8 * day}`), '3');
        assert.equal(await again(`UPDATE task_answers SET answered_at = answered_at - ${32 * day} WHERE id = 1`), '3');
        const many = 'WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 500100)';
        assert.equal(await again(`${many} INSERT INTO task_answers (call, text, value, answered_at)
            SELECT 'key ' || i, '', '{}', ${Date.now()} FROM n`), '500000');
        await at.client.close();
    } finally {
        await at.client.kill();
        home.dispose();
    }
});

test('a server that is never asked for a task makes no database', async () => {
    const home = new Home(), database = home.path('state', 'theseus.db');
    const { client, tasks } = await worker(home, 'work');
    try {
        await client.appears('orchestrator_plan_task');
        assert.equal((await client.value('orchestrator_health_check')).healthy, true);
        assert.equal(existsSync(database), false);
        /* Many at once want the tables; they are made once. */
        await Promise.all(Array.from({ length: 40 }, (_, i) => (i % 2 ? tasks.plan(`T${i}`) : tasks.list())));
        assert.equal(existsSync(database), true);
        assert.equal((await tasks.list()).length, 20);
        await client.close();
    } finally {
        await client.kill();
        home.dispose();
    }
});

test('durability is taken in place', async () => {
    const home = new Home();
    let one;
    try {
        home.configure({ tasks: { durability: 'normal' } });
        one = await worker(home, 'work');
        await one.tasks.plan('a');
        const { boot_id, pid } = await one.client.value('orchestrator_health_check');
        home.configure({ tasks: { durability: 'wrong' } });
        await until('the refusal', () => /key 'durability': must be one of "full", "normal"/.test(home.log));
        await one.tasks.plan('b');
        home.configure({ tasks: { durability: 'full' } });
        await until('the new setting', () => /configuration/.test(home.log));
        await one.tasks.plan('c');
        assert.deepEqual(await one.tasks.titles(), ['a', 'b', 'c']);
        const after = await one.client.value('orchestrator_health_check');
        assert.deepEqual([after.boot_id, after.pid], [boot_id, pid]);
        await one.client.close();
    } finally {
        await one?.client.kill();
        home.dispose();
    }
});
