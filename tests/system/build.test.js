/* What the compiler and the linker were told, read from what they made. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { binary, sanitized, shipped } from './lib/home.js';
import { run } from './lib/proc.js';

const checkout = fileURLToPath(new URL('../..', import.meta.url));
const plugins = readdirSync(shipped).filter((name) => name.endsWith('.so')).map((name) => join(shipped, name));

async function output(command, ...args) {
    const { code, out, err } = await run(command, args, { deadlineMs: 60_000, cwd: checkout });
    assert.equal(code, 0, `${command} ${args.join(' ')}: ${err}`);
    return out;
}

/* The tests are started by make: what it tells its children is not meant for another one. */
const { MAKEFLAGS, MAKELEVEL, MFLAGS, BUILD, ...makeAlone } = process.env;

/* Symbols of the dynamic table: {name, defined}. */
async function symbols(file) {
    return (await output('readelf', '--dyn-syms', '-W', file)).split('\n').flatMap((line) => {
        const [, , , type, , visibility, section, name] = line.trim().split(/\s+/);
        return name && visibility === 'DEFAULT' && type !== 'SECTION' ? [{ name: name.split('@')[0], defined: section !== 'UND' }] : [];
    });
}

const plain = { skip: sanitized && 'a build with a sanitizer is built otherwise' };

describe('what was built', { concurrency: 4 }, () => {
    for (const file of [binary, ...plugins]) {
        const name = file.split('/').at(-1);

        test(`${name} is position-independent and its relocations are read-only before it runs`, plain, async () => {
            assert.match(await output('readelf', '-hW', file), /Type:\s+DYN/);
            assert.match(await output('readelf', '-lW', file), /GNU_RELRO/);
            assert.match(await output('readelf', '-lW', file), /GNU_STACK\s.* RW /, 'the stack is not executable');
            assert.match(await output('readelf', '-dW', file), /BIND_NOW|FLAGS_1.*NOW/);
            assert.doesNotMatch(await output('readelf', '-dW', file), /TEXTREL|RPATH|RUNPATH/);
        });
    }

    test('theseus is an executable with a guarded stack and checked string functions', plain, async () => {
        const names = (await symbols(binary)).map((symbol) => symbol.name);
        assert.match(await output('readelf', '-dW', binary), /FLAGS_1.*PIE/);
        assert.ok(names.includes('__stack_chk_fail'));
        assert.ok(names.some((name) => /^__\w+_chk$/.test(name) && name !== '__stack_chk_fail'), names.join(' '));
    });

    for (const file of plugins)
        test(`${file.split('/').at(-1)} exports theseus_plugin alone, and needs nothing of ours`, plain, async () => {
            const all = await symbols(file);
            assert.deepEqual(all.filter((symbol) => symbol.defined).map((symbol) => symbol.name), ['theseus_plugin']);
            assert.deepEqual(all.filter((symbol) => !symbol.defined && /theseus/.test(symbol.name)), []);
        });
});

describe('the public headers', { concurrency: 4 }, () => {
    let dir;
    before(() => { dir = mkdtempSync(join(tmpdir(), 'theseus-headers-')); });
    after(() => rmSync(dir, { recursive: true }));

    for (const header of readdirSync(join(checkout, 'include', 'theseus')))
        for (const [compiler, language, standard] of [['gcc', 'c', 'c11'], ['g++', 'c++', 'c++20'], ['clang', 'c', 'c11'], ['clang++', 'c++', 'c++20']])
            test(`${header} compiles alone as ${standard} -pedantic with ${compiler}`, async (t) => {
                if ((await run('sh', ['-c', `command -v ${compiler}`])).code !== 0)
                    return t.skip(`${compiler} is not installed`);
                const source = join(dir, `${compiler}-${header}.${language}`);
                writeFileSync(source, `#include <theseus/${header}>\n`);
                return output(compiler, '-x', language, `-std=${standard}`, '-pedantic', '-Wall', '-Wextra', '-Werror', '-Iinclude',
                    '-fsyntax-only', source);
            });
});

test('the same sources give the same bytes, wherever they are built', { ...plain, timeout: 600_000 }, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'theseus-build-'));
    const [one, two] = ['one', 'two/deeper'].map((name) => join(dir, name));
    try {
        for (const name of ['Makefile', 'core', 'plugins', 'include', 'config', 'tools'])
            cpSync(join(checkout, name), join(one, name), { recursive: true });
        cpSync(one, two, { recursive: true });
        for (const cwd of [one, two]) {
            const { code, err } = await run('make', ['-s', '-j2'], { cwd, deadlineMs: 300_000, env: makeAlone });
            assert.equal(code, 0, err);
        }
        for (const file of ['theseus', ...plugins.map((path) => join('plugins', path.split('/').at(-1)))])
            assert.ok(readFileSync(join(one, 'build', file)).equals(readFileSync(join(two, 'build', file))), `${file} differs`);
    } finally {
        rmSync(dir, { recursive: true });
    }
});
