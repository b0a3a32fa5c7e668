/* Words and pieces that the schemas of several tools have in common, as JSON text. */
#pragma once

#include <stdbool.h>

bool words_has(const char *words, const char *word); /* is it one of a WORDS_…? */

#define WORDS_STATUS \
    "[\"pending\", \"active\", \"in_progress\", \"blocked\", \"completed\", \"failed\", \"cancelled\", \"archived\"]"
#define WORDS_TASK_TYPE                                                                                         \
    "[\"standard\", \"breakdown\", \"milestone\", \"review\", \"approval\", \"research\", \"implementation\", " \
    "\"testing\", \"documentation\", \"deployment\", \"custom\"]"
#define WORDS_COMPLEXITY "[\"trivial\", \"simple\", \"moderate\", \"complex\", \"very_complex\"]"
#define WORDS_SPECIALIST                                                                                             \
    "[\"analyst\", \"coder\", \"tester\", \"documenter\", \"reviewer\", \"architect\", \"devops\", \"researcher\", " \
    "\"coordinator\", \"generic\"]"

#define STRING "{\"type\": \"string\"}"
#define INTEGER "{\"type\": \"integer\"}"
#define BOOLEAN "{\"type\": \"boolean\"}"
#define OBJECT "{\"type\": \"object\"}"
#define LIST "{\"type\": \"array\", \"items\": {\"type\": \"object\"}}"

#define TASK_ID "\"task_id\": {\"type\": \"string\", \"minLength\": 1}"
#define SESSION_ID                                                                                                    \
    "\"session_id\": {\"type\": \"string\", \"description\": \"another session than the one in use; * in questions: " \
    "all of them\"}"
#define DETAIL                                                                                                  \
    "\"detail\": {\"type\": \"boolean\", \"default\": false, \"description\": \"everything that is known, not " \
    "short rows\"}"
#define TITLE "\"title\": {\"type\": \"string\", \"minLength\": 1, \"maxLength\": 500}"
#define DUE_DATE "\"due_date\": {\"type\": \"string\", \"description\": \"ISO 8601, such as 2026-03-01\"}"

/* INPUT("properties", "\"required\", \"names\"") */
#define INPUT(properties, required)                                                     \
    "{\"type\": \"object\", \"properties\": {" properties "}, \"required\": [" required \
    "], \"additionalProperties\": false}"
#define OUTPUT(properties, required) \
    "{\"type\": \"object\", \"properties\": {\"session_id\": " STRING ", " properties "}, \"required\": [" required "]}"
/* Of what belongs to no session. */
#define OUTPUT_BARE(properties, required) \
    "{\"type\": \"object\", \"properties\": {" properties "}, \"required\": [" required "]}"
