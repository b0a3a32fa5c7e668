/* A shared object that is no plugin. */
#include <theseus/plugin.h>

__attribute__((visibility("default"))) int nosymbol_answer(void);

int nosymbol_answer(void) {
    return 42;
}
