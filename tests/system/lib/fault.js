/* The control of a preloaded library that makes one call fail (preload/fault.c), in a server and its children. */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { constants, endianness } from 'node:os';
import { dirname, join } from 'node:path';

import { binary } from './home.js';

const WORDS = 6, NAME_BYTES = 32;
const LITTLE = endianness() === 'LE';

export class Fault {
    constructor(path) {
        this.path = path;
        this.file = openSync(path, 'w+', 0o600);
        writeSync(this.file, Buffer.alloc(WORDS * 4 + NAME_BYTES), 0, undefined, 0);
    }

    /* For the environment of a server. */
    get env() {
        return { LD_PRELOAD: join(dirname(binary), 'tests', 'system', 'preload', 'fault.so'), THESEUS_FAULT: this.path };
    }

    /* The n-th call from now on fails; n = 0: none does. */
    arm(n, { pid, error = 'EIO', inChildren = false }) {
        const words = Buffer.alloc(WORDS * 4 + NAME_BYTES);
        const put = (index, value) => (LITTLE ? words.writeUInt32LE(value, 4 * index) : words.writeUInt32BE(value, 4 * index));
        put(2, constants.errno[error]);
        put(3, pid);
        put(4, inChildren ? 1 : 0);
        writeSync(this.file, words, 0, undefined, 0); /* what was counted is gone before the counting begins */
        put(0, n);
        writeSync(this.file, words, 0, 4, 0);
    }

    /* The name of the function whose call has failed; undefined: none has. */
    get failed() {
        const words = Buffer.alloc(WORDS * 4 + NAME_BYTES);
        readSync(this.file, words, 0, words.length, 0);
        const hit = LITTLE ? words.readUInt32LE(20) : words.readUInt32BE(20);
        return hit ? words.toString('latin1', WORDS * 4).replace(/\0.*$/s, '') : undefined;
    }

    close() {
        closeSync(this.file);
    }
}
