/* What the kernel tells of a process, and programs that run to their end. */
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

import { within } from '../../clients/lib/until.js';

/* Resident memory in KiB. */
export function rss(pid) {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
}

/* Of shared memory, such as the ledger's: resident, in KiB. */
export function rssShared(pid) {
    return Number(/RssShmem:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
}

/* Processor time so far. */
export function cpuMs(pid) {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10;
}

/* What the open descriptors are, save for files in the state directory: those are opened when they are first needed. */
export function standing(pid) {
    return descriptors(pid).filter((one) => !/\/state(\/|$)/.test(one)).sort();
}

/* What the open descriptors are. */
export function descriptors(pid) {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => {
        try {
            return readlinkSync(`/proc/${pid}/fd/${fd}`);
        } catch {
            return 'closed meanwhile';
        }
    });
}

/* A process that exists and is not a zombie. */
export function alive(pid) {
    try {
        return !/\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    } catch {
        return false;
    }
}

/* What that file says of each thread of `pid`; one that ends meanwhile is left out. */
export function ofThreads(pid, file) {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) => {
        try {
            return [readFileSync(`/proc/${pid}/task/${task}/${file}`, 'utf8')];
        } catch {
            return [];
        }
    });
}

/* Pids of the child processes that any thread of `pid` has started. */
export const children = (pid) => ofThreads(pid, 'children').flatMap((text) => text.split(' ').filter(Boolean).map(Number));

/* Runs a program to its end: {code, signal, out, err}. */
export async function run(command, args, { deadlineMs = 20_000, ...options } = {}) {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    let out = '', err = '';
    child.stdout.setEncoding('utf8').on('data', (text) => { out += text; });
    child.stderr.setEncoding('utf8').on('data', (text) => { err += text; });
    const ended = new Promise((resolve, reject) => {
        child.on('error', reject);
        child.on('close', (code, signal) => resolve({ code, signal, out, err }));
    });
    try {
        return await within(`${command} ${args.join(' ')}`, ended, deadlineMs);
    } finally {
        child.kill('SIGKILL');
    }
}
