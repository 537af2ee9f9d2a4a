#include "analyzer/shell_quote.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ESCAPED_QUOTE "'\"'\"'"

static void add(struct shell_quote *quote, const void *bytes, size_t size)
{
    if (quote->failed || size == 0)
        return;
    if (size > quote->room - quote->size) {
        size_t room = 2 * (quote->room + size) + 64;
        char *grown = realloc(quote->text, room);
        if (!grown) {
            quote->failed = 1;
            return;
        }
        quote->text = grown;
        quote->room = room;
    }
    memcpy(quote->text + quote->size, bytes, size);
    quote->size += size;
}

static bool is_plain(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c >= 0x80 || (c && strchr("_@%+=:,./-", c));
}

static bool needs_quotes(struct trace_bytes argument)
{
    for (size_t i = 0; i < argument.size; i++)
        if (!is_plain(argument.at[i]))
            return true;
    return argument.size == 0;
}

void shell_quote_add(struct shell_quote *quote, struct trace_bytes argument)
{
    bool quoted = needs_quotes(argument);

    if (quote->size)
        add(quote, " ", 1);
    add(quote, "'", quoted);
    for (size_t i = 0; i < argument.size; i++) {
        if (argument.at[i] == '\'')
            add(quote, ESCAPED_QUOTE, sizeof ESCAPED_QUOTE - 1);
        else
            add(quote, argument.at + i, 1);
    }
    add(quote, "'", quoted);
}

void shell_quote_add_list(struct shell_quote *quote, struct trace_bytes arguments)
{
    size_t start = 0;

    for (size_t i = 0; i < arguments.size; i++)
        if (arguments.at[i] == 0) {
            shell_quote_add(quote, (struct trace_bytes){arguments.at + start, i - start});
            start = i + 1;
        }
    if (start < arguments.size)
        shell_quote_add(quote, (struct trace_bytes){arguments.at + start, arguments.size - start});
}

struct trace_bytes shell_quote_bytes(const struct shell_quote *quote)
{
    return (struct trace_bytes){(const uint8_t *)(quote->text ? quote->text : ""), quote->size};
}
