/* The tables, as the steps that lead to them. */
#pragma once

extern const char *const schema_steps[];
