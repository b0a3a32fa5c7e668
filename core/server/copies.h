/*
 * Copies of the server: child processes that a plugin has forked, that have executed nothing since, and that nobody was
 * told of. They hold the pipes of the clients, who would wait for the end of the server for ever; so they are killed
 * when it leaves. What writes a core is left in peace, and so is a child that runs a program.
 */
#pragma once

struct ledger;

/* Where the kernel keeps no list of children there are none to be found. */
void copies_end(struct ledger *ledger);
