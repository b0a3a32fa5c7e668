/* The control of a preloaded library that lets time pass (preload/clock.c), in a server and the images behind it. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { binary } from './home.js';

export class Clock {
    constructor(path) {
        this.path = path;
        this.file = openSync(path, 'w+', 0o600);
        this.passed = 0;
        this.pass(0);
    }

    /* For the environment of a server. A sanitizer's run-time library wants to be the first, and need not be. */
    get env() {
        return {
            LD_PRELOAD: join(dirname(binary), 'tests', 'system', 'preload', 'clock.so'),
            ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0`,
            THESEUS_CLOCK: this.path,
        };
    }

    /* Whoever looks at the clock from now on finds it so much later. */
    pass(ms) {
        const bytes = Buffer.alloc(8);
        this.passed += ms;
        bytes.writeBigInt64LE(BigInt(this.passed));
        writeSync(this.file, bytes, 0, 8, 0);
    }

    close() {
        closeSync(this.file);
    }
}
