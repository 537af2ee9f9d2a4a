#include "analyzer/statements.h"

#include <stdlib.h>

#include "analyzer/logical_lines.h"
#include "analyzer/model.h"
#include "analyzer/source_text.h"
#include "analyzer/sources.h"
#include "formats/error.h"

/* Of one file. */
struct file_lines {
    uint32_t *first; /* owned; NULL: no text */
    size_t count;
};

struct statements {
    struct file_lines *files; /* owned; by id */
    size_t count;
};

static int no_memory(struct error *err)
{
    return error_set(err, "out of memory for source lines");
}

static int read_lines(struct file_lines *lines, const uint8_t *bytes, size_t size)
{
    struct source_text *text = source_text_new(bytes, size);

    if (!text)
        return -1;
    lines->count = source_text_line_count(text);
    source_text_free(text);
    lines->first = calloc(lines->count + 1, sizeof *lines->first);
    if (!lines->first)
        return -1;
    logical_lines_find(bytes, size, lines->first, lines->count);
    return 0;
}

static int read_file(struct file_lines *lines, const struct model_file *file,
                     const struct sources *sources, struct error *err)
{
    size_t size;
    uint8_t *bytes;
    int status = 0;

    if (file->excluded)
        return 0;
    bytes = sources_text(sources, file->sha256, &size, err);
    if (!bytes)
        return err->text[0] ? -1 : 0;
    if (read_lines(lines, bytes, size) < 0)
        status = no_memory(err);
    free(bytes);
    return status;
}

struct statements *statements_new(const struct model *model, const struct sources *sources,
                                  struct error *err)
{
    struct statements *statements = calloc(1, sizeof *statements);

    if (statements)
        statements->files = calloc(model->file_count + 1, sizeof *statements->files);
    if (!statements || !statements->files) {
        no_memory(err);
        goto failed;
    }
    for (; statements->count < model->file_count; statements->count++)
        if (read_file(&statements->files[statements->count], &model->files[statements->count],
                      sources, err) < 0)
            goto failed;
    return statements;
failed:
    statements_free(statements);
    return NULL;
}

void statements_free(struct statements *statements)
{
    if (!statements)
        return;
    for (size_t i = 0; statements->files && i < statements->count; i++)
        free(statements->files[i].first);
    free(statements->files);
    free(statements);
}

uint32_t statements_first_line(const struct statements *statements, uint32_t file, uint32_t line)
{
    const struct file_lines *lines =
        statements && file < statements->count ? &statements->files[file] : NULL;

    return lines && line > 0 && line <= lines->count ? lines->first[line - 1] : line;
}
