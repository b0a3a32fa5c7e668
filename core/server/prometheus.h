/*
 * The text format that Prometheus reads (version 0.0.4): one family after another, each with its help and type. Names
 * and labels stand in the README.
 */
#pragma once

#include <jansson.h>

/* One server's description (describe.c). Owned. */
char *prometheus_render(const json_t *description);

/* Of several servers, each sample labelled with its pid; `history` (NULL: none) is what the database has: see
 * metrics_command.c. Owned. */
char *prometheus_render_all(const json_t *descriptions, const json_t *history);
