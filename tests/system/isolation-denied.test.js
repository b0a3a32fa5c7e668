/* What an isolated plugin may not do: each of it is tried, and fails. */
import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { until, within } from '../clients/lib/until.js';
import { isolated, processOf } from './lib/isolated.js';

/* attempt → the error; "by path" is what the rules for files say. */
const expected = {
    'execve': 'EPERM', 'execveat': 'EPERM', 'posix_spawn': 'EPERM', 'fork': 'EPERM', 'clone': 'EPERM', 'clone3': 'ENOSYS',
    'socket': 'EPERM', 'unix socket': 'EPERM', 'connect': 'EPERM',
    'ptrace': 'EPERM', 'process_vm_readv': 'EPERM', 'process_vm_writev': 'EPERM', '/proc/PID/mem': 'EACCES',
    'kill': 'EPERM', 'kill all': 'EPERM', 'kill group': 'EPERM', 'tgkill': 'EPERM', 'tkill': 'EPERM', 'sigqueue': 'EPERM',
    'pidfd_open': 'EPERM', 'pidfd_send_signal': 'EPERM', 'F_SETOWN': 'EPERM', 'prlimit': 'EPERM',
    'create': 'EACCES', 'write': 'EACCES', 'read and write': 'EACCES', 'truncate': 'EACCES', 'O_TRUNC': 'EACCES',
    'unlink': 'EACCES', 'rename': 'EACCES', 'link': 'EXDEV', 'mkdir': 'EACCES', 'symlink': 'EACCES',
    'chmod': 'EPERM', 'fchmod': 'EPERM',
    'io_uring': 'EPERM', 'bpf': 'EPERM', 'mount': 'EPERM', 'umount': 'EPERM', 'open_tree': 'EPERM',
    'unshare': 'EPERM', 'setns': 'EPERM', 'clone user namespace': 'EPERM',
    'memfd_create': 'EPERM', 'TIOCSTI': 'EPERM', 'PDEATHSIG': 'EPERM', 'future call': 'ENOSYS',
    'fork in a constructor': 'EPERM', 'socket in a constructor': 'EPERM',
    'may write its own': 'succeeded', 'may read': 'succeeded', 'may make threads': 'succeeded', 'may signal itself': 'succeeded',
};
/* Without rules for files the system calls are denied that write any, its own too; that is all that differs. */
const byPath = ['create', 'write', 'read and write', 'truncate', 'O_TRUNC', 'unlink', 'rename', 'link', 'mkdir', 'symlink'];

describe('an isolated plugin', { concurrency: 2 }, () => {
    test('may do nothing of what is denied', () => isolated(['escape'], async (client, home) => {
        const victim = home.path('victim');
        writeFileSync(victim, 'as it was', { mode: 0o600 });
        const outcomes = await client.value('escape', { path: victim });
        const wanted = { ...expected };
        if (/no Landlock/.test((await processOf(client, 'escape')).files)) {
            byPath.forEach((attempt) => { wanted[attempt] = 'EPERM'; });
            wanted['may write its own'] = 'EPERM';
            wanted['/proc/PID/mem'] = outcomes['/proc/PID/mem']; /* the system's own rules decide */
        }
        assert.deepEqual(outcomes, wanted);
        assert.equal(readFileSync(victim, 'utf8'), 'as it was');
        assert.equal(statSync(victim).mode & 0o777, 0o600);
    }));

    test('may do it where nobody has asked for isolation', async () => {
        /* Else the test above would say nothing: these are allowed to whoever runs the tests. */
        await isolated([], async (client, home) => {
            home.drop('escape');
            await client.appears('look');
            const seen = await client.value('look');
            assert.equal(seen.pid, client.pid);
            assert.equal(seen.no_new_privileges, 0);
        });
    });

    test('sees little of where it is', () => isolated(['escape'], async (client, home) => {
        const seen = await client.value('look');
        assert.notEqual(seen.pid, client.pid);
        assert.equal(seen.parent, client.pid);
        assert.equal(seen.directory, home.path('state', 'isolated', 'escape'));
        assert.equal(seen.no_new_privileges, 1);
        assert.ok(!seen.environment.includes('A_SECRET'), `${seen.environment}`);
        assert.equal(statSync(seen.directory).mode & 0o777, 0o700);
    }, { env: { A_SECRET: 'x' } }));

    test('is not test-loaded in the open', () => isolated(['ctorcrash'], async (client) => {
        /* What loads it is its own process alone: a constructor finds the filter in force. */
        assert.match(await client.refused('ctorcrash.so'), /crashed with SIG/);
        await within('a call', until('echo', async () => (await client.text('echo', { message: 'x' })) === 'x'));
    }));
});
