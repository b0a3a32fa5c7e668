/* One server, as `theseus status` shows it. */
#pragma once

#include <stdio.h>

#include <jansson.h>

void status_print_server(FILE *out, const json_t *sign);
