/*
 * The part of the benchmark that is about migrations: how long a restart takes that brings a newer plugin `tasks`, whose
 * table of tasks has a column and an index more. The home and the client are those of the system tests.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { thousands } from './chart.mjs';
import { median, table } from './report.mjs';

/* Beside the first task; what the search has to learn of them is learned by the next write. */
const more = (count) => `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
    INSERT INTO tasks (task_id, session, title, description, task_type, complexity, specialist_type, status, created_at, updated_at)
    SELECT printf('task_%014d', i), 1, 'Title of task ' || i, 'What there is to do in part ' || i % 977 || ' of the work, and why',
        'standard', 'moderate', 'generic', 'pending', 1700000000000 + i, 1700000000000 + i FROM n`;

const plan = (client, title) => client.result('orchestrator_plan_task', { title, description: 'x' });
const settings = { plugins: { watch: 'no' }, tasks: { max_active: 0 } };

/* A database with so many tasks, as `file`. */
async function fill(serving, file, count) {
    await serving(async (client, home) => {
        await client.appears('orchestrator_plan_task');
        await plan(client, 'The first');
        execFileSync('sqlite3', [home.path('state', 'theseus.db'), more(count)]);
        await plan(client, 'The last');
        await client.close();
        execFileSync('sqlite3', [home.path('state', 'theseus.db'), `VACUUM INTO '${file}'`]);
    }, { prepare: (home) => home.configure(settings) });
}

async function migrate({ serving, restarts }, file) {
    let measured;
    await serving(async (client, home) => {
        await client.appears('orchestrator_plan_task');
        await plan(client, 'One more'); /* the database is open, and in use */
        home.drop('tasks-next', 'tasks');
        const report = await restarts(client, { reason: 'schema_migration' });
        if (!report.migrations?.some((one) => one.component === 'tasks'))
            throw new Error(`nothing was migrated: ${JSON.stringify(report)}`);
        measured = { blackout: report.blackout_ms, whole: report.duration_ms, mib: statSync(file).size / (1 << 20) };
    }, { prepare: (home) => {
        home.configure(settings);
        mkdirSync(home.path('state'), { recursive: true, mode: 0o700 });
        copyFileSync(file, home.path('state', 'theseus.db'));
    } });
    return measured;
}

/* `home` is a directory for the databases. */
export async function measureMigration({ build, home, quick }) {
    process.env.THESEUS = join(build, 'theseus'); /* what a home of the system tests starts */
    const { serving } = await import('../../system/lib/client.js'), { restarts } = await import('../../system/lib/restart.js');
    const stored = quick ? 10_000 : 100_000, rounds = quick ? 2 : 5, files = {};
    const results = { stored, many: [], none: [] };
    process.umask(0o077);
    for (const [key, count] of [['many', stored], ['none', 1]]) {
        files[key] = join(home, `migration-${key}.db`);
        await fill(serving, files[key], count);
    }
    for (let round = 0; round < rounds; round++)
        for (const key of ['none', 'many']) {
            process.stderr.write(`migration, ${key === 'none' ? 'hardly a task' : `${stored} tasks`}, round ${round + 1} of ${rounds}\n`);
            results[key].push(await migrate({ serving, restarts }, files[key]));
        }
    return results;
}

const middle = (list, key) => median(list.map((one) => one[key]));

export function migrationTable({ stored, none, many }) {
    return table(['restart that adds a column and an index to the tasks', 'hardly any', thousands(stored)], [
        ['blackout, ms', middle(none, 'blackout').toFixed(1), middle(many, 'blackout').toFixed(1)],
        ['the whole restart, with its rehearsal, ms', middle(none, 'whole').toFixed(1), middle(many, 'whole').toFixed(1)],
        ['database, MiB', middle(none, 'mib').toFixed(1), middle(many, 'mib').toFixed(1)],
    ]);
}

/* The promises as [text, measured, held]. */
export function migrationFigures({ stored, many }) {
    const blackout = middle(many, 'blackout');
    return [[`migration of ${thousands(stored)} tasks, a column and an index more: blackout under 2 s`, `${blackout.toFixed(0)} ms`, blackout < 2000]];
}
