/*
 * A restart at every byte: of a request that has come in part, and of answers that the reader has taken in part. What
 * comes and goes afterwards is as if nothing had been, over pipes as over socket pairs.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { sanitized } from './lib/home.js';
import { CARRIERS, wired } from './lib/wire.js';

const echo = (id, message) => JSON.stringify({
    jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'echo', arguments: { message } },
});

const said = (result) => result.content[0].text;

/* More than pipes and sockets take: the server is left in the middle of it. */
const LARGE = 400_000;

/* The whole process is watched: it is the same one, and it came through so many restarts. */
async function restarting(carrier, body) {
    await wired(carrier, async (wire, home) => {
        assert.equal(said(await wire.ask('warm', 'tools/call', { name: 'echo', arguments: { message: 'warm' } })), 'warm');
        const { pid } = wire.process;
        let count = 0;
        const restart = () => {
            const before = wire.restarts;
            count++;
            process.kill(pid, 'SIGUSR2');
            return () => wire.restarted(before);
        };
        await body(wire, restart, home);
        assert.deepEqual(wire.restarts, { complete: count, failed: 0 });
    });
}

/* Every `step`th, where a sanitizer makes all of them take too long. */
const STEP = sanitized ? 7 : 1;

describe('a restart', { concurrency: 4 }, () => {
    for (const carrier of CARRIERS) {
        test(`after each byte of a request, over ${carrier}`, () => restarting(carrier, async (wire, restart) => {
            const length = Buffer.byteLength(`${echo('k100', 'übermäßig')}\n`);
            for (let k = 0; k <= length; k += STEP) {
                const id = `k${String(k).padStart(3, '0')}`, line = Buffer.from(`${echo(id, 'übermäßig')}\n`);
                assert.equal(line.length, length);
                await wire.write(line.subarray(0, k));
                const complete = restart();
                if (k % 2) /* else the rest comes while the server restarts */
                    await complete();
                await wire.write(line.subarray(k));
                assert.equal(said(await wire.answer(id)), 'übermäßig');
                await complete();
            }
        }));

        test(`with a reader that stops after each byte of an answer, over ${carrier}`, () =>
            restarting(carrier, async (wire, restart) => {
                const large = (k) => `${k}`.padEnd(LARGE + k, 'x'); /* each time the server stops at another byte */
                for (let k = 0; k <= 160; k += STEP) {
                    await wire.write(`${echo(`s${k}`, `small ${k}`)}\n${echo(`l${k}`, large(k))}\n${echo(`n${k}`, 'next')}\n`);
                    await wire.take(k);
                    const complete = restart();
                    if (k % 2)
                        await complete();
                    assert.equal(said(await wire.answer(`s${k}`)), `small ${k}`);
                    assert.ok(said(await wire.answer(`l${k}`)) === large(k), 'the large answer is whole');
                    assert.equal(said(await wire.answer(`n${k}`)), 'next');
                    await complete();
                }
            }));

        test(`with a reader that stops deep inside a large answer, over ${carrier}`, () =>
            restarting(carrier, async (wire, restart) => {
                const large = 'y'.repeat(LARGE);
                for (let at = 1; at < LARGE; at += sanitized ? 90_001 : 9_001) {
                    await wire.write(`${echo(at, large)}\n`);
                    await wire.take(at);
                    const complete = restart();
                    await complete();
                    assert.ok(said(await wire.answer(at)) === large, 'the large answer is whole');
                }
            }));

        test(`while both streams are full, over ${carrier}`, () => restarting(carrier, async (wire, restart) => {
            const large = 'z'.repeat(LARGE), ids = Array.from({ length: 30 }, (_, i) => i);
            const written = wire.write(ids.map((id) => `${echo(id, `${id}${large}`)}\n`).join(''));
            for (let i = 0; i < 3; i++)
                await restart()();
            const seen = [];
            for (const _ of ids) {
                const { id, result } = await wire.next();
                assert.ok(said(result) === `${id}${large}`, `answer ${id} is whole`);
                seen.push(id);
            }
            await written;
            assert.deepEqual(seen.sort((a, b) => a - b), ids);
        }));
    }
});
