#include "recorder/callables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recorder/codes.h"
#include "recorder/files.h"

#define FIRST_SIZE 256 /* a power of two */
#define NAME_SIZE 512

/* Method definitions already named: they are as good as constants, one for each function and each
 * method of a type. Open addressing, at most half full; the GIL guards it. */
struct known_method {
    const PyMethodDef *method;
    uint32_t number;
};

static struct {
    struct known_method *items;
    size_t size, used;
} known;

static struct known_method *probe(struct known_method *items, size_t size,
                                  const PyMethodDef *method)
{
    size_t i = (size_t)(((uintptr_t)method >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (size - 1);

    while (items[i].method != NULL && items[i].method != method)
        i = (i + 1) & (size - 1);
    return &items[i];
}

static bool grow(void)
{
    size_t size = known.size != 0 ? 2 * known.size : FIRST_SIZE;
    struct known_method *items = calloc(size, sizeof *items);

    if (items == NULL)
        return false;
    for (size_t i = 0; i < known.size; i++) {
        if (known.items[i].method != NULL)
            *probe(items, size, known.items[i].method) = known.items[i];
    }
    free(known.items);
    known.items = items;
    known.size = size;
    return true;
}

static uint32_t name_method(const PyTypeObject *type, const char *name)
{
    char text[NAME_SIZE];

    snprintf(text, sizeof text, "<method '%s' of '%s' objects>", name, type->tp_name);
    return codes_string(text, strlen(text));
}

static uint32_t name_function(PyObject *module, const char *name)
{
    char text[NAME_SIZE];
    size_t size = 0;
    char *prefix = module != NULL ? files_text(module, &size) : NULL;

    snprintf(text, sizeof text, "<built-in method %s%s%s>", prefix != NULL ? prefix : "",
             prefix != NULL ? "." : "", name);
    free(prefix);
    return codes_string(text, strlen(text));
}

/* The type whose method this is: the outermost base that still has it. */
static const PyTypeObject *owner_of(const PyMethodDef *method, PyTypeObject *type)
{
    for (PyTypeObject *base = type; base != NULL; base = base->tp_base) {
        if (base->tp_methods == NULL)
            continue;
        for (const PyMethodDef *m = base->tp_methods; m->ml_name != NULL; m++) {
            if (m == method)
                return base;
        }
    }
    return NULL;
}

static uint32_t name_callable(PyObject *callable, const PyMethodDef *method)
{
    PyCFunctionObject *function = (PyCFunctionObject *)callable;
    const PyTypeObject *owner;

    if (!PyCFunction_Check(callable))
        return name_method(PyDescr_TYPE(callable), method->ml_name);
    if (function->m_self == NULL || PyModule_Check(function->m_self))
        return name_function(function->m_module, method->ml_name);
    owner = owner_of(method, Py_TYPE(function->m_self));
    return owner != NULL ? name_method(owner, method->ml_name)
                         : name_function(NULL, method->ml_name);
}

static const PyMethodDef *definition_of(PyObject *callable)
{
    if (PyCFunction_Check(callable))
        return ((PyCFunctionObject *)callable)->m_ml;
    if (Py_IS_TYPE(callable, &PyMethodDescr_Type))
        return ((PyMethodDescrObject *)callable)->d_method;
    return NULL;
}

uint32_t callables_number(PyObject *callable)
{
    const PyMethodDef *method = definition_of(callable);
    struct known_method *entry;

    if (method == NULL || (2 * (known.used + 1) > known.size && !grow()))
        return 0;
    entry = probe(known.items, known.size, method);
    if (entry->method == NULL) {
        entry->number = name_callable(callable, method);
        entry->method = method;
        known.used++;
    }
    return entry->number;
}

void callables_forget(void)
{
    free(known.items);
    known.items = NULL;
    known.size = known.used = 0;
}
