#include "analyzer/events_chunk.h"

#include "analyzer/events_walk.h"

#define STACK_HEAD 4096 /* bytes that hold most stack records */

/* Reads the whole payload, or only its first bytes. */
static int read_chunk(const struct events_walk *walk, const struct trace_chunk *chunk, bool head,
                      struct trace_buffer *buffer, struct error *err)
{
    struct trace_chunk part = *chunk;

    if (head && part.size > STACK_HEAD && part.kept == NULL)
        part.size = STACK_HEAD;
    return trace_file_read(walk->file, &part, buffer, err);
}

int events_chunk_open(const struct events_walk *walk, const struct trace_chunk *chunk, bool head,
                      struct trace_buffer *buffer, struct trace_cursor *cursor,
                      struct trace_stack *record, struct error *err)
{
    if (read_chunk(walk, chunk, head, buffer, err) < 0)
        return -1;
    *cursor = trace_cursor_over(buffer->bytes, buffer->size);
    *record = (struct trace_stack){.at = NULL};
    if (chunk->stack_apart || walk->is_sampled)
        return 0;
    if (!trace_read_stack(cursor, record) && buffer->size < chunk->size)
        return events_chunk_open(walk, chunk, false, buffer, cursor, record, err);
    if (cursor->status != TRACE_OK || record->next == 0)
        record->at = NULL;
    return 0;
}

int events_chunk_read_stack_apart(struct events_walk *walk, const struct trace_chunk *chunk,
                                  struct trace_stack *record, struct error *err)
{
    const struct trace_chunk *apart = trace_file_stack(walk->file, chunk);
    struct trace_cursor cursor;

    if (apart == NULL)
        return 0;
    if (read_chunk(walk, apart, false, &walk->ahead, err) < 0)
        return -1;
    cursor = trace_cursor_over(walk->ahead.bytes, walk->ahead.size);
    if (!trace_read_stack(&cursor, record))
        record->at = NULL;
    return 0;
}
