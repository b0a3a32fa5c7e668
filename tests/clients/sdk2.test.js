/* The official TypeScript SDK, version 2, in each of its ways to choose the protocol's era. */
import { describeClient } from './lib/scenarios.js';
import { MODERN, NEWEST_LEGACY } from './lib/schemas.js';
import { sdk2 } from './lib/session.js';

describeClient('SDK v2, legacy', sdk2('legacy'), NEWEST_LEGACY);
describeClient('SDK v2, auto', sdk2('auto'), MODERN);
describeClient('SDK v2, modern', sdk2({ pin: MODERN }), MODERN);
