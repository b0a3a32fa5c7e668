/* The services behind theseus_control(); control.c has them in a table. */
#pragma once

#include "server/control.h"

json_t *service_connections(struct server *server, struct run *run, const json_t *args, const json_t *facts);
json_t *service_plugins(struct server *server, struct run *run, const json_t *args, const json_t *facts);
json_t *service_may_call(struct server *server, struct run *run, const json_t *args, const json_t *facts);
json_t *service_tool(struct server *server, struct run *run, const json_t *args, const json_t *facts);
void service_reload(struct asked *asked);
json_t *service_restart(struct server *server, struct run *run, const json_t *args, const json_t *facts);

json_t *health_gather(struct server *server, struct run *run, const json_t *args);
json_t *health_answer(struct server *server, struct run *run, const json_t *args, const json_t *facts);

json_t *prepare_gather(struct server *server, struct run *run, const json_t *args);
void prepare_begin(struct asked *asked);

json_t *status_gather(struct server *server, struct run *run, const json_t *args);
json_t *status_answer(struct server *server, struct run *run, const json_t *args, const json_t *facts);

json_t *reconnect_gather(struct server *server, struct run *run, const json_t *args);
void reconnect_begin(struct asked *asked);
