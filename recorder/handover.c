#include "recorder/handover.h"

#ifdef PYCOMPAT_ONLY_PLAIN_CODE

#include <string.h>

#include "recorder/replaced.h"

bool handover_copying;

/* --- Copies --- */

/* New references; NULL with an exception set. */
static PyCodeObject *new_code(const PyCodeObject *code, PyObject *instructions, PyObject *locals,
                              PyObject *free, PyObject *cells)
{
    PyCodeObject *copy;

    handover_copying = true;
    copy = PyUnstable_Code_NewWithPosOnlyArgs(
        code->co_argcount, code->co_posonlyargcount, code->co_kwonlyargcount, code->co_nlocals,
        code->co_stacksize, code->co_flags, instructions, code->co_consts, code->co_names, locals,
        free, cells, code->co_filename, code->co_name, code->co_qualname, code->co_firstlineno,
        code->co_linetable, code->co_exceptiontable);
    handover_copying = false;
    return copy;
}

/* Which of its variables a comprehension has for itself, the new code was not told. */
static void keep_kinds(PyCodeObject *copy, const PyCodeObject *code)
{
    if (PyBytes_GET_SIZE(copy->co_localspluskinds) == PyBytes_GET_SIZE(code->co_localspluskinds))
        Py_SETREF(copy->co_localspluskinds, Py_NewRef(code->co_localspluskinds));
}

static PyObject *copy_code(PyCodeObject *code)
{
    PyObject *instructions = PyCode_GetCode(code), *locals = PyCode_GetVarnames(code);
    PyObject *free = PyCode_GetFreevars(code), *cells = PyCode_GetCellvars(code);
    PyCodeObject *copy = NULL;

    if (instructions != NULL && locals != NULL && free != NULL && cells != NULL)
        copy = new_code(code, instructions, locals, free, cells);
    if (copy != NULL)
        keep_kinds(copy, code);
    Py_XDECREF(instructions);
    Py_XDECREF(locals);
    Py_XDECREF(free);
    Py_XDECREF(cells);
    return (PyObject *)copy;
}

static bool needs_copy(PyObject *code)
{
    return PyCode_Check(code) && !pycompat_code_is_plain((PyCodeObject *)code);
}

/* What is handed over in place of `thing`: a new reference. */
static PyObject *plain(PyObject *thing)
{
    PyObject *code = NULL, *copy = NULL;

    if (needs_copy(thing)) {
        copy = copy_code((PyCodeObject *)thing);
    } else if (PyFunction_Check(thing) && PyFunction_GetClosure(thing) == NULL &&
               needs_copy(PyFunction_GET_CODE(thing))) {
        code = copy_code((PyCodeObject *)PyFunction_GET_CODE(thing));
        copy = code != NULL ? PyFunction_New(code, PyFunction_GET_GLOBALS(thing)) : NULL;
        Py_XDECREF(code);
    }
    PyErr_Clear();
    return copy != NULL ? copy : Py_NewRef(thing);
}

/* --- The functions that take code --- */

/* Behind the interpreter's number, or by name. New references. */
static PyObject *plain_arguments(PyObject *arguments)
{
    PyObject *list = PySequence_List(arguments), *tuple = NULL;

    if (list != NULL && PyList_GET_SIZE(list) > 1)
        PyList_SetItem(list, 1, plain(PyList_GET_ITEM(list, 1)));
    if (list != NULL)
        tuple = PyList_AsTuple(list);
    Py_XDECREF(list);
    return tuple;
}

static PyObject *plain_keywords(PyObject *keywords, const char *name)
{
    PyObject *copy = keywords != NULL ? PyDict_Copy(keywords) : NULL;
    PyObject *thing = copy != NULL ? PyDict_GetItemString(copy, name) : NULL;

    if (thing != NULL) {
        thing = plain(thing);
        if (PyDict_SetItemString(copy, name, thing) < 0)
            Py_CLEAR(copy);
        Py_DECREF(thing);
    }
    return copy;
}

static PyObject *hand_over(const struct replaced *replaced, const char *name, PyObject *self,
                           PyObject *arguments, PyObject *keywords)
{
    PyObject *our_arguments = plain_arguments(arguments);
    PyObject *our_keywords = plain_keywords(keywords, name), *result = NULL;

    if (our_arguments != NULL && (our_keywords != NULL || keywords == NULL))
        result = ((PyCFunctionWithKeywords)(void (*)(void))replaced->real)(self, our_arguments,
                                                                           our_keywords);
    Py_XDECREF(our_arguments);
    Py_XDECREF(our_keywords);
    return result;
}

static struct replaced real_exec, real_call, real_run_func;

static PyObject *exec(PyObject *self, PyObject *arguments, PyObject *keywords)
{
    return hand_over(&real_exec, "code", self, arguments, keywords);
}

static PyObject *call(PyObject *self, PyObject *arguments, PyObject *keywords)
{
    return hand_over(&real_call, "callable", self, arguments, keywords);
}

static PyObject *run_func(PyObject *self, PyObject *arguments, PyObject *keywords)
{
    return hand_over(&real_run_func, "func", self, arguments, keywords);
}

static void replace_in(PyObject *module)
{
    static const struct {
        const char *name;
        struct replaced *replaced;
        PyCFunctionWithKeywords ours;
    } takers[] = {
        {"exec", &real_exec, exec},
        {"call", &real_call, call},
        {"run_func", &real_run_func, run_func},
    };

    for (size_t i = 0; i < sizeof takers / sizeof *takers; i++) {
        PyObject *function = PyDict_GetItemString(PyModule_GetDict(module), takers[i].name);

        if (function != NULL && PyCFunction_Check(function) &&
            PyCFunction_GET_FLAGS(function) == (METH_VARARGS | METH_KEYWORDS))
            replaced_put(takers[i].replaced, function, (PyCFunction)(void (*)(void))takers[i].ours);
    }
}

/* --- The module that has them --- */

static bool is_it(PyObject *module)
{
    const PyModuleDef *definition = PyModule_Check(module) ? PyModule_GetDef(module) : NULL;

    return definition != NULL && strcmp(definition->m_name, "_interpreters") == 0;
}

/* An extension's module comes to life in one of these. */
static struct replaced real_exec_dynamic, real_exec_builtin;

static PyObject *bring_to_life(const struct replaced *replaced, PyObject *self, PyObject *module)
{
    PyObject *result = replaced->real(self, module);

    if (result != NULL && is_it(module))
        replace_in(module);
    return result;
}

static PyObject *exec_dynamic(PyObject *self, PyObject *module)
{
    return bring_to_life(&real_exec_dynamic, self, module);
}

static PyObject *exec_builtin(PyObject *self, PyObject *module)
{
    return bring_to_life(&real_exec_builtin, self, module);
}

static void watch(struct replaced *replaced, const char *name, PyCFunction ours)
{
    PyObject *function = replaced_find("_imp", name);

    if (function != NULL && PyCFunction_Check(function) &&
        PyCFunction_GET_FLAGS(function) == METH_O)
        replaced_put(replaced, function, ours);
}

void handover_attach(void)
{
    PyObject *module = PyDict_GetItemString(PyImport_GetModuleDict(), "_interpreters");

    if (module != NULL && is_it(module))
        replace_in(module);
    watch(&real_exec_dynamic, "exec_dynamic", exec_dynamic);
    watch(&real_exec_builtin, "exec_builtin", exec_builtin);
}

void handover_detach(void)
{
    replaced_restore(&real_exec_dynamic);
    replaced_restore(&real_exec_builtin);
    replaced_restore(&real_exec);
    replaced_restore(&real_call);
    replaced_restore(&real_run_func);
}

#endif
