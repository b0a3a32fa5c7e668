#include "template.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"

static struct piece *add_piece(struct template *template, int input) {
    template->pieces = memory_grown(template->pieces, template->count, sizeof(*template->pieces));
    struct piece *piece = &template->pieces[template->count++];
    piece->input = input;
    return piece;
}

void template_add_char(struct template *template, char c) {
    struct piece *last = template->count ? &template->pieces[template->count - 1] : NULL;

    if (!last || last->input >= 0)
        last = add_piece(template, -1);
    text_add(&last->text, &c, 1);
}

const char *template_add_brace(struct template *template, const char *at, const struct inputs *inputs,
                               struct theseus_error *err) {
    size_t len = strcspn(at + 1, "}");

    if (at[1] == '{') {
        template_add_char(template, '{');
        return at + 2;
    }
    if (at[1 + len] != '}' || !name_is_valid(at + 1, len, "-")) {
        (void)theseus_fail(err, "'%.*s' is no placeholder; a literal brace is written {{",
                           (int)(len < 30 ? len + 2 : 30), at);
        return NULL;
    }
    struct input *input = inputs_find(inputs, at + 1, len);
    if (!input) {
        (void)theseus_fail(err, "no input is named '%.*s'; add input.%.*s = string, or write {{ for a literal brace",
                           (int)len, at + 1, (int)len, at + 1);
        return NULL;
    }
    input->used = true;
    add_piece(template, (int)(input - inputs->items));
    return at + len + 2;
}

int template_parse(struct template *template, const char *text, const struct inputs *inputs,
                   struct theseus_error *err) {
    while (text && *text)
        if (*text == '{')
            text = template_add_brace(template, text, inputs, err);
        else
            template_add_char(template, *text++);
    if (!text)
        return -1;
    for (size_t i = 0; i < template->count; i++) {
        int input = template->pieces[i].input;
        if (input >= 0 && inputs->items[input].type == INPUT_ARRAY)
            return theseus_fail(err, "input '%s' is an array, which only a word of the command of its own can take",
                                inputs->items[input].name);
    }
    return 0;
}

const struct input *template_alone(const struct template *template, const struct inputs *inputs) {
    return template->count == 1 && template->pieces[0].input >= 0 ? &inputs->items[template->pieces[0].input] : NULL;
}

bool template_has_placeholder(const struct template *template) {
    for (size_t i = 0; i < template->count; i++)
        if (template->pieces[i].input >= 0)
            return true;
    return false;
}

bool template_is(const struct template *template, const char *literal) {
    if (template->count != 1 || template->pieces[0].input >= 0)
        return template->count == 0 && !*literal;
    const struct text *text = &template->pieces[0].text;
    return text->len == strlen(literal) && memcmp(text->data, literal, text->len) == 0;
}

int template_expand(const struct template *template, const struct inputs *inputs, const json_t *args, struct text *text,
                    bool *ret_absent, struct theseus_error *err) {
    bool absent = false;

    for (size_t i = 0; i < template->count; i++) {
        const struct piece *piece = &template->pieces[i];
        if (piece->input < 0) {
            text_add(text, piece->text.data, piece->text.len);
            continue;
        }
        const struct input *input = &inputs->items[piece->input];
        const json_t *value = input_value(input, args);
        if (!value)
            absent = true;
        else if (input_print(input, value, text, err) < 0)
            return -1;
    }
    *ret_absent = absent;
    return 0;
}

void template_fini(struct template *template) {
    for (size_t i = 0; i < template->count; i++)
        text_fini(&template->pieces[i].text);
    free(template->pieces);
    *template = (struct template){0};
}
