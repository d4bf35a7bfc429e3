/* Answers, and the table that finds them by the requests that ask for them. */

#ifndef MOORLINE_ANSWERS_H
#define MOORLINE_ANSWERS_H

#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>

#include "_times.h"

#define ID_BYTES 32
#define LINE_BYTES ((Py_ssize_t)sizeof("GET /v1/sessions/") - 1 + ID_BYTES)
#define SEEDS (ID_BYTES / 8)

typedef struct Names Names;

typedef struct Answer {
    PyObject_HEAD
    /* While it has a name. */
    char line[LINE_BYTES];
    int64_t since;
    PyObject *rest;
    Times *times;
    /* Bytes, all of them. */
    PyObject *own;
    PyObject *attributes;
    PyObject *middle;
    PyObject *lead;
    /* What no hit looks at. */
    PyObject *context;
    PyObject *entry;
    Names *names;
    struct Answer *other;
    Py_ssize_t tag_end;
    Py_ssize_t json_start;
} Answer;

typedef struct {
    uint64_t hash;
    Answer *answer;
} Slot;

/* A table with open addressing; at most two thirds of it are used, and nothing marks a gap. */
struct Names {
    PyObject_HEAD
    Slot *slots;
    size_t mask;
    size_t used;
    uint64_t seeds[SEEDS];
};

static PyTypeObject AnswerType, NamesType;

/* Both halves of a product: all of either factor moves all of it. */
static uint64_t
folded(uint64_t one, uint64_t other)
{
    const unsigned __int128 product = (unsigned __int128)one * other;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Of the id alone, whoever has chosen it: no two of them are alike for all seeds. As wyhash does it
 * (Wang Yi). With one seed and products that lose their upper half, ids that differ in their last
 * two characters were within eight places of each other. */
static uint64_t
hash_of(const Names *names, const char *line)
{
    uint64_t words[SEEDS];
    memcpy(words, line + LINE_BYTES - ID_BYTES, ID_BYTES);
    for (int i = 0; i < SEEDS; i++)
        words[i] ^= names->seeds[i];
    const uint64_t hash = folded(words[0], words[1]) ^ folded(words[2], words[3]);
    return folded(hash ^ names->seeds[0], UINT64_C(0x9E3779B97F4A7C15));
}

static Answer *
names_search(const Names *names, const char *text, Py_ssize_t size)
{
    const Py_ssize_t rest_bytes = size - LINE_BYTES;
    if (names->used == 0 || rest_bytes < 0)
        return NULL;
    const uint64_t hash = hash_of(names, text);
    for (size_t i = hash & names->mask; names->slots[i].answer != NULL; i = (i + 1) & names->mask) {
        Answer *answer = names->slots[i].answer;
        if (names->slots[i].hash == hash && memcmp(answer->line, text, LINE_BYTES) == 0 &&
            PyBytes_GET_SIZE(answer->rest) == rest_bytes &&
            memcmp(PyBytes_AS_STRING(answer->rest), text + LINE_BYTES, rest_bytes) == 0)
            return answer;
    }
    return NULL;
}

static void
slots_insert(Slot *slots, size_t mask, Slot slot)
{
    size_t i = slot.hash & mask;
    while (slots[i].answer != NULL)
        i = (i + 1) & mask;
    slots[i] = slot;
}

/* Makes room for one more; -1 with an exception where there is none. */
static int
names_grow(Names *names)
{
    const size_t size = names->slots == NULL ? 0 : names->mask + 1;
    if (3 * (names->used + 1) <= 2 * size)
        return 0;
    const size_t larger = size == 0 ? 64 : 2 * size;
    Slot *slots = PyMem_Calloc(larger, sizeof(Slot));
    if (slots == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < size; i++)
        if (names->slots[i].answer != NULL)
            slots_insert(slots, larger - 1, names->slots[i]);
    PyMem_Free(names->slots);
    names->slots = slots;
    names->mask = larger - 1;
    return 0;
}

/* Takes an answer out of the table, if it is there; the reference is the caller's then. */
static int
names_remove(Names *names, const Answer *answer)
{
    if (names->used == 0)
        return 0;
    size_t gap = hash_of(names, answer->line) & names->mask;
    for (; names->slots[gap].answer != answer; gap = (gap + 1) & names->mask)
        if (names->slots[gap].answer == NULL)
            return 0;
    /* Whoever would not be found past the gap moves into it, and leaves the next one. */
    for (size_t i = (gap + 1) & names->mask; names->slots[i].answer != NULL;
         i = (i + 1) & names->mask) {
        const size_t home = names->slots[i].hash & names->mask;
        if (((i - home) & names->mask) >= ((i - gap) & names->mask)) {
            names->slots[gap] = names->slots[i];
            gap = i;
        }
    }
    names->slots[gap].answer = NULL;
    names->used--;
    return 1;
}

static void
answer_unname(Answer *self)
{
    Names *names = self->names;
    if (names == NULL)
        return;
    const int was_found = names_remove(names, self);
    self->names = NULL;
    Py_CLEAR(self->rest);
    Py_CLEAR(self->times);
    Py_CLEAR(self->entry);
    Py_DECREF(names);
    if (was_found)
        Py_DECREF(self); /* The caller has another reference. */
}

static PyObject *
answer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"context", "lead",       "own", "middle", "attributes",
                            "tag_end", "json_start", NULL};
    PyObject *context, *lead, *own, *middle, *attributes;
    Py_ssize_t tag_end, json_start;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$USSSSnn:Answer", names, &context, &lead, &own,
                                     &middle, &attributes, &tag_end, &json_start))
        return NULL;
    Answer *self = (Answer *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->context = Py_NewRef(context);
    self->lead = Py_NewRef(lead);
    self->own = Py_NewRef(own);
    self->middle = Py_NewRef(middle);
    self->attributes = Py_NewRef(attributes);
    self->tag_end = tag_end;
    self->json_start = json_start;
    return (PyObject *)self;
}

static void
answer_dealloc(Answer *self)
{
    Py_XDECREF(self->other);
    Py_XDECREF(self->rest);
    Py_XDECREF(self->times);
    Py_XDECREF(self->own);
    Py_XDECREF(self->attributes);
    Py_XDECREF(self->middle);
    Py_XDECREF(self->lead);
    Py_XDECREF(self->context);
    Py_XDECREF(self->entry);
    Py_XDECREF(self->names);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *
answer_unname_method(Answer *self, PyObject *Py_UNUSED(ignored))
{
    answer_unname(self);
    Py_RETURN_NONE;
}

static PyObject *
answer_get_other(Answer *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self->other == NULL ? Py_None : (PyObject *)self->other);
}

static int
answer_set_other(Answer *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL || (value != Py_None && !Py_IS_TYPE(value, &AnswerType))) {
        PyErr_SetString(PyExc_TypeError, "an Answer or None is wanted");
        return -1;
    }
    Py_XSETREF(self->other, value == Py_None ? NULL : (Answer *)Py_NewRef(value));
    return 0;
}

static PyMemberDef answer_members[] = {
    {"context", T_OBJECT, offsetof(Answer, context), READONLY, NULL},
    {"lead", T_OBJECT, offsetof(Answer, lead), READONLY, NULL},
    {"own", T_OBJECT, offsetof(Answer, own), READONLY, NULL},
    {"middle", T_OBJECT, offsetof(Answer, middle), READONLY, NULL},
    {"attributes", T_OBJECT, offsetof(Answer, attributes), READONLY, NULL},
    {"tag_end", T_PYSSIZET, offsetof(Answer, tag_end), READONLY, NULL},
    {"json_start", T_PYSSIZET, offsetof(Answer, json_start), READONLY, NULL},
    {"entry", T_OBJECT, offsetof(Answer, entry), READONLY, NULL},
    {"names", T_OBJECT, offsetof(Answer, names), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef answer_properties[] = {
    {"other", (getter)answer_get_other, (setter)answer_set_other, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef answer_methods[] = {
    {"unname", (PyCFunction)answer_unname_method, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject AnswerType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "moorline_sidecar.hot._compiled.Answer",
    .tp_basicsize = sizeof(Answer),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = answer_new,
    .tp_dealloc = (destructor)answer_dealloc,
    .tp_members = answer_members,
    .tp_getset = answer_properties,
    .tp_methods = answer_methods,
};

static PyObject *
names_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Names *self = (Names *)new_of_zeros(type, args, kwargs);
    if (self == NULL)
        return NULL;
    for (int i = 0; i < SEEDS; i++) {
        /* The hashes of Python's texts are different in each process. */
        PyObject *text = PyUnicode_FromFormat("names of answers %d", i);
        const Py_hash_t seed = text == NULL ? -1 : PyObject_Hash(text);
        Py_XDECREF(text);
        if (seed == -1) {
            Py_DECREF(self);
            return NULL;
        }
        self->seeds[i] = (uint64_t)seed;
    }
    return (PyObject *)self;
}

static PyObject *
names_clear(Names *self, PyObject *Py_UNUSED(ignored))
{
    Slot *slots = self->slots;
    const size_t size = slots == NULL ? 0 : self->mask + 1;
    self->slots = NULL;
    self->mask = self->used = 0;
    for (size_t i = 0; i < size; i++)
        Py_XDECREF(slots[i].answer);
    PyMem_Free(slots);
    Py_RETURN_NONE;
}

static void
names_dealloc(Names *self)
{
    Py_DECREF(names_clear(self, NULL));
    Py_TYPE(self)->tp_free(self);
}

static Py_ssize_t
names_length(Names *self)
{
    return (Py_ssize_t)self->used;
}

static PyObject *
names_find(Names *self, PyObject *name)
{
    Answer *answer = NULL;
    if (PyBytes_CheckExact(name))
        answer = names_search(self, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name));
    return Py_NewRef(answer == NULL ? Py_None : (PyObject *)answer);
}

static PyObject *
names_put(Names *self, PyObject *args)
{
    Answer *answer;
    PyObject *entry, *name, *rest;
    long long since;
    if (!PyArg_ParseTuple(args, "O!OLSS:put", &AnswerType, &answer, &entry, &since, &name, &rest))
        return NULL;
    const Py_ssize_t rest_bytes = PyBytes_GET_SIZE(name) - LINE_BYTES;
    if (rest_bytes != PyBytes_GET_SIZE(rest) ||
        memcmp(PyBytes_AS_STRING(name) + LINE_BYTES, PyBytes_AS_STRING(rest), rest_bytes) != 0) {
        PyErr_SetString(PyExc_ValueError, "the name does not end with the rest");
        return NULL;
    }
    PyObject *times = PyObject_GetAttrString(entry, "times");
    if (times == NULL)
        return NULL;
    if (!Py_IS_TYPE(times, &TimesType)) {
        Py_DECREF(times);
        PyErr_SetString(PyExc_TypeError, "the times of an entry are not Times");
        return NULL;
    }
    answer_unname(answer);
    Answer *displaced =
        names_search(self, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name));
    if (displaced != NULL) {
        Py_INCREF(displaced);
        answer_unname(displaced);
        Py_DECREF(displaced);
    }
    /* What they let go of may be somebody's last words. */
    if (answer->names != NULL ||
        names_search(self, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)) != NULL) {
        Py_DECREF(times);
        PyErr_SetString(PyExc_RuntimeError, "names were given while one was taken away");
        return NULL;
    }
    if (names_grow(self) < 0) {
        Py_DECREF(times);
        return NULL;
    }
    memcpy(answer->line, PyBytes_AS_STRING(name), LINE_BYTES);
    answer->since = since;
    answer->rest = Py_NewRef(rest);
    answer->times = (Times *)times;
    answer->entry = Py_NewRef(entry);
    answer->names = (Names *)Py_NewRef(self);
    const Slot slot = {hash_of(self, answer->line), (Answer *)Py_NewRef(answer)};
    slots_insert(self->slots, self->mask, slot);
    self->used++;
    Py_RETURN_NONE;
}

static PyMethodDef names_methods[] = {
    {"find", (PyCFunction)names_find, METH_O, NULL},
    {"put", (PyCFunction)names_put, METH_VARARGS, NULL},
    {"clear", (PyCFunction)names_clear, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PySequenceMethods names_sequence = {.sq_length = (lenfunc)names_length};

static PyTypeObject NamesType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "moorline_sidecar.hot._compiled.Names",
    .tp_basicsize = sizeof(Names),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = names_new,
    .tp_dealloc = (destructor)names_dealloc,
    .tp_as_sequence = &names_sequence,
    .tp_methods = names_methods,
};

#endif
