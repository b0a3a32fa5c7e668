#include "base/thread.h"

struct thread_role loop_role;
