#include "recorder/pyrec_settings.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static void add(struct pyrec_settings *settings, const char *key, const char *value)
{
    struct sink_setting *items = realloc(settings->items, (settings->count + 1) * sizeof *items);
    char *copy = strdup(value);

    if (items != NULL)
        settings->items = items;
    if (items == NULL || copy == NULL) {
        free(copy);
        settings->is_short = true;
        return;
    }
    items[settings->count++] =
        (struct sink_setting){.key = key, .value = copy, .value_size = strlen(copy)};
}

static void add_number(struct pyrec_settings *settings, const char *key, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    add(settings, key, text);
}

static void add_machine(struct pyrec_settings *settings)
{
    struct utsname name;
    char system[4 * sizeof name.release];
    char boot_id[64] = "";
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

    if (fd >= 0 && read(fd, boot_id, sizeof boot_id - 1) > 0)
        boot_id[strcspn(boot_id, "\n")] = '\0';
    if (fd >= 0)
        close(fd);
    add(settings, "boot_id", boot_id);
    if (uname(&name) < 0)
        return;
    add(settings, "host", name.nodename);
    snprintf(system, sizeof system, "%s %s %s %s", name.sysname, name.release, name.version,
             name.machine);
    add(settings, "system", system);
}

/* As the user would type it behind `python`. */
static void add_command(struct pyrec_settings *settings, const struct pyrec_options *options)
{
    if (options->form != PYREC_SCRIPT)
        add(settings, "argv", options->form == PYREC_MODULE ? "-m" : "-c");
    add(settings, "argv", options->operand);
    for (char **argument = options->arguments; *argument != NULL; argument++)
        add(settings, "argv", *argument);
}

static void add_switches(struct pyrec_settings *settings, const struct pyrec_options *options)
{
    /* clang-format off */
    const struct {
        const char *key;
        bool value;
    } switches[] = {
        { "exclude_syspath", options->exclude_syspath },
        { "threads", !options->no_threads },
        { "children", !options->no_children },
        { "source", !options->no_source },
        { "c_calls", options->c_calls },
        { "echo", options->echo },
    };
    /* clang-format on */

    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
        add_number(settings, switches[i].key, switches[i].value);
}

/* A report follows the run with --then: then there is nothing to type next. */
static unsigned closing_line(const struct pyrec_options *options)
{
    if (options->quiet)
        return 0;
    if (options->verbose)
        return 2;
    return options->then.count == 0;
}

int pyrec_settings_collect(const struct pyrec_options *options, const char *python,
                           uint64_t min_free, struct pyrec_settings *settings,
                           struct pyrec_error *err)
{
    char folder[PATH_MAX];

    *settings = (struct pyrec_settings){0};
    add_machine(settings);
    add(settings, "recorder", PYREC_VERSION);
    add(settings, "cwd", getcwd(folder, sizeof folder) == NULL ? "" : folder);
    add(settings, "python", python);
    add_command(settings, options);
    for (size_t i = 0; i < options->filters.count; i++)
        add(settings, "filter", options->filters.items[i]);
    add_switches(settings, options);
    add_number(settings, "max_size", options->max_size);
    add_number(settings, "min_free", min_free);
    add(settings, "mode", options->sample_ns != 0 ? "sample" : "exact");
    if (options->toggle_signal != 0)
        add_number(settings, "toggle_signal", (uint64_t)options->toggle_signal);
    if (options->sample_ns != 0) {
        add_number(settings, "sample_period", options->sample_ns);
        add_number(settings, "max_depth", options->max_depth);
    }
    add_number(settings, "closing_line", closing_line(options));
    if (!settings->is_short)
        return 0;
    pyrec_settings_free(settings);
    return pyrec_error_set(err, PYREC_FAILED, "out of memory");
}

void pyrec_settings_free(struct pyrec_settings *settings)
{
    for (size_t i = 0; i < settings->count; i++)
        free((char *)settings->items[i].value);
    free(settings->items);
    *settings = (struct pyrec_settings){0};
}
