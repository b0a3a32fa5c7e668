/* A sandbox with a server of its own: a copy, so that what stands at its path can be replaced. */
import { chmodSync, copyFileSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { Home, binary } from './home.js';

/* A server of version 9.9.9 that does what tests/candidates/fault.c says; "none": nothing but serve. */
export const candidate = (name) => join(dirname(binary), 'tests', 'candidates', name);
export const candidateVersion = '9.9.9';

export class Installed extends Home {
    constructor() {
        super();
        mkdirSync(this.path('bin'), { mode: 0o700 });
        mkdirSync(this.path('tmp'), { mode: 0o700 });
        this.install(binary);
    }

    get program() {
        return this.path('bin', 'theseus');
    }

    get command() {
        const command = super.command;
        return { ...command, command: this.program, env: { ...command.env, TMPDIR: this.path('tmp') } };
    }

    /* By rename, as installers do: the file that runs stays what it is. */
    install(from, mode = 0o755) {
        const draft = this.path('bin', '.theseus.new');
        copyFileSync(from, draft);
        chmodSync(draft, mode);
        renameSync(draft, this.program);
    }

    installText(text, mode = 0o755) {
        const draft = this.path('bin', '.theseus.new');
        writeFileSync(draft, text, { mode });
        renameSync(draft, this.program);
    }

    /* Into the file that stands there, as compilers do; not while it runs. */
    overwrite(from) {
        writeFileSync(this.program, readFileSync(from));
    }

    uninstall() {
        rmSync(this.program);
    }

    /* What has been left in the temporary directory. */
    get leftovers() {
        return readdirSync(this.path('tmp'));
    }
}
