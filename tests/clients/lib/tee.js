/*
 * Stands between a client and a server and writes down what both say: `node tee.js LOG COMMAND ARGS…`. For clients that
 * are programs of their own. Each line of LOG is {"from": "client"|"server", "line": …}.
 */
import { spawn } from 'node:child_process';
import { openSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';

const [log, command, ...args] = process.argv.slice(2);
const fd = openSync(log, 'a', 0o600);
const server = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });

function pass(from, input, output) {
    createInterface({ input }).on('line', (line) => {
        writeSync(fd, `${JSON.stringify({ from, line })}\n`);
        output.write(`${line}\n`);
    });
}

pass('client', process.stdin, server.stdin);
pass('server', server.stdout, process.stdout);
process.stdin.on('end', () => server.stdin.end());
server.stdin.on('error', () => {}); /* it left: `close` says so */
process.on('SIGTERM', () => server.kill('SIGTERM'));
server.on('error', (error) => {
    console.error(`cannot start '${command}': ${error.message}`);
    process.exit(127);
});
server.on('close', (code) => process.exit(code ?? 1));
