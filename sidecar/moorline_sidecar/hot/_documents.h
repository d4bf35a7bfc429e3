/* Sessions out of the reply to a `find`, as MongoDB sends it: BSON in, JSON text out, and none of
 * the objects between. What is not as a sidecar writes it, or not sound, is left to Python, which
 * knows what to do with it.
 */

#ifndef MOORLINE_DOCUMENTS_H
#define MOORLINE_DOCUMENTS_H

#include <Python.h>
#include <stdint.h>
#include <string.h>

#include "_instants.h"

#define DEPTH_MAX 32
/* Names of one object, each of which is compared with all others. */
#define NAMES_MAX 64
#define MOMENTS_MAX 8
/* What a float of JavaScript holds exactly: far from where numbers are cut off. */
#define WHOLE_MAX ((int64_t)1 << 53)

/* What became of a piece: there is an exception, it is for Python, or it was read. */
enum { FAILED = -1, OTHER = 0, READ = 1 };

enum kind {
    IS_DOUBLE = 0x01,
    IS_TEXT = 0x02,
    IS_OBJECT = 0x03,
    IS_ARRAY = 0x04,
    IS_BINARY = 0x05,
    IS_ID = 0x07,
    IS_BOOLEAN = 0x08,
    IS_MOMENT = 0x09,
    IS_NULL = 0x0A,
    IS_INT32 = 0x10,
    IS_TIMESTAMP = 0x11,
    IS_INT64 = 0x12,
};

/* Bytes that are yet to be read. */
typedef struct {
    const char *at;
    const char *end;
} Bytes;

typedef struct {
    const char *text;
    size_t size;
} Text;

typedef struct {
    unsigned char kind;
    Text name;
} Element;

static size_t
left_of(const Bytes *bytes)
{
    return (size_t)(bytes->end - bytes->at);
}

static int
take(Bytes *bytes, size_t size, const char **taken)
{
    if (left_of(bytes) < size)
        return OTHER;
    *taken = bytes->at;
    bytes->at += size;
    return READ;
}

/* A number, at any address. */
static int
take_number(Bytes *bytes, void *number, size_t size)
{
    const char *taken;
    if (take(bytes, size, &taken) != READ)
        return OTHER;
    memcpy(number, taken, size);
    return READ;
}

static int
take_int32(Bytes *bytes, int32_t *number)
{
    return take_number(bytes, number, sizeof *number);
}

static int
take_int64(Bytes *bytes, int64_t *number)
{
    return take_number(bytes, number, sizeof *number);
}

/* An object or an array: what is in it. */
static int
take_object(Bytes *bytes, Bytes *content)
{
    const char *start = bytes->at, *taken;
    int32_t size;
    if (take_int32(bytes, &size) != READ || size < 5 ||
        take(bytes, (size_t)size - sizeof size, &taken) != READ || bytes->at[-1] != '\0')
        return OTHER;
    content->at = start + sizeof size;
    content->end = bytes->at - 1;
    return READ;
}

static int
take_text(Bytes *bytes, Text *text)
{
    int32_t size;
    if (take_int32(bytes, &size) != READ || size < 1 ||
        take(bytes, (size_t)size, &text->text) != READ || text->text[size - 1] != '\0')
        return OTHER;
    text->size = (size_t)size - 1;
    return READ;
}

static int
take_element(Bytes *bytes, Element *element)
{
    const char *kind;
    if (take(bytes, 1, &kind) != READ)
        return OTHER;
    const char *end = memchr(bytes->at, '\0', left_of(bytes));
    if (end == NULL)
        return OTHER;
    element->kind = (unsigned char)*kind;
    element->name = (Text){bytes->at, (size_t)(end - bytes->at)};
    bytes->at = end + 1;
    return READ;
}

static int
skip_value(Bytes *bytes, unsigned char kind)
{
    const char *skipped;
    int32_t size;
    Bytes content;
    Text text;
    switch (kind) {
    case IS_DOUBLE:
    case IS_MOMENT:
    case IS_TIMESTAMP:
    case IS_INT64:
        return take(bytes, 8, &skipped);
    case IS_INT32:
        return take(bytes, 4, &skipped);
    case IS_BOOLEAN:
        return take(bytes, 1, &skipped);
    case IS_ID:
        return take(bytes, 12, &skipped);
    case IS_NULL:
        return READ;
    case IS_TEXT:
        return take_text(bytes, &text);
    case IS_OBJECT:
    case IS_ARRAY:
        return take_object(bytes, &content);
    case IS_BINARY:
        return take_int32(bytes, &size) == READ && size >= 0 ? take(bytes, (size_t)size + 1, &skipped)
                                                             : OTHER;
    default:
        return OTHER;
    }
}

static int
is_same(Text one, Text other)
{
    return one.size == other.size && memcmp(one.text, other.text, one.size) == 0;
}

static int
is_called(Text name, const char *text)
{
    return is_same(name, (Text){text, strlen(text)});
}

/* --- JSON, to the byte as msgspec writes it ---------------------------------------------------- */

typedef struct {
    char *text;
    size_t size;
    size_t room;
} Json;

static int
json_reserve(Json *json, size_t more)
{
    if (more <= json->room - json->size)
        return READ;
    const size_t room = 2 * (json->size + more);
    char *text = PyMem_Realloc(json->text, room);
    if (text == NULL) {
        PyErr_NoMemory();
        return FAILED;
    }
    json->text = text;
    json->room = room;
    return READ;
}

static int
json_put(Json *json, const char *text, size_t size)
{
    if (json_reserve(json, size) != READ)
        return FAILED;
    memcpy(json->text + json->size, text, size);
    json->size += size;
    return READ;
}

/* The letter of an escape; 0 for what has none. */
static char
letter_of(unsigned char character)
{
    switch (character) {
    case '"':
    case '\\':
        return (char)character;
    case '\b':
        return 'b';
    case '\t':
        return 't';
    case '\n':
        return 'n';
    case '\f':
        return 'f';
    case '\r':
        return 'r';
    default:
        return 0;
    }
}

/* NULL without an exception for what is no UTF-8. */
static PyObject *
decoded(Text text)
{
    PyObject *object = PyUnicode_DecodeUTF8(text.text, (Py_ssize_t)text.size, NULL);
    if (object == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
        PyErr_Clear();
    return object;
}

/* OTHER for what is no UTF-8. */
static int
check_text(Text text)
{
    for (size_t i = 0; i < text.size; i++) {
        if ((unsigned char)text.text[i] < 0x80)
            continue;
        PyObject *object = decoded(text);
        if (object == NULL)
            return PyErr_Occurred() ? FAILED : OTHER;
        Py_DECREF(object);
        return READ;
    }
    return READ;
}

static int
json_text(Json *json, Text text)
{
    static const char digits[] = "0123456789abcdef";
    const int is_text = check_text(text);
    if (is_text != READ)
        return is_text;
    size_t escapes = 0;
    for (size_t i = 0; i < text.size; i++) {
        const unsigned char character = (unsigned char)text.text[i];
        escapes += character < 0x20 || character == '"' || character == '\\';
    }
    if (json_reserve(json, text.size + 5 * escapes + 2) != READ)
        return FAILED;
    char *at = json->text + json->size;
    *at++ = '"';
    if (escapes == 0) {
        memcpy(at, text.text, text.size);
        at += text.size;
    }
    else {
        for (size_t i = 0; i < text.size; i++) {
            const unsigned char character = (unsigned char)text.text[i];
            const char letter = letter_of(character);
            if (letter != 0) {
                *at++ = '\\';
                *at++ = letter;
            }
            else if (character < 0x20) {
                memcpy(at, "\\u00", 4);
                at[4] = digits[character >> 4];
                at[5] = digits[character & 15];
                at += 6;
            }
            else
                *at++ = (char)character;
        }
    }
    *at++ = '"';
    json->size = (size_t)(at - json->text);
    return READ;
}

static int
json_whole(Json *json, int64_t number)
{
    char digits[20], *at = digits + sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do
        *--at = (char)('0' + rest % 10);
    while ((rest /= 10) != 0);
    if (number < 0)
        *--at = '-';
    return json_put(json, at, (size_t)(digits + sizeof digits - at));
}

static int
json_double(Json *json, double number)
{
    char *text = PyOS_double_to_string(number, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    if (text == NULL)
        return FAILED;
    /* Where exponents begin, and how they look, is not the same; and there are inf and nan. */
    const int result = strpbrk(text, "en") == NULL ? json_put(json, text, strlen(text)) : OTHER;
    PyMem_Free(text);
    return result;
}

static int json_object(Json *json, Bytes content, int depth);
static int json_array(Json *json, Bytes content, int depth);

static int
json_value(Json *json, Bytes *bytes, unsigned char kind, int depth)
{
    Text text;
    Bytes content;
    int64_t number;
    int32_t small;
    double real;
    const char *taken;
    switch (kind) {
    case IS_TEXT:
        return take_text(bytes, &text) == READ ? json_text(json, text) : OTHER;
    case IS_OBJECT:
        return take_object(bytes, &content) == READ ? json_object(json, content, depth + 1) : OTHER;
    case IS_ARRAY:
        return take_object(bytes, &content) == READ ? json_array(json, content, depth + 1) : OTHER;
    case IS_INT64:
        return take_int64(bytes, &number) == READ ? json_whole(json, number) : OTHER;
    case IS_INT32:
        return take_int32(bytes, &small) == READ ? json_whole(json, small) : OTHER;
    case IS_NULL:
        return json_put(json, "null", 4);
    case IS_BOOLEAN:
        if (take(bytes, 1, &taken) != READ || (unsigned char)*taken > 1)
            return OTHER;
        return *taken ? json_put(json, "true", 4) : json_put(json, "false", 5);
    case IS_DOUBLE:
        return take_number(bytes, &real, sizeof real) == READ ? json_double(json, real) : OTHER;
    default:
        return OTHER;
    }
}

static int
json_object(Json *json, Bytes content, int depth)
{
    Text names[NAMES_MAX];
    int count = 0, result = depth > DEPTH_MAX ? OTHER : json_put(json, "{", 1);
    while (result == READ && content.at < content.end) {
        Element element;
        if (count == NAMES_MAX || take_element(&content, &element) != READ ||
            memchr(element.name.text, '%', element.name.size) != NULL)
            return OTHER;
        for (int i = 0; i < count; i++)
            if (is_same(names[i], element.name))
                return OTHER;
        if (count > 0 && json_put(json, ",", 1) != READ)
            return FAILED;
        names[count++] = element.name;
        result = json_text(json, element.name);
        if (result == READ)
            result = json_put(json, ":", 1);
        if (result == READ)
            result = json_value(json, &content, element.kind, depth);
    }
    return result == READ ? json_put(json, "}", 1) : result;
}

static int
json_array(Json *json, Bytes content, int depth)
{
    int is_first = 1, result = depth > DEPTH_MAX ? OTHER : json_put(json, "[", 1);
    while (result == READ && content.at < content.end) {
        Element element;
        if (take_element(&content, &element) != READ)
            return OTHER;
        if (!is_first && json_put(json, ",", 1) != READ)
            return FAILED;
        is_first = 0;
        result = json_value(json, &content, element.kind, depth);
    }
    return result == READ ? json_put(json, "]", 1) : result;
}

/* --- Sessions ---------------------------------------------------------------------------------- */

typedef struct {
    int64_t moments[MOMENTS_MAX];
    PyObject *numbers[MOMENTS_MAX]; /* Borrowed from the row. */
    int count;
} Moments;

/* What a field is made into: 0 without an exception is for Python. */
typedef PyObject *(*Reader)(Json *json, Moments *moments, Bytes *bytes, unsigned char kind);

static PyObject *
read_text(Json *Py_UNUSED(json), Moments *Py_UNUSED(moments), Bytes *bytes, unsigned char kind)
{
    Text text;
    return kind == IS_TEXT && take_text(bytes, &text) == READ ? decoded(text) : NULL;
}

static PyObject *
read_texts(Json *json, Moments *moments, Bytes *bytes, unsigned char kind)
{
    Bytes content;
    if (kind != IS_ARRAY || take_object(bytes, &content) != READ)
        return NULL;
    PyObject *texts = PyList_New(0);
    while (texts != NULL && content.at < content.end) {
        Element element;
        PyObject *text = take_element(&content, &element) == READ
                             ? read_text(json, moments, &content, element.kind)
                             : NULL;
        if (text == NULL || PyList_Append(texts, text) < 0)
            Py_CLEAR(texts);
        Py_XDECREF(text);
    }
    PyObject *tuple = texts == NULL ? NULL : PyList_AsTuple(texts);
    Py_XDECREF(texts);
    return tuple;
}

static PyObject *
read_whole(Json *Py_UNUSED(json), Moments *Py_UNUSED(moments), Bytes *bytes, unsigned char kind)
{
    int64_t number;
    int32_t small;
    if (kind == IS_INT32)
        return take_int32(bytes, &small) == READ ? PyLong_FromLong(small) : NULL;
    if (kind != IS_INT64 || take_int64(bytes, &number) != READ || number > WHOLE_MAX ||
        number < -WHOLE_MAX)
        return NULL;
    return PyLong_FromLongLong(number);
}

/* Many times of a session are the same: each is one object. */
static PyObject *
read_moment(Json *Py_UNUSED(json), Moments *moments, Bytes *bytes, unsigned char kind)
{
    int64_t ms;
    if (kind != IS_MOMENT || take_int64(bytes, &ms) != READ || ms < 0 || ms > LAST_INSTANT)
        return NULL;
    for (int i = 0; i < moments->count; i++)
        if (moments->moments[i] == ms)
            return Py_NewRef(moments->numbers[i]);
    PyObject *number = PyLong_FromLongLong(ms);
    if (number != NULL && moments->count < MOMENTS_MAX) {
        moments->moments[moments->count] = ms;
        moments->numbers[moments->count++] = number;
    }
    return number;
}

static PyObject *
read_moment_or_null(Json *json, Moments *moments, Bytes *bytes, unsigned char kind)
{
    return kind == IS_NULL ? Py_NewRef(Py_None) : read_moment(json, moments, bytes, kind);
}

static PyObject *
read_true(Json *Py_UNUSED(json), Moments *Py_UNUSED(moments), Bytes *bytes, unsigned char kind)
{
    const char *taken;
    if (kind != IS_BOOLEAN || take(bytes, 1, &taken) != READ || *taken != 1)
        return NULL;
    return Py_NewRef(Py_True);
}

/* The attributes of a context as text; its name is no escape. */
static int
read_context(Json *json, PyObject *contexts, Bytes *bytes)
{
    Element element;
    Bytes content;
    if (take_element(bytes, &element) != READ || element.kind != IS_OBJECT ||
        memchr(element.name.text, '%', element.name.size) != NULL ||
        take_object(bytes, &content) != READ)
        return OTHER;
    json->size = 0;
    int result = json_object(json, content, 0);
    if (result != READ)
        return result;
    PyObject *name = decoded(element.name);
    if (name == NULL)
        return PyErr_Occurred() ? FAILED : OTHER;
    PyObject *text = PyBytes_FromStringAndSize(json->text, (Py_ssize_t)json->size);
    if (text == NULL)
        result = FAILED;
    else {
        const int is_there = PyDict_Contains(contexts, name);
        if (is_there != 0)
            result = is_there < 0 ? FAILED : OTHER;
        else if (PyDict_SetItem(contexts, name, text) < 0)
            result = FAILED;
    }
    Py_DECREF(name);
    Py_XDECREF(text);
    return result;
}

static PyObject *
read_contexts(Json *json, Moments *Py_UNUSED(moments), Bytes *bytes, unsigned char kind)
{
    Bytes content;
    if (kind != IS_OBJECT || take_object(bytes, &content) != READ)
        return NULL;
    PyObject *contexts = PyDict_New();
    while (contexts != NULL && content.at < content.end)
        if (read_context(json, contexts, &content) != READ)
            Py_CLEAR(contexts);
    return contexts;
}

/* In the order in which a session is written. */
static const struct {
    const char *name;
    Reader read;
    int is_optional;
} FIELDS[] = {
    {"_id", read_text, 0},
    {"valid", read_true, 0},
    {"version", read_whole, 0},
    {"created", read_moment, 0},
    {"lastAccessed", read_moment, 0},
    {"accessed", read_moment, 0},
    {"expiry", read_moment_or_null, 0},
    {"maxIdle", read_whole, 0},
    {"lastNode", read_text, 0},
    {"lastSaved", read_moment, 0},
    {"cookieSet", read_moment, 0},
    {"writeId", read_text, 0},
    {"deadline", read_moment, 1},
    {"principal", read_text, 1},
    {"recent", read_texts, 1},
    {"renewOf", read_text, 1},
    {"context", read_contexts, 0},
};

#define FIELDS_COUNT ((int)(sizeof FIELDS / sizeof *FIELDS))

/* The field of that name, from a place on where it is likely; -1: there is none. */
static int
field_called(Text name, int likely)
{
    for (int i = 0; i < FIELDS_COUNT; i++) {
        const int field = (likely + i) % FIELDS_COUNT;
        if (is_called(name, FIELDS[field].name))
            return field;
    }
    return -1;
}

/* A session's fields as a tuple; NULL without an exception: it is for Python. */
static PyObject *
read_session(Json *json, Bytes content)
{
    Moments moments = {.count = 0};
    PyObject *row = PyTuple_New(FIELDS_COUNT);
    int field = -1;
    while (row != NULL && content.at < content.end) {
        Element element;
        PyObject *value = NULL;
        if (take_element(&content, &element) == READ) {
            field = field_called(element.name, field + 1);
            if (field >= 0 && PyTuple_GET_ITEM(row, field) == NULL)
                value = FIELDS[field].read(json, &moments, &content, element.kind);
        }
        if (value == NULL)
            Py_CLEAR(row);
        else
            PyTuple_SET_ITEM(row, field, value);
    }
    for (int i = 0; row != NULL && i < FIELDS_COUNT; i++) {
        if (PyTuple_GET_ITEM(row, i) != NULL)
            continue;
        if (FIELDS[i].is_optional)
            PyTuple_SET_ITEM(row, i, Py_NewRef(Py_None));
        else
            Py_CLEAR(row);
    }
    return row;
}

/* --- Replies ----------------------------------------------------------------------------------- */

static PyObject *
read_batch(Json *json, Bytes content)
{
    PyObject *batch = PyList_New(0);
    while (batch != NULL && content.at < content.end) {
        Element element;
        Bytes document;
        const char *start;
        PyObject *read = NULL;
        if (take_element(&content, &element) == READ && element.kind == IS_OBJECT) {
            start = content.at;
            if (take_object(&content, &document) == READ) {
                read = read_session(json, document);
                if (read == NULL && !PyErr_Occurred())
                    read = PyBytes_FromStringAndSize(start, content.at - start);
            }
        }
        if (read == NULL || PyList_Append(batch, read) < 0)
            Py_CLEAR(batch);
        Py_XDECREF(read);
    }
    return batch;
}

/* What a reply says besides its cursor. */
static PyObject *
rest_of(const char *start, const char *cursor, const char *after, const char *end)
{
    const size_t before = (size_t)(cursor - start), behind = (size_t)(end - after);
    const int32_t size = (int32_t)(before + behind);
    PyObject *rest = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (rest == NULL)
        return NULL;
    char *text = PyBytes_AS_STRING(rest);
    memcpy(text, start, before);
    memcpy(text + before, after, behind);
    memcpy(text, &size, sizeof size);
    return rest;
}

/* NULL without an exception: it is for Python. */
static PyObject *
read_reply(Json *json, Bytes reply)
{
    Bytes content, cursor = {NULL, NULL}, batch = {NULL, NULL};
    Element element;
    int64_t id = -1;
    const char *start = reply.at, *at = NULL;
    if (take_object(&reply, &content) != READ || left_of(&reply) != 0)
        return NULL;
    while (cursor.at == NULL) {
        at = content.at;
        if (take_element(&content, &element) != READ)
            return NULL;
        const int is_cursor = element.kind == IS_OBJECT && is_called(element.name, "cursor");
        if ((is_cursor ? take_object(&content, &cursor) : skip_value(&content, element.kind)) != READ)
            return NULL;
    }
    while (cursor.at < cursor.end) {
        int result;
        if (take_element(&cursor, &element) != READ)
            return NULL;
        if (element.kind == IS_ARRAY && is_called(element.name, "firstBatch"))
            result = take_object(&cursor, &batch);
        else if (element.kind == IS_INT64 && is_called(element.name, "id"))
            result = take_int64(&cursor, &id);
        else
            result = skip_value(&cursor, element.kind);
        if (result != READ)
            return NULL;
    }
    if (batch.at == NULL || id != 0)
        return NULL;
    PyObject *rest = rest_of(start, at, content.at, reply.end);
    PyObject *documents = rest == NULL ? NULL : read_batch(json, batch);
    PyObject *both = documents == NULL ? NULL : PyTuple_Pack(2, rest, documents);
    Py_XDECREF(rest);
    Py_XDECREF(documents);
    return both;
}

static PyObject *
found(PyObject *Py_UNUSED(module), PyObject *reply)
{
    Py_buffer view;
    PyObject *read = NULL;
    if (PyObject_GetBuffer(reply, &view, PyBUF_SIMPLE) < 0)
        return NULL;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    Json json = {NULL, 0, 0};
    read = read_reply(&json, (Bytes){view.buf, (const char *)view.buf + view.len});
    PyMem_Free(json.text);
#endif
    PyBuffer_Release(&view);
    if (read == NULL && !PyErr_Occurred())
        return Py_NewRef(Py_None);
    return read;
}

#endif
