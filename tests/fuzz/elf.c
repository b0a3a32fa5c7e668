/* Any bytes as a plugin file: refused or accepted, and what is said about them can be put into a message. Nor
 * does the search for a symbol stumble. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <jansson.h>

#include "base/mem.h"
#include "plugin/elf.h"
#include "plugin/elfsym.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    CLEANUP(fd_close) int fd = memfd_create("fuzz", MFD_CLOEXEC);
    struct theseus_error err = {0};
    char name[ELFSYM_NAME_BYTES];
    uint64_t into = 0;

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    if (elfsym_find(fd, "fuzz.so", size ? data[size - 1] * 64U : 0, name, &into, NULL) == 0 &&
        !memchr(name, '\0', sizeof(name)))
        abort();
    if (elf_check(fd, "fuzz.so", &err) == 0)
        return 0;
    json_auto_t *text = json_string(err.message); /* NULL: not UTF-8 */
    if (!text || err.code == ERR_UNSET || err.code == ERR_SYSTEM)
        abort();
    return 0;
}
