#include "hv/libvirt/internal.h"

#include "starvirt/text.h"

#include <stdio.h>

enum {
    /* Of translated code; QEMU's own default is a GiB a guest. A guest whose vCPUs may grow needs part of
     * it free (tcg.c): a Linux that has booted fills 64 MiB. */
    TCG_CACHE_MIB = 32,
    TCG_CACHE_GROWING_MIB = 128,
    BALLOON_PERIOD_S = 10,
    VIDEO_KIB = 16384,
};

static void kib(struct sv_xml *x, const char *name, int64_t bytes)
{
    sv_xml_open(x, name);
    sv_xml_attr(x, "unit", "KiB");
    sv_xml_text(x, sv_dec(bytes / 1024).s);
    sv_xml_close(x);
}

/* <name a="b"/> and <name a="b" c="d"/>; c may be NULL. */
static void leaf2(struct sv_xml *x, const char *name, const char *a, const char *b, const char *c, const char *d)
{
    sv_xml_open(x, name);
    sv_xml_attr(x, a, b);
    if (c)
        sv_xml_attr(x, c, d);
    sv_xml_close(x);
}

static bool has_room(const struct sv_hv_domain *d)
{
    return d->memory_max > d->memory;
}

static int64_t max_vcpus(const struct sv_hv_domain *d)
{
    return d->vcpus_max > d->vcpus ? d->vcpus_max : d->vcpus;
}

/* A title is one line. */
static void title(struct sv_xml *x, const char *name)
{
    char line[SV_MAX_NAME + 1];
    SV_COPY(line, name);
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
    if (line[0])
        sv_xml_leaf(x, "title", line);
}

static void identity(struct sv_xml *x, const struct sv_hv_domain *d)
{
    sv_xml_leaf(x, "name", d->id.s);
    sv_xml_leaf(x, "uuid", d->id.s);
    title(x, d->name);
    sv_xml_open(x, "metadata");
    sv_xml_open(x, "starvirt:vm");
    sv_xml_attr(x, "xmlns:starvirt", LV_METADATA_URI);
    sv_xml_attr(x, "id", d->id.s);
    sv_xml_close(x);
    sv_xml_close(x);
}

static void size(struct sv_xml *x, const struct sv_hv_domain *d)
{
    if (has_room(d)) {
        sv_xml_open(x, "maxMemory");
        sv_xml_attr_int(x, "slots", LV_DIMM_SLOTS);
        sv_xml_attr(x, "unit", "KiB");
        sv_xml_text(x, sv_dec(d->memory_max / 1024).s);
        sv_xml_close(x);
    }
    kib(x, "memory", d->memory);
    kib(x, "currentMemory", d->memory);
    sv_xml_open(x, "vcpu");
    sv_xml_attr(x, "placement", "static");
    sv_xml_attr_int(x, "current", d->vcpus);
    sv_xml_text(x, sv_dec(max_vcpus(d)).s);
    sv_xml_close(x);
}

static void machine(struct sv_xml *x, const struct sv_hv_domain *d, bool tcg)
{
    sv_xml_open(x, "os");
    sv_xml_open(x, "type");
    sv_xml_attr(x, "arch", "x86_64");
    sv_xml_attr(x, "machine", "pc");
    sv_xml_text(x, "hvm");
    sv_xml_close(x);
    leaf2(x, "boot", "dev", "hd", NULL, NULL);
    sv_xml_close(x);
    sv_xml_open(x, "features");
    sv_xml_empty(x, "acpi");
    sv_xml_empty(x, "apic");
    if (tcg) {
        sv_xml_open(x, "tcg");
        sv_xml_open(x, "tb-cache");
        sv_xml_attr(x, "unit", "MiB");
        sv_xml_text(x, sv_dec(max_vcpus(d) > d->vcpus ? TCG_CACHE_GROWING_MIB : TCG_CACHE_MIB).s);
        sv_xml_close(x);
        sv_xml_close(x);
    }
    sv_xml_close(x);
}

/* Memory can be plugged only into a guest that has a node to plug it into. */
static void numa(struct sv_xml *x, const struct sv_hv_domain *d)
{
    char cpus[32];
    snprintf(cpus, sizeof(cpus), "0-%lld", (long long)max_vcpus(d) - 1);
    sv_xml_open(x, "numa");
    sv_xml_open(x, "cell");
    sv_xml_attr(x, "id", "0");
    sv_xml_attr(x, "cpus", max_vcpus(d) > 1 ? cpus : "0");
    sv_xml_attr_int(x, "memory", d->memory / 1024);
    sv_xml_attr(x, "unit", "KiB");
    sv_xml_close(x);
    sv_xml_close(x);
}

/* Guests that run guests: all that the host's CPU has, and its virtualisation is asked for, so that a host
 * that does not lend it says so at the start. Translated code knows AMD's, on any host. */
static void cpu_model(struct sv_xml *x, const struct sv_hv_domain *d, const char *own, bool tcg)
{
    if (tcg) {
        sv_xml_attr(x, "mode", "custom");
        sv_xml_attr(x, "match", "exact");
        sv_xml_open(x, "model");
        sv_xml_attr(x, "fallback", "allow");
        sv_xml_text(x, "qemu64");
        sv_xml_close(x);
        leaf2(x, "feature", "policy", d->nested ? "require" : "disable", "name", "svm");
        return;
    }
    if (d->nested && own) {
        sv_xml_attr(x, "mode", "host-passthrough");
        leaf2(x, "feature", "policy", "require", "name", own);
        return;
    }
    sv_xml_attr(x, "mode", "host-model");
    leaf2(x, "model", "fallback", "allow", NULL, NULL);
    leaf2(x, "feature", "policy", d->nested ? "optional" : "disable", "name", "vmx");
    leaf2(x, "feature", "policy", d->nested ? "optional" : "disable", "name", "svm");
}

static void cpu(struct sv_xml *x, const struct sv_hv_domain *d, const char *own, bool tcg)
{
    sv_xml_open(x, "cpu");
    cpu_model(x, d, own, tcg);
    if (has_room(d))
        numa(x, d);
    sv_xml_close(x);
}

static void disk_source(struct sv_xml *x, const char *path, bool is_template)
{
    sv_xml_open(x, "source");
    sv_xml_attr(x, "file", path);
    if (is_template) {
        /* A template stays the host's own: no guest's QEMU may own what other tenants start from. */
        leaf2(x, "seclabel", "model", "dac", "relabel", "no");
    }
    sv_xml_close(x);
}

/* The whole chain is spelled out, so that nothing ever probes what a guest wrote (threat 4). */
static void backing(struct sv_xml *x, const char *image_dir, const struct sv_hv_disk *d)
{
    if (sv_id_empty(&d->template_id)) {
        sv_xml_empty(x, "backingStore");
        return;
    }
    sv_xml_open(x, "backingStore");
    sv_xml_attr(x, "type", "file");
    leaf2(x, "format", "type", "qcow2", NULL, NULL);
    SV_AUTOFREE char *path = lv_volume_path(image_dir, &d->template_id, true);
    disk_source(x, path, true);
    sv_xml_empty(x, "backingStore");
    sv_xml_close(x);
}

void lv_disk_serial(const struct sv_id *disk, char serial[LV_SERIAL_LEN + 1])
{
    size_t n = 0;
    for (const char *p = disk->s; *p && n < LV_SERIAL_LEN; p++)
        if (*p != '-')
            serial[n++] = *p;
    serial[n] = '\0';
}

static void disk(struct sv_xml *x, const char *path, const char *image_dir, const struct sv_hv_disk *d)
{
    char serial[LV_SERIAL_LEN + 1];
    lv_disk_serial(&d->id, serial);
    sv_xml_open(x, "disk");
    sv_xml_attr(x, "type", "file");
    sv_xml_attr(x, "device", "disk");
    sv_xml_open(x, "driver");
    sv_xml_attr(x, "name", "qemu");
    sv_xml_attr(x, "type", "qcow2");
    sv_xml_attr(x, "cache", "writeback"); /* the guest's flushes count, and any file system will do */
    sv_xml_attr(x, "discard", "unmap");
    sv_xml_close(x);
    disk_source(x, path, false);
    backing(x, image_dir, d);
    leaf2(x, "target", "dev", d->target, "bus", "virtio");
    sv_xml_leaf(x, "serial", serial);
    sv_xml_close(x);
}

/* The user-space datapath of Open vSwitch takes frames as they come. */
static void plain_frames(struct sv_xml *x)
{
    static const char *const host[] = {"csum", "gso", "tso4", "tso6", "ecn", "ufo"};
    sv_xml_open(x, "driver");
    sv_xml_open(x, "host");
    for (size_t i = 0; i < sizeof(host) / sizeof(host[0]); i++)
        sv_xml_attr(x, host[i], "off");
    sv_xml_close(x);
    sv_xml_open(x, "guest");
    for (size_t i = 0; i < sizeof(host) / sizeof(host[0]); i++)
        if (strcmp(host[i], "gso") != 0) /* there is none in this direction */
            sv_xml_attr(x, host[i], "off");
    sv_xml_close(x);
    sv_xml_close(x);
}

static void ovs_port(struct sv_xml *x, const struct sv_hv_nic *n)
{
    sv_xml_attr(x, "type", "bridge");
    leaf2(x, "source", "bridge", n->bridge, NULL, NULL);
    sv_xml_open(x, "virtualport");
    sv_xml_attr(x, "type", "openvswitch");
    leaf2(x, "parameters", "interfaceid", n->id.s, NULL, NULL);
    sv_xml_close(x);
}

static void nic(struct sv_xml *x, const struct sv_hv_nic *n)
{
    char mac[SV_MAC_LEN];
    sv_mac_format(n->mac, mac);
    sv_xml_open(x, "interface");
    switch (n->kind) {
    case SV_HV_NIC_ISOLATED:
        sv_xml_attr(x, "type", "ethernet");
        break;
    case SV_HV_NIC_BRIDGE:
        sv_xml_attr(x, "type", "bridge");
        leaf2(x, "source", "bridge", n->bridge, NULL, NULL);
        break;
    case SV_HV_NIC_OVS:
        ovs_port(x, n);
        break;
    }
    leaf2(x, "mac", "address", mac, NULL, NULL);
    if (n->tap[0])
        leaf2(x, "target", "dev", n->tap, NULL, NULL);
    leaf2(x, "model", "type", "virtio", NULL, NULL);
    if (n->plain)
        plain_frames(x);
    if (n->mtu)
        leaf2(x, "mtu", "size", sv_dec(n->mtu).s, NULL, NULL);
    sv_xml_close(x);
}

static void serial_port(struct sv_xml *x)
{
    sv_xml_open(x, "serial");
    sv_xml_attr(x, "type", "pty");
    leaf2(x, "target", "port", "0", NULL, NULL);
    sv_xml_close(x);
    sv_xml_open(x, "console");
    sv_xml_attr(x, "type", "pty");
    leaf2(x, "target", "type", "serial", "port", "0");
    sv_xml_close(x);
}

/* An empty password is not "none": nobody gets in by one. */
static void graphics(struct sv_xml *x, const char *password)
{
    sv_xml_open(x, "graphics");
    sv_xml_attr(x, "type", "vnc");
    sv_xml_attr(x, "port", "-1");
    sv_xml_attr(x, "autoport", "yes");
    sv_xml_attr(x, "listen", "127.0.0.1");
    sv_xml_attr(x, "passwd", password);
    sv_xml_close(x);
}

static void screen(struct sv_xml *x, const struct sv_hv_domain *d)
{
    graphics(x, d->vnc_password);
    sv_xml_open(x, "video");
    sv_xml_open(x, "model");
    sv_xml_attr(x, "type", "vga");
    sv_xml_attr_int(x, "vram", VIDEO_KIB);
    sv_xml_close(x);
    sv_xml_close(x);
}

static void channel(struct sv_xml *x)
{
    sv_xml_open(x, "channel");
    sv_xml_attr(x, "type", "unix");
    leaf2(x, "target", "type", "virtio", "name", LV_AGENT_CHANNEL);
    sv_xml_close(x);
}

static void helpers(struct sv_xml *x)
{
    channel(x);
    sv_xml_open(x, "rng");
    sv_xml_attr(x, "model", "virtio");
    sv_xml_open(x, "backend");
    sv_xml_attr(x, "model", "random");
    sv_xml_text(x, "/dev/urandom");
    sv_xml_close(x);
    sv_xml_close(x);
    sv_xml_open(x, "memballoon");
    sv_xml_attr(x, "model", "virtio");
    leaf2(x, "stats", "period", sv_dec(BALLOON_PERIOD_S).s, NULL, NULL);
    sv_xml_close(x);
}

static void devices(struct sv_xml *x, const struct sv_hv_domain *d, const struct lv_xml_env *env)
{
    sv_xml_open(x, "devices");
    for (unsigned i = 0; i < d->disk_count; i++) {
        SV_AUTOFREE char *usual = lv_volume_path(env->image_dir, &d->disks[i].id, false);
        disk(x, env->paths ? env->paths[i] : usual, env->image_dir, &d->disks[i]);
    }
    for (unsigned i = 0; i < d->nic_count; i++)
        nic(x, &d->nics[i]);
    serial_port(x);
    screen(x, d);
    helpers(x);
    sv_xml_close(x);
}

static void lifecycle(struct sv_xml *x)
{
    leaf2(x, "clock", "offset", "utc", NULL, NULL);
    sv_xml_leaf(x, "on_poweroff", "destroy");
    sv_xml_leaf(x, "on_reboot", "restart");
    sv_xml_leaf(x, "on_crash", "destroy");
}

char *lv_domain_xml(const struct sv_hv_domain *dom, const struct lv_xml_env *env)
{
    struct sv_buf out = {0};
    struct sv_xml x;
    bool tcg = strcmp(env->type, "qemu") == 0;
    sv_xml_init(&x, &out);
    sv_xml_open(&x, "domain");
    sv_xml_attr(&x, "type", env->type);
    identity(&x, dom);
    size(&x, dom);
    machine(&x, dom, tcg);
    cpu(&x, dom, env->nested, strcmp(env->type, "kvm") != 0);
    lifecycle(&x);
    devices(&x, dom, env);
    sv_xml_close(&x);
    return sv_buf_steal(&out);
}

/* --- parts --- */

char *lv_disk_xml(const struct sv_hv_disk *d, const char *path, const char *image_dir)
{
    struct sv_buf out = {0};
    struct sv_xml x;
    sv_xml_init(&x, &out);
    disk(&x, path, image_dir, d);
    return sv_buf_steal(&out);
}

char *lv_nic_xml(const struct sv_hv_nic *n)
{
    struct sv_buf out = {0};
    struct sv_xml x;
    sv_xml_init(&x, &out);
    nic(&x, n);
    return sv_buf_steal(&out);
}

char *lv_channel_xml(void)
{
    struct sv_buf out = {0};
    struct sv_xml x;
    sv_xml_init(&x, &out);
    channel(&x);
    return sv_buf_steal(&out);
}

char *lv_graphics_xml(const char *password)
{
    struct sv_buf out = {0};
    struct sv_xml x;
    sv_xml_init(&x, &out);
    graphics(&x, password);
    return sv_buf_steal(&out);
}
