/* What each kind of specialist is told before it begins. */
#pragma once

const char *specialist_instructions(const char *specialist_type); /* borrowed; those of "generic" where it is unknown */
