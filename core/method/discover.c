#include "method/method.h"

void method_discover(struct method_env *env, struct conn *conn, struct call *call) {
    (void)conn;
    call_answer_list(call, json_pack("{s:[s], s:o, s:s}", "supportedVersions", revision_modern()->name, "capabilities",
                                     method_capabilities_new(env, true), "instructions",
                                     (*env->config)->server.instructions));
}
