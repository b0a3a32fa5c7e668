/* Every quantity that a peer or an author controls, in one place. Those with an option give its default. */
#pragma once

enum {
    LIMIT_JSON_DEPTH = 128,         /* levels of nesting in a message; 129 is refused */
    LIMIT_ID_BYTES = 4096,          /* a request's id, as text */
    LIMIT_GLIMPSE_DEPTH = 65536,    /* levels up to which the id of what cannot be read is looked for */
    LIMIT_READ_CHUNK = 64 << 10,    /* bytes taken from a client in one read */
    LIMIT_HANGUP_MS = 1000,         /* for a client that has gone to take what waits for it */
    LIMIT_LISTENS = 1024,           /* open subscriptions/listen of one connection */
    LIMIT_TOPICS = 1024,            /* names in one of them */
    LIMIT_BATCH = 1000,             /* messages in one array */
    LIMIT_INPUT_PIECE = 4096,       /* unfinished lines up to this are recorded as one piece */
    LIMIT_SCHEMA_DEPTH = 64,        /* nested schemas, and references followed, in one validation */
    LIMIT_SCHEMA_BYTES = 256 << 10, /* one schema's text */
    LIMIT_URI = 2048,               /* bytes of a resource's URI */
    LIMIT_RESOURCES_PER_PLUGIN = 256,
    LIMIT_TOOL_NAME = 64, /* characters, [A-Za-z0-9_-] */
    LIMIT_PLUGIN_NAME = 64,
    LIMIT_TOOLS_PER_PLUGIN = 1024,
    LIMIT_STUCK_MS =
        5000, /* a handler whose call was given up may take this long to return; then its thread is stuck */
    LIMIT_INLINE_MS = 5000, /* a tool that runs on the loop's thread may keep everybody waiting for that long at most */
    LIMIT_CALL_DEPTH = 8,   /* theseus_call_tool() inside theseus_call_tool() … */
    LIMIT_STATE_KEYS = 10000,      /* theseus_state keys of one plugin */
    LIMIT_STATE_KEY = 256,         /* bytes of one */
    LIMIT_STATE_VALUE = 8 << 20,   /* bytes of its value, as JSON text */
    LIMIT_STATE_BYTES = 128 << 20, /* bytes of all values of one plugin: an eighth of the ledger */
    LIMIT_CONFIG_LINE = 64 << 10,  /* bytes of a line in a configuration file */
    LIMIT_CONFIG_FILE = 4 << 20,
    LIMIT_LOG_FILE = 10 << 20,      /* then it is rotated */
    LIMIT_LOG_FILES = 3,            /* rotated ones that are kept */
    LIMIT_LOG_PER_SECOND = 100,     /* notifications/message of one call; more are dropped */
    LIMIT_PROGRESS_ENDS = 8,        /* last steps (done == total) of one call that pass whatever the rate */
    LIMIT_LEDGER = 1 << 30,         /* bytes of the ledger's log */
    LIMIT_LEDGER_RESERVE = 4 << 20, /* of them not for new work: half for answers, half for making room */
    LIMIT_LEDGER_BATCH = 256 << 20, /* bytes that are recorded at once */
    LIMIT_SNAPSHOT_DAYS = 30,       /* orphans that nobody has claimed: longer than any holiday from a project */
    LIMIT_SHELF_DAYS = 30,          /* good images of a plugin whose file is gone */
    LIMIT_ARTIFACT = 512 << 20,     /* bytes of a file beside the database */
    LIMIT_ARTIFACT_NAME = 200,      /* of its name below the directory */
    LIMIT_TASK_TTL_S = 7 * 86400,   /* how long an MCP task is kept, from its creation */
    LIMIT_PROGRESS_PER_SECOND = 50, /* notifications of one call; those between are dropped */
};
