/*
 * systemd, or whoever else has started the process and speaks its two small protocols: sockets that are handed to it
 * (sd_listen_fds(3)), and being told how it goes (sd_notify(3)).
 */
#pragma once

#include "base/error.h"
#include "base/mem.h"

/* The socket that this process was started with, taken out of the environment; -1: none. More than one is an error. */
MUST_CHECK int supervisor_find_socket(int *ret_fd, struct theseus_error *err);

/* Each says nothing where nobody wants to know. */
void supervisor_ready(void);
void supervisor_reloading(void);
void supervisor_stopping(void);
