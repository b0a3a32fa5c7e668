/* From the core's kinds of error to JSON-RPC's codes; the one place that knows these numbers. */
#pragma once

#include "base/error.h"

int code_of(enum errc errc);
