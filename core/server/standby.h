/*
 * What the next image needs should this one crash: the handler, and the facts and descriptors that a planned restart
 * records just before its exec. They are kept current here, from the moment when this image is there to stay.
 */
#pragma once

#include "base/thread.h"

struct server;

void standby_begin(struct server *server) ON_LOOP;
void standby_update(
    struct server *server) ON_LOOP; /* something of it may have changed; harmless before standby_begin() */
void standby_end(struct server *server) ON_LOOP;
