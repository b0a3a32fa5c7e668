#include "method/method.h"

void method_ping(struct method_env *env, struct conn *conn, struct call *call) {
    (void)env;
    (void)conn;
    call_answer(call, json_object());
}
