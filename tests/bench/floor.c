/*
 * The floor: floor [BYTES]
 *
 * What a server costs that does nothing: read, find the newlines, answer each request with a fixed line that carries
 * its id, write. It answers the load generator only, whose requests begin {"jsonrpc":"2.0","id":N,"method":"…
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 64 << 10, HELD_BYTES = 1 << 20, MOST_BYTES = 1 << 16 };

static const char head[] = "{\"jsonrpc\":\"2.0\",\"id\":";
static const char hello[] = ",\"result\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}},"
                            "\"serverInfo\":{\"name\":\"floor\",\"version\":\"1\"}}}\n";
static const char list[] = ",\"result\":{\"tools\":[{\"name\":\"echo\",\"inputSchema\":{\"type\":\"object\"}}]}}\n";

static char answer[MOST_BYTES + 128];
static size_t answer_len;

static char out[4 << 20];
static size_t out_len;

static void flush(void) {
    for (size_t at = 0; at < out_len;) {
        ssize_t n = write(STDOUT_FILENO, out + at, out_len - at);
        if (n < 0)
            exit(1);
        at += (size_t)n;
    }
    out_len = 0;
}

static void say(const char *bytes, size_t len) {
    memcpy(out + out_len, bytes, len);
    out_len += len;
}

/* `line` is followed by a newline, so the characters that are looked at are there. */
static void take(const char *line, size_t len) {
    const size_t id_at = sizeof(head) - 1;
    size_t digits;

    if (len < id_at || memcmp(line, head, id_at) != 0)
        return;
    digits = strspn(line + id_at, "0123456789");
    const char *method = line + id_at + digits + strlen(",\"method\":\"");
    if (out_len + id_at + digits + sizeof(answer) > sizeof(out))
        flush();
    say(line, id_at + digits);
    if (*method == 'i')
        say(hello, sizeof(hello) - 1);
    else if (method[strlen("tools/")] == 'l')
        say(list, sizeof(list) - 1);
    else
        say(answer, answer_len);
}

int main(int argc, char *argv[]) {
    static char in[HELD_BYTES + 1];
    size_t have = 0, bytes = argc > 1 ? strtoul(argv[1], NULL, 10) : 32;
    ssize_t n;

    if (bytes > MOST_BYTES)
        return 2;
    static char text[MOST_BYTES + 1];
    memset(text, 'x', bytes);
    answer_len = (size_t)sprintf(answer, ",\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"%s\"}]}}\n", text);
    while ((n = read(STDIN_FILENO, in + have, have + READ_BYTES > HELD_BYTES ? HELD_BYTES - have : READ_BYTES)) > 0) {
        char *at = in, *end;
        have += (size_t)n;
        for (; (end = memchr(at, '\n', have - (size_t)(at - in))); at = end + 1)
            take(at, (size_t)(end - at));
        have -= (size_t)(at - in);
        memmove(in, at, have);
        flush();
    }
    return 0;
}
