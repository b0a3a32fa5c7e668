/* The official TypeScript SDK, version 1: the client inside most of today's hosts. */
import { describeClient } from './lib/scenarios.js';
import { NEWEST_LEGACY } from './lib/schemas.js';
import { sdk1 } from './lib/session.js';

describeClient('SDK v1', sdk1, NEWEST_LEGACY);
