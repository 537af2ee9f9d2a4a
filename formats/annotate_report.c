#include "formats/annotate.h"

#include <string.h>

#include "formats/catalog.h"
#include "formats/error.h"
#include "formats/format.h"
#include "formats/output.h"
#include "formats/query.h"

enum { NARROW_BELOW = 110 };

struct unit {
    const char *name;
    uint64_t ns;
    int decimals;
    int more_decimals; /* of a time per hit */
    int narrow_decimals;
    uint64_t from_ns; /* for totals from here on */
};

static const struct unit units[] = {
    {"s", 1000000000, 6, 3, 4, 100000000000u},
    {"ms", 1000000, 3, 3, 2, 100000000u},
    {"us", 1000, 3, 0, 1, 100000u},
    {"ns", 1, 0, 1, 0, 0},
};

static int choose_unit(struct annotate *report)
{
    const char *name = report->options->unit;

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        const struct unit *unit = &units[i];

        if (name != NULL ? strcmp(name, unit->name) != 0 : report->total_ns < unit->from_ns)
            continue;
        report->unit = unit->name;
        report->unit_ns = unit->ns;
        report->decimals = report->narrow ? unit->narrow_decimals : unit->decimals;
        report->more_decimals = report->narrow && unit->more_decimals > 1 ? unit->more_decimals - 1
                                                                          : unit->more_decimals;
        return 0;
    }
    return error_set_usage(report->err, "no such unit: %s (s, ms, us or ns)", name);
}

int annotate_begin(struct annotate *report, sqlite3 *db, const struct format_options *options,
                   struct output *out, struct error *err)
{
    const struct output_terminal *terminal = output_terminal(out);

    *report = (struct annotate){
        .db = db,
        .options = options,
        .out = out,
        .err = err,
        .catalog = catalog_load(db, err),
        .narrow = terminal->width > 0 && terminal->width < NARROW_BELOW,
        .width = terminal->width,
        .colour = terminal->colour,
    };
    if (report->catalog == NULL || query_is_sampled(db, &report->is_sampled, err) < 0)
        return -1;
    report->total_ns = report->catalog->total_self_ns;
    return choose_unit(report);
}

int annotate_end(struct annotate *report, int status)
{
    if (status == 0 && report->row.failed)
        status = error_set(report->err, "out of memory");
    text_fini(&report->row);
    catalog_free(report->catalog);
    return status;
}
