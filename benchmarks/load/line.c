/* One TLS connection that never blocks: frames in, frames out. */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_AT_ONCE = 16384, ADDRESSES = 60000 };

static void make_room(struct bytes *bytes, size_t size)
{
    if (bytes->start == bytes->end)
        bytes->start = bytes->end = 0;
    if (bytes->room - bytes->end >= size)
        return;
    memmove(bytes->data, bytes->data + bytes->start, bytes->end - bytes->start);
    bytes->end -= bytes->start;
    bytes->start = 0;
    if (bytes->room - bytes->end >= size)
        return;
    bytes->room = 2 * bytes->room + size;
    bytes->data = realloc(bytes->data, bytes->room);
    if (!bytes->data)
        die("out of memory");
}

static void forget(struct bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct bytes){0};
}

static void listen_for(struct crowd *crowd, struct line *line, bool write, int how)
{
    struct epoll_event event = {.events = (line->paused ? 0 : EPOLLIN) | (write ? EPOLLOUT : 0), .data.ptr = line};
    line->wants_write = write;
    if (epoll_ctl(crowd->epoll, how, line->fd, &event))
        die("epoll_ctl: %s", strerror(errno));
}

/* Come from many loopback addresses in turn, so that no address runs out of ports. */
static void choose_address(const struct crowd *crowd, int fd)
{
    int yes = 1;
    long number = crowd->opened % ADDRESSES;
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl((uint32_t)((127 << 24) + (1 << 16) + (number / 250 << 8) + number % 250 + 1));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&from, sizeof from))
        die("bind: %s", strerror(errno));
}

void line_open(struct crowd *crowd, struct line *line)
{
    int yes = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)line->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    line->began = now_ns();
    line->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (line->fd < 0)
        die("socket: %s", strerror(errno));
    choose_address(crowd, line->fd);
    crowd->opened++;
    setsockopt(line->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (crowd->options->buffer && line->index >= crowd->options->writers) {
        int bytes = (int)crowd->options->buffer;
        setsockopt(line->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    }
    /* Where nobody listens, the handshake fails, and the line is closed as any other that was lost. */
    if (connect(line->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS && errno != ECONNREFUSED)
        die("connect: %s", strerror(errno));
    line->ssl = SSL_new(crowd->tls);
    SSL_set_fd(line->ssl, line->fd);
    SSL_set1_host(line->ssl, "localhost");
    SSL_set_tlsext_host_name(line->ssl, "localhost");
    SSL_set_connect_state(line->ssl);
    line->state = CONNECTING;
    crowd->coming++;
    listen_for(crowd, line, true, EPOLL_CTL_ADD);
}

void line_close(struct crowd *crowd, struct line *line)
{
    if (line->state == CLOSED)
        return;
    if (line->state == IN)
        crowd->in--;
    else
        crowd->coming--;
    SSL_shutdown(line->ssl);
    SSL_free(line->ssl);
    close(line->fd);
    forget(&line->in);
    forget(&line->out);
    ERR_clear_error();
    line->state = CLOSED;
    line->ssl = NULL;
    line->paused = false;
}

/* What SSL_get_error says of a call that did not succeed; true: it is only to be called again later. */
static bool try_later(struct crowd *crowd, struct line *line, int result)
{
    int error = SSL_get_error(line->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        bool write = error == SSL_ERROR_WANT_WRITE;
        if (write && !line->wants_write)
            listen_for(crowd, line, true, EPOLL_CTL_MOD);
        return true;
    }
    crowd->troubles++;
    if (crowd->closed++ == 0) {
        const char *why = ERR_reason_error_string(ERR_peek_error());
        fprintf(stderr, "uid %ld: the connection was lost in state %d (%s)\n", line->uid, line->state,
                why ? why : "closed");
    }
    line_close(crowd, line);
    return false;
}

static void shake(struct crowd *crowd, struct line *line)
{
    int done = SSL_do_handshake(line->ssl);
    if (done == 1) {
        line->state = GREETED;
        listen_for(crowd, line, false, EPOLL_CTL_MOD);
    } else if (try_later(crowd, line, done)) {
        bool write = SSL_want_write(line->ssl);
        if (write != line->wants_write)
            listen_for(crowd, line, write, EPOLL_CTL_MOD);
    }
}

static void hear_all(struct crowd *crowd, struct line *line)
{
    struct bytes *in = &line->in;
    while (line->state != CLOSED && in->end - in->start >= 2) {
        const unsigned char *head = (unsigned char *)in->data + in->start;
        size_t size = (size_t)head[0] << 8 | head[1];
        if (in->end - in->start < 2 + size)
            return;
        in->start += 2 + size;
        crowd_hear(crowd, line, (const char *)head + 2, size);
    }
}

static void read_all(struct crowd *crowd, struct line *line)
{
    while (line->state != CLOSED) {
        struct bytes *in = &line->in;
        make_room(in, READ_AT_ONCE);
        int got = SSL_read(line->ssl, in->data + in->end, (int)(in->room - in->end));
        if (got <= 0) {
            if (try_later(crowd, line, got) && in->start == in->end)
                forget(in);
            return;
        }
        in->end += (size_t)got;
        hear_all(crowd, line);
    }
}

void line_event(struct crowd *crowd, struct line *line, uint32_t events)
{
    if (line->state == CONNECTING)
        line->state = SHAKING;
    if (line->state == SHAKING)
        shake(crowd, line);
    if (line->state <= SHAKING)
        return;
    if (events & EPOLLOUT)
        line_flush(crowd, line);
    if (!line->paused || events & (EPOLLHUP | EPOLLERR))
        read_all(crowd, line);
}

void line_say(struct crowd *crowd, struct line *line, const char *frame, size_t size)
{
    struct bytes *out = &line->out;
    make_room(out, size + 2);
    out->data[out->end++] = (char)(size >> 8);
    out->data[out->end++] = (char)size;
    memcpy(out->data + out->end, frame, size);
    out->end += size;
    if (!line->dirty) {
        line->dirty = true;
        crowd->dirty[crowd->dirty_count++] = line;
    }
}

/* How much goes into the next TLS record. The same until it has gone, as SSL_write asks for. */
static int next_record(const struct crowd *crowd, const struct bytes *out)
{
    const unsigned char *head = (unsigned char *)out->data + out->start;
    if (crowd->options->gather)
        return (int)(out->end - out->start);
    return 2 + (head[0] << 8 | head[1]);
}

void line_flush(struct crowd *crowd, struct line *line)
{
    struct bytes *out = &line->out;
    while (line->state != CLOSED && out->start < out->end) {
        int gone = SSL_write(line->ssl, out->data + out->start, next_record(crowd, out));
        if (gone <= 0) {
            try_later(crowd, line, gone);
            return;
        }
        out->start += (size_t)gone;
    }
    if (line->state != CLOSED && line->wants_write)
        listen_for(crowd, line, false, EPOLL_CTL_MOD);
}

/* Stop reading, as a program does that hangs, or read on. */
void line_pause(struct crowd *crowd, struct line *line, bool paused)
{
    if (line->state == CLOSED || line->paused == paused)
        return;
    line->paused = paused;
    listen_for(crowd, line, line->wants_write, EPOLL_CTL_MOD);
}
