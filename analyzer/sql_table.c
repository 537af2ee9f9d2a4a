#include "analyzer/sql_table.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/sql_rows.h"
#include "formats/output.h"
#include "formats/text.h"

enum { HELD_ROWS = 1000, HELD_BYTES = 16 << 20 };

struct column {
    int width;
    bool text; /* a value was no number: left-aligned */
};

/* A value as shown: a piece of the table's text. */
struct cell {
    size_t start, size;
    int width;
};

struct sql_table {
    struct output *out; /* borrowed */
    int count;          /* of columns */
    struct column *columns;
    struct cell *cells; /* of the header and the rows held back */
    size_t held;        /* how many rows those are, the header included */
    struct text text;
    bool flowing; /* the widths are settled */
};

/* ---- cells ---- */

/* The cell is what was added to the text since `start`. */
static void cell_finish(struct sql_table *table, struct cell *cell, size_t start)
{
    cell->start = start;
    cell->size = table->text.size - start;
    cell->width = cell->size > 0 ? text_width(table->text.at + start, cell->size) : 0;
}

static void add_hexadecimal(struct text *text, sqlite3_stmt *statement, int i)
{
    const unsigned char *bytes = sqlite3_column_blob(statement, i);
    int size = sqlite3_column_bytes(statement, i);

    text->failed = text->failed || (bytes == NULL && size > 0); /* SQLite is out of memory */
    for (int at = 0; bytes != NULL && at < size; at++)
        text_add_format(text, "%02X", bytes[at]);
}

static void add_real(struct text *text, double value)
{
    char digits[SQL_ROWS_NUMBER_SIZE];

    sql_rows_real_text(digits, value);
    text_add_string(text, digits);
}

static void add_text(struct text *text, sqlite3_stmt *statement, int i)
{
    const char *bytes = (const char *)sqlite3_column_text(statement, i);

    if (bytes != NULL)
        text_add_printable(text, bytes, (size_t)sqlite3_column_bytes(statement, i));
    else
        text->failed = true; /* SQLite is out of memory */
}

/* NULL is shown as nothing. */
static void add_value(struct text *text, sqlite3_stmt *statement, int i)
{
    switch (sqlite3_column_type(statement, i)) {
    case SQLITE_INTEGER:
        text_add_format(text, "%lld", (long long)sqlite3_column_int64(statement, i));
        break;
    case SQLITE_FLOAT:
        add_real(text, sqlite3_column_double(statement, i));
        break;
    case SQLITE_TEXT:
        add_text(text, statement, i);
        break;
    case SQLITE_BLOB:
        add_hexadecimal(text, statement, i);
        break;
    default:
        break;
    }
}

/* ---- rows ---- */

static void write_filling(struct output *out, char filling, int count)
{
    for (; count > 0; count--)
        output_write(out, &filling, 1);
}

static void write_cell(struct sql_table *table, const struct cell *cell, int i)
{
    const struct column *column = &table->columns[i];
    int padding = column->width - cell->width;

    if (!column->text)
        write_filling(table->out, ' ', padding);
    output_write(table->out, table->text.at + cell->start, cell->size);
    if (column->text && i + 1 < table->count)
        write_filling(table->out, ' ', padding);
}

static void write_row(struct sql_table *table, const struct cell *cells)
{
    for (int i = 0; i < table->count; i++) {
        if (i > 0)
            output_text(table->out, "  ");
        write_cell(table, &cells[i], i);
    }
    output_text(table->out, "\n");
}

static void write_rule(struct sql_table *table)
{
    for (int i = 0; i < table->count; i++) {
        if (i > 0)
            output_text(table->out, "  ");
        write_filling(table->out, '-', table->columns[i].width);
    }
    output_text(table->out, "\n");
}

static void write_header(struct sql_table *table)
{
    bool colour = output_terminal(table->out)->colour;

    output_text(table->out, colour ? "\033[1m" : "");
    write_row(table, table->cells);
    output_text(table->out, colour ? "\033[0m" : "");
    write_rule(table);
}

/* Writes the rows held back: from here on the widths stand. */
static void flow(struct sql_table *table)
{
    write_header(table);
    for (size_t row = 1; row < table->held; row++)
        write_row(table, table->cells + row * (size_t)table->count);
    text_clear(&table->text);
    table->held = 0;
    table->flowing = true;
}

static void widen(struct column *column, const struct cell *cell)
{
    if (cell->width > column->width)
        column->width = cell->width;
}

static void make_header(struct sql_table *table, sqlite3_stmt *statement)
{
    for (int i = 0; i < table->count; i++) {
        const char *name = sqlite3_column_name(statement, i);
        size_t start = table->text.size;

        text_add_printable(&table->text, name, name != NULL ? strlen(name) : 0);
        cell_finish(table, &table->cells[i], start);
        widen(&table->columns[i], &table->cells[i]);
    }
    table->held = 1;
}

struct sql_table *sql_table_new(sqlite3_stmt *statement, struct output *out)
{
    struct sql_table *table = calloc(1, sizeof *table);
    size_t columns = (size_t)sqlite3_column_count(statement);

    if (table == NULL)
        return NULL;
    table->out = out;
    table->count = (int)columns;
    table->columns = calloc(columns, sizeof *table->columns);
    table->cells = calloc(columns * (HELD_ROWS + 1), sizeof *table->cells);
    if (table->columns == NULL || table->cells == NULL) {
        sql_table_free(table);
        return NULL;
    }
    make_header(table, statement);
    return table;
}

int sql_table_add(struct sql_table *table, sqlite3_stmt *statement)
{
    struct cell *row = table->cells + table->held * (size_t)table->count;

    for (int i = 0; i < table->count; i++) {
        size_t start = table->text.size;
        int type = sqlite3_column_type(statement, i);

        add_value(&table->text, statement, i);
        if (table->text.failed)
            return -1;
        cell_finish(table, &row[i], start);
        if (table->flowing)
            continue;
        widen(&table->columns[i], &row[i]);
        table->columns[i].text |= type == SQLITE_TEXT || type == SQLITE_BLOB;
    }
    if (table->flowing) {
        write_row(table, row);
        text_clear(&table->text);
    } else if (++table->held > HELD_ROWS || table->text.size > HELD_BYTES) {
        flow(table);
    }
    return 0;
}

void sql_table_finish(struct sql_table *table)
{
    if (!table->flowing)
        flow(table);
}

void sql_table_free(struct sql_table *table)
{
    if (table == NULL)
        return;
    text_fini(&table->text);
    free(table->cells);
    free(table->columns);
    free(table);
}
