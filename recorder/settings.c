#include "recorder/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/trace/decode.h"
#include "formats/trace/pattern.h"
#include "recorder/recorder.h"

static int add_filter(struct recorder_settings *settings, const char *value, char *why,
                      size_t why_size)
{
    if (settings->filter == NULL)
        settings->filter = pattern_list_new();
    if (settings->filter == NULL) {
        snprintf(why, why_size, "out of memory");
        return -1;
    }
    return pattern_list_add(settings->filter, value[0] == '+', value + 1, why, why_size);
}

static int apply_setting(const char *key, const char *value, char *why, size_t why_size)
{
    struct recorder_settings *settings = &recorder.settings;
    struct {
        const char *key;
        bool *flag;
    } flags[] = {
        {"exclude_syspath", &settings->exclude_syspath},
        {"threads", &settings->threads},
        {"children", &settings->children},
        {"source", &settings->source},
        {"c_calls", &settings->c_calls},
        {"echo", &settings->echo},
    };

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (strcmp(key, flags[i].key) == 0)
            *flags[i].flag = value[0] == '1';
    }
    if (strcmp(key, "filter") == 0 && value[0] != '\0')
        return add_filter(settings, value, why, why_size);
    if (strcmp(key, "closing_line") == 0)
        settings->closing_line = atoi(value);
    else if (strcmp(key, "sample_period") == 0)
        settings->sample_ns = strtoull(value, NULL, 10);
    else if (strcmp(key, "toggle_signal") == 0)
        settings->toggle_signal = atoi(value);
    else if (strcmp(key, "max_depth") == 0)
        settings->max_depth = strtoull(value, NULL, 10);
    else if (strcmp(key, "max_size") == 0)
        recorder.sink.max_size = strtoull(value, NULL, 10);
    else if (strcmp(key, "min_free") == 0)
        recorder.sink.min_free = strtoull(value, NULL, 10);
    return 0;
}

static int apply_record(struct trace_record *record, char *why, size_t why_size)
{
    struct trace_bytes key = trace_read_string(&record->fields);
    struct trace_bytes value = trace_read_string(&record->fields);
    char *key_text = strndup((const char *)key.at, key.size);
    char *value_text = strndup((const char *)value.at, value.size);
    int status = 0;

    if (key_text != NULL && value_text != NULL)
        status = apply_setting(key_text, value_text, why, why_size);
    free(key_text);
    free(value_text);
    return status;
}

int settings_read(char *why, size_t why_size)
{
    size_t size = 0;
    uint8_t *payload = sink_read_settings(&recorder.sink, &size);
    struct trace_cursor cursor = trace_cursor_over(payload, size);
    struct trace_record record;
    int status = 0;

    if (payload == NULL) {
        snprintf(why, why_size, "%s: its settings cannot be read", recorder.sink.path);
        return -1;
    }
    recorder.settings.threads = recorder.settings.children = recorder.settings.source = true;
    while (status == 0 && trace_next_record(&cursor, &record)) {
        if (record.kind == TRACE_FACT_SETTING)
            status = apply_record(&record, why, why_size);
    }
    free(payload);
    return status;
}

void settings_free(void)
{
    pattern_list_free(recorder.settings.filter);
    recorder.settings = (struct recorder_settings){0};
}
