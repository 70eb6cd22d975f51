#include "hv/libvirt/internal.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Where screens are is remembered from the definitions of running guests, which are read when a guest starts
 * and when a connection comes: a request for it asks nobody. The stream itself is handed over by libvirt, past
 * the password of the VNC server; a hypervisor on another machine hands over nothing, there the port is called. */

/* --- the address --- */

void lv_screen_note(struct lv_host *h, const struct sv_id *vm, const char *xml)
{
    char port[16] = "", listen[64] = "";
    int64_t n;
    if (!lv_xml_attr(xml, "graphics", "type", "vnc", "port", port, sizeof(port)) || !sv_parse_int(port, &n) || n < 1 ||
        n > UINT16_MAX)
        return;
    lv_xml_attr(xml, "graphics", "type", "vnc", "listen", listen, sizeof(listen));
    lv_table_set_screen(&h->table, vm, listen[0] ? listen : "127.0.0.1", (unsigned)n);
}

void lv_screen_look(struct lv_host *h, virDomainPtr d, const struct sv_id *vm)
{
    SV_AUTOFREE char *xml = virDomainGetXMLDesc(d, 0);
    if (xml && virDomainIsActive(d) == 1)
        lv_screen_note(h, vm, xml);
    virResetLastError();
}

static enum sv_err do_look(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    lv_screen_look(h, d, &op->vm);
    return SV_OK;
}

void lv_screen_started(struct lv_host *h, const struct sv_id *vm)
{
    if (!lv_table_is_starting(&h->table, vm)) /* by somebody else */
        lv_post(h, vm, do_look);
}

enum sv_err lv_console_address(struct sv_hv_host *base, const struct sv_id *vm, char host[64], unsigned *ret_port,
                               struct sv_error *err)
{
    struct lv_table *t = &lv_host_of(base)->table;
    pthread_mutex_lock(&t->mu);
    const struct lv_vm *v = lv_table_find(t, vm);
    bool known = v && v->screen_port;
    if (known) {
        sv_copy(host, 64, v->screen_host);
        *ret_port = v->screen_port;
    }
    pthread_mutex_unlock(&t->mu);
    return known ? SV_OK : sv_fail(err, SV_E_VM_STATE, SV_F_VM, "stopped");
}

/* --- the stream --- */

static bool finish_connect(int fd, const struct sv_deadline *d)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int64_t left = sv_deadline_left(d);
    int failure = 0;
    socklen_t size = sizeof(failure);
    if (poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int)left) != 1)
        return false;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) == 0 && failure == 0;
}

static int call_port(const char *host, unsigned port, const struct sv_deadline *d)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *all = NULL;
    int fd = -1;
    if (getaddrinfo(host, sv_dec(port).s, &hints, &all) != 0)
        return -1;
    for (const struct addrinfo *a = all; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0 &&
            !(errno == EINPROGRESS && finish_connect(fd, d))) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(all);
    return fd;
}

/* The machine named in "qemu+ssh://user@machine:22/system". */
static bool machine_of(const char *uri, char *buf, size_t size)
{
    const char *at = strstr(uri, "://");
    if (!at)
        return false;
    at += 3;
    size_t n = strcspn(at, "/?");
    const char *user = memchr(at, '@', n);
    if (user) {
        n -= (size_t)(user + 1 - at);
        at = user + 1;
    }
    if (*at == '[') {
        at++;
        n = strcspn(at, "]");
    } else {
        n = strcspn(at, ":/?") < n ? strcspn(at, ":/?") : n;
    }
    if (n == 0 || n >= size)
        return false;
    memcpy(buf, at, n);
    buf[n] = '\0';
    return true;
}

static bool is_any(const char *address)
{
    return strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
}

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

static enum sv_err open_far(struct lv_host *h, struct lv_op *op, struct sv_error *err)
{
    const struct sv_deadline d = sv_deadline_within(NULL, op->value);
    char host[64] = "", machine[256] = "";
    unsigned port = 0;
    enum sv_err rc = lv_console_address(&h->base, &op->vm, host, &port, err);
    if (rc)
        return rc;
    if (is_loopback(host) || (is_any(host) && !machine_of(h->uri, machine, sizeof(machine))))
        return sv_fail(err, SV_E_UNSUPPORTED, SV_F_NONE, "a console that only its own host can reach");
    op->fd = call_port(is_any(host) ? machine : host, port, &d);
    return op->fd >= 0 ? SV_OK : sv_fail(err, SV_E_HYPERVISOR, SV_F_NONE, "the console cannot be reached");
}

static enum sv_err do_open(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    enum sv_hv_power now;
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    enum sv_err rc = lv_power_of(h, conn, d, &now, err);
    if (!rc && now != SV_HV_RUNNING && now != SV_HV_PAUSED)
        rc = sv_fail(err, SV_E_VM_STATE, SV_F_VM, lv_power_name(now));
    if (rc)
        return rc;
    if (h->remote)
        return open_far(h, op, err);
    op->fd = virDomainOpenGraphicsFD(d, 0, VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH);
    return op->fd >= 0 ? SV_OK : lv_error(h, conn, "console", err);
}

enum sv_err lv_console_open(struct sv_hv_host *base, const struct sv_id *vm, int *ret_fd, const struct sv_deadline *d,
                            struct sv_error *err)
{
    struct lv_host *h = lv_host_of(base);
    LV_OP op = lv_op_new(vm);
    int64_t left = sv_deadline_left(d);
    op->value = left < h->call_limit_ms ? left : h->call_limit_ms;
    enum sv_err rc = lv_call(h, op, do_open, LV_CALL_HOST, d, err);
    if (!rc) {
        *ret_fd = op->fd;
        op->fd = -1;
    }
    return rc;
}
