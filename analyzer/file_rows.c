#include "analyzer/file_rows.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/grow.h"
#include "analyzer/model.h"
#include "analyzer/sample_sums.h"
#include "analyzer/source_text.h"
#include "analyzer/sources.h"
#include "analyzer/statements.h"
#include "analyzer/store.h"
#include "analyzer/totals.h"
#include "analyzer/trace_walk.h"
#include "analyzer/utf8.h"
#include "formats/error.h"
#include "formats/trace/sha256.h"

/* That a line is in a function: because the code says so, or because something happened there. */
struct line_entry {
    uint32_t line, function;
    uint64_t hits;
    bool executable;
};

struct file_writer {
    const struct model *model;
    const struct totals *totals;
    const struct sources *sources;
    struct store *store;
    struct error *err;
    struct total_function_line **touched; /* owned; by file, line and function */
    size_t touched_count, touched_at;
    size_t function_at;         /* the next function that is code */
    struct line_entry *entries; /* owned; of the file at hand */
    size_t count, room;
};

static int out_of_memory(struct file_writer *writer)
{
    return error_set(writer->err, "out of memory for source lines");
}

/* --- Today's file --- */

/* Does the open file, of the recorded size, hold another text? -1: no memory. */
static int differs(int fd, const struct model_file *file)
{
    uint8_t digest[SHA256_SIZE];
    uint8_t *text = malloc((size_t)file->size + 1);

    if (!text)
        return -1;
    ssize_t got = trace_pread(fd, text, (size_t)file->size, 0);
    sha256(text, got < 0 ? 0 : (size_t)got, digest);
    free(text);
    return memcmp(digest, file->sha256.at, SHA256_SIZE) != 0;
}

static bool has_path(const struct model_file *file)
{
    return file->sha256.size && file->path.size && file->path.at[0] == '/' &&
           !memchr(file->path.at, 0, file->path.size);
}

/* Has the file changed since? *changed: 1, 0, or -1: it is not there, or its text was never known.
 * Only a regular file of the recorded size is read. 0, or -1: no memory. */
static int look_for_change(const struct model_file *file, int *changed)
{
    struct stat st;

    *changed = -1;
    if (!has_path(file))
        return 0;
    char *path = strndup((const char *)file->path.at, file->path.size);
    if (!path)
        return -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), status = 0;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        *changed = (uint64_t)st.st_size != file->size ? 1 : differs(fd, file);
        status = *changed < 0 ? -1 : 0;
    }
    if (fd >= 0)
        close(fd);
    free(path);
    return status;
}

/* --- files --- */

static const char *origin_name(uint64_t origin)
{
    static const char *const names[] = {"program", "stdlib", "site", "frozen", "generated"};

    return origin < sizeof names / sizeof *names ? names[origin] : "generated";
}

static void write_file(struct file_writer *writer, const struct model_file *file,
                       const uint8_t *source, size_t size, size_t line_count)
{
    char types[] = "itstsiibb", hash[2 * SHA256_SIZE + 1] = "";
    int changed;
    struct trace_bytes text = {source, size};

    for (size_t i = 0; i < file->sha256.size; i++) {
        hash[2 * i] = "0123456789abcdef"[file->sha256.at[i] >> 4];
        hash[2 * i + 1] = "0123456789abcdef"[file->sha256.at[i] & 15];
    }
    if (look_for_change(file, &changed) < 0)
        store_out_of_memory(writer->store);
    /* Three columns may be NULL; each combination is a row of its own kind. */
    bool raw = !utf8_is_valid(file->path);
    types[6] = changed < 0 ? '-' : 'i';
    types[7] = source ? 'b' : '-';
    types[8] = raw ? 'b' : '-';
    struct trace_bytes first = source ? text : file->path;
#define FRONT                                                                                      \
    (int64_t) file->row, file->path, hash, file->name, origin_name(file->origin),                  \
        (int64_t)line_count
    if (changed < 0)
        store_row(writer->store, STORE_FILES, types, FRONT, first, file->path);
    else
        store_row(writer->store, STORE_FILES, types, FRONT, (int64_t)changed, first, file->path);
#undef FRONT
}

/* --- lines --- */

static int add_entry(struct file_writer *writer, uint32_t function, uint32_t line, uint64_t hits,
                     bool executable)
{
    struct line_entry *grown =
        grow_array(writer->entries, writer->count, &writer->room, sizeof *grown);

    if (!grown)
        return out_of_memory(writer);
    writer->entries = grown;
    grown[writer->count++] = (struct line_entry){line, function, hits, executable};
    return 0;
}

static int add_code_lines(struct file_writer *writer, uint32_t function)
{
    const struct model_function *model = &writer->model->functions[function];
    int64_t line;

    for (size_t i = 0; i < model->code_count; i++) {
        struct facts_lines lines = facts_lines(writer->model->codes[model->first_code + i]);
        while (facts_next_line(&lines, &line))
            if (add_entry(writer, function, (uint32_t)line, 0, true) < 0)
                return -1;
    }
    return 0;
}

static uint32_t file_of(const struct file_writer *writer, uint32_t function)
{
    return writer->model->functions[function].file;
}

/* All that is known of the lines of a file; files come in order of their ids. */
static int gather(struct file_writer *writer, uint32_t file)
{
    writer->count = 0;
    for (; writer->function_at < writer->model->code_function_count; writer->function_at++) {
        if (file_of(writer, (uint32_t)writer->function_at) != file)
            break;
        if (add_code_lines(writer, (uint32_t)writer->function_at) < 0)
            return -1;
    }
    for (; writer->touched_at < writer->touched_count; writer->touched_at++) {
        const struct total_function_line *touched = writer->touched[writer->touched_at];
        if (file_of(writer, touched->function) != file)
            break;
        if (add_entry(writer, touched->function, touched->line, touched->hits, false) < 0)
            return -1;
    }
    return 0;
}

static int compare_entries(const void *a, const void *b)
{
    const struct line_entry *x = a, *y = b;

    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return x->function < y->function ? -1 : x->function > y->function;
}

/* With which statement the line belongs, if it has others. */
static void write_statement(struct file_writer *writer, uint32_t file, uint32_t line)
{
    uint32_t first = statements_first_line(writer->model->statements, file, line);

    if (first != line ||
        statements_first_line(writer->model->statements, file, line + 1) == first)
        store_row(writer->store, STORE_STATEMENT_LINES, "iii",
                  (int64_t)writer->model->files[file].row, (int64_t)line, (int64_t)first);
}

/* One row for the entries [first, end) of a line, unless nothing ever was there. */
static int write_line(struct file_writer *writer, uint32_t file, const struct line_entry *first,
                      const struct line_entry *end, struct source_text *text)
{
    const struct model *model = writer->model;
    const struct total_line *found = totals_line(writer->totals, file, first->line);
    struct total_line none = {0};
    const struct total_line *total = found ? found : &none;
    const struct line_entry *best = first;
    bool executable = false;
    struct trace_bytes source = {0};

    for (const struct line_entry *entry = first; entry < end; entry++) {
        executable |= entry->executable;
        if (entry->hits > best->hits)
            best = entry;
    }
    if (!executable && total->hits == 0 && total->self == 0 && total->cumulative == 0)
        return 0;
    if (text && source_text_line(text, first->line, &source) < 0)
        return out_of_memory(writer);
    write_statement(writer, file, first->line);
    bool has_text = text && first->line > 0 && first->line <= source_text_line_count(text);
    struct sample_sums samples = sample_table_get(writer->totals->samples, found);
#define FIGURES                                                                                    \
    (int64_t) model->files[file].row, model->files[file].path, (int64_t)first->line,               \
        model->functions[best->function].qualname, (int64_t)total->hits, total->self,              \
        total->self - total->wait, total->cumulative, total->cumulative - total->cumulative_wait,  \
        (int64_t)executable
    if (has_text)
        store_row(writer->store, STORE_LINES, "ititiiiiiitiiiiii", FIGURES, source,
                  SAMPLE_COLUMNS(samples));
    else
        store_row(writer->store, STORE_LINES, "ititiiiiii-iiiiii", FIGURES, SAMPLE_COLUMNS(samples));
#undef FIGURES
    return 0;
}

static int write_lines(struct file_writer *writer, uint32_t file, struct source_text *text)
{
    struct line_entry *end, *behind;

    if (writer->count == 0)
        return 0;
    end = writer->entries + writer->count;
    qsort(writer->entries, writer->count, sizeof *writer->entries, compare_entries);
    for (struct line_entry *first = writer->entries; first < end; first = behind) {
        for (behind = first; behind < end && behind->line == first->line; behind++)
            ;
        if (write_line(writer, file, first, behind, text) < 0)
            return -1;
    }
    return 0;
}

static int write_one(struct file_writer *writer, uint32_t id)
{
    const struct model_file *file = &writer->model->files[id];
    size_t size;
    int status = -1;

    if (gather(writer, id) < 0)
        return -1;
    if (file->row == 0)
        return 0;
    uint8_t *source = sources_text(writer->sources, file->sha256, &size, writer->err);
    struct source_text *text = source ? source_text_new(source, size) : NULL;
    if (writer->err->text[0] == 0 && source && !text)
        out_of_memory(writer);
    if (writer->err->text[0] == 0) {
        write_file(writer, file, source, size, text ? source_text_line_count(text) : 0);
        status = write_lines(writer, id, text);
    }
    source_text_free(text);
    free(source);
    return status;
}

/* --- All --- */

/* qsort_r's context is the model: the order is that of files, which functions know. */
static int compare_touched(const void *a, const void *b, void *context)
{
    const struct total_function_line *x = *(struct total_function_line *const *)a;
    const struct total_function_line *y = *(struct total_function_line *const *)b;
    const struct model *model = context;
    uint32_t x_file = model->functions[x->function].file,
             y_file = model->functions[y->function].file;

    if (x_file != y_file)
        return x_file < y_file ? -1 : 1;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return x->function < y->function ? -1 : x->function > y->function;
}

static int collect_touched(struct file_writer *writer)
{
    const struct totals *totals = writer->totals;

    writer->touched = malloc((totals->function_line_count + 1) * sizeof *writer->touched);
    if (!writer->touched)
        return out_of_memory(writer);
    for (struct total_function_line *line = totals->all_function_lines; line; line = line->next)
        writer->touched[writer->touched_count++] = line;
    qsort_r(writer->touched, writer->touched_count, sizeof *writer->touched, compare_touched,
            (void *)writer->model);
    return 0;
}

int file_rows_store(const struct model *model, const struct totals *totals,
                    const struct sources *sources, struct store *store, struct error *err)
{
    struct file_writer writer = {
        .model = model, .totals = totals, .sources = sources, .store = store, .err = err};
    int status = collect_touched(&writer);

    for (size_t i = 0; status == 0 && i < model->file_count; i++)
        status = write_one(&writer, (uint32_t)i);
    free(writer.touched);
    free(writer.entries);
    return status;
}
