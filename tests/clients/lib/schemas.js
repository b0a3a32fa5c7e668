/*
 * The official JSON schemas of the protocol, one book for each revision.
 *
 * They are public test data that is not part of this project: $THESEUS_TEST_DATA says where they lie. Where they are
 * absent, `missing` holds the sentence with which the tests that need them are skipped.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';

export const MODERN = '2026-07-28';
export const LEGACY = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'];
export const NEWEST_LEGACY = '2025-11-25';

const checkout = fileURLToPath(new URL('../../..', import.meta.url));
const folder = join(resolve(checkout, process.env.THESEUS_TEST_DATA || '../shared'), 'schema');
const file = (revision) => join(folder, `mcp-${revision}.json`);

const absent = [...LEGACY, MODERN].filter((revision) => !existsSync(file(revision)));
export const missing = absent.length === 0 ? null
    : `no official schema for ${absent.join(', ')} in ${folder}: take schema/REVISION/schema.json of the MCP ` +
      'specification repository as mcp-REVISION.json and set THESEUS_TEST_DATA to the folder that holds schema/';

/* Formats (uri, byte) are annotations in these schemas; nothing that the server says has one. */
const options = { strict: false, allErrors: true, validateFormats: false };

class Book {
    constructor(revision) {
        const schema = JSON.parse(readFileSync(file(revision), 'utf8'));
        this.revision = revision;
        this.part = schema.$defs ? '$defs' : 'definitions';
        this.names = new Set(Object.keys(schema[this.part]));
        this.ajv = schema.$defs ? new Ajv2020(options) : new Ajv(options);
        this.ajv.addSchema(schema, 'mcp');
    }

    /* What is wrong with `value` as a `name`; an empty list is praise. A name the revision lacks is itself wrong. */
    problems(name, value) {
        if (!this.names.has(name))
            return [`revision ${this.revision} has no ${name}`];
        const validate = this.ajv.getSchema(`mcp#/${this.part}/${name}`);
        if (validate(value))
            return [];
        return validate.errors.map((e) => `${this.revision} ${name}: ${e.instancePath || '/'} ${e.message}`);
    }
}

const books = new Map();

export function book(revision) {
    if (!books.has(revision))
        books.set(revision, new Book(revision));
    return books.get(revision);
}
