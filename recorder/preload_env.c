#include "recorder/preload_env.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOADER_VARIABLE "LD_PRELOAD"

static const char *const how_names[] = {
    [INSIDE_FIRST] = "first",
    [INSIDE_SPAWN] = "spawn",
    [INSIDE_EXEC] = "exec",
};

/* The value of an entry for `name`, or NULL if the entry is for another variable. */
static char *entry_value(const char *entry, const char *name)
{
    size_t size = strlen(name);

    if (strncmp(entry, name, size) != 0 || entry[size] != '=')
        return NULL;
    return (char *)entry + size + 1;
}

static char **find_entry(char *const *envp, const char *name)
{
    for (; envp != NULL && *envp != NULL; envp++)
        if (entry_value(*envp, name) != NULL)
            return (char **)envp;
    return NULL;
}

static size_t count_entries(char *const *envp)
{
    size_t count = 0;

    while (envp != NULL && envp[count] != NULL)
        count++;
    return count;
}

/* ---- reading ---- */

/* Reads a number that a comma ends, and steps over both. */
static bool take_number(const char **at, unsigned long limit, unsigned long *number)
{
    char *end;

    if (**at < '0' || **at > '9')
        return false;
    errno = 0;
    *number = strtoul(*at, &end, 10);
    if (errno != 0 || *number > limit || *end != ',')
        return false;
    *at = end + 1;
    return true;
}

static bool take_how(const char **at, enum inside_how *how)
{
    for (size_t i = 0; i < sizeof how_names / sizeof *how_names; i++) {
        size_t size = strlen(how_names[i]);

        if (strncmp(*at, how_names[i], size) == 0 && (*at)[size] == ',') {
            *how = (enum inside_how)i;
            *at += size + 1;
            return true;
        }
    }
    return false;
}

static bool take_mark(const char **at, char mark[33])
{
    if (strspn(*at, "0123456789abcdef") != 32 || (*at)[32] != ',')
        return false;
    memcpy(mark, *at, 32);
    mark[32] = '\0';
    *at += 33;
    return true;
}

bool preload_env_parse(const char *value, struct preload_run *run)
{
    unsigned long parent, children, lock;

    if (!take_number(&value, UINT_MAX, &parent) || !take_how(&value, &run->how) ||
        !take_number(&value, 3, &children) || !take_number(&value, INT_MAX, &lock) ||
        !take_mark(&value, run->mark))
        return false;
    if (value[0] != '/' || strlen(value) >= sizeof run->path)
        return false;
    memcpy(run->path, value, strlen(value) + 1);
    run->parent = (unsigned)parent;
    run->children = children & 1;
    run->displaced = children & 2;
    run->lock = lock == 0 ? -1 : (int)lock;
    return true;
}

/* The freed slot is cleared: who looks for the auxiliary vector behind the environment finds its
 * end, not garbage. */
static void remove_entry(char **entry)
{
    for (; *entry != NULL; entry++)
        entry[0] = entry[1];
}

/* What the kernel shows of the environment (/proc/self/environ) is these bytes. */
static void scrub_text(char *text)
{
    explicit_bzero(text, strlen(text));
}

/* Takes `count` characters from the front. */
static void shorten_text(char *text, size_t count)
{
    size_t rest = strlen(text) - count;

    memmove(text, text + count, rest + 1);
    explicit_bzero(text + rest, count);
}

/* `self` alone: the user had no LD_PRELOAD; `self:` and more: the user had what follows. */
static void restore_loader_variable(char **envp, const char *self)
{
    char **entry = find_entry(envp, LOADER_VARIABLE);
    char *value = entry == NULL ? NULL : entry_value(*entry, LOADER_VARIABLE);
    size_t size = strlen(self);

    if (value == NULL || strncmp(value, self, size) != 0)
        return;
    if (value[size] == ':') {
        shorten_text(value, size + 1);
    } else if (value[size] == '\0') {
        scrub_text(*entry);
        remove_entry(entry);
    }
}

bool preload_env_take(char **envp, const char *self, struct preload_run *run)
{
    char **entry = find_entry(envp, INSIDE_VARIABLE);
    bool valid;

    if (entry == NULL)
        return false;
    valid = preload_env_parse(entry_value(*entry, INSIDE_VARIABLE), run);
    scrub_text(*entry);
    remove_entry(entry);
    restore_loader_variable(envp, self);
    return valid;
}

/* ---- writing ---- */

static char *put_text(char *at, const char *text)
{
    return stpcpy(at, text);
}

static char *put_number(char *at, unsigned number)
{
    char digits[3 * sizeof number];
    size_t count = 0;

    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (count > 0)
        *at++ = digits[--count];
    *at++ = ',';
    return at;
}

static char *put_run(char *at, const struct preload_run *run)
{
    at = put_text(at, INSIDE_VARIABLE "=");
    at = put_number(at, run->parent);
    at = put_text(at, how_names[run->how]);
    *at++ = ',';
    at = put_number(at, run->children + 2u * run->displaced);
    at = put_number(at, run->lock < 0 ? 0 : (unsigned)run->lock);
    at = put_text(at, run->mark);
    *at++ = ',';
    at = put_text(at, run->path);
    *at++ = '\0';
    return at;
}

static char *put_loader_variable(char *at, const char *self, const char *rest)
{
    at = put_text(at, LOADER_VARIABLE "=");
    at = put_text(at, self);
    if (rest != NULL) {
        *at++ = ':';
        at = put_text(at, rest);
    }
    *at++ = '\0';
    return at;
}

bool preload_env_carries(char *const *envp)
{
    return find_entry(envp, INSIDE_VARIABLE) != NULL;
}

size_t preload_env_room(char *const *envp, const char *self, const struct preload_run *run)
{
    char **loader = find_entry(envp, LOADER_VARIABLE);
    size_t text = sizeof LOADER_VARIABLE "=:" + strlen(self);

    if (loader != NULL)
        text += strlen(*loader);
    text += sizeof INSIDE_VARIABLE "=first,1," + 2 * (3 * sizeof(unsigned) + 1) + sizeof run->mark +
            strlen(run->path) + 1;
    return (count_entries(envp) + 3) * sizeof(char *) + text;
}

char **preload_env_build(void *room, char *const *envp, const char *self,
                         const struct preload_run *run)
{
    char **loader = find_entry(envp, LOADER_VARIABLE);
    size_t count = count_entries(envp);
    char **out = room;
    char *text = (char *)(out + count + 3);

    if (count > 0)
        memcpy(out, envp, count * sizeof *out);
    if (loader != NULL)
        out[loader - envp] = text;
    else
        out[count++] = text;
    text = put_loader_variable(text, self,
                               loader == NULL ? NULL : entry_value(*loader, LOADER_VARIABLE));
    out[count++] = text;
    put_run(text, run);
    out[count] = NULL;
    return out;
}
