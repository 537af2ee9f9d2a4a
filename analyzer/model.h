/* model.h - the files and functions of all traces of an analysis, each once.
 *
 * Equal files (path, SHA-256) of several processes or runs are one file, equal functions (file,
 * qualified name, name, first line) one function. Their places in the arrays are their ids: sorted
 * by path and line, so the same traces give the same ids and rows. What the selection excludes has
 * no row. Functions that are no code object (C functions, unknown code, <outside>) follow behind.
 */
#ifndef ANALYZER_MODEL_H
#define ANALYZER_MODEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/arena.h"
#include "analyzer/facts.h"
#include "analyzer/map.h"

struct error;
struct pattern_list;
struct statements;

struct model_file {
    struct trace_bytes path, name, sha256; /* borrowed from facts */
    uint64_t origin;
    uint64_t size;
    bool excluded; /* by the selection: its code counts as if it had not been recorded */
    uint32_t row;  /* file_id in the database; 0: excluded */
};

enum model_kind {
    MODEL_FUNCTION,
    MODEL_GENERATOR,
    MODEL_CLASS,
    MODEL_MODULE,
    MODEL_OUTSIDE,
    MODEL_C
};

struct model_function {
    uint32_t file;
    enum model_kind kind;
    int64_t first_line;
    struct trace_bytes name, qualname, module;
    bool excluded;
    uint32_t row;                  /* function_id in the database; 0: excluded */
    size_t first_code, code_count; /* its code objects in model->codes */
    /* Summed over threads: */
    uint64_t calls, primitive_calls, resumes, hits;
    int64_t self, self_wait, cumulative, cumulative_wait;
};

struct model {
    struct model_file *files; /* owned */
    size_t file_count, file_room;
    struct model_function *functions; /* owned */
    size_t function_count, function_room;
    struct facts_code **codes; /* owned; of all runs, by function */
    size_t code_count;
    size_t code_function_count; /* functions[0 ..] that are code; the others are not */
    uint32_t file_rows, function_rows;
    bool unknown_excluded; /* code of no known file is not part of the selection */
    struct map named;      /* functions that are no code: by hash and kind */
    struct arena arena;
    const struct pattern_list *patterns; /* borrowed */
    const struct statements *statements; /* borrowed; NULL: lines are not joined */
    pthread_mutex_t lock; /* of the place of `functions`, for model_function() */
    bool has_lock;
};

/* Builds the model of all facts and stores its ids in them (facts_file.id, facts_code.id). 0, or -1
 * with *err set. */
int model_build(struct model *model, struct facts *const *facts, size_t count,
                const struct pattern_list *patterns, struct error *err);
void model_fini(struct model *model);

#define MODEL_NONE UINT32_MAX

/* The function of that id, without its sums: for threads beside the one that owns the model. */
struct model_function model_function(struct model *model, uint32_t id);

uint64_t model_hash(struct trace_bytes name);

/* The id of the function <outside> or <unknown>, or of the C function of that name; made at first
 * need. MODEL_NONE: no memory. */
uint32_t model_outside(struct model *model);
uint32_t model_unknown(struct model *model);
uint32_t model_c_function(struct model *model, struct trace_bytes name);

#endif
