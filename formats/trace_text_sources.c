#include <stdlib.h>
#include <string.h>

#include "formats/error.h"
#include "formats/trace_text.h"

int trace_text_sources_init(struct trace_text_sources *sources, sqlite3 *db, struct error *err)
{
    *sources = (struct trace_text_sources){.err = err};
    sources->query = query_open(db, "SELECT text FROM lines WHERE file_id = ?1 AND line = ?2", err);
    return sources->query.failed ? -1 : 0;
}

int trace_text_sources_fini(struct trace_text_sources *sources)
{
    int status = query_close(&sources->query);

    keymap_fini(&sources->numbers);
    pool_fini(&sources->pool);
    free(sources->sources);
    return status;
}

static int make_room(struct trace_text_sources *sources)
{
    size_t room = sources->room == 0 ? 256 : sources->room * 2;
    struct trace_text_source *grown;

    if (sources->count < sources->room)
        return 0;
    if (room > UINT32_MAX)
        return -1;
    grown = realloc(sources->sources, room * sizeof *grown);
    if (grown == NULL)
        return -1;
    sources->sources = grown;
    sources->room = room;
    return 0;
}

static int read_source(struct trace_text_sources *sources, int64_t file, int64_t line,
                       struct trace_text_source *source)
{
    const char *text = "";
    size_t size = 0;

    query_reset(&sources->query);
    query_bind(&sources->query, 1, file);
    query_bind(&sources->query, 2, line);
    if (query_next(&sources->query))
        text = query_text(&sources->query, 0, &size);
    for (; size > 0 && strchr(" \t\f", *text) != NULL; size--)
        text++;
    source->text = pool_string(&sources->pool, text, size);
    source->size = size;
    if (source->text == NULL)
        error_set(sources->err, "out of memory");
    return source->text == NULL || sources->query.failed ? -1 : 0;
}

const struct trace_text_source *trace_text_source(struct trace_text_sources *sources, int64_t file,
                                                  int64_t line)
{
    struct keymap_slot *slot =
        keymap_slot(&sources->numbers, (uint64_t)file << 32 | (uint32_t)line);

    if (slot == NULL || make_room(sources) < 0) {
        error_set(sources->err, "out of memory");
        return NULL;
    }
    if (slot->value == 0) {
        if (read_source(sources, file, line, &sources->sources[sources->count]) < 0)
            return NULL;
        slot->value = (uint32_t)++sources->count;
    }
    return &sources->sources[slot->value - 1];
}
