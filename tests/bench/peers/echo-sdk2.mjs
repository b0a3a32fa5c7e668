/* The bench's echo server on version 2 of the TypeScript SDK, as its documentation would have one write it. */
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

/* The SDK is installed once, with the client tests. */
const require = createRequire(new URL('../../clients/package.json', import.meta.url));
const load = (name) => import(pathToFileURL(require.resolve(name)));

const { McpServer } = await load('@modelcontextprotocol/server');
const { serveStdio } = await load('@modelcontextprotocol/server/stdio');
const { z } = await load('zod');

serveStdio(() => {
    const server = new McpServer({ name: 'echo-sdk2', version: '1.0.0' }, { capabilities: { tools: {} } });
    server.registerTool(
        'echo',
        { title: 'Echo', description: 'Returns the message.', inputSchema: z.object({ message: z.string() }) },
        async ({ message }) => ({ content: [{ type: 'text', text: message }] }),
    );
    return server;
});
