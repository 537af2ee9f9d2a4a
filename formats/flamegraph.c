/* flamegraph.c - an interactive flame graph in one SVG file.
 *
 * Drawn here for 1200 pixels, root at the top, so that it is a picture without scripts too (with
 * <title> tooltips); flamegraph.js, embedded, makes it fluid, zooming and searchable. The file
 * refers to nothing outside itself. It stays small whatever the profile: frames narrower than a
 * tenth of a pixel, and all but the 10 000 widest, are not drawn, and a note says how many.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "formats/query.h"
#include "formats/stacks.h"
#include "formats/text.h"
#include "generated/flamegraph_css.h"
#include "generated/flamegraph_js.h"

/* ROW, MARGIN, TOP and BOTTOM are those of flamegraph.js. */
enum { WIDTH = 1200, ROW = 18, MARGIN = 10, TOP = 92, BOTTOM = 34, INNER = WIDTH - 2 * MARGIN };
enum {
    FRAMES_MAX = 10000,
    LABEL_MAX = 300,
    TITLE_MAX = 70,
    HUES = 6,
    SHADES = 3,
    NEUTRAL = 4 * HUES * SHADES
};

static const double character_width = 7.23; /* of 12 px monospace */
static const double least_width = 0.1;

struct graph {
    sqlite3 *db;
    const struct format_options *options;
    struct output *out;
    struct error *err;
    const struct catalog *catalog;
    const struct stacks *stacks;
    uint64_t least; /* weight of the lightest frame that is drawn */
    size_t hidden;
    uint32_t deepest;
    uint64_t *starts;    /* of nodes: how much weight is left of them */
    struct query source; /* with lines: the text of one */
    struct text text;
    struct text label;
};

/* ---- weights as text ---- */

static void add_duration(struct text *text, uint64_t ns)
{
    static const struct {
        uint64_t from;
        uint64_t step;
        const char *name;
    } units[] = {{1000000000, 1000000, "s"}, {1000000, 1000, "ms"}, {1000, 1, "us"}, {0, 0, "ns"}};
    size_t i = 0;

    while (ns < units[i].from)
        i++;
    text_add_fixed(text, units[i].step == 0 ? ns : (ns + units[i].step / 2) / units[i].step,
                   units[i].step == 0 ? 0 : 3);
    text_add_format(text, " %s", units[i].name);
}

static void add_weight(const struct graph *graph, struct text *text, uint64_t weight)
{
    if (graph->options->weight != FORMAT_WEIGHT_HITS) {
        add_duration(text, weight);
        return;
    }
    text_add_uint(text, weight);
    text_add_string(text, weight == 1 ? " hit" : " hits");
}

/* Rounded. A made-up database has parts that are larger than the whole. */
static uint64_t rounded(double value)
{
    return value >= 1e15 ? (uint64_t)1e15 : value > 0 ? (uint64_t)(value + 0.5) : 0;
}

static void add_percent(struct text *text, uint64_t part, uint64_t whole)
{
    text_add_fixed(text, rounded((double)part * 10000 / (double)whole), 2);
    text_add_string(text, " %");
}

/* A coordinate, to the hundredth of a pixel. */
static void add_pixels(struct text *text, double pixels)
{
    text_add_fixed(text, rounded(pixels * 100), 2);
}

/* ---- what is drawn ---- */

static int by_total(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left < right) - (left > right);
}

/* Finds the least weight that is drawn. */
static int choose_least(struct graph *graph)
{
    size_t count = graph->stacks->count;
    double percent = graph->options->min_percent;
    double whole = (double)graph->stacks->nodes[0].total;
    uint64_t *totals = calloc(count, sizeof *totals);

    if (totals == NULL)
        return error_set(graph->err, "out of memory");
    for (size_t i = 0; i < count; i++)
        totals[i] = graph->stacks->nodes[i].total;
    qsort(totals, count, sizeof *totals, by_total);
    graph->least = (uint64_t)(whole * least_width / INNER);
    if (percent > 0 && percent <= 100 && whole * percent / 100 > (double)graph->least)
        graph->least = (uint64_t)(whole * percent / 100);
    if (graph->least == 0)
        graph->least = 1;
    if (count > FRAMES_MAX && totals[FRAMES_MAX] >= graph->least)
        graph->least = totals[FRAMES_MAX] + 1;
    free(totals);
    return 0;
}

static bool is_drawn(const struct graph *graph, const struct stacks_node *node)
{
    return node->total >= graph->least || node->depth == 0;
}

/* Places the nodes from left to right, children first, then a frame's own weight. */
static int place_nodes(struct graph *graph)
{
    const struct stacks *stacks = graph->stacks;

    graph->starts = calloc(stacks->count, sizeof *graph->starts);
    if (graph->starts == NULL)
        return error_set(graph->err, "out of memory");
    for (size_t i = 0; i < stacks->count; i++) {
        uint64_t start = graph->starts[i];

        for (uint32_t child = stacks->nodes[i].first_child; child != 0;
             child = stacks->nodes[child].next) {
            graph->starts[child] = start;
            start += stacks->nodes[child].total;
        }
        if (!is_drawn(graph, &stacks->nodes[i]))
            graph->hidden += stacks->nodes[i].total > 0;
        else if (stacks->nodes[i].depth > graph->deepest)
            graph->deepest = stacks->nodes[i].depth;
    }
    return 0;
}

/* ---- frames ---- */

static unsigned choose(const char *name, unsigned count)
{
    uint32_t hash = 2166136261u;

    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return (hash ^ hash >> 15) % count;
}

/* The number of a colour of flamegraph.css. */
static unsigned colour(const struct stacks_frame *frame)
{
    const struct catalog_function *function = frame->function;

    if (function == NULL)
        return NEUTRAL;
    return ((unsigned)function->file->origin * HUES + choose(function->module, HUES)) * SHADES +
           choose(function->qualname, SHADES);
}

static void add_cut_xml(struct text *text, const char *string, size_t limit)
{
    size_t size = strlen(string);
    struct text cut = {0};

    if (size > limit) {
        text_add(&cut, string, text_fit(string, size, (int)limit));
        text_add_string(&cut, "…");
        string = text_string(&cut);
    }
    text_add_xml(text, string);
    text->failed |= cut.failed;
    text_fini(&cut);
}

/* The source of the line that a frame stands for. */
static void add_source(struct graph *graph, struct text *text, const struct stacks_frame *frame)
{
    size_t size;
    const char *bytes;

    if (!graph->options->lines || frame->function == NULL || frame->line == 0)
        return;
    query_reset(&graph->source);
    query_bind(&graph->source, 1, frame->function->file->id);
    query_bind(&graph->source, 2, frame->line);
    if (!query_next(&graph->source))
        return;
    bytes = query_text(&graph->source, 0, &size);
    while (size > 0 && (*bytes == ' ' || *bytes == '\t')) {
        bytes++;
        size--;
    }
    text_clear(&graph->label);
    text_add_printable(&graph->label, bytes, size);
    text_add_string(text, "\n");
    add_cut_xml(text, text_string(&graph->label), LABEL_MAX);
}

static void add_title(struct graph *graph, const struct stacks_node *node)
{
    struct text *text = &graph->text;

    text_add_string(text, "<title>");
    add_cut_xml(text, node->frame->text, LABEL_MAX);
    text_add_string(text, "\n");
    add_weight(graph, text, node->total);
    text_add_string(text, ", ");
    add_percent(text, node->total, graph->stacks->nodes[0].total);
    text_add_string(text, " of all");
    if (node->self > 0 && node->self < node->total) {
        text_add_string(text, ", itself ");
        add_weight(graph, text, node->self);
    }
    if (node->calls > 0)
        text_add_format(text, ", %llu %s", (unsigned long long)node->calls,
                        node->calls == 1 ? "call" : "calls");
    add_source(graph, text, node->frame);
    text_add_string(text, "</title>");
}

/* The frame's text, without its place, without its class, or as much of that as fits. */
static void add_label(struct graph *graph, const char *label, double width)
{
    int room = (int)rounded((width < INNER ? width - 6 : INNER) / character_width - 0.5);
    size_t size = strlen(label);
    const char *place = strrchr(label, '(');

    if (text_width(label, size) > room && place != NULL && place > label + 1)
        size = (size_t)(place - 1 - label);
    if (text_width(label, size) > room) {
        const char *dot = memrchr(label, '.', size);

        if (dot != NULL && dot + 1 < label + size) {
            size -= (size_t)(dot + 1 - label);
            label = dot + 1;
        }
    }
    text_clear(&graph->label);
    if (text_width(label, size) <= room) {
        text_add(&graph->label, label, size);
    } else if (room >= 3) {
        text_add(&graph->label, label, text_fit(label, size, room - 1));
        text_add_string(&graph->label, "…");
    }
    text_add_xml(&graph->text, text_string(&graph->label));
}

static void write_frame(struct graph *graph, uint32_t index)
{
    const struct stacks_node *node = &graph->stacks->nodes[index];
    struct text *text = &graph->text;
    double scale = (double)INNER / (double)graph->stacks->nodes[0].total;
    double x = MARGIN + (double)graph->starts[index] * scale, width = (double)node->total * scale;
    unsigned y = TOP + node->depth * ROW;

    text_clear(text);
    text_add_format(text, "<g class=\"f p%u\" data-v=\"%u %llu %llu %llu\">", colour(node->frame),
                    node->depth, (unsigned long long)graph->starts[index],
                    (unsigned long long)node->total, (unsigned long long)node->self);
    add_title(graph, node);
    text_add_string(text, "<rect x=\"");
    add_pixels(text, x);
    text_add_format(text, "\" y=\"%u\" width=\"", y);
    add_pixels(text, width > 0.7 ? width - 0.5 : 0.2);
    text_add_format(text, "\" height=\"%d\"/>", ROW - 1);
    if (width >= 3 * character_width + 6) {
        text_add_string(text, "<text x=\"");
        add_pixels(text, x + 4);
        text_add_format(text, "\" y=\"%u\">", y + 13);
        add_label(graph, node->frame->text, width);
        text_add_string(text, "</text>");
    }
    text_add_string(text, "</g>\n");
    output_write(graph->out, text->at, text->size);
}

static void write_frames(struct graph *graph)
{
    const struct stacks *stacks = graph->stacks;
    uint32_t i = 0;

    output_text(graph->out, "<g id=\"frames\">\n");
    do {
        if (is_drawn(graph, &stacks->nodes[i])) {
            write_frame(graph, i);
            i = stacks_next(stacks, i);
        } else {
            i = stacks_skip(stacks, i);
        }
    } while (i != 0 && !output_failed(graph->out));
    output_text(graph->out, "</g>\n");
}

/* ---- what is around them ---- */

static void add_date(struct text *text, int64_t ns)
{
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm tm;

    if (gmtime_r(&seconds, &tm) != NULL)
        text_add_format(text, "%04d-%02d-%02d %02d:%02d UTC", tm.tm_year + 1900, tm.tm_mon + 1,
                        tm.tm_mday, tm.tm_hour, tm.tm_min);
}

static void add_column(struct text *text, struct query *query, int column)
{
    size_t size;
    const char *bytes = query_text(query, column, &size);

    text_add_printable(text, bytes, size);
}

/* The run's command into graph->label; the facts about it, as XML, into `facts`. */
static int describe_run(struct graph *graph, struct text *facts)
{
    struct query query = query_open(
        graph->db,
        "SELECT command, duration_ns, started_at, python, host, (SELECT count(*) FROM threads), "
        "(SELECT count(*) FROM processes), (SELECT count(*) FROM runs), "
        "CASE mode WHEN 'sample' THEN (SELECT min(period_ns) FROM samplers) END, "
        "(SELECT sum(samples) FROM samplers) FROM runs ORDER BY run_id LIMIT 1",
        graph->err);
    struct text plain = {0};

    text_clear(&graph->label);
    if (query_next(&query)) {
        add_column(&graph->label, &query, 0);
        if (query_int(&query, 7) > 1)
            text_add_format(&graph->label, " and %lld more", (long long)query_int(&query, 7) - 1);
        add_duration(&plain, query_sum(&query, 1));
        text_add_format(&plain, " · %lld %s in %lld %s · ", (long long)query_int(&query, 5),
                        query_int(&query, 5) == 1 ? "thread" : "threads",
                        (long long)query_int(&query, 6),
                        query_int(&query, 6) == 1 ? "process" : "processes");
        add_date(&plain, query_int(&query, 2));
        text_add_string(&plain, " · Python ");
        add_column(&plain, &query, 3);
        text_add_string(&plain, " on ");
        add_column(&plain, &query, 4);
        if (!query_is_null(&query, 8))
            text_add_format(&plain, " · %llu samples, one every %g ms",
                            (unsigned long long)query_sum(&query, 9),
                            (double)query_sum(&query, 8) / 1e6);
    }
    text_add_xml(facts, text_string(&plain));
    facts->failed |= plain.failed;
    text_fini(&plain);
    return query_close(&query);
}

static void add_legend(struct text *text)
{
    static const char *const origins[] = {"program", "packages", "standard library", "other"};
    unsigned x = MARGIN;

    for (unsigned i = 0; i < sizeof origins / sizeof origins[0]; i++) {
        text_add_format(text,
                        "<g class=\"p%u\"><rect class=\"key\" x=\"%u\" y=\"54\" width=\"11\" "
                        "height=\"11\"/></g>"
                        "<text class=\"sub\" x=\"%u\" y=\"64\">%s</text>\n",
                        i * HUES * SHADES + SHADES, x, x + 16, origins[i]);
        x += 40 + (unsigned)(character_width * (double)strlen(origins[i]));
    }
}

/* What widths are: "100 % is 975.331 us, the time of all threads". */
static void add_measure(const struct graph *graph, struct text *text)
{
    static const char *const measures[] = {
        [FORMAT_WEIGHT_SELF] = "the time of all threads",
        [FORMAT_WEIGHT_CPU] = "the time of all threads on a processor",
        [FORMAT_WEIGHT_HITS] = "the line executions of all threads",
    };

    text_add_string(text, "width: 100 % is ");
    add_weight(graph, text, graph->stacks->nodes[0].total);
    text_add_format(text, ", %s", measures[graph->options->weight]);
}

static int write_bar(struct graph *graph)
{
    struct text *text = &graph->text;
    struct text facts = {0};
    int status = describe_run(graph, &facts);

    text_clear(text);
    text_add_format(text,
                    "<g id=\"bar\">\n<rect class=\"back\" width=\"%d\" height=\"%d\"/>\n<text "
                    "class=\"title\" id=\"title\" "
                    "x=\"%d\" y=\"24\">",
                    WIDTH, TOP - 4, MARGIN);
    add_cut_xml(text, text_string(&graph->label), TITLE_MAX);
    text_add_format(text, "</text>\n<text class=\"sub\" x=\"%d\" y=\"44\">%s</text>\n", MARGIN,
                    text_string(&facts));
    add_legend(text);
    text_add_format(
        text,
        "<text id=\"matched\" x=\"%d\" y=\"64\"></text>\n<text id=\"details\" x=\"%d\" y=\"82\">",
        WIDTH - MARGIN, MARGIN);
    add_measure(graph, text);
    text_add_string(text, "</text>\n</g>\n");
    output_write(graph->out, text->at, text->size);
    text->failed |= facts.failed;
    text_fini(&facts);
    return status;
}

static void write_head(struct graph *graph, unsigned height)
{
    struct text *text = &graph->text;

    text_clear(text);
    text_add_format(
        text,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" "
        "width=\"%d\" height=\"%u\" viewBox=\"0 0 %d %u\" role=\"img\" aria-label=\"Flame graph "
        "of ",
        WIDTH, height, WIDTH, height);
    add_cut_xml(text, text_string(&graph->label), LABEL_MAX);
    text_add_string(text, "\">\n<title>");
    add_cut_xml(text, text_string(&graph->label), LABEL_MAX);
    text_add_string(text, "</title>\n<style>\n");
    text_add_string(text, flamegraph_css);
    text_add_format(text, "</style>\n<rect id=\"paper\" width=\"100%%\" height=\"%u\"/>\n", height);
    output_write(graph->out, text->at, text->size);
}

static void write_note(struct graph *graph, unsigned height)
{
    struct text *text = &graph->text;
    double width = (double)graph->least * INNER / (double)graph->stacks->nodes[0].total;

    text_clear(text);
    text_add_format(text, "<text id=\"note\" x=\"%d\" y=\"%u\">", MARGIN, height - 12);
    if (graph->hidden > 0) {
        text_add_format(text, "%zu %s below ", graph->hidden,
                        graph->hidden == 1 ? "frame" : "frames");
        text_add_fixed(text, rounded(width * 10) > 0 ? rounded(width * 10) : 1, 1);
        text_add_string(text, " px of 1200 are hidden");
    }
    text_add_string(text, "</text>\n");
    output_write(graph->out, text->at, text->size);
}

/* ---- the whole ---- */

static int write_graph(struct graph *graph)
{
    unsigned height;
    struct text facts = {0};
    int status = -1;

    if (choose_least(graph) < 0 || place_nodes(graph) < 0)
        goto done;
    height = TOP + (graph->deepest + 1) * ROW + BOTTOM;
    if (describe_run(graph, &facts) < 0)
        goto done;
    write_head(graph, height);
    if (graph->stacks->nodes[0].total > 0)
        write_frames(graph);
    if (write_bar(graph) < 0)
        goto done;
    write_note(graph, height);
    output_text(graph->out, "<script><![CDATA[\n");
    output_text(graph->out, flamegraph_js);
    output_text(graph->out, "]]></script>\n</svg>\n");
    status = graph->text.failed || graph->label.failed ? error_set(graph->err, "out of memory") : 0;

done:
    text_fini(&facts);
    return status;
}

static int flamegraph_write(sqlite3 *db, const struct format_options *options, struct output *out,
                            struct error *err)
{
    struct graph graph = {.db = db, .options = options, .out = out, .err = err};
    struct catalog *catalog = catalog_load(db, err);
    struct stacks *stacks =
        catalog == NULL ? NULL : stacks_load(db, catalog, options, stacks_by_weight, err);
    int status = -1;

    if (stacks != NULL) {
        graph.catalog = catalog;
        graph.stacks = stacks;
        graph.source =
            query_open(db, "SELECT text FROM lines WHERE file_id = ?1 AND line = ?2", err);
        status = write_graph(&graph);
        if (query_close(&graph.source) < 0)
            status = -1;
    }
    free(graph.starts);
    text_fini(&graph.text);
    text_fini(&graph.label);
    stacks_free(stacks);
    catalog_free(catalog);
    return status;
}

static bool flamegraph_recognize(const unsigned char *head, int size)
{
    char text[513];
    int used = size > 0 && size < (int)sizeof text ? size : 0;

    memcpy(text, head, (size_t)used);
    text[used] = '\0';
    return strncmp(text, "<?xml", 5) == 0 && strstr(text, "<svg") != NULL;
}

static const char *const suffixes[] = {".svg", NULL};

extern const struct format format_flamegraph;
const struct format format_flamegraph = {
    .name = "flamegraph",
    .suffixes = suffixes,
    .summary = "interactive flame graph, one SVG file",
    .heeds = FORMAT_HEEDS_WEIGHT,
    .recognize = flamegraph_recognize,
    .write = flamegraph_write,
    .advise = format_advise_whole,
};
