/* Hits: which answer it is, whether it may be given, and what is written then. */

#ifndef MOORLINE_HITS_H
#define MOORLINE_HITS_H

#include <Python.h>
#include <stdint.h>
#include <string.h>

#include "_answers.h"
#include "_instants.h"
#include "_times.h"

/* --- What is written ------------------------------------------------------------------------ */

static PyObject *
instant(PyObject *Py_UNUSED(module), PyObject *argument)
{
    int is_beyond;
    const long long ms = PyLong_AsLongLongAndOverflow(argument, &is_beyond);
    if (ms == -1 && PyErr_Occurred())
        return NULL;
    PyObject *text = PyBytes_FromStringAndSize(NULL, INSTANT_BYTES);
    if (text != NULL)
        write_instant(PyBytes_AS_STRING(text), is_beyond > 0 ? LAST_INSTANT : ms);
    return text;
}

static char *
put_text(char *at, const char *text, size_t size)
{
    memcpy(at, text, size);
    return at + size;
}

static char *
put_bytes(char *at, PyObject *bytes)
{
    return put_text(at, PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes));
}

#define BEFORE_ACCESSED "\",\"accessed\":\""
#define BEFORE_LAST "\",\"lastAccessed\":\""
#define BEFORE_EXPIRY "\",\"expires\":\""
#define LENGTH(literal) (sizeof(literal) - 1)
#define TIMES_BYTES                                                                                \
    (LENGTH(BEFORE_ACCESSED) + LENGTH(BEFORE_LAST) + LENGTH(BEFORE_EXPIRY) + 3 * INSTANT_BYTES)

/* The whole answer, framed; `more` may be NULL. */
static PyObject *
written(const Answer *answer, const Times *times, PyObject *more)
{
    const int64_t expiry = times->own_expiry == NEVER ? 0 : times->own_expiry;
    const int64_t shown[] = {times->own_accessed, times->own_last_accessed, expiry};
    /* Bytes that are in memory at the same time: their sum cannot overflow. */
    const Py_ssize_t size = PyBytes_GET_SIZE(answer->lead) + PyBytes_GET_SIZE(answer->own) +
                            (more == NULL ? 0 : PyBytes_GET_SIZE(more)) + (Py_ssize_t)TIMES_BYTES +
                            PyBytes_GET_SIZE(answer->middle) + PyBytes_GET_SIZE(answer->attributes) +
                            1;
    PyObject *whole = PyBytes_FromStringAndSize(NULL, size);
    if (whole == NULL)
        return NULL;
    char *at = put_bytes(PyBytes_AS_STRING(whole), answer->lead);
    if (more != NULL)
        at = put_bytes(at, more);
    at = put_bytes(at, answer->own);
    at = put_text(at, BEFORE_ACCESSED, LENGTH(BEFORE_ACCESSED));
    write_instant(at, shown[0]);
    at = put_text(at + INSTANT_BYTES, BEFORE_LAST, LENGTH(BEFORE_LAST));
    write_instant(at, shown[1]);
    at = put_text(at + INSTANT_BYTES, BEFORE_EXPIRY, LENGTH(BEFORE_EXPIRY));
    write_instant(at, shown[2]);
    at = put_bytes(at + INSTANT_BYTES, answer->middle);
    at = put_bytes(at, answer->attributes);
    *at = '}';
    return whole;
}

static PyObject *
hit(PyObject *Py_UNUSED(module), PyObject *args)
{
    Answer *answer;
    Times *times;
    PyObject *more = NULL;
    if (!PyArg_ParseTuple(args, "O!O!|S:hit", &AnswerType, &answer, &TimesType, &times, &more))
        return NULL;
    return written(answer, times, more);
}

/* --- Hits ----------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    Names *names;
    Standing *standing;
    PyObject *clock;
    PyObject *nanoseconds;
    PyObject *on_named;
    PyObject *on_other;
    long long frequency_max;
    int64_t monotonic;
    int64_t now;
} Hits;

static PyObject *
hits_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"names",         "standing", "clock",
                               "frequency_max", "on_named",    "on_other", NULL};
    PyObject *names, *standing, *clock, *on_named, *on_other;
    long long frequency_max;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!OLOO:Hits", keywords, &NamesType, &names,
                                     &StandingType, &standing, &clock, &frequency_max, &on_named,
                                     &on_other))
        return NULL;
    PyObject *nanoseconds = PyObject_GetAttrString(clock, "nanoseconds");
    if (nanoseconds == NULL)
        return NULL;
    Hits *self = (Hits *)type->tp_alloc(type, 0);
    if (self == NULL) {
        Py_DECREF(nanoseconds);
        return NULL;
    }
    self->names = (Names *)Py_NewRef(names);
    self->standing = (Standing *)Py_NewRef(standing);
    self->clock = Py_NewRef(clock);
    self->nanoseconds = nanoseconds;
    self->on_named = Py_NewRef(on_named);
    self->on_other = Py_NewRef(on_other);
    self->frequency_max = frequency_max;
    self->monotonic = -1;
    return (PyObject *)self;
}

/* There is no tp_clear, as a tuple has none: what it holds was there before it, so that each cycle
 * has somebody else to break it. */
static int
hits_traverse(Hits *self, visitproc visit, void *arg)
{
    Py_VISIT(self->names);
    Py_VISIT(self->standing);
    Py_VISIT(self->clock);
    Py_VISIT(self->nanoseconds);
    Py_VISIT(self->on_named);
    Py_VISIT(self->on_other);
    return 0;
}

static void
hits_dealloc(Hits *self)
{
    PyObject_GC_UnTrack(self);
    Py_XDECREF(self->names);
    Py_XDECREF(self->standing);
    Py_XDECREF(self->clock);
    Py_XDECREF(self->nanoseconds);
    Py_XDECREF(self->on_named);
    Py_XDECREF(self->on_other);
    Py_TYPE(self)->tp_free(self);
}

/* Looks at the clock, once for all hits of a millisecond at what the store's time is ahead. */
static int
hits_look(Hits *self)
{
    PyObject *read = PyObject_CallNoArgs(self->nanoseconds);
    if (read == NULL)
        return -1;
    const long long nanoseconds = PyLong_AsLongLong(read);
    Py_DECREF(read);
    if (nanoseconds == -1 && PyErr_Occurred())
        return -1;
    const int64_t monotonic = nanoseconds / 1000000;
    if (monotonic == self->monotonic)
        return 0;
    PyObject *attribute = PyObject_GetAttrString(self->clock, "offset");
    if (attribute == NULL)
        return -1;
    const long long offset = PyLong_AsLongLong(attribute);
    Py_DECREF(attribute);
    if (offset == -1 && PyErr_Occurred())
        return -1;
    self->monotonic = monotonic;
    self->now = monotonic + offset;
    return 0;
}

/* Counts an access to a session that surely lives, and whose times wait to be written already: the
 * same as `Hitting.hit`, in the case that is nearly all of them. 0 leaves it to that, with nothing
 * counted. */
static int
hits_count(Hits *self, const Answer *answer)
{
    Standing *standing = self->standing;
    Times *times = answer->times;
    int64_t expiry;
    if (answer->since != standing->since || self->monotonic >= standing->until ||
        standing->is_down || self->now >= times->calm_until ||
        __builtin_add_overflow(self->now, times->max_idle_ms, &expiry))
        return 0;
    if (self->now > times->own_accessed) {
        times->own_last_accessed = times->own_accessed;
        times->own_accessed = self->now;
        times->own_expiry = expiry;
    }
    times->used_at = self->monotonic;
    if (times->frequency < self->frequency_max)
        times->frequency++;
    standing->hits++;
    return 1;
}

/* The answer to a hit for which nobody has to be asked, and counts that; NULL for all else, with the
 * answer that has this name, if there is one, in `named`, or with an exception. */
static PyObject *
hits_sure(Hits *self, PyObject *data, Answer **named)
{
    *named = NULL;
    if (!PyBytes_CheckExact(data))
        return NULL;
    Answer *answer = names_search(self->names, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data));
    if (answer == NULL)
        return NULL;
    /* They come from memory while the clock is looked at. */
    __builtin_prefetch(&answer->times->own_accessed, 1);
    __builtin_prefetch(answer->own);
    __builtin_prefetch(answer->attributes);
    Py_INCREF(answer); /* The clock is Python's, and may do as it likes. */
    const int has_looked = hits_look(self) == 0;
    if (has_looked && (answer->times == NULL || !hits_count(self, answer))) {
        *named = answer;
        return NULL;
    }
    PyObject *whole = has_looked ? written(answer, answer->times, NULL) : NULL;
    Py_DECREF(answer);
    return whole;
}

static PyObject *
hits_answer(Hits *self, PyObject *data)
{
    Answer *named;
    PyObject *whole = hits_sure(self, data, &named);
    if (whole != NULL || PyErr_Occurred())
        return whole;
    if (named == NULL)
        return PyObject_CallOneArg(self->on_other, data);
    whole = PyObject_CallOneArg(self->on_named, (PyObject *)named);
    Py_DECREF(named);
    return whole;
}

static PyMethodDef hits_methods[] = {
    {"answer", (PyCFunction)hits_answer, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject HitsType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "moorline_sidecar.hot._compiled.Hits",
    .tp_basicsize = sizeof(Hits),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = hits_new,
    .tp_dealloc = (destructor)hits_dealloc,
    .tp_traverse = (traverseproc)hits_traverse,
    .tp_methods = hits_methods,
};

#endif
