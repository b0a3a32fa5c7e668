#include "command.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"

/* The state of the splitting: where it is, and the word that is being read. */
struct splitter {
    const char *at;
    const struct inputs *inputs;
    struct template word;
    bool open;   /* a word has begun; it may be empty: '' */
    bool quoted; /* something in it was quoted */
};

static const char *const shell_words[] = {"|",  "||",  "|&", "&",   "&&",   ";",   ";;",   ">",  ">>",  ">|", "<",
                                          "<<", "<<<", "2>", "2>>", "2>&1", ">&2", "1>&2", "&>", "&>>", NULL};
static const char *const shells[] = {"sh", "bash", "dash", "zsh", "ksh", "ash", "fish", NULL};

static int end_word(struct splitter *splitter, struct command *command, struct theseus_error *err) {
    const struct template *word = &splitter->word;

    if (!splitter->open)
        return 0;
    for (size_t i = 0; !splitter->quoted && shell_words[i]; i++)
        if (template_is(word, shell_words[i]))
            return theseus_fail(err,
                                "'%s' is for a shell, and there is none; start one with sh -c '…', or quote '%s' to "
                                "pass it on",
                                shell_words[i], shell_words[i]);
    command->words = memory_grown(command->words, command->count, sizeof(*command->words));
    command->words[command->count++] = splitter->word;
    splitter->word = (struct template){0};
    splitter->open = splitter->quoted = false;
    return 0;
}

static int read_single_quotes(struct splitter *splitter, struct theseus_error *err) {
    for (splitter->at++; *splitter->at != '\''; splitter->at++) {
        if (!*splitter->at)
            return theseus_fail(err, "a closing ' is missing");
        template_add_char(&splitter->word, *splitter->at);
    }
    splitter->at++;
    return 0;
}

static int read_double_quotes(struct splitter *splitter, struct theseus_error *err) {
    for (splitter->at++; *splitter->at != '"';) {
        if (!*splitter->at)
            return theseus_fail(err, "a closing \" is missing");
        if (*splitter->at == '{') {
            splitter->at = template_add_brace(&splitter->word, splitter->at, splitter->inputs, err);
            if (!splitter->at)
                return -1;
            continue;
        }
        bool escaped = *splitter->at == '\\' && splitter->at[1] && strchr("$`\"\\\n", splitter->at[1]);
        splitter->at += escaped;
        if (!escaped || *splitter->at != '\n')
            template_add_char(&splitter->word, *splitter->at);
        splitter->at++;
    }
    splitter->at++;
    return 0;
}

static int read_backslash(struct splitter *splitter, struct theseus_error *err) {
    char c = splitter->at[1];

    if (!c)
        return theseus_fail(err, "it ends with a backslash");
    if (c != '\n') {
        splitter->open = splitter->quoted = true;
        template_add_char(&splitter->word, c);
    }
    splitter->at += 2;
    return 0;
}

static int read_next(struct splitter *splitter, struct command *command, struct theseus_error *err) {
    char c = *splitter->at;

    if (strchr(" \t\n", c)) {
        splitter->at++;
        return end_word(splitter, command, err);
    }
    if (c == '\\')
        return read_backslash(splitter, err);
    splitter->open = true;
    if (c == '\'' || c == '"') {
        splitter->quoted = true;
        return c == '"' ? read_double_quotes(splitter, err) : read_single_quotes(splitter, err);
    }
    if (c == '{') {
        splitter->at = template_add_brace(&splitter->word, splitter->at, splitter->inputs, err);
        return splitter->at ? 0 : -1;
    }
    template_add_char(&splitter->word, c);
    splitter->at++;
    return 0;
}

static int split(struct command *command, const char *text, const struct inputs *inputs, struct theseus_error *err) {
    struct splitter splitter = {.at = text, .inputs = inputs};
    int r = 0;

    while (r == 0 && *splitter.at)
        r = read_next(&splitter, command, err);
    if (r == 0)
        r = end_word(&splitter, command, err);
    template_fini(&splitter.word);
    return r;
}

static bool is_shell(const struct template *program) {
    const struct text *text = &program->pieces[0].text;
    const char *slash = memrchr(text->data, '/', text->len);
    const char *name = slash ? slash + 1 : text->data;
    size_t len = text->len - (size_t)(name - text->data);

    for (size_t i = 0; shells[i]; i++)
        if (strlen(shells[i]) == len && memcmp(shells[i], name, len) == 0)
            return true;
    return false;
}

/* -c, -ec, … */
static bool is_script_option(const struct template *word) {
    if (word->count != 1 || word->pieces[0].input >= 0)
        return false;
    const struct text *text = &word->pieces[0].text;
    return text->len >= 2 && text->data[0] == '-' && text->data[1] != '-' && text->data[text->len - 1] == 'c';
}

static int check_program(const struct command *command, struct theseus_error *err) {
    if (command->count == 0 || template_is(&command->words[0], ""))
        return theseus_fail(err, "it names no program");
    if (template_has_placeholder(&command->words[0]))
        return theseus_fail(err, "the program's name may not come from a caller: its first word holds a placeholder");
    const struct text *program = &command->words[0].pieces[0].text;
    const char *equals = memchr(program->data, '=', program->len);
    if (equals && !memchr(program->data, '/', program->len))
        return theseus_fail(err, "'%.*s' is for a shell; set a variable with the key env.%.*s", (int)program->len,
                            program->data, (int)(equals - program->data), program->data);
    for (size_t i = 1; is_shell(&command->words[0]) && i + 1 < command->count; i++)
        if (is_script_option(&command->words[i]) && template_has_placeholder(&command->words[i + 1]))
            return theseus_fail(err, "a caller could put commands into this script; give the value as an argument: "
                                     "sh -c 'grep \"$1\" file' sh {x}");
    return 0;
}

static int check_arrays(const struct command *command, const struct inputs *inputs, struct theseus_error *err) {
    for (size_t i = 0; i < command->count; i++) {
        const struct template *word = &command->words[i];
        for (size_t k = 0; k < word->count && word->count > 1; k++) {
            const struct input *input = word->pieces[k].input < 0 ? NULL : &inputs->items[word->pieces[k].input];
            if (input && input->type == INPUT_ARRAY)
                return theseus_fail(err, "input '%s' is an array: {%s} must be a word of its own", input->name,
                                    input->name);
        }
    }
    return 0;
}

int command_parse(struct command *command, const char *text, const struct inputs *inputs, struct theseus_error *err) {
    if (split(command, text, inputs, err) < 0 || check_program(command, err) < 0)
        return -1;
    return check_arrays(command, inputs, err);
}

void command_fini(struct command *command) {
    for (size_t i = 0; i < command->count; i++)
        template_fini(&command->words[i]);
    free(command->words);
    *command = (struct command){0};
}

/*
 * What a caller gives may not become an option of the program, unless it stands behind "--" or the configuration
 * says that it may.
 */
static int check_value(const struct input *input, const json_t *value, bool guarded, struct theseus_error *err) {
    const char *text = json_string_value(value);

    if (text && memchr(text, '\0', json_string_length(value)))
        return theseus_fail(err, "argument '%s' holds a NUL character, which no program's argument can hold",
                            input->name);
    if (guarded || input->dash)
        return 0;
    if ((text && *text == '-') || (json_is_number(value) && json_number_value(value) < 0))
        return theseus_fail(err,
                            "argument '%s' begins with '-' and would be taken for an option, so it is refused (a file "
                            "is ./-name); the tool's configuration can allow it with ', dash'",
                            input->name);
    return 0;
}

static int add_array(const struct input *input, const json_t *array, bool guarded, struct strings *argv,
                     struct theseus_error *err) {
    for (size_t i = 0; i < json_array_size(array); i++) {
        CLEANUP(text_fini) struct text text = {0};
        const json_t *value = json_array_get(array, i);
        if (check_value(input, value, guarded, err) < 0 || input_print(input, value, &text, err) < 0)
            return -1;
        strings_add(argv, text_take(&text));
    }
    return 0;
}

static int add_word(const struct template *word, const struct inputs *inputs, const json_t *args, bool guarded,
                    struct strings *argv, struct theseus_error *err) {
    CLEANUP(text_fini) struct text text = {0};
    const struct input *first = NULL;
    bool absent;

    for (size_t i = 0; i < word->count; i++) {
        const struct input *input = word->pieces[i].input < 0 ? NULL : &inputs->items[word->pieces[i].input];
        first = i == 0 ? input : first;
        if (input && check_value(input, input_value(input, args), guarded, err) < 0)
            return -1;
    }
    if (template_expand(word, inputs, args, &text, &absent, err) < 0)
        return -1;
    if (absent)
        return 0;
    /* {dir}-backup with an empty dir */
    if (first && !first->dash && !guarded && text.len > 0 && text.data[0] == '-')
        return theseus_fail(err, "argument '%s' may not be empty here: what follows it would be taken for an option",
                            first->name);
    strings_add(argv, text_take(&text));
    return 0;
}

int command_arguments(const struct command *command, const struct inputs *inputs, const json_t *args,
                      struct strings *argv, struct theseus_error *err) {
    bool guarded = false;
    int r = 0;

    for (size_t i = 0; r == 0 && i < command->count; i++) {
        const struct template *word = &command->words[i];
        const struct input *alone = template_alone(word, inputs);
        if (alone && alone->type == INPUT_ARRAY)
            r = add_array(alone, json_object_get(args, alone->name), guarded, argv, err);
        else
            r = add_word(word, inputs, args, guarded, argv, err);
        guarded = guarded || (i > 0 && template_is(word, "--"));
    }
    if (r == 0 && argv->failed)
        return theseus_fail(err, "no memory for the arguments");
    return r;
}
