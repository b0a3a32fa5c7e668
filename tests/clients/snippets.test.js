/* What `theseus client NAME` prints is what a person pastes: it is taken as printed, and a client starts the server. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';

import { LineClient } from './lib/line-client.js';
import { Sandbox, binary } from './lib/sandbox.js';
import { NEWEST_LEGACY } from './lib/schemas.js';

/* Where each host keeps its servers, and whether it wants to be told the transport. */
const HOSTS = {
    'claude-code': { member: 'mcpServers', type: 'stdio', file: '.mcp.json' },
    'claude-desktop': { member: 'mcpServers', type: undefined, file: 'claude_desktop_config.json' },
    'vscode': { member: 'servers', type: 'stdio', file: '.vscode/mcp.json' },
    'cursor': { member: 'mcpServers', type: 'stdio', file: '.cursor/mcp.json' },
    'windsurf': { member: 'mcpServers', type: undefined, file: 'mcp_config.json' },
};

describe('the text for a host', () => {
    let sandbox;

    const print = (name) => execFileSync(binary, ['client', name], {
        encoding: 'utf8',
        env: { ...process.env, ...sandbox.command.env, THESEUS_CONFIG: sandbox.config },
    });

    async function serves({ command, args }) {
        const client = new LineClient({ command, args, env: sandbox.command.env });
        const { result } = await client.initialize(NEWEST_LEGACY);
        assert.equal(result.serverInfo.name, 'theseus');
        await client.close();
        client.recorder.assertClean();
    }

    beforeEach(() => {
        sandbox = new Sandbox();
    });

    afterEach(() => sandbox.dispose());

    for (const [name, { member, type, file }] of Object.entries(HOSTS))
        test(`of ${name} says where it goes and starts the server`, async () => {
            const text = print(name);
            const json = JSON.parse(text.slice(text.indexOf('\n{') + 1));
            const server = json[member].theseus;
            assert.ok(text.includes(file), `it names ${file}`);
            assert.equal(server.type, type);
            assert.deepEqual(server.args, ['-c', sandbox.config]);
            await serves(server);
        });

    test('of claude-code has a command that adds the server', async () => {
        const line = print('claude-code').split('\n').find((one) => one.startsWith('claude mcp add '));
        const bin = join(sandbox.root, 'bin');
        const told = join(sandbox.root, 'told');
        mkdirSync(bin);
        writeFileSync(join(bin, 'claude'), `#!/bin/sh\nprintf '%s\\n' "$@" >'${told}'\n`, { mode: 0o700 });
        execFileSync('/bin/sh', ['-c', line], { env: { PATH: `${bin}:${process.env.PATH}` } });
        const words = readFileSync(told, 'utf8').trimEnd().split('\n');
        assert.deepEqual(words.slice(0, 5), ['mcp', 'add', '--scope', 'user', 'theseus']);
        const [command, ...args] = words.slice(words.indexOf('--') + 1);
        await serves({ command, args });
    });

    test('of an unknown host is refused with the names that are known', () => {
        assert.throws(() => execFileSync(binary, ['client', 'emacs'], { encoding: 'utf8', stdio: 'pipe' }), (error) =>
            error.status !== 0 && error.stdout === '' && Object.keys(HOSTS).every((name) => error.stderr.includes(name)));
    });
});
