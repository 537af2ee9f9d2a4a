/* fuzz_text.c - the helpers that deal with strangers' text: patterns, source text, names made safe.
 */
#include <stdlib.h>
#include <string.h>

#include "analyzer/shell_quote.h"
#include "analyzer/source_text.h"
#include "analyzer/utf8.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/text.h"
#include "formats/trace/pattern.h"
#include "formats/trace/sha256.h"
#include "tests/fuzz/checks.h"
#include "tests/fuzz/fuzz.h"

/* libc compiles a regular expression with {n} into n copies, and nested ones into their product:
 * the pattern is the user's own, so that is the user's own time. */
static bool is_cheap(const char *pattern)
{
    return !strchr(pattern, '{') && strlen(pattern) < 64;
}

static void check_patterns(const char *pattern, const char *path)
{
    struct pattern_list *list = pattern_list_new();
    char why[128];

    FUZZ_CLAIM(list, "no memory");
    if (is_cheap(pattern)) {
        bool compiled = pattern_list_add(list, false, pattern, why, sizeof why) == 0;
        bool included = pattern_list_includes(list, path);
        FUZZ_CLAIM(!compiled || included == !pattern_matches(pattern, path),
                   "the pattern matches and does not");
    }
    pattern_list_free(list);
}

static void check_printable(const uint8_t *bytes, size_t size)
{
    struct text plain = {0}, xml = {0};

    text_add_printable(&plain, (const char *)bytes, size);
    check_text("printable", (const uint8_t *)text_string(&plain), plain.size);
    FUZZ_CLAIM(!memchr(text_string(&plain), '\n', plain.size), "more than one line");
    text_add_xml(&xml, text_string(&plain));
    FUZZ_CLAIM(strcspn(text_string(&xml), "<>\"'") == xml.size, "not safe in XML");
    for (int columns = 0; columns < 20; columns += 7) {
        size_t fits = text_fit(text_string(&plain), plain.size, columns);
        FUZZ_CLAIM(fits <= plain.size && text_width(plain.at, fits) <= columns, "wider than said");
    }
    text_fini(&plain);
    text_fini(&xml);
}

static void check_source(const uint8_t *bytes, size_t size)
{
    struct source_text *text = source_text_new(bytes, size);
    struct trace_bytes line;

    FUZZ_CLAIM(text, "no memory");
    for (size_t i = 0; i <= source_text_line_count(text) + 1; i++) {
        FUZZ_CLAIM(source_text_line(text, i, &line) == 0, "no memory");
        FUZZ_CLAIM(utf8_is_valid(line), "line %zu is not UTF-8", i);
        FUZZ_CLAIM(!line.size || (!memchr(line.at, '\n', line.size)), "line %zu has an end", i);
    }
    source_text_free(text);
}

static void check_clean(struct trace_bytes bytes)
{
    size_t size, same;
    char *clean = utf8_clean(bytes, &size);

    FUZZ_CLAIM(clean, "no memory");
    struct trace_bytes result = {(const uint8_t *)clean, size};
    FUZZ_CLAIM(utf8_is_valid(result), "cleaned and not UTF-8");
    char *again = utf8_clean(result, &same);
    FUZZ_CLAIM(again && same == size && memcmp(clean, again, size) == 0, "cleaned twice differs");
    FUZZ_CLAIM(!utf8_is_valid(bytes) || (size == bytes.size && memcmp(clean, bytes.at, size) == 0),
               "what was UTF-8 was changed");
    free(clean);
    free(again);
}

static void check_quote(struct trace_bytes bytes)
{
    struct shell_quote quote = {0};

    shell_quote_add_list(&quote, bytes);
    free(quote.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    /* The pattern, a NUL, the path. */
    char *pattern = strndup((const char *)bytes, size);
    size_t used = strlen(pattern) < size ? strlen(pattern) + 1 : size;
    char *path = strndup((const char *)bytes + used, size - used);
    struct trace_bytes all = {bytes, size};
    uint8_t digest[SHA256_SIZE];
    struct error err = {.usage = 0};

    FUZZ_CLAIM(pattern && path, "no memory");
    check_patterns(pattern, path);
    check_printable(bytes, size);
    check_source(bytes, size);
    check_clean(all);
    check_quote(all);
    sha256(bytes, size, digest);
    format_guess(path);
    error_set(&err, "%s", size ? pattern : "x");
    if (err.text[0])
        check_text("error", (const uint8_t *)err.text, strlen(err.text));
    free(pattern);
    free(path);
    return 0;
}
