/* The command line: what it prints, where, and with which status it ends. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, closeSync, copyFileSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { Home, fixture } from './lib/home.js';
import { run } from './lib/proc.js';

const HOSTS = ['claude-code', 'claude-desktop', 'cursor', 'vscode', 'windsurf'];

/* A command in a home of its own: `body(theseus, home)`, where theseus(...args) runs it. */
const command = (what, body) => test(what, async () => {
    const home = new Home();
    const { command: binary, env, args: withConfig } = home.command;
    const theseus = (...args) => run(binary, args,
        { env: { PATH: process.env.PATH, TMPDIR: home.path('home'), ...env }, cwd: home.root });
    theseus.configured = (...args) => theseus(...args, ...withConfig);
    /* With `text` on its standard input. */
    theseus.fed = async (text, ...args) => {
        writeFileSync(home.path('input'), text);
        const input = openSync(home.path('input'));
        try {
            return await run(binary, [...args, ...withConfig],
                { env: { PATH: process.env.PATH, ...env }, cwd: home.root, stdio: [input, 'pipe', 'pipe'] });
        } finally {
            closeSync(input);
        }
    };
    try {
        await body(theseus, home);
    } finally {
        home.dispose();
    }
});

describe('theseus check', { concurrency: 4 }, () => {
    command('is content with a good configuration and good plugins', async (theseus, home) => {
        home.drop('greet');
        const { code, out, err } = await theseus.configured('check');
        assert.equal(err, '');
        assert.equal(code, 0);
        assert.match(out, /7 plugins are good, 0 problems/);
    });

    /* Everything in the state directory, by name and content. */
    const state = (home) => Object.fromEntries(readdirSync(home.path('state')).map((name) => [name,
        name === 'log' ? '' : readFileSync(home.path('state', name)).toString('base64')]));

    const migrated = async (theseus, home, fixture) => {
        home.drop(fixture, 'database');
        await theseus.configured('call', 'theseus_plugins', '{}');
        rmSync(home.path('state', 'log'), { recursive: true, force: true });
    };

    command('tells which steps the database lacks, and changes nothing', async (theseus, home) => {
        home.drop('database');
        const first = await theseus.configured('check');
        assert.equal(first.err, '');
        assert.match(first.out, /^component database: 1 of 1 steps pending$/m);
        assert.deepEqual(readdirSync(home.path('state')), [], 'no database is made');
        await migrated(theseus, home, 'database');
        const before = state(home);
        assert.ok(before['theseus.db']);
        const second = await theseus.configured('check');
        assert.doesNotMatch(second.out, /component database.*pending/);
        assert.match(second.out, /^component database: 1 step, all applied$/m);
        home.drop('database3', 'database');
        for (let i = 0; i < 2; i++) {
            const { code, out, err } = await theseus.configured('check');
            assert.equal(err, '');
            assert.equal(code, 0);
            assert.match(out, /^component database: 2 of 3 steps pending$/m);
        }
        assert.deepEqual(state(home), before);
        assert.deepEqual(readdirSync(home.path('home')), [], 'nor is the copy left');
    });

    command('finds a database that a newer version has written', async (theseus, home) => {
        await migrated(theseus, home, 'database3');
        home.drop('database');
        const { code, err } = await theseus.configured('check');
        assert.equal(code, 1);
        assert.match(err, /database\.so: migrations: the database is newer \(component 'database': 3 steps, known 1\)/);
    });

    command('tells how far the core is, and whether it is behind or ahead', async (theseus, home) => {
        const core = async (version) => {
            execFileSync('sqlite3', [home.path('state', 'theseus.db'), 'CREATE TABLE IF NOT EXISTS schema_versions ' +
                '(component TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT; ' +
                `INSERT OR REPLACE INTO schema_versions VALUES ('core', ${version})`]);
            chmodSync(home.path('state', 'theseus.db'), 0o600);
            return theseus.configured('check');
        };
        const behind = await core(1);
        const [, pending, steps] = /^component core: (\d+) of (\d+) steps pending$/m.exec(behind.out);
        assert.equal(Number(pending), steps - 1);
        assert.equal(behind.code, 0);
        assert.match((await core(steps)).out, new RegExp(`^component core: ${steps} steps, all applied$`, 'm'));
        const ahead = await core(77);
        assert.equal(ahead.code, 1);
        assert.match(ahead.err, new RegExp(`the database is newer than this program \\(component 'core': 77 steps, known ${steps}\\)`));
    });

    command('finds a database that is damaged, closed to it or open to others', async (theseus, home) => {
        const database = home.path('state', 'theseus.db');
        await migrated(theseus, home, 'database');
        const sound = readFileSync(database);
        const refused = async (why) => {
            const { code, out, err } = await theseus.configured('check');
            assert.equal(code, 1);
            assert.ok(err.includes(database), err);
            assert.match(err, why);
            assert.doesNotMatch(out, /pending/);
        };
        writeFileSync(database, Buffer.concat([sound.subarray(0, 4096), Buffer.alloc(sound.length - 4096, 0x5a)]));
        await refused(/is damaged: |is malformed/);
        writeFileSync(database, 'this is no database at all, but a text\n'.repeat(100));
        await refused(/file is not a database/);
        writeFileSync(database, sound);
        chmodSync(database, 0o644);
        await refused(/chmod 600/);
        chmodSync(database, 0o600);
        assert.equal((await theseus.configured('check')).code, 0);
    });

    command('leaves no copies of plugins behind', async (theseus, home) => {
        home.drop('greet');
        assert.equal((await theseus.configured('check')).code, 0);
        assert.equal((await theseus.configured('call', 'greet', '{"name":"x"}')).code, 0);
        assert.deepEqual(readdirSync(home.path('run')), []);
    });

    command('names every mistake of the configuration by file and line', async (theseus, home) => {
        home.write('[limits]\nmax_lime = 8M\ncall_timeout = soon\n[wrong]\n');
        const { code, err } = await theseus.configured('check');
        assert.equal(code, 1);
        const lines = err.trim().split('\n');
        assert.match(lines[0], /theseus\.ini:2: .*max_lime.*max_line/);
        assert.match(lines[1], /theseus\.ini:3: .*call_timeout/);
        assert.match(lines[2], /theseus\.ini:4: .*wrong/);
    });

    command('names a mistake in a tool file', async (theseus, home) => {
        home.put('bad.ini', '[tool:bad]\ncommand = /bin/echo\nno_such_key = 1\n');
        const { code, err } = await theseus.configured('check');
        assert.equal(code, 1);
        assert.match(err, /bad\.ini:3: .*no_such_key/);
    });

    const words = {
        abi: /built for ABI/, nosymbol: /theseus_plugin/, undefined: /theseus_fixture_nowhere/, ctorcrash: /SIGSEGV/,
        duptool: /twin/, badschema: /is not JSON/, badkeyword: /maxWords/, needs: /libtheseus-nowhere/,
    };
    for (const [name, why] of Object.entries(words))
        command(`says in words what is wrong with a plugin (${name})`, async (theseus) => {
            const { code, err } = await theseus('check', fixture(name));
            assert.equal(code, 1);
            assert.ok(err.startsWith(`${fixture(name)}: `), err);
            assert.match(err, why);
        });

    command('looks at just the plugins that are named, each of them', async (theseus, home) => {
        writeFileSync(home.path('text.so'), 'text\n');
        const { code, out, err } = await theseus('check', fixture('greet'), home.path('text.so'), fixture('abi'), home.path('nowhere.so'));
        assert.equal(code, 1);
        assert.match(out, /1 plugin is good, 3 problems/);
        assert.match(err, /text\.so: is not an ELF file/);
        assert.match(err, /abi\.so: was built for ABI/);
        assert.match(err, /nowhere\.so: .*No such file/);
        assert.equal((await theseus('check', fixture('greet'))).code, 0);
    });

    command('names the chmod for a plugin that others could have written', async (theseus, home) => {
        copyFileSync(fixture('greet'), home.path('open.so'));
        chmodSync(home.path('open.so'), 0o666);
        const { code, err } = await theseus('check', 'open.so');
        assert.equal(code, 1);
        assert.match(err, /chmod go-w '.*open\.so'/);
    });
});

describe('theseus call', { concurrency: 4 }, () => {
    command('prints the result and ends with 0', async (theseus) => {
        assert.deepEqual(await theseus.configured('call', 'echo', '{"message":"hi"}'), { code: 0, signal: null, out: 'hi\n', err: '' });
    });

    command('ends with 1 when the tool says that it failed', async (theseus) => {
        const { code, out } = await theseus.configured('call', 'echo');
        assert.equal(code, 1);
        assert.match(out, /message/);
    });

    for (const [what, args, why] of [
        ['for a tool that is not there', ['nowhere'], /unknown tool 'nowhere'/],
        ['for arguments that are no JSON', ['echo', '{'], /not JSON/],
        ['for arguments that are no object', ['echo', '[]'], /object/],
    ])
        command(`ends with 2 ${what}`, async (theseus) => {
            const { code, out, err } = await theseus.configured('call', ...args);
            assert.equal(code, 2);
            assert.equal(out, '');
            assert.match(err, why);
        });

    command('takes arguments from standard input, which may be longer than a command line', async (theseus) => {
        assert.deepEqual(await theseus.fed('{"message":"hi"}', 'call', 'echo', '-'), { code: 0, signal: null, out: 'hi\n', err: '' });
        const message = 'm'.repeat(3_000_000);
        assert.equal((await theseus.fed(JSON.stringify({ message }), 'call', 'echo', '-')).out, `${message}\n`);
        const none = await theseus.fed('', 'call', 'echo', '-');
        assert.equal(none.code, 2);
        assert.match(none.err, /not JSON/);
        const much = await theseus.fed(JSON.stringify({ message: 'm'.repeat(9_000_000) }), 'call', 'echo', '-');
        assert.equal(much.code, 2);
        assert.match(much.err, /limits\.max_line/);
    });

    command('carries a large argument and a large result', async (theseus) => {
        const message = 'm'.repeat(100_000);
        const { code, out } = await theseus.configured('call', 'echo', JSON.stringify({ message }));
        assert.equal(code, 0);
        assert.equal(out, `${message}\n`);
    });
});

describe('theseus', { concurrency: 4 }, () => {
    for (const host of HOSTS)
        command(`client ${host} prints a text with the absolute paths`, async (theseus, home) => {
            const { code, out, err } = await theseus.configured('client', host);
            assert.equal(code, 0);
            assert.equal(err, '');
            assert.ok(out.includes(home.command.command) && out.includes(home.config), out);
            assert.doesNotMatch(out, /@[A-Z]+@/);
            const json = /^\{$[^]*?^\}$/m.exec(out);
            if (json)
                assert.ok(JSON.stringify(JSON.parse(json[0])).includes(JSON.stringify(home.command.command)));
        });

    command('client writes any path so that JSON, or a shell, reads it as it is', async (theseus, home) => {
        const odd = home.path('a b"c\\d\'e'), program = join(odd, 'theseus'), config = join(odd, 'theseus.ini');
        mkdirSync(odd);
        copyFileSync(home.command.command, program);
        writeFileSync(config, '', { mode: 0o600 });
        for (const host of HOSTS) {
            const { code, out } = await run(program, ['client', host, '-c', config], { env: { PATH: process.env.PATH, ...home.command.env } });
            assert.equal(code, 0);
            const { theseus: entry } = Object.values(JSON.parse(/^\{$[^]*?^\}$/m.exec(out)[0]))[0];
            assert.equal(entry.command, program);
            assert.deepEqual(entry.args, ['-c', config]);
            const line = /^claude mcp add .*$/m.exec(out)?.[0];
            if (line)
                assert.ok((await run('sh', ['-c', `claude() { printf '%s\\n' "$@"; }; ${line}`])).out.endsWith(`\n--\n${program}\n-c\n${config}\n`));
        }
    });

    command('client with a name that it does not know lists those that it does', async (theseus) => {
        const { code, out, err } = await theseus('client', 'emacs');
        assert.equal(code, 1);
        assert.equal(out, '');
        for (const host of HOSTS)
            assert.ok(err.includes(host));
    });

    command('finds its configuration where -c, the environment or HOME says', async (theseus, home) => {
        const { command: binary, env } = home.command, other = home.path('other.ini');
        writeFileSync(other, '[tools]\nhide = echo\n', { mode: 0o600 });
        mkdirSync(home.path('home', '.config', 'theseus'), { recursive: true, mode: 0o700 });
        const own = join(home.path('home', '.config', 'theseus'), 'theseus.ini');
        writeFileSync(own, '', { mode: 0o600 });
        assert.match((await theseus('check')).out, new RegExp(`configuration: ${own}\n`));
        assert.match((await run(binary, ['check'], { env: { ...env, THESEUS_CONFIG: other } })).out, /configuration: .*other\.ini\n/);
        assert.match((await run(binary, ['check', '-c', own], { env: { ...env, THESEUS_CONFIG: other } })).out, /configuration: .*theseus\.ini\n/);
    });

    command('says its version and its use', async (theseus) => {
        const version = await theseus('--version'), help = await theseus('--help');
        assert.match(version.out, /^theseus \d+\.\d+\.\d+\n$/);
        assert.equal(version.code, 0);
        for (const word of ['serve', 'check', 'call', 'client', '--version', '--help', '--set', '-c FILE'])
            assert.ok(help.out.includes(word), word);
        assert.doesNotMatch(help.out, /--test-load/);
        assert.equal(help.code, 0);
    });

    for (const [what, args, why] of [
        ['a command that is nearly one', ['chekc'], /unknown command 'chekc'; did you mean 'check'\?/],
        ['a command that is none', ['frobnicate'], /unknown command 'frobnicate'; theseus --help/],
        ['an option without its value', ['-c'], /option -c needs a value/],
        ['a call without a tool', ['call'], /use: theseus call .* TOOL/],
        ['too many words', ['client', 'vscode', 'cursor'], /use: theseus client NAME/],
        ['a setting that there is not', ['check', '--set', 'limits.max_lime=1'], /max_lime/],
        ['a setting without a value', ['check', '--set', 'limits'], /limits/],
    ])
        command(`refuses ${what}`, async (theseus) => {
            const { code, out, err } = await theseus(...args);
            assert.ok(code > 0, `status ${code}`);
            assert.match(err, why);
            assert.equal(out.replace(/^\d+ plugin.*\n/m, ''), '');
        });

    command('does not serve with a configuration that is wrong', async (theseus, home) => {
        home.write('[limits]\nmax_lime = 1\n');
        const { code, out, err } = await theseus.configured('serve');
        assert.equal(code, 1);
        assert.equal(out, '');
        assert.match(err, /theseus\.ini:2: .*max_lime/);
    });

    command('does not serve with a configuration file that -c names and that is not there', async (theseus, home) => {
        const { code } = await theseus('serve', '-c', home.path('nowhere.ini'));
        assert.equal(code, 0, 'it is watched for, and end of input ends the server');
    });
});
