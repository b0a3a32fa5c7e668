/* What every unit test includes, before the core's headers: cmocka, without the macro that takes the name of our
 * fail(). */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#undef fail
