/*
 * Watches one connection and remembers everything that is wrong with what the server says.
 *
 * It is told what goes out and what comes in. Each message that comes in is checked against the official schema of the
 * revision that it belongs to: an answer to that of its request, a notification to that of the request or subscription
 * it names. Rules that a schema cannot say are checked here: every answer belongs to a request and comes once, progress
 * names a live token and increases, what was subscribed to names its subscription, a legacy answer carries no modern
 * member, a server asks nothing.
 */
import assert from 'node:assert/strict';

import { LEGACY, MODERN, NEWEST_LEGACY, book, missing } from './schemas.js';

const VERSION_KEY = 'io.modelcontextprotocol/protocolVersion';
const SUBSCRIPTION_KEY = 'io.modelcontextprotocol/subscriptionId';

const RESULTS = {
    'initialize': 'InitializeResult',
    'ping': 'EmptyResult',
    'logging/setLevel': 'EmptyResult',
    'server/discover': 'DiscoverResult',
    'tools/list': 'ListToolsResult',
    'tools/call': 'CallToolResult',
    'subscriptions/listen': 'SubscriptionsListenResult',
};

const NOTIFICATIONS = {
    'notifications/cancelled': 'CancelledNotification',
    'notifications/message': 'LoggingMessageNotification',
    'notifications/progress': 'ProgressNotification',
    'notifications/subscriptions/acknowledged': 'SubscriptionsAcknowledgedNotification',
    'notifications/tools/list_changed': 'ToolListChangedNotification',
};

const ACKNOWLEDGED = 'notifications/subscriptions/acknowledged';
const SUBSCRIBED = [ACKNOWLEDGED, 'notifications/tools/list_changed'];

/* Errors of which the modern schema says more than that they are one. */
const MODERN_ERRORS = { '-32021': 'MissingRequiredClientCapabilityError', '-32022': 'UnsupportedProtocolVersionError' };

const MODERN_MEMBERS = ['resultType', 'ttlMs', 'cacheScope'];

/* 1 and "1" are different ids. */
const keyOf = (id) => `${typeof id}:${id}`;

export class Recorder {
    problems = [];
    received = [];
    #requests = new Map(); /* id -> {method, revision, token, progress, answered} */
    #negotiated = null;

    sent(message) {
        for (const one of Array.isArray(message) ? message : [message])
            if (one.method !== undefined && one.id !== undefined)
                this.#requests.set(keyOf(one.id), {
                    method: one.method,
                    revision: one.params?._meta?.[VERSION_KEY] === undefined ? null : MODERN,
                    token: one.params?._meta?.progressToken,
                    answered: false,
                });
    }

    got(message) {
        this.received.push(message);
        if (message === null || typeof message !== 'object' || Array.isArray(message))
            return this.#wrong(message, 'not an object');
        if (message.method !== undefined && message.id !== undefined)
            return this.#wrong(message, 'the server sent a request');
        if (message.method !== undefined)
            return this.#notification(message);
        if (message.id === undefined)
            return this.#idless(message);
        return this.#answer(message);
    }

    /* Messages that came and belong to the request `id`. */
    answersTo(id) {
        return this.received.filter((message) => message.method === undefined && message.id === id);
    }

    assertClean() {
        assert.deepEqual(this.problems, [], 'every message of the server is right');
    }

    #wrong(message, text) {
        this.problems.push(`${text}: ${JSON.stringify(message).slice(0, 400)}`);
    }

    #check(revision, name, value, message) {
        if (missing === null)
            for (const problem of book(revision).problems(name, value))
                this.#wrong(message, problem);
    }

    #legacy() {
        return this.#negotiated ?? NEWEST_LEGACY;
    }

    #answer(message) {
        const request = this.#requests.get(keyOf(message.id));
        if (request === undefined)
            return this.#wrong(message, 'an answer to no request');
        if (request.answered)
            return this.#wrong(message, 'a second answer to one request');
        request.answered = true;
        if (message.error !== undefined)
            return this.#error(message, request.revision ?? this.#legacy());
        if (request.method === 'initialize')
            this.#negotiate(message);
        return this.#result(message, request);
    }

    #negotiate(message) {
        const version = message.result?.protocolVersion;
        if (LEGACY.includes(version))
            this.#negotiated = version;
        else
            this.#wrong(message, 'initialize answered with a version that has no initialize');
    }

    #result(message, request) {
        const revision = request.revision ?? this.#legacy();
        this.#check(revision, revision >= NEWEST_LEGACY ? 'JSONRPCResultResponse' : 'JSONRPCResponse', message, message);
        if (RESULTS[request.method] === undefined)
            return this.#wrong(message, `a result for '${request.method}', of which no result is known`);
        this.#check(revision, RESULTS[request.method], message.result, message);
        if (request.revision === null)
            for (const member of MODERN_MEMBERS)
                if (message.result?.[member] !== undefined)
                    this.#wrong(message, `'${member}' in an answer to a legacy request`);
        return undefined;
    }

    #error(message, revision) {
        this.#check(revision, revision >= NEWEST_LEGACY ? 'JSONRPCErrorResponse' : 'JSONRPCError', message, message);
        if (revision === MODERN && MODERN_ERRORS[message.error.code] !== undefined)
            this.#check(revision, MODERN_ERRORS[message.error.code], message, message);
    }

    /* The early schemas demand an id and say nothing of a request whose id cannot be read: the later ones do. */
    #idless(message) {
        if (message.error === undefined)
            return this.#wrong(message, 'neither answer nor notification');
        return this.#error(message, NEWEST_LEGACY);
    }

    #notification(message) {
        const name = NOTIFICATIONS[message.method];
        if (name === undefined)
            return this.#wrong(message, 'an unknown notification');
        const revision = this.#revisionOf(message);
        this.#check(revision, 'JSONRPCNotification', message, message);
        this.#check(revision, name, message, message);
        if (message.method === 'notifications/progress')
            this.#progress(message);
        if (SUBSCRIBED.includes(message.method))
            this.#subscribed(message);
        return undefined;
    }

    /* Of what is subscribed to: tagged with an open subscription, or untagged to who shook hands. */
    #subscribed(message) {
        const tag = message.params?._meta?.[SUBSCRIPTION_KEY];
        const listen = this.#requests.get(keyOf(tag));
        if (tag === undefined && this.#negotiated === null)
            this.#wrong(message, 'untagged, and nobody has shaken hands');
        if (tag !== undefined && (listen?.method !== 'subscriptions/listen' || listen.answered))
            this.#wrong(message, 'tagged with no open subscription');
        if (listen !== undefined && !listen.acknowledged && message.method !== ACKNOWLEDGED)
            this.#wrong(message, 'before the acknowledgement');
        if (listen !== undefined)
            listen.acknowledged = true;
    }

    #revisionOf(message) {
        const subscription = message.params?._meta?.[SUBSCRIPTION_KEY];
        if (subscription !== undefined)
            return MODERN;
        if (message.method === 'notifications/progress')
            return this.#bearer(message.params?.progressToken)?.revision ?? this.#legacy();
        return this.#negotiated ?? MODERN;
    }

    #bearer(token) {
        for (const request of this.#requests.values())
            if (token !== undefined && request.token === token && !request.answered)
                return request;
        return undefined;
    }

    #progress(message) {
        const request = this.#bearer(message.params?.progressToken);
        if (request === undefined)
            return this.#wrong(message, 'progress for a token that no open request has');
        if (request.progress !== undefined && message.params.progress <= request.progress)
            this.#wrong(message, 'progress that does not increase');
        request.progress = message.params.progress;
        return undefined;
    }
}
