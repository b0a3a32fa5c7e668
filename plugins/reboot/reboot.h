/* The tools with which a client restarts the server and sees how that went; each has a file of its own. */
#pragma once

#include <theseus/plugin.h>

int reboot_restart(struct theseus_call *call, void *self, const json_t *args);
int reboot_health(struct theseus_call *call, void *self, const json_t *args);
int reboot_prepare(struct theseus_call *call, void *self, const json_t *args);
int reboot_status(struct theseus_call *call, void *self, const json_t *args);
int reboot_reconnect(struct theseus_call *call, void *self, const json_t *args);

extern const char reboot_restart_input[], reboot_restart_output[];
extern const char reboot_health_input[], reboot_health_output[];
extern const char reboot_prepare_input[], reboot_prepare_output[];
extern const char reboot_status_input[], reboot_status_output[];
extern const char reboot_reconnect_input[], reboot_reconnect_output[];

/* Asks the core: `defaults` (stolen) with the arguments over them. New reference: an object, with "error" where the
 * core refused. NULL: the core has nothing to say. */
json_t *reboot_ask(struct theseus_call *call, const char *verb, json_t *defaults, const json_t *args);

/* Answers the call with what the core said (stolen; NULL: it said nothing). */
int reboot_reply(struct theseus_call *call, json_t *answer);
