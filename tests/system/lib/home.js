/*
 * The sandbox of the client tests, for tests that change what a server finds there: the configuration by section and
 * key, files of any kind in the watched directory, no configuration at all.
 */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { Sandbox, binary } from '../../clients/lib/sandbox.js';

export { binary };
export const fixture = (name) => join(dirname(binary), 'tests', 'plugins', `${name}.so`);

/* A sanitizer keeps what was freed, and is slow: what a test says of memory and time is then not the server's. */
export const sanitized = /__(asan|tsan)_init/.test(readFileSync(binary, 'latin1'));
export const atMost = (limit) => (sanitized ? Infinity : limit);
export const shipped = join(dirname(binary), 'plugins');

const text = (sections) => Object.entries(sections)
    .map(([name, keys]) => `[${name}]\n${Object.entries(keys).map(([key, value]) => `${key} = ${value}\n`).join('')}`)
    .join('\n');

export class Home extends Sandbox {
    /* The directories of this sandbox, short waiting, and `more` over it: {section: {key: value}}. */
    configure(more = {}, { inPlace = false } = {}) {
        const sections = {
            server: { state_dir: join(this.root, 'state'), runtime_dir: join(this.root, 'run') },
            plugins: { path: `${this.plugins}:${shipped}`, settle_ms: 20 },
        };
        for (const [name, keys] of Object.entries(more))
            sections[name] = { ...sections[name], ...keys };
        this.write(text(sections), { inPlace });
    }

    /* The configuration, word for word. */
    write(content, { inPlace = false, path = this.config } = {}) {
        const draft = inPlace ? path : `${path}.new`;
        writeFileSync(draft, content, { mode: 0o600 });
        if (!inPlace)
            renameSync(draft, path);
    }

    /* A file of any content in the watched directory, by rename. */
    put(name, content, mode = 0o600) {
        const draft = join(this.plugins, `.${name}.new`);
        writeFileSync(draft, content, { mode });
        renameSync(draft, join(this.plugins, name));
    }

    path(...names) {
        return join(this.root, ...names);
    }

    delete(name) {
        rmSync(join(this.plugins, name), { recursive: true });
    }

    erase(...names) {
        rmSync(this.path(...names), { recursive: true });
    }

    get log() {
        const path = this.path('state', 'log', 'theseus.log');
        return existsSync(path) ? readFileSync(path, 'utf8') : '';
    }
}
