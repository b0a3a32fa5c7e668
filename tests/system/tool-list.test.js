/* The shipped tools as a model is told of them: what it costs to know them all, and how each says what it is for. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { serving } from './lib/client.js';

/*
 * What stands in every conversation of every host, in bytes of JSON. The first plugins kept within 24 KB. That cannot hold
 * any more: `reboot` takes 10 KB, half of it for the fields that its answers measure, and `tasks` 17 KB, much of it the
 * words that a model must know to use a tool at all. So what is bound is each tool, those that came last, and the sum as
 * it is; [tools] hide takes away what a host does not need.
 */
const ALL_BYTES = 40_000, ONE_BYTES = 2_700, TEMPLATE_BYTES = 4_700;

const bytes = (value) => Buffer.byteLength(JSON.stringify(value));

describe('the shipped tools', () => {
    test('are told in few words, and begin with when to use them', () => serving(async (client) => {
        await client.appears('template_list');
        const { tools } = (await client.ask('tools/list')).result;
        for (const tool of tools) {
            assert.match(tool.description, /^Use this /, tool.name);
            assert.ok(tool.description.length < 400, `${tool.name}: ${tool.description.length} characters`);
            assert.ok(bytes(tool) <= ONE_BYTES, `${tool.name}: ${bytes(tool)} bytes`);
        }
        const templates = tools.filter((tool) => tool.name.startsWith('template_'));
        assert.equal(templates.length, 6);
        assert.ok(bytes(templates) <= TEMPLATE_BYTES, `the tools of templates: ${bytes(templates)} bytes`);
        assert.ok(bytes(tools) <= ALL_BYTES, `all tools: ${bytes(tools)} bytes`);
    }));

    /* A client may repeat by itself a call of which it is told that this changes nothing. */
    test('say that they may be repeated only where the arguments alone decide', () => serving(async (client) => {
        await client.appears('template_list');
        const { tools } = (await client.ask('tools/list')).result;
        const hint = (name) => tools.find((tool) => tool.name === name).annotations.idempotentHint;
        for (const name of ['orchestrator_plan_task', 'orchestrator_initialize_session', 'orchestrator_complete_task', 'template_instantiate'])
            assert.equal(hint(name), false, name);
        assert.equal(hint('orchestrator_update_task'), true);
    }));

    test('are fewer where some are hidden', () => serving(async (client, home) => {
        await client.appears('template_list');
        home.configure({ tools: { hide: 'template_*, orchestrator_*' } });
        await client.vanishes('template_list');
        assert.ok(bytes((await client.ask('tools/list')).result.tools) < 10_000);
    }));
});
