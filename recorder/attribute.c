#include "recorder/attribute.h"

#include "recorder/files.h"

PyObject *attribute_plain(PyObject *object, const char *name)
{
    PyTypeObject *type = object != NULL ? Py_TYPE(object) : NULL;
    PyObject *key, *value = NULL;

    if (type == NULL || type->tp_getattro != PyObject_GenericGetAttr)
        return NULL;
    key = PyUnicode_InternFromString(name);
    if (key != NULL && _PyType_Lookup(type, key) == NULL)
        value = PyObject_GenericGetAttr(object, key);
    Py_XDECREF(key);
    if (value == NULL)
        PyErr_Clear();
    return value;
}

char *attribute_thread_name(PyObject *thread, size_t *size)
{
    PyObject *name = attribute_plain(thread, "_name");
    char *text = name != NULL ? files_text(name, size) : NULL;

    Py_XDECREF(name);
    return text;
}
