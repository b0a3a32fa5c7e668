#include "rpc/codes.h"

#include <stddef.h>

#include "base/mem.h"

/* MCP 2026-07-28, "Error codes"; what is not here is an internal error. */
static const struct {
    enum errc errc;
    int code;
} codes[] = {
    {ERR_PARSE, -32700},   {ERR_REQUEST, -32600},  {ERR_LIMIT, -32600},       {ERR_NO_METHOD, -32601},
    {ERR_PARAMS, -32602},  {ERR_INVALID, -32602},  {ERR_MISSING, -32602},     {ERR_CAPABILITY, -32021},
    {ERR_VERSION, -32022}, {ERR_INTERNAL, -32603}, {ERR_NO_RESOURCE, -32002}, {ERR_ACCESS, -32602},
};

int code_of(enum errc errc) {
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        if (codes[i].errc == errc)
            return codes[i].code;
    return -32603;
}
