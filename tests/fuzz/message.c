/* The envelope: a line that is read as a message is one by every rule, and answering it gives one line that reads back.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/glimpse.h"
#include "rpc/jsontext.h"
#include "rpc/message.h"
#include "rpc/revision.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(const struct message *message) {
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error err = {0};

    if (message_write_result(message->id, message->root, &line, &err) < 0)
        abort();
    struct span text = buf_span(&line);
    if (memchr(text.data, '\n', text.len) != text.data + text.len - 1)
        abort(); /* one line, and the line end at its end only */
    json_auto_t *back = json_loadb(text.data, text.len, JSON_ALLOW_NUL, NULL);
    if (!back || !json_equal(json_object_get(back, "id"), message->id))
        abort();
}

/* In two pieces it is the same, and where the line can be read, no other id than the one that is there. */
static json_t *glimpsed_new(struct span line, size_t at) {
    CLEANUP(glimpse_free) struct glimpse *glimpse = glimpse_new();

    if (!glimpse)
        abort();
    glimpse_feed(glimpse, (struct span){line.data, at});
    glimpse_feed(glimpse, (struct span){line.data + at, line.len - at});
    return glimpse_id_new(glimpse);
}

static void glimpse(struct span line) {
    json_auto_t *whole = glimpsed_new(line, 0);
    json_auto_t *halves = glimpsed_new(line, line.len / 2);
    json_auto_t *root = json_loadb(line.data, line.len, JSON_ALLOW_NUL, NULL);

    if (whole ? !json_equal(whole, halves) : halves != NULL)
        abort();
    if (whole && root && !json_equal(whole, json_object_get(root, "id")))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    CLEANUP(message_fini) struct message message = {0};
    struct theseus_error err = {0};

    if (!memchr(data, '\n', size))
        glimpse((struct span){(const char *)data, size});
    if (message_read((struct span){(const char *)data, size}, &message, &err) < 0) {
        if (err.code == ERR_UNSET || err.message[0] == '\0')
            abort();
        return 0;
    }
    if (message.kind == MESSAGE_REQUEST) {
        if (!message.id || !message.method)
            abort();
        if (revision_is_claimed(message.params) && revision_check_claim(message.params, &err) < 0)
            return 0;
        answer(&message);
    }
    return 0;
}
