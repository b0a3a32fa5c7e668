/* The tools with which a client looks after the server; each has a file of its own. */
#pragma once

#include <theseus/plugin.h>

int admin_plugins(struct theseus_call *call, void *self, const json_t *args);
int admin_reload(struct theseus_call *call, void *self, const json_t *args);
int admin_call(struct theseus_call *call, void *self, const json_t *args);

extern const char admin_plugins_output[]; /* output schemas */
extern const char admin_reload_output[];

/*
 * Asks the core. NULL: it refused, and the call is answered with why. Otherwise a new reference, and the call is still
 * to be answered.
 */
json_t *admin_ask(struct theseus_call *call, const char *verb, const json_t *args);

/* Answers with `value`, and with `text` for those who do not read structured content. Steals `value`; takes `text`,
 * which may be NULL (no memory): then it is the value as JSON. */
int admin_reply(struct theseus_call *call, json_t *value, char *text);
