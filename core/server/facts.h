/* What several services say, each said once. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/error.h"
#include "base/thread.h"

struct config;
struct server;

bool facts_wants(const json_t *args, const char *parameter, bool otherwise);
json_t *facts_now_new(void);             /* RFC 3339 */
json_t *facts_time_new(int64_t wall_ms); /* likewise; negative: null */
void facts_add_text(json_t *list, const char *format, ...) PRINTF_LIKE(2, 3);

/* Why a restart would be refused now; texts are added to `list`. */
/* "restart is not allowed to user 7: …", for what [access] does not let them do ("restart", "reload"); owned. */
char *facts_refusal(const struct config *config, const char *action, long uid);
void facts_add_obstacles(struct server *server, json_t *list) ON_LOOP;
