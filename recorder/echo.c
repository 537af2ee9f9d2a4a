#include "recorder/echo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/trace/decode.h"
#include "recorder/closing.h"
#include "recorder/recorder.h"
#include "recorder/thread.h"

#define LINE_SIZE 400
#define INDENT_MAX 60

/* A code, a file or a string: one counter numbers the three. */
struct named {
    char *name; /* owned; NULL: not defined */
    char *text; /* owned: a file's, or NULL */
    uint32_t file;
};

static struct {
    struct named *items; /* by number */
    size_t count;
} known;

static char *copy(const char *bytes, size_t size)
{
    char *text = bytes != NULL ? malloc(size + 1) : NULL;

    if (text != NULL) {
        memcpy(text, bytes, size);
        text[size] = '\0';
    }
    return text;
}

static struct named *define(uint32_t number, const char *name, size_t size)
{
    size_t count = known.count != 0 ? known.count : 256;
    struct named *items;

    if (!recorder.settings.echo)
        return NULL;
    while (count <= number)
        count *= 2;
    if (count != known.count) {
        items = realloc(known.items, count * sizeof *items);
        if (items == NULL)
            return NULL;
        memset(items + known.count, 0, (count - known.count) * sizeof *items);
        known.items = items;
        known.count = count;
    }
    free(known.items[number].name);
    free(known.items[number].text);
    known.items[number] = (struct named){.name = copy(name, size)};
    return &known.items[number];
}

void echo_define_code(uint32_t number, uint32_t file, const char *qualname, size_t size)
{
    struct named *code = define(number, qualname, size);

    if (code != NULL)
        code->file = file;
}

void echo_define_file(uint32_t number, const char *name, size_t size, const void *text,
                      size_t text_size)
{
    struct named *file = define(number, name, size);

    if (file != NULL)
        file->text = copy(text, text_size);
}

void echo_define_string(uint32_t number, const char *string, size_t size)
{
    define(number, string, size);
}

void echo_forget(void)
{
    for (size_t i = 0; i < known.count; i++) {
        free(known.items[i].name);
        free(known.items[i].text);
    }
    free(known.items);
    known.items = NULL;
    known.count = 0;
}

static const struct named *find(uint32_t number)
{
    static const struct named unknown;

    return number < known.count ? &known.items[number] : &unknown;
}

/* The line of a text, without the blanks before it. */
static const char *find_line(const char *text, int line, int *size)
{
    *size = 0;
    for (; text != NULL && line > 1; line--) {
        text = strchr(text, '\n');
        text = text != NULL ? text + 1 : NULL;
    }
    if (text == NULL || line < 1)
        return "";
    text += strspn(text, " \t\f");
    *size = (int)strcspn(text, "\r\n");
    return text;
}

static const char *event_name(enum trace_tag tag)
{
    static const char *const names[] = {
#define X(tag, name, operands) [tag] = #name,
        TRACE_EVENT_MAP(X)
#undef X
    };

    return (size_t)tag < sizeof names / sizeof *names && names[tag] != NULL ? names[tag] : "?";
}

/* What stands behind the place: the source where a line begins, else the operand. */
static const char *detail(const struct thread *t, enum trace_tag tag, uint32_t string, int *size)
{
    const struct named *code = find(t->top->code);
    const char *text = find(string)->name;

    *size = 0;
    if (tag == TRACE_TAG_LINE)
        return find_line(find(code->file)->text, t->top->line, size);
    if (string == 0 || text == NULL)
        return "";
    *size = (int)strlen(text);
    return text;
}

static const char *or_unknown(const char *text)
{
    return text != NULL ? text : "?";
}

/* One write, so that threads and children do not mix within a line. */
static void print(char *line, int size)
{
    if (size >= LINE_SIZE - 1)
        size = LINE_SIZE - 2;
    for (int i = 0; i < size; i++) {
        if ((unsigned char)line[i] < ' ' || line[i] == '\x7f')
            line[i] = ' ';
    }
    line[size++] = '\n';
    if (write(STDERR_FILENO, line, (size_t)size) < 0)
        return; /* nobody to tell */
}

void echo_event(const struct thread *t, enum trace_tag tag, uint32_t string)
{
    const struct named *code = find(t->top->code);
    int error = errno;
    char line[LINE_SIZE], name[16];
    uint64_t ticks =
        (t->last_unit << t->shift) - trace_get_u64(recorder.sink.header + TRACE_HEADER_TICKS);
    size_t depth = thread_depth(t), indent = depth > 0 ? 2 * (depth - 1) : 0;
    int text_size, size;
    const char *text = detail(t, tag, string, &text_size);

    if (!closing_owns_stderr())
        return;
    snprintf(name, sizeof name, "%s", event_name(tag));
    for (char *c = name; *c != '\0'; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    size =
        snprintf(line, sizeof line, "%10.6f %d/%s %*s%-6s %s:%d %s%s%.*s",
                 (double)ticks / (double)recorder.sink.tick_rate, (int)recorder.pid,
                 t->name != NULL ? t->name : "?", (int)(indent < INDENT_MAX ? indent : INDENT_MAX),
                 "", name, or_unknown(find(code->file)->name), t->top->line, or_unknown(code->name),
                 text_size > 0 ? "  " : "", text_size, text);
    print(line, size);
    errno = error;
}
