/*
 * What every SDK client must find, whichever version of the protocol it speaks. Each test has a server of its own, and
 * each ends with the recorders' word that every message of the server was right.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';

import { missing } from './schemas.js';
import { Session } from './session.js';
import { until } from './until.js';

const alive = (pid) => existsSync(`/proc/${pid}`);

/* `build` as for Session.open; `revision` is the one that must be negotiated. */
export function describeClient(title, build, revision) {
    describe(title, () => {
        let session;

        beforeEach(async () => {
            session = await Session.open(build);
        });

        afterEach(async () => {
            await session.dispose();
            for (const recorder of session.recorders)
                recorder.assertClean();
            assert.deepEqual(session.errors.map(String), [], 'the SDK found no fault');
        });

        test('connects and is told who serves', async () => {
            assert.equal(session.client.getServerVersion().name, 'theseus');
            assert.match(session.client.getServerVersion().version, /^\d+\.\d+/);
            assert.ok(session.client.getInstructions().length > 0);
            assert.equal(session.client.getServerCapabilities().tools.listChanged, true);
        });

        test(`negotiates ${revision}`, { skip: missing ?? false }, async () => {
            await session.names();
            const first = session.recorder.received[0];
            assert.equal(first.result?.protocolVersion ?? '2026-07-28', revision);
        });

        test('lists the shipped tools in order of their names', async () => {
            const names = await session.names();
            for (const name of ['echo', 'theseus_call', 'theseus_plugins', 'theseus_reload'])
                assert.ok(names.includes(name), `${name} is among ${names}`);
            assert.deepEqual(names, [...names].sort());
        });

        test('calls a tool', async () => {
            const result = await session.call('echo', { message: 'hi' });
            assert.deepEqual(result.content, [{ type: 'text', text: 'hi' }]);
            assert.ok(!result.isError);
        });

        test('carries any text there and back', async () => {
            const message = 'quote " backslash \\ newline \n nul \u0000 é 漢 \u{1F6A2} ' + 'x'.repeat(100_000);
            assert.equal(await session.text('echo', { message }), message);
        });

        test('gets every answer of many calls at once', async () => {
            const messages = Array.from({ length: 500 }, (_, i) => `message ${i}`);
            const answers = await Promise.all(messages.map((message) => session.text('echo', { message })));
            assert.deepEqual(answers, messages);
        });

        test('is told which argument is wrong', async () => {
            const result = await session.call('echo', { message: 42 });
            assert.equal(result.isError, true);
            assert.match(result.content[0].text, /\/message/);
        });

        test('is refused a tool that does not exist', async () => {
            await assert.rejects(session.call('no_such_tool', {}), (error) => error.code === -32602);
        });

        /* Calls what goes on until it is given up. Resolves to a function that gives it up. */
        async function endless(options) {
            session.sandbox.drop('slow');
            await session.changed('the slow tool', (names) => names.includes('slow'));
            const giveUp = new AbortController();
            const over = session.call('slow', { ms: 600_000, steps: 6000 }, { ...options, signal: giveUp.signal });
            over.catch(() => {}); /* of a test that has failed before */
            return async () => {
                giveUp.abort();
                await assert.rejects(over);
            };
        }

        test('sees the progress of a slow tool', async () => {
            const steps = [];
            const giveUp = await endless({ onprogress: (step) => steps.push(step.progress) });
            await until('some steps', () => steps.length >= 3);
            await giveUp();
            assert.deepEqual(steps, [...steps].sort((a, b) => a - b));
        });

        test('hears nothing more of a call that it gave up', async () => {
            session.sandbox.drop('slow');
            await session.changed('the slow tool', (names) => names.includes('slow'));
            const before = session.recorder.received.length;
            await assert.rejects(session.call('slow', { ms: 600_000 }, { timeout: 100 }), /timed out/i);
            await session.call('slow', { ms: 400 }); /* the first has ended meanwhile, and said so */
            const answers = session.recorder.received.slice(before).filter((message) => message.result?.content);
            assert.equal(answers.length, 1);
        });

        test('is not delayed by somebody else\'s slow tool', async () => {
            const giveUp = await endless();
            assert.equal(await session.text('echo', { message: 'meanwhile' }), 'meanwhile');
            await giveUp();
        });

        test('uses a plugin that is dropped in, replaced and removed', async () => {
            session.sandbox.drop('greet');
            await session.changed('the new tool', (names) => names.includes('greet'));
            assert.equal(await session.text('greet', { name: 'Ariadne' }), 'hello Ariadne');

            session.sandbox.drop('greet2', 'greet');
            await until('the second build', async () =>
                await session.text('greet', { name: 'Ariadne' }) === 'good day Ariadne');

            session.sandbox.remove('greet');
            await session.changed('the end of the tool', (names) => !names.includes('greet'));
            assert.ok(!(await session.names()).includes('greet'));
        });

        for (const inPlace of [false, true])
            test(`uses a tool that is written into the configuration ${inPlace ? 'in place' : 'by rename'}`, async () => {
                const section = (more) => `[tool:hello]
description = Use this to see that it works.
command = echo ${more} {name}
input.name = string: who
`;
                session.sandbox.configure(section('hello'), { inPlace });
                await session.changed('the exec tool', (names) => names.includes('hello'));
                assert.match(await session.text('hello', { name: '$(id) `id`; id' }), /^hello \$\(id\) `id`; id\n?$/);

                session.sandbox.configure(section('welcome'), { inPlace });
                await until('the edited command', async () =>
                    /^welcome you\n?$/.test(await session.text('hello', { name: 'you' })));

                session.sandbox.configure('', { inPlace });
                await session.changed('the end of the exec tool', (names) => !names.includes('hello'));
            });

        test('keeps its tools when the configuration is edited into nonsense', async () => {
            session.sandbox.configure('[limits]\nmax_lime = 3\n');
            session.sandbox.drop('greet');
            await session.changed('a plugin after the bad edit', (names) => names.includes('greet'));
            assert.equal(await session.text('echo', { message: 'still here' }), 'still here');
        });

        test('parts from the server without a signal', async () => {
            const { pid } = session;
            await session.close();
            assert.ok(!alive(pid));
            const log = readFileSync(join(session.sandbox.root, 'state/log/theseus.log'), 'utf8');
            assert.match(log, /leaving: the client has closed its end/);
            assert.doesNotMatch(log, /leaving: Terminated|signal \d+ while leaving/);
        });
    });
}
