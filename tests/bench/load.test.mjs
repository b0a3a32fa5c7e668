/* The load generator judges servers: it must find the faults of bad ones. Needs build/bench/load (make bench-programs). */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const load = join(resolve(process.env.BUILD || join(here, '..', '..', 'build')), 'bench', 'load');
const skip = existsSync(load) ? false : `'${load}' is not there; make it with: make bench-programs`;

/* An echo server whose 50th answer goes through `spoil`, the text of a function (line, id) => lines. */
const server = (spoil, status = 0) => `
const spoil = ${spoil};
let count = 0;
const say = (id, result) => JSON.stringify({ jsonrpc: '2.0', id, result });
require('node:readline').createInterface({ input: process.stdin }).on('line', (text) => {
    const { id, method, params } = JSON.parse(text);
    if (id === undefined) return;
    if (method === 'initialize') return console.log(say(id, { protocolVersion: '2025-11-25' }));
    if (method === 'tools/list') return console.log(say(id, { tools: [{ name: 'echo' }] }));
    const line = say(id, { content: [{ type: 'text', text: params.arguments.message }] });
    for (const one of ++count === 50 ? spoil(line, id) : [line]) console.log(one);
}).on('close', () => process.exit(${status}));`;

function run(source) {
    return new Promise((done) => execFile(load, ['-d', '8', '-n', '400', '-w', '0', '--', process.execPath, '-e', source],
        (error, stdout, stderr) => done({ code: error ? error.code : 0, stdout, stderr })));
}

describe('the load generator', { skip }, () => {
    test('finds no fault in a server that is right', async () => {
        const { code, stdout, stderr } = await run(server('(line) => [line]'));
        assert.equal(code, 0, stderr);
        assert.equal(JSON.parse(stdout).requests, 400);
    });

    test('knows an answer by its members, not by their order', async () => {
        const { code, stderr } = await run(server(
            '(line) => { const { result, id } = JSON.parse(line); return [JSON.stringify({ result, id, jsonrpc: "2.0" })]; }'));
        assert.equal(code, 0, stderr);
    });

    const faults = {
        'an answer that comes twice': ['(line) => [line, line]', /answered twice/],
        'an answer under another id': ['(line, id) => [line.replace(`"id":${id}`, `"id":${id + 1}`)]', /another text/],
        'another text': ['(line) => [line.replace("ijkl", "ijxl")]', /another text/],
        'a tool that failed': ['(line) => [line.replace("}]}", "}],\\"isError\\":true}")]', /is wrong/],
        'an error': ['(line, id) => [`{"jsonrpc":"2.0","id":${id},"error":{"code":1,"message":"no"}}`]', /not the answer/],
        'what is not JSON': ['() => ["hello"]', /not the answer/],
        'an answer to nothing': ['(line, id) => [line.replace(`"id":${id}`, `"id":99999`)]', /is wrong/],
        'a server that leaves': ['() => process.exit(0)', /closed its output|cannot write/],
    };
    for (const [what, [spoil, says]] of Object.entries(faults))
        test(`finds ${what}`, async () => {
            const { code, stderr } = await run(server(spoil));
            assert.equal(code, 1);
            assert.match(stderr, says);
        });

    test('finds a server that ends badly', async () => {
        const { code, stderr } = await run(server('(line) => [line]', 3));
        assert.equal(code, 1);
        assert.match(stderr, /wait status/);
    });
});
