#include "recorder/replaced.h"

PyObject *replaced_find(const char *module, const char *name)
{
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *found = PyDict_GetItemString(modules, module);

    return found != NULL && PyModule_Check(found)
               ? PyDict_GetItemString(PyModule_GetDict(found), name)
               : NULL;
}

bool replaced_put(struct replaced *replaced, PyObject *object, PyCFunction ours)
{
    PyMethodDef *method;

    if (replaced->real != NULL)
        return true;
    if (object == NULL || !PyCFunction_Check(object))
        return false;
    method = ((PyCFunctionObject *)object)->m_ml;
    *replaced = (struct replaced){method, method->ml_meth, ours};
    method->ml_meth = ours;
    return true;
}

void replaced_restore(struct replaced *replaced)
{
    if (replaced->real == NULL || replaced->method->ml_meth != replaced->ours)
        return;
    replaced->method->ml_meth = replaced->real;
    replaced->real = NULL;
}
