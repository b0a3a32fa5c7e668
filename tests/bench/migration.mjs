/*
 * How long a restart takes that migrates a table of 100,000 rows, of about 120 bytes each: a column and an index more.
 *
 *     node tests/bench/migration.mjs [ROWS]
 *
 * Beside it, in turns, the same with an empty table. Medians of five; milliseconds.
 */
import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';

import { serving } from '../system/lib/client.js';
import { restarts } from '../system/lib/restart.js';

const ROUNDS = 5, rows = Number(process.argv[2] ?? 100_000);
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

async function measure(count) {
    let measured;
    await serving(async (client, home) => {
        const database = home.path('state', 'theseus.db');
        await client.appears('db_put');
        await client.text('db_put', { key: 'first', value: 'x' });
        execFileSync('sqlite3', [database, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count}) ` +
            "INSERT INTO fixture_values SELECT printf('key %d', i), printf('%0100d', i * 7919 % 1000003) FROM n WHERE i < " + count]);
        home.drop('databaseindex', 'database');
        const report = await restarts(client, { reason: 'schema_migration' });
        const [migrated] = report.migrations;
        if (migrated?.version !== 3)
            throw new Error(`nothing was migrated: ${JSON.stringify(report)}`);
        measured = { blackout: report.blackout_ms, whole: report.duration_ms, mib: statSync(database).size / (1 << 20) };
    }, { prepare: (home) => {
        home.drop('database');
        home.configure({ plugins: { watch: 'no' } });
    } });
    return measured;
}

const full = [], empty = [];
for (let round = 0; round < ROUNDS; round++) {
    full.push(await measure(rows));
    empty.push(await measure(1));
}
const tell = (what, list) => console.log(`${what}: blackout ${median(list.map((one) => one.blackout)).toFixed(1)} ms, ` +
    `the whole restart ${median(list.map((one) => one.whole)).toFixed(1)} ms, database ${median(list.map((one) => one.mib)).toFixed(1)} MiB`);
tell(`${rows} rows`, full);
tell('an empty table', empty);
