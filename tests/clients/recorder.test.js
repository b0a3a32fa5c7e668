/* The recorder is the judge of all other tests here: it must be able to find fault. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { Recorder } from './lib/recorder.js';
import { missing } from './lib/schemas.js';

const META = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
};

/* Marks what the client says; all else comes from the server. */
const out = (message) => ({ out: message });

const initialize = { jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25' } };
const initialized = (version) => ({
    jsonrpc: '2.0', id: 0,
    result: { protocolVersion: version, capabilities: {}, serverInfo: { name: 's', version: '1' } },
});
const call = (id, meta) => ({
    jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'echo', ...(meta && { _meta: meta }) },
});
const answer = (id, more) => ({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: 'hi' }], ...more } });
const progress = (token, value) => ({
    jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: token, progress: value },
});

const LISTEN = 'notifications/subscriptions/acknowledged';
const CHANGED = 'notifications/tools/list_changed';
const listen = { jsonrpc: '2.0', id: 'l', method: 'subscriptions/listen', params: { notifications: {}, _meta: META } };
const tagged = (method, id) => ({
    jsonrpc: '2.0', method, params: { _meta: { 'io.modelcontextprotocol/subscriptionId': id }, notifications: {} },
});

/* The faults found in a conversation. */
function faults(...messages) {
    const recorder = new Recorder();
    for (const message of messages)
        if (message.out)
            recorder.sent(message.out);
        else
            recorder.got(message);
    return recorder.problems;
}

describe('the recorder', () => {
    const finds = (what, pattern, options, ...messages) => test(`finds ${what}`, options, () => {
        const problems = faults(...messages);
        assert.ok(problems.some((problem) => pattern.test(problem)), `among ${JSON.stringify(problems)}`);
    });
    const schemas = { skip: missing ?? false };

    test('finds nothing in a conversation that is right', () => {
        assert.deepEqual(faults(
            out(initialize), initialized('2025-11-25'),
            out(call(1, { progressToken: 7 })), progress(7, 1), progress(7, 2.5), answer(1),
            out(call('1', META)), answer('1', { resultType: 'complete' }),
            out(listen), tagged(LISTEN, 'l'), tagged(CHANGED, 'l'), { jsonrpc: '2.0', method: CHANGED },
            out(call(2)), { jsonrpc: '2.0', id: 2, error: { code: -32602, message: 'no' } },
        ), []);
    });

    finds('an answer to no request', /no request/, {}, answer(5));
    finds('an answer of another id type', /no request/, {}, out(call(1)), answer('1'));
    finds('a second answer', /second answer/, {}, out(call(1)), answer(1), answer(1));
    finds('a request of the server', /sent a request/, {}, { jsonrpc: '2.0', id: 9, method: 'ping' });
    finds('an array', /not an object/, {}, []);
    finds('progress without a token', /no open request/, {}, progress(7, 1));
    finds('progress after the answer', /no open request/, {}, out(call(1, { progressToken: 7 })), answer(1), progress(7, 1));
    finds('progress that stands still', /increase/, {}, out(call(1, { progressToken: 7 })), progress(7, 1), progress(7, 1));
    finds('a modern version in a handshake', /no initialize/, {}, out(initialize), initialized('2026-07-28'));
    finds('a modern member in a legacy answer', /resultType/, {}, out(call(1)), answer(1, { resultType: 'complete' }));
    finds('an unknown notification', /unknown notification/, {}, { jsonrpc: '2.0', method: 'notifications/x' });
    finds('a change untagged to a stranger', /shaken hands/, {}, { jsonrpc: '2.0', method: CHANGED });
    finds('a change for no subscription', /no open subscription/, {}, tagged(CHANGED, 'l'));
    finds('a change before the acknowledgement', /before the ack/, {}, out(listen), tagged(CHANGED, 'l'));
    finds('a modern answer without resultType', /resultType/, schemas, out(call(1, META)), answer(1));
    finds('a result of the wrong shape', /content/, schemas, out(call(1)), { jsonrpc: '2.0', id: 1, result: {} });
    finds('a content type that the revision lacks', /2024-11-05 CallToolResult/, schemas,
        out(initialize), initialized('2024-11-05'), out(call(1)),
        { jsonrpc: '2.0', id: 1, result: { content: [{ type: 'resource_link', uri: 'a:b', name: 'n' }] } });
    finds('an error without a code', /code/, schemas, out(call(1)), { jsonrpc: '2.0', id: 1, error: { message: 'no' } });
    finds('a version error that names no versions', /data/, schemas,
        out(call(1, META)), { jsonrpc: '2.0', id: 1, error: { code: -32022, message: 'no' } });
});
