/* The MCP Inspector's command line, as a person runs it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Recorder } from './lib/recorder.js';
import { Sandbox } from './lib/sandbox.js';

const here = dirname(fileURLToPath(import.meta.url));
const inspector = join(here, 'node_modules/@modelcontextprotocol/inspector-cli/build/cli.js');
const tee = join(here, 'lib/tee.js');

describe('the Inspector', () => {
    let sandbox, log;

    /* Its own configuration file names the server, with the tee before it. */
    function servers() {
        const { command, args } = sandbox.command;
        const file = join(sandbox.root, 'servers.json');
        const theseus = { type: 'stdio', command: process.execPath, args: [tee, log, command, ...args] };
        writeFileSync(file, JSON.stringify({ mcpServers: { theseus } }));
        return file;
    }

    /* Resolves to {code, stdout, stderr}. It finds `node` by PATH and its own package.json from the folder it is in. */
    function inspect(...args) {
        const env = { ...process.env, ...sandbox.command.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}` };
        const argv = [inspector, '--cli', '--config', servers(), '--server', 'theseus', ...args];
        return new Promise((resolve) => {
            execFile(process.execPath, argv, { env, cwd: join(here, 'lib'), timeout: 30_000 },
                (error, stdout, stderr) => resolve({ code: error ? error.code : 0, stdout, stderr }));
        });
    }

    async function result(...args) {
        const { code, stdout, stderr } = await inspect(...args);
        assert.equal(code, 0, stderr);
        return JSON.parse(stdout);
    }

    beforeEach(() => {
        sandbox = new Sandbox();
        log = join(sandbox.root, 'tee.log');
    });

    afterEach(() => {
        const recorder = new Recorder();
        for (const line of readFileSync(log, 'utf8').split('\n').filter(Boolean)) {
            const entry = JSON.parse(line);
            recorder[entry.from === 'client' ? 'sent' : 'got'](JSON.parse(entry.line));
        }
        sandbox.dispose();
        assert.ok(recorder.received.length >= 2);
        recorder.assertClean();
    });

    test('lists the tools', async () => {
        const { tools } = await result('--method', 'tools/list');
        assert.ok(tools.some((tool) => tool.name === 'echo' && tool.inputSchema.type === 'object'));
    });

    test('calls a tool', async () => {
        const answer = await result('--method', 'tools/call', '--tool-name', 'echo', '--tool-arg', 'message=hi');
        assert.deepEqual(answer.content, [{ type: 'text', text: 'hi' }]);
    });

    test('shows which argument is wrong', async () => {
        const answer = await result('--method', 'tools/call', '--tool-name', 'echo', '--tool-arg', 'message={"a":1}');
        assert.equal(answer.isError, true);
        assert.match(answer.content[0].text, /\/message/);
    });

    test('ends with an error for a tool that does not exist', async () => {
        const { code, stderr } = await inspect('--method', 'tools/call', '--tool-name', 'no_such_tool');
        assert.notEqual(code, 0);
        assert.match(stderr, /no_such_tool/);
    });
});
