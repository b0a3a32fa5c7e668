/* The control of a preloaded library that makes one call fail (preload/fault.c), in a server and its children. */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';

import { until } from '../../clients/lib/until.js';
import { binary } from './home.js';

const WORDS = 7, NAME_BYTES = 32;

export class Fault {
    constructor(path) {
        this.path = path;
        this.file = openSync(path, 'w+', 0o600);
        writeSync(this.file, Buffer.alloc(WORDS * 4 + NAME_BYTES), 0, undefined, 0);
    }

    /* For the environment of a server. A sanitizer's run-time library wants to be the first, and need not be. */
    get env() {
        return {
            LD_PRELOAD: join(dirname(binary), 'tests', 'system', 'preload', 'fault.so'),
            ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0`,
            THESEUS_FAULT: this.path,
        };
    }

    /* Nothing is called any more in the server that could fail: what it did beside its work has come to its end. */
    async quiet(pid, how = {}) {
        this.arm(0xffffffff, { ...how, pid });
        return this.settled();
    }

    /* The same of what is armed already; how many calls have been counted. */
    async settled() {
        let before, same = 0;
        await until('the server to be quiet', () => {
            const { count } = this;
            same = count === before ? same + 1 : 0;
            before = count;
            return same === 4;
        });
        return before;
    }

    /* The n-th call from now on fails; n = 0: none does. `pid` 0: the next process to be started with env().
     * `more`: 1, what reads and writes as well; 2, pread(), too. */
    arm(n, { pid, error = 'EIO', inChildren = false, more = 0 }) {
        const words = Buffer.alloc(WORDS * 4 + NAME_BYTES);
        const put = (index, value) => words.writeUInt32LE(value, 4 * index);
        put(2, constants.errno[error]);
        put(3, pid);
        put(4, inChildren ? 1 : 0);
        put(6, more);
        writeSync(this.file, words, 0, undefined, 0); /* what was counted is gone before the counting begins */
        put(0, n);
        writeSync(this.file, words, 0, 4, 0);
    }

    /* How many calls have been counted. */
    get count() {
        return this.#words().readUInt32LE(4);
    }

    /* The name of the function whose call has failed; undefined: none has. */
    get failed() {
        const words = this.#words();
        return words.readUInt32LE(20) ? words.toString('latin1', WORDS * 4).replace(/\0.*$/s, '') : undefined;
    }

    #words() {
        const words = Buffer.alloc(WORDS * 4 + NAME_BYTES);
        readSync(this.file, words, 0, words.length, 0);
        return words;
    }

    close() {
        closeSync(this.file);
    }
}
