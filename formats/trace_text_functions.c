#include <stdlib.h>

#include "formats/error.h"
#include "formats/trace_text.h"

static int add(struct trace_text_functions *functions, int64_t id)
{
    if (functions->count == functions->room) {
        size_t room = functions->room == 0 ? 16 : 2 * functions->room;
        int64_t *ids = realloc(functions->ids, room * sizeof *ids);

        if (ids == NULL)
            return -1;
        functions->ids = ids;
        functions->room = room;
    }
    functions->ids[functions->count++] = id;
    return 0;
}

int trace_text_find_functions(struct trace_text_functions *functions, sqlite3 *db,
                              const char *function, struct error *err)
{
    struct query query =
        query_open(db,
                   "SELECT function_id FROM functions WHERE kind NOT IN ('outside', 'c') AND (name "
                   "= ?1 OR qualname = ?1 OR qualname GLOB ?1) ORDER BY function_id",
                   err);
    int status = 0;

    query_bind_text(&query, 1, function);
    while (status == 0 && query_next(&query))
        status = add(functions, query_int(&query, 0));
    if (status < 0)
        error_set(err, "out of memory");
    if (query_close(&query) < 0 || status < 0)
        return -1;
    if (functions->count == 0)
        return error_set(err, "--function: no recorded function is called '%s'", function);
    return 0;
}

bool trace_text_is_asked(const struct trace_text_functions *functions, int64_t function_id)
{
    size_t low = 0, high = functions->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (functions->ids[middle] < function_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < functions->count && functions->ids[low] == function_id;
}

void trace_text_functions_fini(struct trace_text_functions *functions)
{
    free(functions->ids);
    *functions = (struct trace_text_functions){0};
}
