/* The screens of simulated guests: what an RFB client sees of them. */
#include "hv/sim/internal.h"

#include "tests/unit/sim.h"

#include <poll.h>
#include <sys/socket.h>

enum { WIDTH = 640, HEIGHT = 400 };

static int open_console(struct sv_hv_host *h, unsigned n)
{
    const struct sv_id id = vm_id(n);
    int fd = -1;
    OK(SV_HV_CALL(h, console_open, &id, &fd, NULL));
    CHECK(fd >= 0);
    return fd;
}

static void wait_for(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    CHECK_INT(poll(&p, 1, SIM_WAIT_S * 1000), 1);
}

static void take(int fd, void *buf, size_t n)
{
    for (size_t at = 0; at < n;) {
        wait_for(fd);
        ssize_t got = recv(fd, (char *)buf + at, n - at, MSG_DONTWAIT);
        CHECK(got > 0);
        at += (size_t)got;
    }
}

static void say(int fd, const void *p, size_t n)
{
    CHECK_INT(send(fd, p, n, MSG_NOSIGNAL), (ssize_t)n);
}

static bool at_end(int fd)
{
    char c;
    wait_for(fd);
    return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

static int view(struct sv_hv_host *h, unsigned n)
{
    unsigned char buf[64];
    int fd = open_console(h, n);
    take(fd, buf, 12);
    CHECK(memcmp(buf, "RFB 003.008\n", 12) == 0);
    say(fd, "RFB 003.008\n", 12);
    take(fd, buf, 2);
    CHECK(buf[0] == 1 && buf[1] == 1);
    say(fd, "\x01", 1);
    take(fd, buf, 4);
    CHECK(memcmp(buf, "\0\0\0\0", 4) == 0);
    say(fd, "\x01", 1);
    take(fd, buf, 24);
    CHECK_INT(buf[0] << 8 | buf[1], WIDTH);
    CHECK_INT(buf[2] << 8 | buf[3], HEIGHT);
    take(fd, buf, buf[23]);
    return fd;
}

/* Asks for the picture (again: only when it changed), and takes it as pixels of this many bytes. */
static char *picture(int fd, bool again, size_t bytes)
{
    const unsigned char ask[10] = {3, again, [6] = WIDTH >> 8, WIDTH & 0xff, HEIGHT >> 8, HEIGHT & 0xff};
    unsigned char head[16];
    char *made = sv_alloc(WIDTH * HEIGHT * bytes);
    say(fd, ask, sizeof(ask));
    take(fd, head, sizeof(head));
    CHECK(head[0] == 0 && head[3] == 1);
    take(fd, made, WIDTH * HEIGHT * bytes);
    return made;
}

static void press(int fd, unsigned char key)
{
    const unsigned char m[16] = {4, 1, 0, 0, 0, 0, 0, key, 4, 0, 0, 0, 0, 0, 0, key};
    say(fd, m, sizeof(m));
}

static void address_and_power(void)
{
    struct sv_hv *hv = sim_open_plain("sim://?hosts=1");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1), none = vm_id(9);
    char host[64] = "";
    unsigned port = 0;
    int fd = -1;

    make_vm(h, 1);
    FAILS(SV_HV_CALL(h, console_address, &id, host, &port), SV_E_VM_STATE);
    FAILS(SV_HV_CALL(h, console_open, &id, &fd, NULL), SV_E_VM_STATE);
    FAILS(SV_HV_CALL(h, console_address, &none, host, &port), SV_E_DOMAIN_MISSING);
    FAILS(SV_HV_CALL(h, console_open, &none, &fd, NULL), SV_E_DOMAIN_MISSING);
    CHECK_INT(fd, -1);
    OK(SV_HV_CALL(h, start, &id, NULL));
    OK(SV_HV_CALL(h, console_address, &id, host, &port));
    CHECK_STR(host, "192.0.2.1");
    CHECK(port >= 5900);
    OK(SV_HV_CALL(h, suspend, &id, NULL));
    fd = view(h, 1);
    OK(SV_HV_CALL(h, destroy, &id, NULL));
    CHECK(at_end(fd));
    close(fd);
    sv_hv_close(hv);
}

static void keys_are_seen_by_all(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id one = vm_id(1), two = vm_id(2);

    make_vm(h, 1);
    make_vm(h, 2);
    OK(SV_HV_CALL(h, start, &one, NULL));
    OK(SV_HV_CALL(h, start, &two, NULL));
    int a = view(h, 1), b = view(h, 1), other = view(h, 2);
    SV_AUTOFREE char *before = picture(a, false, 4);
    SV_AUTOFREE char *same = picture(b, false, 4);
    CHECK(memcmp(before, same, WIDTH * HEIGHT * 4) == 0);
    press(a, 'k');
    SV_AUTOFREE char *after = picture(b, true, 4); /* comes when the key does */
    CHECK(memcmp(before, after, WIDTH * HEIGHT * 4) != 0);
    SV_AUTOFREE char *elsewhere = picture(other, false, 4);
    CHECK(memcmp(before, elsewhere, WIDTH * HEIGHT * 4) == 0);
    close(a);
    close(b);
    close(other);
    sv_hv_close(hv); /* with a screen that nobody looks at any more */
}

static void pixels_as_wanted(void)
{
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);

    make_vm(h, 1);
    OK(SV_HV_CALL(h, start, &id, NULL));
    int fd = view(h, 1);
    /* 16 bits, big end first: 5 of red, 6 of green, 5 of blue */
    say(fd, "\0\0\0\0\x10\x10\x01\x01\0\x1f\0\x3f\0\x1f\x0b\x05\0\0\0\0", 20);
    say(fd, "\x02\0\0\x02\0\0\0\x07\0\0\0\0", 12);          /* encodings */
    say(fd, "\x06\0\0\0\0\0\0\x05hello\x05\0\0\0\0\0", 19); /* a clipboard, a mouse */
    SV_AUTOFREE char *got = picture(fd, false, 2);
    CHECK(memcmp(got, "\xff\xff", 2) == 0);                           /* white */
    CHECK(memcmp(got + (WIDTH / 8 * 5 + 1) * 2, "\xf8\x00", 2) == 0); /* red */
    close(fd);
    sv_hv_close(hv);
}

static void nonsense_ends_it(void)
{
    static const struct {
        const char *p;
        size_t n;
    } rows[] = {{"\xff", 1}, {"\x01", 1}, {"\0\0\0\0\x18\x18\0\x01\0\xff\0\xff\0\xff\0\0\0\0\0\0", 20}};
    struct sv_hv *hv = sim_open_plain("sim://");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);

    make_vm(h, 1);
    OK(SV_HV_CALL(h, start, &id, NULL));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fd = view(h, 1);
        say(fd, rows[i].p, rows[i].n);
        CHECK(at_end(fd));
        close(fd);
    }
    int fd = open_console(h, 1);
    char hello[12];
    take(fd, hello, sizeof(hello));
    say(fd, "GET / HTTP/1", 12);
    char rest[8];
    while (wait_for(fd), recv(fd, rest, sizeof(rest), MSG_DONTWAIT) > 0)
        ;
    close(fd);
    sv_hv_close(hv);
}

static void faults(void)
{
    struct sv_hv *hv = sim_open_plain("sim://?fail=console_open:1");
    struct sv_hv_host *h = sv_hv_host_at(hv, 0);
    const struct sv_id id = vm_id(1);
    int fd = -1;

    make_vm(h, 1);
    OK(SV_HV_CALL(h, start, &id, NULL));
    FAILS(SV_HV_CALL(h, console_open, &id, &fd, NULL), SV_E_HYPERVISOR);
    sv_hv_close(hv);
}

CHECK_MAIN(T(address_and_power), T(keys_are_seen_by_all), T(pixels_as_wanted), T(nonsense_ends_it), T(faults))
