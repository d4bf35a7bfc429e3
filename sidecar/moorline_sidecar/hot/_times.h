/* Times of copies, and what all hits of a worker look at. Numbers are numbers, and in one piece: as
 * objects of Python each would be somewhere else in memory. */

#ifndef MOORLINE_TIMES_H
#define MOORLINE_TIMES_H

#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>

/* A constructor without arguments: all fields are 0. */
static PyObject *
new_of_zeros(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *none[] = {NULL};
    return PyArg_ParseTupleAndKeywords(args, kwargs, "", none) ? type->tp_alloc(type, 0) : NULL;
}

/* --- Fields, as Python sees them --- */

#define NEVER INT64_MIN /* None */

/* A converter of PyArg_Parse: an integer. What is there stays where it is refused, which the setter
 * of a member does not promise. One that is too large is the largest: a store may hold whatever
 * others have written, and Python goes on with it. */
static int
whole_number(PyObject *value, void *target)
{
    int is_beyond;
    const long long number = PyLong_AsLongLongAndOverflow(value, &is_beyond);
    if (number == -1 && PyErr_Occurred())
        return 0;
    if (is_beyond != 0 || number == NEVER)
        *(int64_t *)target = is_beyond > 0 ? INT64_MAX : NEVER + 1;
    else
        *(int64_t *)target = number;
    return 1;
}

/* The same: an integer, or None. */
static int
number_or_never(PyObject *value, void *target)
{
    if (value != Py_None)
        return whole_number(value, target);
    *(int64_t *)target = NEVER;
    return 1;
}

static PyObject *
get_number(PyObject *self, void *offset)
{
    return PyLong_FromLongLong(*(int64_t *)((char *)self + (size_t)offset));
}

static PyObject *
get_number_or_never(PyObject *self, void *offset)
{
    const int64_t number = *(int64_t *)((char *)self + (size_t)offset);
    return number == NEVER ? Py_NewRef(Py_None) : PyLong_FromLongLong(number);
}

static int
is_deleted(PyObject *value)
{
    if (value == NULL)
        PyErr_SetString(PyExc_TypeError, "what is always there cannot be deleted");
    return value == NULL;
}

static int
set_number(PyObject *self, PyObject *value, void *offset)
{
    return !is_deleted(value) && whole_number(value, (char *)self + (size_t)offset) ? 0 : -1;
}

static int
set_number_or_never(PyObject *self, PyObject *value, void *offset)
{
    return !is_deleted(value) && number_or_never(value, (char *)self + (size_t)offset) ? 0 : -1;
}

#define NUMBER(type, name) {#name, get_number, set_number, NULL, (void *)offsetof(type, name)}
#define NUMBER_OR_NEVER(type, name)                                                                \
    {#name, get_number_or_never, set_number_or_never, NULL, (void *)offsetof(type, name)}

/* --- Times --- */

typedef struct {
    PyObject_HEAD
    int64_t own_accessed;
    int64_t own_expiry; /* or NEVER */
    int64_t own_last_accessed;
    int64_t calm_until;
    int64_t max_idle_ms;
    int64_t used_at;
    int64_t frequency;
    int64_t stored_accessed;
    int64_t stored_expiry; /* or NEVER */
    int64_t deadline;      /* or NEVER */
    PyObject *stored_node;
    char is_queued;
    char is_in_flight;
} Times;

static PyTypeObject TimesType;

/* Times as others are. */
static PyObject *
times_made(PyTypeObject *type, const Times *others)
{
    Times *self = (Times *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    memcpy((char *)self + sizeof(PyObject), (const char *)others + sizeof(PyObject),
           sizeof(Times) - sizeof(PyObject));
    Py_INCREF(self->stored_node);
    return (PyObject *)self;
}

static PyObject *
times_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    /* In the order of the class in plain.py. */
    static char *names[] = {
        "own_accessed", "own_expiry",   "stored_accessed",   "stored_expiry", "stored_node",
        "deadline",     "max_idle_ms",  "own_last_accessed", "calm_until",    "is_queued",
        "is_in_flight", "used_at",      "frequency",         NULL,
    };
    Times given = {.own_last_accessed = 0}; /* and all else that may be left out */
    int is_queued = 0, is_in_flight = 0;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "O&O&O&O&UO&O&|O&O&ppO&O&:Times", names,
            whole_number, &given.own_accessed,
            number_or_never, &given.own_expiry,
            whole_number, &given.stored_accessed,
            number_or_never, &given.stored_expiry,
            &given.stored_node,
            number_or_never, &given.deadline,
            whole_number, &given.max_idle_ms,
            whole_number, &given.own_last_accessed,
            whole_number, &given.calm_until,
            &is_queued,
            &is_in_flight,
            whole_number, &given.used_at,
            whole_number, &given.frequency))
        return NULL;
    given.is_queued = (char)is_queued;
    given.is_in_flight = (char)is_in_flight;
    return times_made(type, &given);
}

static void
times_dealloc(Times *self)
{
    Py_XDECREF(self->stored_node);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *
times_copy(Times *self, PyObject *Py_UNUSED(ignored))
{
    return times_made(&TimesType, self);
}

static int
times_set_node(Times *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL || !PyUnicode_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "the name of a worker is wanted");
        return -1;
    }
    Py_XSETREF(self->stored_node, Py_NewRef(value));
    return 0;
}

static PyObject *
times_get_node(Times *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self->stored_node);
}

static PyMemberDef times_members[] = {
    {"is_queued", T_BOOL, offsetof(Times, is_queued), 0, NULL},
    {"is_in_flight", T_BOOL, offsetof(Times, is_in_flight), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef times_properties[] = {
    NUMBER(Times, own_accessed),
    NUMBER_OR_NEVER(Times, own_expiry),
    NUMBER(Times, own_last_accessed),
    NUMBER(Times, calm_until),
    NUMBER(Times, max_idle_ms),
    NUMBER(Times, used_at),
    NUMBER(Times, frequency),
    NUMBER(Times, stored_accessed),
    NUMBER_OR_NEVER(Times, stored_expiry),
    NUMBER_OR_NEVER(Times, deadline),
    {"stored_node", (getter)times_get_node, (setter)times_set_node, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef times_methods[] = {
    {"__copy__", (PyCFunction)times_copy, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject TimesType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "moorline_sidecar.hot._compiled.Times",
    .tp_basicsize = sizeof(Times),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = times_new,
    .tp_dealloc = (destructor)times_dealloc,
    .tp_members = times_members,
    .tp_getset = times_properties,
    .tp_methods = times_methods,
};

/* --- Standing --- */

typedef struct {
    PyObject_HEAD
    int64_t since;
    int64_t until;
    int64_t hits;
    char is_down;
} Standing;

static PyMemberDef standing_members[] = {
    {"is_down", T_BOOL, offsetof(Standing, is_down), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef standing_properties[] = {
    NUMBER(Standing, since),
    NUMBER(Standing, until),
    NUMBER(Standing, hits),
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject StandingType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "moorline_sidecar.hot._compiled.Standing",
    .tp_basicsize = sizeof(Standing),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = new_of_zeros,
    .tp_members = standing_members,
    .tp_getset = standing_properties,
};

#endif
