/* The bench's echo server on version 1 of the TypeScript SDK, as its documentation would have one write it. */
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

/* The SDK is installed once, with the client tests. */
const require = createRequire(new URL('../../clients/package.json', import.meta.url));
const load = (name) => import(pathToFileURL(require.resolve(name)));

const { McpServer } = await load('@modelcontextprotocol/sdk/server/mcp.js');
const { StdioServerTransport } = await load('@modelcontextprotocol/sdk/server/stdio.js');
const { z } = await load('zod');

const server = new McpServer({ name: 'echo-sdk1', version: '1.0.0' });
server.registerTool(
    'echo',
    { title: 'Echo', description: 'Returns the message.', inputSchema: { message: z.string() } },
    async ({ message }) => ({ content: [{ type: 'text', text: message }] }),
);
await server.connect(new StdioServerTransport());
