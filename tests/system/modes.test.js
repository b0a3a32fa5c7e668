/* Whose the server's files are, and who may open them. */
import assert from 'node:assert/strict';
import { chmodSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { until } from '../clients/lib/until.js';
import { serving } from './lib/client.js';

/* Every path under `dir`, itself included. */
const tree = (dir) => {
    try {
        return [dir, ...readdirSync(dir, { recursive: true }).map((name) => join(dir, name))];
    } catch (error) {
        if (error.code !== 'ENOENT')
            throw error;
        return tree(dir); /* a directory has gone meanwhile */
    }
};
const mode = (stat) => (stat.mode & 0o7777).toString(8);

test('everything that a server makes is its user\'s alone', () => serving(async (client, home) => {
    await client.appears('vault_put');
    await client.text('vault_put', { key: 'k', value: 1 });
    home.drop('greet');
    await client.appears('greet'); /* an event of the history */
    const made = () => [...tree(home.path('made')), ...tree(home.path('run'))];
    for (const name of [/\/key$/, /\.snap$/, /\.lock$/, /theseus\.db$/, /theseus\.db-wal$/, /theseus\.log$/, /\.so$/])
        await until(`${name}`, () => made().some((path) => name.test(path)));
    for (const path of made()) {
        const stat = lstatSync(path, { throwIfNoEntry: false });
        if (!stat)
            continue; /* a draft that has got its name */
        const wanted = stat.isDirectory() || path.endsWith('.so') ? '700' : '600';
        assert.equal(`${path} ${mode(stat)}`, `${path} ${wanted}`);
        assert.equal(stat.uid, process.getuid(), path);
    }
}, {
    prepare: (home) => {
        home.drop('vault');
        home.configure({ server: { state_dir: home.path('made', 'state') } });
    },
}));

describe('what others may open is refused, naming the chmod', { concurrency: 4 }, () => {
    const refuses = (what, name, open, meant, text) => test(what, () => serving(async (client, home) => {
        await client.appears('vault_put');
        await client.text('vault_put', { key: 'k', value: 1 });
        home.drop('greet');
        await until('the refusal', () => text.test(client.stderr));
        assert.match(client.stderr, new RegExp(`mend it with: chmod ${meant} '`));
    }, {
        prepare: (home) => {
            home.drop('vault');
            open(home.path(...name));
        },
    }));
    const wide = (path) => chmodSync(path, 0o755);
    const wideDir = (path) => {
        mkdirSync(path);
        chmodSync(path, 0o755);
    };
    const wideFile = (path) => {
        writeFileSync(path, '');
        chmodSync(path, 0o644);
    };

    refuses('the state directory', ['state'], wide, 700, /there is no log file: directory '.*\/state' is open to others/);
    refuses('the directory of the log', ['state', 'log'], wideDir, 700, /directory '.*\/log' is open to others/);
    refuses('the directory of snapshots', ['state', 'snapshots'], wideDir, 700, /directory '.*\/snapshots' is open to others/);
    refuses('the key', ['state', 'key'], wideFile, 600, /the key '.*\/key' is open to others/);
    refuses('the database', ['state', 'theseus.db'], wideFile, 600, /the database '.*\/theseus\.db' is open to others/);

    test('the log', () => serving(async (client) => {
        await client.names();
        assert.match(client.stderr, /the log file '.*' is open to others; mend it with: chmod 600 '/);
    }, {
        prepare: (home) => {
            mkdirSync(home.path('state', 'log'), { mode: 0o700 });
            wideFile(home.path('state', 'log', 'theseus.log'));
        },
    }));

    test('the runtime directory: no plugin is loaded, and the log says why', () => serving(async (client, home) => {
        await client.ask('tools/list');
        await until('the refusal', () => /directory '.*\/run' is open to others; mend it with: chmod 700 '/.test(home.log));
    }, { prepare: (home) => wide(home.path('run')) }));
});
