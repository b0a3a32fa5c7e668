/* Somebody else who writes to the database of a server, and does not come to an end before it is told to. */
import { spawn } from 'node:child_process';

import { until } from '../../clients/lib/until.js';

export async function holdLock(home) {
    const process = spawn('sqlite3', [home.path('state', 'theseus.db')], { stdio: ['pipe', 'pipe', 'inherit'] });
    const exited = new Promise((resolve) => process.on('exit', resolve));
    let said = '';
    process.stdout.setEncoding('utf8').on('data', (text) => { said += text; });
    process.stdin.write(".timeout 10000\nBEGIN IMMEDIATE;\nSELECT 'locked';\n");
    await until('the lock to be held', () => said.includes('locked'));
    return {
        release: () => {
            process.stdin.end();
            return exited;
        },
    };
}
