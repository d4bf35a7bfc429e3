/* What every hit touches. `plain.py` has the same in Python and says what it is; the tests of both
 * are the same. It keeps nothing outside of its objects, and is called under the GIL.
 *
 * A hit is a table, two objects and three texts: what it waits for is memory, so that each of them
 * is one piece, and what a hit needs of it comes first.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "_answers.h"
#include "_documents.h"
#include "_hits.h"
#include "_receiver.h"
#include "_times.h"

/* --- The module ----------------------------------------------------------------------------- */

static PyMethodDef methods[] = {
    {"instant", instant, METH_O, NULL},
    {"hit", hit, METH_VARARGS, NULL},
    {"found", found, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static int
fill(PyObject *module)
{
    PyTypeObject *types[] = {&TimesType, &StandingType, &AnswerType, &NamesType, &HitsType,
                             &FlowType, &ReceiverType};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (PyModule_AddType(module, types[i]) < 0)
            return -1;
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, fill},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "moorline_sidecar.hot._compiled",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__compiled(void)
{
    return PyModuleDef_Init(&module);
}
