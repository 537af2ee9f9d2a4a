#include "recorder/pyrec_options.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "formats/trace/pattern.h"
#include "recorder/pyrec_frontend.h"

static const char help[] =
    "Usage: pyrec [run] [OPTION]... SCRIPT|DIR|ZIP|- [ARGUMENT]...\n"
    "       pyrec [run] [OPTION]... -m MODULE|-c CODE [ARGUMENT]...\n"
    "       pyrec analyze [ARGUMENT]...        (pyanalyze)\n"
    "       pyrec pprofile|cprofile|kernprof ...  (their command lines: --help)\n"
    "Record every line, call and return of a program, its threads and children.\n"
    "  -o, --out FILE        the trace (trace.bin); %p: process id, %n: a number\n"
    "  --force               replace FILE even if it is no trace\n"
    "  --then FORMAT[=FILE]  report with pyanalyze when the run is over; repeatable\n"
    "  --python PATH         else $PYREC_PYTHON, the virtual environment's, python3\n"
    "  --python-args ARGS    options of the interpreter; most also go as they are:\n"
    "                        -I -E -s -O -B -u -X dev -W error ... (not -q -S -v)\n"
    "  --include PATTERN     record only these files, or these again; repeatable\n"
    "  --exclude PATTERN     not these; last match wins: *_x.py, /path/*, re:REGEX\n"
    "  --exclude-syspath     not the standard library and site-packages\n"
    "  --no-threads, --no-children, --no-source    leave these out\n"
    "  --c-calls             calls of built-in and extension functions too\n"
    "  --echo                print each event to standard error as it happens\n"
    "  --sample PERIOD, -S   samples (1ms, 100us, 1kHz; -S: 1ms), not every line\n"
    "  --max-depth N         the innermost N frames of a sample (10000)\n"
    "  --toggle-signal NAME  a signal (USR1) that stops and restarts recording\n"
    "  --max-size SIZE, --min-free SIZE  stop at this size; at this space left (5%)\n"
    "  -q, --quiet, -v, --verbose   no closing line; always one, with our cost\n"
    "  -h, --help   -V, --version\n"
    "Exit status: the program's; 2 usage, 125 pyrec failed, 126, 127 no interpreter.\n";

const char *pyrec_options_help(void)
{
    return help;
}

static int out_of_memory(struct pyrec_error *err)
{
    return pyrec_error_set(err, PYREC_FAILED, "out of memory");
}

/* ---- lists ---- */

int pyrec_list_add(struct pyrec_list *list, const char *head, const char *tail,
                   struct pyrec_error *err)
{
    char **items = realloc(list->items, (list->count + 2) * sizeof *items);

    if (items == NULL)
        return out_of_memory(err);
    list->items = items;
    if (asprintf(&items[list->count], "%s%s", head, tail) < 0)
        return out_of_memory(err);
    list->count++;
    items[list->count] = NULL;
    return 0;
}

int pyrec_list_insert(struct pyrec_list *list, size_t at, const char *text, struct pyrec_error *err)
{
    char *last;

    if (pyrec_list_add(list, text, "", err) < 0)
        return -1;
    last = list->items[list->count - 1];
    memmove(list->items + at + 1, list->items + at, (list->count - 1 - at) * sizeof *list->items);
    list->items[at] = last;
    return 0;
}

void pyrec_list_free(struct pyrec_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct pyrec_list){0};
}

void pyrec_options_free(struct pyrec_options *options)
{
    pyrec_list_free(&options->filters);
    pyrec_list_free(&options->then);
    pyrec_list_free(&options->report);
    pyrec_list_free(&options->interpreter);
}

/* ---- values ---- */

bool pyrec_options_read_size(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    const char *unit;
    unsigned shift = 0;
    char *end;
    unsigned long long number;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    number = strtoull(text, &end, 10);
    unit = *end == '\0' ? NULL : strchr(units, *end >= 'a' ? *end - 'a' + 'A' : *end);
    if (unit != NULL) {
        shift = 10 * (unsigned)(unit - units + 1);
        end++;
        end += *end == 'i';
        end += *end == 'B';
    }
    if (errno != 0 || *end != '\0' || number > UINT64_MAX >> shift)
        return false;
    *bytes = (uint64_t)number << shift;
    return true;
}

static const struct {
    const char *name;
    double ns;
    bool is_rate;
} periods[] = {
    {"", 1e9, false},   {"s", 1e9, false},  {"ms", 1e6, false},
    {"us", 1e3, false}, {"Hz", 1e9, true}, {"kHz", 1e6, true},
};

#define PERIOD_MIN 1e4
#define PERIOD_MAX 3.6e12

bool pyrec_options_read_period(const char *text, uint64_t *ns)
{
    char *end;
    double number;

    if ((*text < '0' || *text > '9') && *text != '.')
        return false;
    number = strtod(text, &end);
    for (size_t i = 0; i < sizeof periods / sizeof *periods; i++) {
        double ns_of_one = periods[i].ns, some = number > 0 ? number : 1e-300;
        double period = periods[i].is_rate ? ns_of_one / some : ns_of_one * number;

        if (strcasecmp(end, periods[i].name) != 0)
            continue;
        if (!(period >= PERIOD_MIN && period <= PERIOD_MAX))
            return false;
        *ns = (uint64_t)(period + 0.5);
        return true;
    }
    return false;
}

static bool read_percent(const char *text, uint64_t *percent)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *percent = strtoull(text, &end, 10);
    return errno == 0 && strcmp(end, "%") == 0 && *percent <= 100;
}

/* One word from `*at` on, into `word`; false: a quote is not closed. */
static bool take_word(const char **at, char *word)
{
    const char *from = *at;
    char quote = '\0';

    for (; *from != '\0' && (quote != '\0' || strchr(" \t\n", *from) == NULL); from++) {
        if (quote == '\0' && (*from == '\'' || *from == '"'))
            quote = *from;
        else if (*from == quote)
            quote = '\0';
        else if (*from == '\\' && quote != '\'' && from[1] != '\0')
            *word++ = *++from;
        else
            *word++ = *from;
    }
    *word = '\0';
    *at = from;
    return quote == '\0';
}

int pyrec_options_split(const char *text, struct pyrec_list *words, struct pyrec_error *err)
{
    char *word = malloc(strlen(text) + 1);
    const char *at = text;
    int result = 0;

    if (word == NULL)
        return out_of_memory(err);
    for (at += strspn(at, " \t\n"); *at != '\0' && result == 0; at += strspn(at, " \t\n"))
        result = take_word(&at, word)
                     ? pyrec_list_add(words, word, "", err)
                     : pyrec_error_set(err, PYREC_USAGE, "a quote is not closed in: %s", text);
    free(word);
    return result;
}

/* ---- what the options do ---- */

struct option {
    const char *name;
    char letter;       /* 0: none */
    const char *value; /* what it is, for errors; NULL: the option takes none */
    int (*apply)(struct pyrec_options *options, const struct option *option, const char *value,
                 struct pyrec_error *err);
    size_t offset; /* of the member it sets */
};

static int bad_value(const struct option *option, const char *value, struct pyrec_error *err)
{
    return pyrec_error_set(err, PYREC_USAGE, "--%s: not %s: %s", option->name, option->value,
                           value);
}

static int set_flag(struct pyrec_options *options, const struct option *option, const char *value,
                    struct pyrec_error *err)
{
    (void)value;
    (void)err;
    *(bool *)((char *)options + option->offset) = true;
    return 0;
}

static int set_text(struct pyrec_options *options, const struct option *option, const char *value,
                    struct pyrec_error *err)
{
    if (value[0] == '\0')
        return bad_value(option, "(empty)", err);
    *(const char **)((char *)options + option->offset) = value;
    return 0;
}

static int set_size(struct pyrec_options *options, const struct option *option, const char *value,
                    struct pyrec_error *err)
{
    if (!pyrec_options_read_size(value, (uint64_t *)((char *)options + option->offset)))
        return bad_value(option, value, err);
    return 0;
}

static int set_period(struct pyrec_options *options, const struct option *option,
                      const char *value, struct pyrec_error *err)
{
    if (!pyrec_options_read_period(value, &options->sample_ns))
        return bad_value(option, value, err);
    return 0;
}

static int set_default_period(struct pyrec_options *options, const struct option *option,
                              const char *value, struct pyrec_error *err)
{
    (void)option, (void)value, (void)err;
    options->sample_ns = 1000000;
    return 0;
}

/* Behind a handler of what an instruction caused, the same instruction comes again, for ever: a
 * program that fails would hang. */
static bool can_be_handled(int number)
{
    static const char cannot[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS,
                                  SIGFPE,  SIGILL,  SIGTRAP, SIGSYS};

    return memchr(cannot, number, sizeof cannot) == NULL;
}

/* USR1, SIGUSR1, rtmin is not among them: a name of the C library's. */
static int set_signal(struct pyrec_options *options, const struct option *option,
                      const char *value, struct pyrec_error *err)
{
    const char *name = strncmp(value, "SIG", 3) == 0 ? value + 3 : value;

    for (int number = 1; number < NSIG; number++) {
        const char *known = sigabbrev_np(number);

        if (known == NULL || strcmp(known, name) != 0 || !can_be_handled(number))
            continue;
        options->toggle_signal = number;
        return 0;
    }
    return bad_value(option, value, err);
}

#define DEPTH_MAX 1000000

static int set_depth(struct pyrec_options *options, const struct option *option, const char *value,
                     struct pyrec_error *err)
{
    char *end;
    unsigned long long depth = strtoull(value, &end, 10);

    if (*value < '1' || *value > '9' || *end != '\0' || depth > DEPTH_MAX)
        return bad_value(option, value, err);
    options->max_depth = depth;
    return 0;
}

static int set_min_free(struct pyrec_options *options, const struct option *option,
                        const char *value, struct pyrec_error *err)
{
    options->min_free_is_percent = read_percent(value, &options->min_free);
    return options->min_free_is_percent ? 0 : set_size(options, option, value, err);
}

static int add_filter(struct pyrec_options *options, const struct option *option, const char *value,
                      struct pyrec_error *err)
{
    bool include = strcmp(option->name, "include") == 0;
    struct pattern_list *patterns = pattern_list_new();
    char why[256] = "";
    int result = 0;

    if (patterns == NULL)
        return out_of_memory(err);
    if (pattern_list_add(patterns, include, value, why, sizeof why) < 0)
        result = pyrec_error_set(err, PYREC_USAGE, "--%s %s: %s", option->name, value, why);
    pattern_list_free(patterns);
    return result < 0 ? result : pyrec_list_add(&options->filters, include ? "+" : "-", value, err);
}

static int add_text(struct pyrec_options *options, const struct option *option, const char *value,
                    struct pyrec_error *err)
{
    if (value[0] == '\0')
        return bad_value(option, "(empty)", err);
    return pyrec_list_add((struct pyrec_list *)((char *)options + option->offset), value, "", err);
}

static int set_action(struct pyrec_options *options, const struct option *option, const char *value,
                      struct pyrec_error *err)
{
    (void)value;
    (void)err;
    options->action = option->letter == 'h' ? PYREC_HELP : PYREC_VERSION_LINE;
    return 0;
}

/* Does this option of the interpreter take the next word as its value? */
static bool takes_next(const char *word)
{
    size_t size = strlen(word);

    if (strcmp(word, "--check-hash-based-pycs") == 0)
        return true;
    return word[0] == '-' && word[1] != '-' && strcspn(word, "XW") == size - 1;
}

/* The program itself may not be named here: it would not be the one that is recorded. */
static int add_python_args(struct pyrec_options *options, const struct option *option,
                           const char *value, struct pyrec_error *err)
{
    struct pyrec_list *list = &options->interpreter;
    size_t at = list->count;

    if (pyrec_options_split(value, list, err) < 0)
        return -1;
    for (; at < list->count; at++) {
        const char *word = list->items[at];

        if (word[0] != '-' || word[1] == '\0' || strcmp(word, "--") == 0 ||
            (word[1] != '-' && word[strcspn(word, "mcXW")] != '\0' &&
             strchr("mc", word[strcspn(word, "mcXW")])))
            return bad_value(option, word, err);
        if (takes_next(word) && ++at == list->count)
            return pyrec_error_set(err, PYREC_USAGE, "--%s: %s needs a value", option->name, word);
    }
    return 0;
}

#define MEMBER(name) offsetof(struct pyrec_options, name)

/* clang-format off */
static const struct option table[] = {
    { "out", 'o', "a file name", set_text, MEMBER(out) },
    { "force", 0, NULL, set_flag, MEMBER(force) },
    { "then", 0, "FORMAT or FORMAT=FILE", add_text, MEMBER(then) },
    { "python", 0, "an interpreter", set_text, MEMBER(python) },
    { "python-args", 0, "an option of the interpreter", add_python_args, 0 },
    { "include", 0, "a pattern", add_filter, 0 },
    { "exclude", 0, "a pattern", add_filter, 0 },
    { "exclude-syspath", 0, NULL, set_flag, MEMBER(exclude_syspath) },
    { "no-threads", 0, NULL, set_flag, MEMBER(no_threads) },
    { "no-children", 0, NULL, set_flag, MEMBER(no_children) },
    { "no-source", 0, NULL, set_flag, MEMBER(no_source) },
    { "c-calls", 0, NULL, set_flag, MEMBER(c_calls) },
    { "echo", 0, NULL, set_flag, MEMBER(echo) },
    { "sample", 0, "a period from 10us to 3600s (as 1ms, 0.001 or 1kHz)", set_period, 0 },
    { "S", 'S', NULL, set_default_period, 0 },
    { "max-depth", 0, "a number of frames up to 1000000", set_depth, 0 },
    { "toggle-signal", 0, "the name of a signal that can be handled (as USR1)", set_signal, 0 },
    { "max-size", 0, "a size (as 500M or 2G)", set_size, MEMBER(max_size) },
    { "min-free", 0, "a size (as 500M) or a percentage (as 5%)", set_min_free, MEMBER(min_free) },
    { "quiet", 'q', NULL, set_flag, MEMBER(quiet) },
    { "verbose", 'v', NULL, set_flag, MEMBER(verbose) },
    { "help", 'h', NULL, set_action, 0 },
    { "version", 'V', NULL, set_action, 0 },
};
/* clang-format on */

static const struct option *find_option(const char *name, size_t size)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strlen(table[i].name) == size && memcmp(table[i].name, name, size) == 0)
            return &table[i];
    return NULL;
}

static const struct option *find_letter(char letter)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].letter == letter && letter != '\0')
            return &table[i];
    return NULL;
}

/* ---- reading the line ---- */

struct reader {
    struct pyrec_options *options;
    char **at; /* the next argument */
    struct pyrec_error *err;
};

static bool is_over(const struct reader *reader)
{
    return reader->options->operand != NULL || reader->options->action != PYREC_RUN;
}

/* The operand is the last thing the interpreter is told before the program's arguments. */
static void end_at(struct reader *reader, enum pyrec_form form, const char *operand)
{
    reader->options->form = form;
    reader->options->operand = operand;
    reader->options->arguments = reader->at;
}

static int read_long(struct reader *reader, const char *word)
{
    size_t size = strcspn(word, "=");
    const struct option *option = find_option(word, size);
    const char *value = word[size] == '=' ? word + size + 1 : NULL;

    if (option == NULL)
        return pyrec_error_set(reader->err, PYREC_USAGE, "unknown option --%.*s", (int)size, word);
    if (option->value == NULL && value != NULL)
        return pyrec_error_set(reader->err, PYREC_USAGE, "--%s takes no value", option->name);
    if (option->value != NULL && value == NULL) {
        if (*reader->at == NULL)
            return pyrec_error_set(reader->err, PYREC_USAGE, "--%s needs %s", option->name,
                                   option->value);
        value = *reader->at++;
    }
    return option->apply(reader->options, option, value, reader->err);
}

/* The value of a one-letter option: the rest of its word, or the next. */
static const char *take_value(struct reader *reader, char letter, const char *rest,
                              const char *what)
{
    if (rest[0] != '\0')
        return rest;
    if (*reader->at != NULL)
        return *reader->at++;
    pyrec_error_set(reader->err, PYREC_USAGE, "-%c needs %s", letter, what);
    return NULL;
}

static int read_own_letter(struct reader *reader, const struct option *option, const char **rest)
{
    const char *value = NULL;

    if (option->value != NULL) {
        value = take_value(reader, option->letter, *rest, option->value);
        if (value == NULL)
            return -1;
        *rest = "";
    }
    return option->apply(reader->options, option, value, reader->err);
}

/* -X, -W, -m or -c, behind other letters of the interpreter: handed on as it was written, value
 * attached or apart. */
static int read_valued_letter(struct reader *reader, char letter, const char **rest,
                              const char *letters)
{
    struct pyrec_list *list = &reader->options->interpreter;
    bool is_apart = (*rest)[0] == '\0';
    const char *value = take_value(reader, letter, *rest,
                                   letter == 'm'   ? "a module"
                                   : letter == 'c' ? "code"
                                                   : "a value");

    if (value == NULL || pyrec_list_add(list, letters, *rest, reader->err) < 0 ||
        (is_apart && pyrec_list_add(list, value, "", reader->err) < 0))
        return -1;
    *rest = "";
    if (letter == 'm' || letter == 'c')
        end_at(reader, letter == 'm' ? PYREC_MODULE : PYREC_CODE, value);
    return 0;
}

/* A word of one-letter options, ours and the interpreter's; the latter are collected in `letters`.
 */
static int read_letters(struct reader *reader, const char *rest)
{
    char letters[32] = "-";
    size_t count = 1;

    while (*rest != '\0' && !is_over(reader)) {
        char letter = *rest++;
        const struct option *option = find_letter(letter);

        if (option != NULL) {
            if (read_own_letter(reader, option, &rest) < 0)
                return -1;
            continue;
        }
        if (strchr("bBdEiIOPsuxXWmc", letter) == NULL || count == sizeof letters - 1)
            return pyrec_error_set(reader->err, PYREC_USAGE, "unknown option -%c", letter);
        letters[count++] = letter;
        letters[count] = '\0';
        if (strchr("XWmc", letter) != NULL) {
            if (read_valued_letter(reader, letter, &rest, letters) < 0)
                return -1;
            count = 1;
        }
    }
    letters[count] = '\0';
    return count > 1 ? pyrec_list_add(&reader->options->interpreter, letters, "", reader->err) : 0;
}

static int read_operand(struct reader *reader, const char *operand, bool is_guarded)
{
    struct pyrec_list *list = &reader->options->interpreter;

    end_at(reader, PYREC_SCRIPT, operand);
    if (is_guarded && operand[0] == '-' && pyrec_list_add(list, "--", "", reader->err) < 0)
        return -1;
    return pyrec_list_add(list, operand, "", reader->err);
}

static int read_word(struct reader *reader)
{
    const char *word = *reader->at++;

    if (strcmp(word, "--") == 0) {
        word = *reader->at == NULL ? NULL : *reader->at++;
        return word == NULL ? 0 : read_operand(reader, word, true);
    }
    if (word[0] == '-' && word[1] == '-')
        return read_long(reader, word + 2);
    if (word[0] == '-' && word[1] != '\0')
        return read_letters(reader, word + 1);
    return read_operand(reader, word, false);
}

/* Commands whose arguments others read. */
static const struct {
    const char *name;
    enum pyrec_action action;
} others[] = {{"analyze", PYREC_ANALYZE}, {"kernprof", PYREC_KERNPROF}};

int pyrec_options_parse(char **argv, struct pyrec_options *options, struct pyrec_error *err)
{
    struct reader reader = {.options = options, .at = argv, .err = err};

    *options =
        (struct pyrec_options){.out = "trace.bin", .min_free = 5, .min_free_is_percent = true,
                               .max_depth = 10000};
    if (*reader.at != NULL)
        reader.at++;
    for (size_t i = 0; *reader.at != NULL && i < sizeof others / sizeof *others; i++) {
        if (strcmp(*reader.at, others[i].name) == 0) {
            options->action = others[i].action;
            options->arguments = reader.at + 1;
            return 0;
        }
    }
    if (*reader.at != NULL && pyrec_frontend_is(*reader.at))
        return pyrec_frontend_parse(reader.at, options, err);
    if (*reader.at != NULL && strcmp(*reader.at, "run") == 0)
        reader.at++;
    while (*reader.at != NULL && !is_over(&reader))
        if (read_word(&reader) < 0)
            return -1;
    if (options->sample_ns != 0 && options->c_calls)
        return pyrec_error_set(err, PYREC_USAGE, "--c-calls: samples do not see calls of C");
    if (options->sample_ns != 0 && options->echo)
        return pyrec_error_set(err, PYREC_USAGE, "--echo: there are no events with --sample");
    if (!is_over(&reader))
        return pyrec_error_set(err, PYREC_USAGE,
                               "nothing to run: SCRIPT, -m MODULE or -c CODE is missing");
    return 0;
}
