#include "recorder/audit.h"

#include "recorder/pycompat.h"

#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#endif
#include <internal/pycore_runtime.h>

static _Py_AuditHookEntry **first_entry(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return &_PyRuntime.audit_hooks.head;
#else
    return &_PyRuntime.audit_hook_head;
#endif
}

void audit_remove_hook(void *function)
{
    for (_Py_AuditHookEntry **at = first_entry(); *at != NULL; at = &(*at)->next) {
        if ((void *)(*at)->hookCFunction == function) {
            *at = (*at)->next;
            return;
        }
    }
}
