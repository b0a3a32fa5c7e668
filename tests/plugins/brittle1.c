/* One of a family of versions, of which the second crashes. */
#define BRITTLE_VERSION 1
#include "brittle.h"
