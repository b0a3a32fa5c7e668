/*
 * A whole plugin in C++20. Build it with this one command, then put hello.so into the plugin directory:
 *
 *     g++ -std=c++20 -shared -fPIC -fvisibility-inlines-hidden -fno-gnu-unique \
 *         $(pkg-config --cflags theseus) -o hello.so hello.cpp
 *
 * The two -f options let the server unmap the plugin when a newer one replaces it. Without the first, the C++ library
 * finds the plugin's copies of its own templates and begins to use them; without the second, some of those are of a
 * kind (GNU_UNIQUE) that stays for ever. A thread_local object with a destructor would keep the plugin too: have none.
 */
#include <theseus/plugin.h>

#include <exception>
#include <string>

namespace {

std::string greeting(const std::string &name) {
    return "Hello, " + name + ", from C++";
}

/*
 * `args` has been checked against the schema below: "name" is there, and is a string. The server is C: no exception may
 * leave this function.
 */
int hello(theseus_call *call, void *, const json_t *args) {
    try {
        const json_t *name = json_object_get(args, "name");
        const std::string text = greeting({json_string_value(name), json_string_length(name)});
        return theseus_reply_text(call, "%s", text.c_str());
    } catch (const std::exception &error) {
        return theseus_reply_error(call, "hello_cpp: %s", error.what());
    }
}

/* What clients see. The row of zeroes ends the table. */
const struct theseus_tool tools[] = {
    {
        .name = "hello_cpp",
        .title = "Hello from C++",
        .description = "Use this to see a plugin in C++ at work: greets by name.",
        .input_schema = R"({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]})",
        .flags = THESEUS_READ_ONLY | THESEUS_IDEMPOTENT | THESEUS_INLINE,
        .call = hello,
    },
    {},
};

} // namespace

/* The one symbol that the server looks for; the header has given it C linkage. */
const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "hello_cpp",
    .version = "1.0.0",
    .description = "An example in C++.",
    .tools = tools,
};
