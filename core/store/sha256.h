/* The name that files beside the database have by their content: SHA-256, in hexadecimal digits. */
#pragma once

#include "base/error.h"

enum { SHA256_TEXT = 65 };

/* Of all that is read from `fd` from where it stands. Opens libsodium at its first use. Any thread. */
MUST_CHECK int sha256_fd(int fd, char text[static SHA256_TEXT], struct theseus_error *err);
