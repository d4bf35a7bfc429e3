/* What every hit touches. `plain.py` has the same in Python and says what it is; the tests of both
 * are the same. It is an extension of the ordinary kind: no state of its own, under the GIL. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

/* --- Instants ------------------------------------------------------------------------------- */

#define LAST_INSTANT INT64_C(253402300799999)
#define INSTANT_BYTES 24 /* 2023-11-14T22:13:20.000Z */

static void
digits(char *end, unsigned value, int count)
{
    for (; count > 0; count--, value /= 10)
        *--end = (char)('0' + value % 10);
}

/* Writes INSTANT_BYTES of an instant from 0 to LAST_INSTANT.
 *
 * A year begins in March here, so that the day a leap year adds is its last; 153 days are the five
 * months from March, or from August. Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
 * civil_from_days. */
static void
write_instant(char *text, int64_t ms)
{
    const unsigned of_day = (unsigned)(ms % 86400000);
    const unsigned days = (unsigned)(ms / 86400000) + 719468; /* since 1 March of the year 0 */
    const unsigned era = days / 146097;                       /* of 400 years */
    const unsigned of_era = days % 146097;
    const unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    const unsigned month = (5 * of_year + 2) / 153; /* 0 is March */
    const unsigned is_next_year = month >= 10;

    digits(text + 4, era * 400 + year + is_next_year, 4);
    text[4] = '-';
    digits(text + 7, is_next_year ? month - 9 : month + 3, 2);
    text[7] = '-';
    digits(text + 10, of_year - (153 * month + 2) / 5 + 1, 2);
    text[10] = 'T';
    digits(text + 13, of_day / 3600000, 2);
    text[13] = ':';
    digits(text + 16, of_day / 60000 % 60, 2);
    text[16] = ':';
    digits(text + 19, of_day / 1000 % 60, 2);
    text[19] = '.';
    digits(text + 23, of_day % 1000, 3);
    text[23] = 'Z';
}

static PyObject *
instant(PyObject *Py_UNUSED(module), PyObject *argument)
{
    int is_beyond;
    const long long ms = PyLong_AsLongLongAndOverflow(argument, &is_beyond);
    if (ms == -1 && PyErr_Occurred())
        return NULL;
    if (is_beyond || ms < 0 || ms > LAST_INSTANT)
        return PyErr_Format(PyExc_ValueError, "not in the years 1970 to 9999: %S ms", argument);

    PyObject *text = PyBytes_FromStringAndSize(NULL, INSTANT_BYTES);
    if (text != NULL)
        write_instant(PyBytes_AS_STRING(text), ms);
    return text;
}

/* --- The module ----------------------------------------------------------------------------- */

static PyMethodDef methods[] = {
    {"instant", instant, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
    {0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "moorline_sidecar.hot._compiled",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__compiled(void)
{
    return PyModuleDef_Init(&module);
}
