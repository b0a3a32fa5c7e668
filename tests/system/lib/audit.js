/* What the audit says, as `theseus audit` reads it. */
import { execFileSync } from 'node:child_process';

import { until } from '../../clients/lib/until.js';

export const audit = (home) => {
    const { command, args, env } = home.command;
    return execFileSync(command, ['audit', '--json', ...args], { env: { PATH: process.env.PATH, ...env }, encoding: 'utf8' })
        .split('\n').filter(Boolean).map((line) => JSON.parse(line));
};

/* The lines of the audit that say so, once there are `count`. */
export const audited = (home, expected, count = 1) => until(`${count} lines of the audit`, () => {
    const found = audit(home).filter((line) => Object.entries(expected).every(([key, value]) => line[key] === value));
    return found.length >= count && found;
});
