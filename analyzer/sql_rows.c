#include "analyzer/sql_rows.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/sql_table.h"
#include "formats/error.h"
#include "formats/output.h"
#include "formats/text.h"

struct style {
    void (*begin)(struct sql_rows *rows, sqlite3_stmt *statement);
    void (*add)(struct sql_rows *rows, sqlite3_stmt *statement);
    void (*end)(struct sql_rows *rows);
    void (*finish)(struct sql_rows *rows);
};

struct sql_rows {
    const struct style *style; /* borrowed */
    struct output *out;        /* borrowed */
    struct sql_table *table;   /* owned; of the aligned style */
    bool several;
    size_t results; /* begun so far */
    size_t count;   /* rows of the result so far */
    bool failed;    /* out of memory */
};

/* ---- values ---- */

/* The bytes of a text or BLOB, and how many; none, and rows->failed, if SQLite runs out of memory.
 */
static const char *column_bytes(struct sql_rows *rows, sqlite3_stmt *statement, int column,
                                size_t *size)
{
    bool text = sqlite3_column_type(statement, column) == SQLITE_TEXT;
    const void *bytes = text ? (const void *)sqlite3_column_text(statement, column)
                             : sqlite3_column_blob(statement, column);

    *size = (size_t)sqlite3_column_bytes(statement, column);
    if (bytes != NULL)
        return bytes;
    rows->failed = rows->failed || text || *size > 0; /* an empty BLOB has no bytes */
    *size = 0;
    return "";
}

void sql_rows_real_text(char *text, double value)
{
    static const char digits[] = "0123456789-";

    if (isinf(value)) {
        snprintf(text, SQL_ROWS_NUMBER_SIZE, "%s", value > 0 ? "Inf" : "-Inf");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, SQL_ROWS_NUMBER_SIZE, "%.*g", precision, value);
        if (strtod(text, NULL) == value)
            break;
    }
    /* A whole real number stays recognizable as a real one. */
    if (strspn(text, digits) == strlen(text))
        snprintf(text + strlen(text), 3, ".0");
}

static void write_number(struct sql_rows *rows, sqlite3_stmt *statement, int column)
{
    char text[SQL_ROWS_NUMBER_SIZE];

    if (sqlite3_column_type(statement, column) == SQLITE_INTEGER)
        snprintf(text, sizeof text, "%lld", (long long)sqlite3_column_int64(statement, column));
    else
        sql_rows_real_text(text, sqlite3_column_double(statement, column));
    output_text(rows->out, text);
}

static void write_hexadecimal(struct sql_rows *rows, const char *bytes, size_t size)
{
    static const char digits[] = "0123456789ABCDEF";
    char text[512];
    size_t used = 0;

    for (size_t i = 0; i < size; i++) {
        text[used++] = digits[(unsigned char)bytes[i] >> 4];
        text[used++] = digits[bytes[i] & 15];
        if (used == sizeof text) {
            output_write(rows->out, text, used);
            used = 0;
        }
    }
    output_write(rows->out, text, used);
}

/* Writes `size` bytes, those that `escape` knows as what it says. */
static void write_escaped(struct sql_rows *rows, const char *at, size_t size,
                          const char *(*escape)(unsigned char byte, char *room))
{
    const char *plain = at, *end = at + size;

    for (; at < end; at++) {
        char room[8];
        const char *text = escape((unsigned char)*at, room);

        if (text == NULL)
            continue;
        output_write(rows->out, plain, (size_t)(at - plain));
        output_text(rows->out, text);
        plain = at + 1;
    }
    output_write(rows->out, plain, (size_t)(end - plain));
}

/* ---- TSV ---- */

static const char *escape_tsv(unsigned char byte, char *room)
{
    (void)room;
    switch (byte) {
    case '\t':
        return "\\t";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\\':
        return "\\\\";
    default:
        return NULL;
    }
}

static void tsv_begin(struct sql_rows *rows, sqlite3_stmt *statement)
{
    int columns = sqlite3_column_count(statement);

    if (rows->results > 1)
        output_text(rows->out, "\n");
    for (int i = 0; i < columns; i++) {
        const char *name = sqlite3_column_name(statement, i);

        write_escaped(rows, name, strlen(name), escape_tsv);
        output_text(rows->out, i + 1 < columns ? "\t" : "\n");
    }
}

static void tsv_value(struct sql_rows *rows, sqlite3_stmt *statement, int column)
{
    const char *bytes;
    size_t size;

    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_NULL:
        output_text(rows->out, "\\N");
        break;
    case SQLITE_TEXT:
        bytes = column_bytes(rows, statement, column, &size);
        write_escaped(rows, bytes, size, escape_tsv);
        break;
    case SQLITE_BLOB:
        bytes = column_bytes(rows, statement, column, &size);
        write_hexadecimal(rows, bytes, size);
        break;
    default:
        write_number(rows, statement, column);
    }
}

static void tsv_add(struct sql_rows *rows, sqlite3_stmt *statement)
{
    int columns = sqlite3_column_count(statement);

    for (int i = 0; i < columns; i++) {
        tsv_value(rows, statement, i);
        output_text(rows->out, i + 1 < columns ? "\t" : "\n");
    }
}

/* ---- CSV ---- */

static const char *escape_quote(unsigned char byte, char *room)
{
    (void)room;
    return byte == '"' ? "\"\"" : NULL;
}

static void csv_text(struct sql_rows *rows, const char *text, size_t size)
{
    bool plain = size > 0;

    for (size_t i = 0; i < size && plain; i++)
        plain = text[i] != ',' && text[i] != '"' && text[i] != '\n' && text[i] != '\r';
    if (plain) {
        output_write(rows->out, text, size);
        return;
    }
    output_text(rows->out, "\"");
    write_escaped(rows, text, size, escape_quote);
    output_text(rows->out, "\"");
}

static void csv_begin(struct sql_rows *rows, sqlite3_stmt *statement)
{
    int columns = sqlite3_column_count(statement);

    if (rows->results > 1)
        output_text(rows->out, "\r\n");
    for (int i = 0; i < columns; i++) {
        const char *name = sqlite3_column_name(statement, i);

        csv_text(rows, name, strlen(name));
        output_text(rows->out, i + 1 < columns ? "," : "\r\n");
    }
}

static void csv_value(struct sql_rows *rows, sqlite3_stmt *statement, int column)
{
    const char *bytes;
    size_t size;

    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_NULL:
        break;
    case SQLITE_TEXT:
        bytes = column_bytes(rows, statement, column, &size);
        csv_text(rows, bytes, size);
        break;
    case SQLITE_BLOB:
        bytes = column_bytes(rows, statement, column, &size);
        write_hexadecimal(rows, bytes, size);
        break;
    default:
        write_number(rows, statement, column);
    }
}

static void csv_add(struct sql_rows *rows, sqlite3_stmt *statement)
{
    int columns = sqlite3_column_count(statement);

    for (int i = 0; i < columns; i++) {
        csv_value(rows, statement, i);
        output_text(rows->out, i + 1 < columns ? "," : "\r\n");
    }
}

/* ---- JSON ---- */

static const char *escape_json(unsigned char byte, char *room)
{
    static const char letters[] = "\bb\ff\nn\rr\tt\"\"\\\\";

    for (size_t i = 0; byte != 0 && i + 1 < sizeof letters; i += 2) {
        if ((unsigned char)letters[i] == byte) {
            room[0] = '\\';
            room[1] = letters[i + 1];
            room[2] = '\0';
            return room;
        }
    }
    if (byte >= 0x20 && byte != 0x7F)
        return NULL;
    snprintf(room, 8, "\\u%04x", byte);
    return room;
}

/* JSON is UTF-8: each byte that is not (SQLite stores any as text) becomes U+FFFD. */
static void json_text(struct sql_rows *rows, const char *text, size_t size)
{
    const char *plain = text, *at = text, *end = text + size;

    output_text(rows->out, "\"");
    while (at < end) {
        const char *start = at;

        if (text_next(&at, end) < TEXT_BYTE)
            continue;
        write_escaped(rows, plain, (size_t)(start - plain), escape_json);
        output_text(rows->out, "\xEF\xBF\xBD");
        plain = at;
    }
    write_escaped(rows, plain, (size_t)(end - plain), escape_json);
    output_text(rows->out, "\"");
}

static void json_value(struct sql_rows *rows, sqlite3_stmt *statement, int column)
{
    const char *bytes;
    size_t size;

    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_NULL:
        output_text(rows->out, "null");
        break;
    case SQLITE_TEXT:
        bytes = column_bytes(rows, statement, column, &size);
        json_text(rows, bytes, size);
        break;
    case SQLITE_BLOB:
        output_text(rows->out, "\"");
        bytes = column_bytes(rows, statement, column, &size);
        write_hexadecimal(rows, bytes, size);
        output_text(rows->out, "\"");
        break;
    case SQLITE_FLOAT:
        if (!isfinite(sqlite3_column_double(statement, column))) {
            output_text(rows->out, "null");
            break;
        }
        /* fall through */
    default:
        write_number(rows, statement, column);
    }
}

static void json_begin(struct sql_rows *rows, sqlite3_stmt *statement)
{
    (void)statement;
    if (rows->several)
        output_text(rows->out, rows->results == 1 ? "[\n" : ",\n");
    output_text(rows->out, "[");
}

static void json_add(struct sql_rows *rows, sqlite3_stmt *statement)
{
    int columns = sqlite3_column_count(statement);

    output_text(rows->out, rows->count == 1 ? "\n{" : ",\n{");
    for (int i = 0; i < columns; i++) {
        const char *name = sqlite3_column_name(statement, i);

        if (i > 0)
            output_text(rows->out, ",");
        json_text(rows, name, strlen(name));
        output_text(rows->out, ":");
        json_value(rows, statement, i);
    }
    output_text(rows->out, "}");
}

static void json_end(struct sql_rows *rows)
{
    output_text(rows->out, rows->count == 0 ? "]" : "\n]");
    if (!rows->several)
        output_text(rows->out, "\n");
}

static void json_finish(struct sql_rows *rows)
{
    if (rows->several && rows->results > 0)
        output_text(rows->out, "\n]\n");
    else if (rows->results == 0)
        output_text(rows->out, "[]\n");
}

/* ---- aligned ---- */

static void aligned_begin(struct sql_rows *rows, sqlite3_stmt *statement)
{
    if (rows->results > 1)
        output_text(rows->out, "\n");
    rows->table = sql_table_new(statement, rows->out);
    rows->failed = rows->table == NULL;
}

static void aligned_add(struct sql_rows *rows, sqlite3_stmt *statement)
{
    rows->failed = sql_table_add(rows->table, statement) < 0;
}

static void aligned_end(struct sql_rows *rows)
{
    sql_table_finish(rows->table);
    sql_table_free(rows->table);
    rows->table = NULL;
}

static const struct style styles[] = {
    [SQL_ROWS_ALIGNED] = {aligned_begin, aligned_add, aligned_end, NULL},
    [SQL_ROWS_TSV] = {tsv_begin, tsv_add, NULL, NULL},
    [SQL_ROWS_CSV] = {csv_begin, csv_add, NULL, NULL},
    [SQL_ROWS_JSON] = {json_begin, json_add, json_end, json_finish},
};

struct sql_rows *sql_rows_new(enum sql_rows_style style, struct output *out, bool several)
{
    struct sql_rows *rows = calloc(1, sizeof *rows);

    if (rows == NULL)
        return NULL;
    rows->style = &styles[style];
    rows->out = out;
    rows->several = several;
    return rows;
}

static int rows_status(const struct sql_rows *rows, struct error *err)
{
    return rows->failed ? error_set(err, "out of memory for the rows of a query") : 0;
}

int sql_rows_begin(struct sql_rows *rows, sqlite3_stmt *statement, struct error *err)
{
    rows->results++;
    rows->count = 0;
    rows->style->begin(rows, statement);
    return rows_status(rows, err);
}

int sql_rows_add(struct sql_rows *rows, sqlite3_stmt *statement, struct error *err)
{
    rows->count++;
    rows->style->add(rows, statement);
    return rows_status(rows, err);
}

int sql_rows_end(struct sql_rows *rows, struct error *err)
{
    if (rows->style->end != NULL)
        rows->style->end(rows);
    return rows_status(rows, err);
}

void sql_rows_finish(struct sql_rows *rows)
{
    if (rows->style->finish != NULL)
        rows->style->finish(rows);
}

void sql_rows_free(struct sql_rows *rows)
{
    if (rows == NULL)
        return;
    sql_table_free(rows->table);
    free(rows);
}
