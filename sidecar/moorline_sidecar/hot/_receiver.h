/* What comes on a connection, as long as that waits for requests and they are hits. */

#ifndef MOORLINE_RECEIVER_H
#define MOORLINE_RECEIVER_H

#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <structmember.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "_hits.h"
#include "_times.h"

/* --- What all connections have let through -------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    int64_t received;
    int64_t sent;
    int64_t hits;
} Flow;

static PyGetSetDef flow_properties[] = {
    NUMBER(Flow, received),
    NUMBER(Flow, sent),
    NUMBER(Flow, hits),
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject FlowType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "moorline_sidecar.hot._compiled.Flow",
    .tp_basicsize = sizeof(Flow),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = new_of_zeros,
    .tp_getset = flow_properties,
};

/* --- One connection ------------------------------------------------------------------------- */

#define NO_SOCKET -1

typedef struct {
    PyObject_HEAD
    Hits *quick; /* NULL: whoever is asked is none of these. */
    Flow *flow;
    /* NULL once it is closed, or as long as nothing is connected. */
    PyObject *on_other;
    PyObject *write;
    PyObject *unsent;
    int64_t hits;
    int socket;
    char is_waiting;
    char may_have_unsent;
} Receiver;

static PyObject *
receiver_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"quick", "flow", "on_other", NULL};
    PyObject *quick, *flow, *on_other;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO!O:Receiver", keywords, &quick, &FlowType,
                                     &flow, &on_other))
        return NULL;
    Receiver *self = (Receiver *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    if (PyCFunction_CheckExact(quick) &&
        PyCFunction_GET_FUNCTION(quick) == (PyCFunction)hits_answer)
        self->quick = (Hits *)Py_NewRef(PyCFunction_GET_SELF(quick));
    self->flow = (Flow *)Py_NewRef(flow);
    self->on_other = Py_NewRef(on_other);
    self->socket = NO_SOCKET;
    return (PyObject *)self;
}

static int
receiver_traverse(Receiver *self, visitproc visit, void *arg)
{
    Py_VISIT(self->quick);
    Py_VISIT(self->on_other);
    Py_VISIT(self->write);
    Py_VISIT(self->unsent);
    return 0;
}

static int
receiver_clear(Receiver *self)
{
    self->is_waiting = 0;
    self->socket = NO_SOCKET;
    Py_CLEAR(self->quick);
    Py_CLEAR(self->on_other);
    Py_CLEAR(self->write);
    Py_CLEAR(self->unsent);
    return 0;
}

static void
receiver_dealloc(Receiver *self)
{
    PyObject_GC_UnTrack(self);
    receiver_clear(self);
    Py_XDECREF(self->flow);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *
receiver_connect(Receiver *self, PyObject *args)
{
    PyObject *write, *unsent;
    int socket;
    if (!PyArg_ParseTuple(args, "OOi:connect", &write, &unsent, &socket))
        return NULL;
    Py_XSETREF(self->write, Py_NewRef(write));
    Py_XSETREF(self->unsent, Py_NewRef(unsent));
    self->socket = socket;
    self->may_have_unsent = 1;
    Py_RETURN_NONE;
}

static PyObject *
receiver_close(Receiver *self, PyObject *Py_UNUSED(ignored))
{
    receiver_clear(self);
    Py_RETURN_NONE;
}

/* Whether the socket may be written to past the transport: 1 if that has nothing left to send. */
static int
receiver_may_send(Receiver *self)
{
    if (self->socket < 0)
        return 0;
    if (!self->may_have_unsent)
        return 1;
    PyObject *unsent = Py_NewRef(self->unsent); /* It may close this. */
    PyObject *answer = PyObject_CallNoArgs(unsent);
    Py_DECREF(unsent);
    if (answer == NULL)
        return -1;
    const long long bytes = PyLong_AsLongLong(answer);
    Py_DECREF(answer);
    if (bytes == -1 && PyErr_Occurred())
        return -1;
    self->may_have_unsent = bytes != 0;
    return bytes == 0 && self->socket >= 0;
}

/* Sends an answer; what the socket does not take, and its errors, are the transport's. */
static PyObject *
receiver_send(Receiver *self, PyObject *whole)
{
    const Py_ssize_t size = PyBytes_GET_SIZE(whole);
    Py_ssize_t sent = 0;
    const int may_send = receiver_may_send(self);
    if (may_send < 0)
        return NULL;
    if (may_send) {
        const ssize_t taken =
            send(self->socket, PyBytes_AS_STRING(whole), size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (taken == size)
            Py_RETURN_NONE;
        sent = taken < 0 ? 0 : taken;
    }
    if (self->write == NULL)
        Py_RETURN_NONE;
    self->may_have_unsent = 1;
    const char *unsent = PyBytes_AS_STRING(whole) + sent;
    PyObject *rest = sent == 0 ? Py_NewRef(whole) : PyBytes_FromStringAndSize(unsent, size - sent);
    if (rest == NULL)
        return NULL;
    PyObject *write = Py_NewRef(self->write); /* It may close this. */
    PyObject *done = PyObject_CallOneArg(write, rest);
    Py_DECREF(write);
    Py_DECREF(rest);
    return done;
}

/* The answer, where a hit is all that this is; NULL for whatever is to be left to `on_other`, or
 * with an exception that nobody is to be kept from seeing. */
static PyObject *
receiver_answer(Receiver *self, PyObject *data)
{
    if (!self->is_waiting || self->quick == NULL)
        return NULL;
    Hits *quick = (Hits *)Py_NewRef(self->quick); /* Its clock is Python's, and may close this. */
    Answer *named;
    PyObject *whole = hits_sure(quick, data, &named);
    Py_XDECREF(named);
    Py_DECREF(quick);
    if (whole == NULL && PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_Exception))
        PyErr_Clear(); /* Python asks again, and knows what an error has to lead to. */
    return whole;
}

static PyObject *
receiver_receive(Receiver *self, PyObject *data)
{
    PyObject *whole = receiver_answer(self, data);
    if (whole == NULL) {
        if (PyErr_Occurred())
            return NULL;
        self->is_waiting = 0;
        self->may_have_unsent = 1;
        if (self->on_other == NULL)
            Py_RETURN_NONE;
        PyObject *on_other = Py_NewRef(self->on_other);
        PyObject *done = PyObject_CallOneArg(on_other, data);
        Py_DECREF(on_other);
        return done;
    }
    self->hits++;
    self->flow->hits++;
    self->flow->received += PyBytes_GET_SIZE(data);
    self->flow->sent += PyBytes_GET_SIZE(whole);
    PyObject *done = receiver_send(self, whole);
    Py_DECREF(whole);
    return done;
}

static PyMemberDef receiver_members[] = {
    {"is_waiting", T_BOOL, offsetof(Receiver, is_waiting), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef receiver_properties[] = {
    NUMBER(Receiver, hits),
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef receiver_methods[] = {
    {"connect", (PyCFunction)receiver_connect, METH_VARARGS, NULL},
    {"receive", (PyCFunction)receiver_receive, METH_O, NULL},
    {"close", (PyCFunction)receiver_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject ReceiverType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "moorline_sidecar.hot._compiled.Receiver",
    .tp_basicsize = sizeof(Receiver),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = receiver_new,
    .tp_dealloc = (destructor)receiver_dealloc,
    .tp_traverse = (traverseproc)receiver_traverse,
    .tp_clear = (inquiry)receiver_clear,
    .tp_members = receiver_members,
    .tp_getset = receiver_properties,
    .tp_methods = receiver_methods,
};

#endif
