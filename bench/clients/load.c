/* A load: requests out of a file over keep-alive connections, and a look at every answer.
 *
 *     load http|redis PORT|SOCKET FILE CONNECTIONS STATUS SEED SECONDS|each
 *
 * A line of the file is what `bench.shots.Shot.line` writes. For `redis` the path is the key of a
 * GET. Each connection has one request under way and sends the next one when the answer is whole
 * and right. For so many seconds the requests are drawn at random; `each` sends every one of them
 * once, in the order of the file. What is under way at the end is awaited, and counts.
 *
 * Right is an answer of this status, whose body is as long as the request says and begins with the
 * id that was asked for. Of a load of reads and changes, STATUS is 0: a read is answered 200, with
 * what may be a few bytes longer, as changes make the version longer; a change (its id is `-`) 204.
 * One that is wrong, closed or not whole in 10 s ends the load. Prints `bench.load.Work` as JSON.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    FIELDS = 6,
    KEPT = 1 << 14, /* Of an answer: its head, and where its body begins. */
    HEAD_MOST = KEPT - 1024,
    SCRATCH = 1 << 18,
    EVENTS = 256,
    GROWTH = 8, /* Bytes by which changes may have made a session longer. */
    STALL_SECONDS = 10,
    LOOK_MS = 500, /* How often what has stalled is looked for. */
    FINE = 512,    /* Buckets for each doubling of a latency: they are at most 0.2 % wide. */
};

static const uint64_t SECOND_NS = 1000000000;

typedef struct {
    char *request, *id; /* `id` NULL: known by the length alone. */
    size_t size, id_size, length;
} Shot;

typedef struct {
    int socket;
    const Shot *shot; /* NULL: nothing is under way. */
    uint64_t began;
    size_t head, need, have; /* Bytes of the answer; `head` is 0 until it is whole. */
    size_t body;             /* Its length, as the head has it. */
    long status;
    char kept[KEPT];
} Connection;

static Shot *shots;
static size_t shot_count, next_shot;
static bool is_redis, is_each;
static long expected;
static uint64_t chance, end_ns, answers;
static uint32_t latencies[64 * FINE];
static char scratch[SCRATCH];

__attribute__((noreturn, format(printf, 1, 2))) static void
fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static void *
made(void *memory)
{
    if (memory == NULL)
        fail("no memory");
    return memory;
}

static uint64_t
now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* splitmix64, by Sebastiano Vigna, in the public domain. */
static uint64_t
drawn(void)
{
    uint64_t z = chance += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* --- The file ------------------------------------------------------------------------------- */

static void
print_http(FILE *out, char **field)
{
    const char *body = field[5];
    fprintf(out, "%s %s HTTP/1.1\r\nHost: localhost\r\n", field[0], field[1]);
    for (char *header = field[2]; header != NULL && *header;) {
        const char *one = strsep(&header, "|");
        fprintf(out, "%s\r\n", one);
    }
    if (*body)
        fprintf(out, "Content-Length: %zu\r\n", strlen(body));
    fprintf(out, "\r\n%s", body);
}

static void
add_shot(char *line)
{
    char *field[FIELDS];
    for (int number = 0; number < FIELDS; number++)
        if ((field[number] = strsep(&line, number < FIELDS - 1 ? "\t" : "\n")) == NULL)
            fail("line %zu of the requests has too few fields", shot_count + 1);
    if ((shot_count & (shot_count - 1)) == 0) /* Doubled whenever it is full. */
        shots = made(realloc(shots, (shot_count ? 2 * shot_count : 1) * sizeof(Shot)));
    Shot *shot = &shots[shot_count++];
    *shot = (Shot){.length = strtoul(field[4], NULL, 10)};
    if (strcmp(field[3], "-") != 0) {
        shot->id = made(strdup(field[3]));
        shot->id_size = strlen(shot->id);
    }
    FILE *out = made(open_memstream(&shot->request, &shot->size));
    if (is_redis)
        fprintf(out, "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n", strlen(field[1]), field[1]);
    else
        print_http(out, field);
    if (fclose(out) != 0)
        fail("no memory");
}

static void
read_shots(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail("%s: %s", path, strerror(errno));
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, file) > 0)
        add_shot(line);
    free(line);
    fclose(file);
    if (shot_count == 0)
        fail("%s has no requests", path);
}

/* --- Answers -------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void
refuse(const Connection *from, const char *why)
{
    char start[301];
    size_t size = from->have < sizeof(start) - 1 ? from->have : sizeof(start) - 1;
    for (size_t at = 0; at < size; at++)
        start[at] = from->kept[at] >= ' ' && from->kept[at] <= '~' ? from->kept[at] : ' ';
    start[size] = '\0';
    const char *id = from->shot == NULL || from->shot->id == NULL ? "-" : from->shot->id;
    fail("%s, of id %s, after %llu right answers: %s", why, id, (unsigned long long)answers, start);
}

static bool
is_head(const Connection *from, size_t size, const char *start)
{
    return size >= strlen(start) && memcmp(from->kept, start, strlen(start)) == 0;
}

/* Status and length of the body, out of a head that ends at `end`. */
static void
read_http(Connection *from, const char *end)
{
    static const char name[] = "content-length:";
    if (!is_head(from, (size_t)(end - from->kept), "HTTP/1.1 "))
        refuse(from, "no HTTP");
    from->status = strtol(from->kept + 9, NULL, 10);
    bool is_known = from->status == 204;
    for (const char *line = from->kept; (line = memchr(line, '\n', (size_t)(end - line))) != NULL;)
        if (strncasecmp(++line, name, sizeof(name) - 1) == 0) {
            from->body = strtoul(line + sizeof(name) - 1, NULL, 10);
            is_known = true;
        }
    if (!is_known)
        refuse(from, "no Content-Length");
    from->need = from->head + from->body;
}

/* Reads the head if it is whole. */
static void
read_head(Connection *from)
{
    const char *mark = is_redis ? "\r\n" : "\r\n\r\n";
    const char *end = memmem(from->kept, from->have, mark, strlen(mark));
    if (end == NULL && from->have < HEAD_MOST)
        return;
    if (end == NULL || end - from->kept > HEAD_MOST)
        refuse(from, "a head without an end");
    from->head = (size_t)(end - from->kept) + strlen(mark);
    if (!is_redis) {
        read_http(from, end);
        return;
    }
    char *rest;
    const long long body = strtoll(from->kept + 1, &rest, 10);
    if (from->kept[0] != '$' || rest != end || body < 0)
        refuse(from, "no value");
    from->body = (size_t)body;
    from->need = from->head + from->body + strlen(mark);
}

static bool
is_right(const Connection *from)
{
    const Shot *shot = from->shot;
    const long status = expected != 0 ? expected : shot->id != NULL ? 200 : 204;
    const size_t more = expected == 0 && shot->id != NULL ? GROWTH : 0;
    if (!is_redis && from->status != status)
        return false;
    if (from->body < shot->length || from->body > shot->length + more)
        return false;
    static const char start[] = "{\"id\":\"";
    const size_t before = sizeof(start) - 1;
    const char *body = from->kept + from->head;
    return shot->id == NULL ||
           (from->body > before + shot->id_size && shot->id_size < KEPT - HEAD_MOST - 64 &&
            memcmp(body, start, before) == 0 &&
            memcmp(body + before, shot->id, shot->id_size) == 0 &&
            body[before + shot->id_size] == '"');
}

/* --- The load ------------------------------------------------------------------------------- */

/* A latency's bucket, and the middle of it. */
static size_t
bucket_of(uint64_t ns)
{
    const int shift = ns < 2 * FINE ? 0 : 63 - __builtin_clzll(ns / FINE);
    return (size_t)shift * FINE + (size_t)(ns >> shift);
}

static double
middle_us(size_t bucket)
{
    const size_t shift = bucket < 2 * FINE ? 0 : bucket / FINE - 1;
    const double width = (double)((uint64_t)1 << shift);
    return ((double)(bucket - shift * FINE) * width + width / 2) / 1e3;
}

/* The least latency that is not below this part of all: nearest rank. */
static double
percentile_us(unsigned percent)
{
    uint64_t left = (answers * percent + 99) / 100;
    size_t bucket = 0;
    while (left > latencies[bucket])
        left -= latencies[bucket++];
    return middle_us(bucket);
}

static const Shot *
next(uint64_t now)
{
    if (is_each)
        return next_shot < shot_count ? &shots[next_shot++] : NULL;
    return now < end_ns ? &shots[(drawn() >> 32) * shot_count >> 32] : NULL;
}

/* Sends the next request; false if there is none. */
static bool
ask(Connection *to, uint64_t now)
{
    to->shot = next(now);
    to->began = now;
    to->head = to->have = to->body = 0;
    if (to->shot == NULL)
        return false;
    /* An idle connection takes a request as a whole, or this waits for it: `SO_SNDTIMEO`. */
    const ssize_t sent = send(to->socket, to->shot->request, to->shot->size, MSG_NOSIGNAL);
    if (sent < 0 || (size_t)sent != to->shot->size)
        refuse(to, "a request could not be sent");
    return true;
}

/* Takes what has come; true if that was the last that this connection had under way. */
static bool
receive(Connection *from)
{
    char *into = from->have < KEPT ? from->kept + from->have : scratch;
    const size_t room = from->have < KEPT ? KEPT - from->have : SCRATCH;
    const ssize_t size = recv(from->socket, into, room, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (size <= 0)
        refuse(from, "a connection was closed");
    if (from->shot == NULL)
        refuse(from, "an answer to nothing");
    from->have += (size_t)size;
    if (from->head == 0)
        read_head(from);
    if (from->head == 0 || from->have < from->need)
        return false;
    if (from->have > from->need)
        refuse(from, "more than one answer");
    if (!is_right(from))
        refuse(from, "a wrong answer");
    const uint64_t now = now_ns();
    latencies[bucket_of(now - from->began)]++;
    answers++;
    return !ask(from, now);
}

static int
connected(const char *address)
{
    const bool is_port = address[strspn(address, "0123456789")] == '\0';
    struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    tcp.sin_port = htons((uint16_t)atoi(address));
    snprintf(local.sun_path, sizeof(local.sun_path), "%s", address);
    const int new = socket(is_port ? AF_INET : AF_UNIX, SOCK_STREAM, 0);
    const struct timeval limit = {.tv_sec = STALL_SECONDS};
    setsockopt(new, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (is_port)
        setsockopt(new, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    const struct sockaddr *to = is_port ? (void *)&tcp : (void *)&local;
    if (connect(new, to, is_port ? sizeof(tcp) : sizeof(local)) != 0)
        fail("%s: %s", address, strerror(errno));
    return new;
}

static void
look_for_stalled(const Connection *all, size_t count, uint64_t now)
{
    for (size_t number = 0; number < count; number++)
        if (all[number].shot != NULL && now - all[number].began > STALL_SECONDS * SECOND_NS)
            refuse(&all[number], "no whole answer in 10 s");
}

static void
run(Connection *all, size_t count, int poll)
{
    size_t busy = 0;
    for (size_t number = 0; number < count; number++)
        busy += ask(&all[number], now_ns());
    uint64_t looked = now_ns();
    while (busy > 0) {
        struct epoll_event events[EVENTS];
        const int ready = epoll_wait(poll, events, EVENTS, LOOK_MS);
        if (ready < 0 && errno != EINTR)
            fail("epoll_wait: %s", strerror(errno));
        for (int number = 0; number < ready; number++)
            busy -= receive(events[number].data.ptr);
        const uint64_t now = now_ns();
        if (now - looked > LOOK_MS * (SECOND_NS / 1000)) {
            look_for_stalled(all, count, now);
            looked = now;
        }
    }
}

int
main(int count, char **argument)
{
    if (count != 8 || (strcmp(argument[1], "http") != 0 && strcmp(argument[1], "redis") != 0))
        fail("load http|redis PORT|SOCKET FILE CONNECTIONS STATUS SEED SECONDS|each");
    is_redis = strcmp(argument[1], "redis") == 0;
    read_shots(argument[3]);
    const size_t connections = strtoul(argument[4], NULL, 10);
    expected = strtol(argument[5], NULL, 10);
    chance = strtoull(argument[6], NULL, 10);
    is_each = strcmp(argument[7], "each") == 0;
    Connection *all = made(calloc(connections, sizeof(Connection)));
    const int poll = epoll_create1(0);
    for (size_t number = 0; number < connections; number++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[number]};
        all[number].socket = connected(argument[2]);
        if (epoll_ctl(poll, EPOLL_CTL_ADD, all[number].socket, &event) != 0)
            fail("epoll_ctl: %s", strerror(errno));
    }
    const uint64_t began = now_ns();
    end_ns = is_each ? 0 : began + (uint64_t)(atof(argument[7]) * 1e9);
    run(all, connections, poll);
    if (answers == 0)
        fail("no answer at all");
    printf("{\"requests\": %llu, \"seconds\": %.9f, \"p50_us\": %.3f, \"p99_us\": %.3f}\n",
           (unsigned long long)answers, (double)(now_ns() - began) / 1e9, percentile_us(50),
           percentile_us(99));
    return 0;
}
