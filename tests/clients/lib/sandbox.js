/*
 * A server of one's own: a temporary home with configuration, plugin, state and runtime directories (all 0700) that
 * vanishes at the end, and the command with which a client starts the server in it.
 *
 * $THESEUS names the binary (default build/theseus); shipped plugins lie beside it, fixtures in tests/plugins/ there.
 */
import { appendFileSync, chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const checkout = fileURLToPath(new URL('../../..', import.meta.url));
export const binary = resolve(checkout, process.env.THESEUS || 'build/theseus');
const build = dirname(binary);

/* What a sanitizer is told must reach the server; clients pass next to nothing on. */
const SANITIZERS = ['ASAN_OPTIONS', 'LSAN_OPTIONS', 'TSAN_OPTIONS', 'UBSAN_OPTIONS'];

function needed(path, how) {
    if (!existsSync(path))
        throw new Error(`'${path}' is not there; make it with: ${how}`);
    return path;
}

export class Sandbox {
    constructor() {
        needed(binary, 'make');
        this.root = mkdtempSync(join(tmpdir(), 'theseus-clients-'));
        this.plugins = join(this.root, 'plugins');
        this.config = join(this.root, 'theseus.ini');
        this.builds = 0;
        for (const name of ['home', 'plugins', 'state', 'run'])
            mkdirSync(join(this.root, name), { mode: 0o700 });
        this.configure();
    }

    /* For a client's transport: command, args, env. */
    get command() {
        const passed = SANITIZERS.filter((name) => process.env[name] !== undefined);
        const options = Object.fromEntries(passed.map((name) => [name, process.env[name]]));
        if (options.TSAN_OPTIONS) /* a server whose time to leave is over goes without joining its threads */
            options.TSAN_OPTIONS += ':report_thread_leaks=0';
        return {
            command: binary,
            args: ['-c', this.config],
            env: { HOME: join(this.root, 'home'), ...options },
        };
    }

    /* Writes the configuration, with `more` at its end; by rename as editors do, or over the old text as others do. */
    configure(more = '', { inPlace = false } = {}) {
        const text = `[server]
state_dir = ${join(this.root, 'state')}
runtime_dir = ${join(this.root, 'run')}
log_level = debug

[plugins]
path = ${this.plugins}:${join(build, 'plugins')}

${more}`;
        const draft = inPlace ? this.config : `${this.config}.new`;
        writeFileSync(draft, text, { mode: 0o600 });
        if (!inPlace)
            renameSync(draft, this.config);
    }

    /*
     * Puts a fixture plugin into the watched directory, whole or not at all. `as` is its file name there. Each one is a
     * new build: the same bytes again would be no change, and what serves already is not loaded again.
     */
    drop(fixture, as = fixture) {
        const from = needed(join(build, 'tests', 'plugins', `${fixture}.so`), 'make fixtures');
        const draft = join(this.plugins, `${as}.so.new`);
        copyFileSync(from, draft);
        appendFileSync(draft, `build ${++this.builds}\n`); /* behind everything that the loader looks at */
        chmodSync(draft, 0o700);
        renameSync(draft, join(this.plugins, `${as}.so`));
    }

    remove(name) {
        rmSync(join(this.plugins, `${name}.so`));
    }

    dispose() {
        rmSync(this.root, { recursive: true, force: true, maxRetries: 5 }); /* a child that is being killed may still write */
    }
}
