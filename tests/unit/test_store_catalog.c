/* Models, templates, hosts and storages: refusals, scopes, placement. */
#include "store_fixture.h"

/* --- models ----------------------------------------------------------------------------------------------------- */

struct catalogue {
    char text[512];
};

static void see_model(void *arg, const struct sv_model_type *t, const struct sv_model *m)
{
    struct catalogue *c = arg;
    size_t n = strlen(c->text);
    snprintf(c->text + n, sizeof(c->text) - n, m ? " %s" : "[%s]", m ? m->value : t->value);
    CHECK(!m || strcmp(m->type, t->value) == 0);
}

static struct sv_id add_type(struct sv_tx *tx, const char *value)
{
    const struct sv_model_type t = {.id = sv_id_new(), .value = value, .label = "l", .descr = ""};
    WORKS(sv_model_type_insert(tx, &t, &why));
    return t.id;
}

static struct sv_id add_model(struct sv_tx *tx, const char *type, const char *value)
{
    const struct sv_model m = {.id = sv_id_new(), .type = type, .value = value, .label = "l", .descr = "d"};
    WORKS(sv_model_insert(tx, &m, &why));
    return m.id;
}

static enum sv_err use_models(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct catalogue c = {.text = ""};
    struct sv_model m = {.sysdisk = 77};
    const struct sv_id z = add_type(tx, "zoo"), general = add_type(tx, "general"), unknown = sv_id_new();
    const struct sv_id small = add_model(tx, "general", "small"), b = add_model(tx, "zoo", "bear");
    (void)arg;
    (void)err;
    add_model(tx, "general", "alpha");
    WORKS(sv_model_list(tx, see_model, &c, &why));
    CHECK_STR(c.text, "[zoo] bear[general] small alpha"); /* in order of creation */

    struct sv_model twin = {.id = sv_id_new(), .type = "general", .value = "bear", .label = "", .descr = ""};
    FAILS(sv_model_insert(tx, &twin, &why), SV_E_MODEL_EXISTS);
    CHECK_STR(why.arg[0], "bear");
    twin.value = "zoo"; /* types and models share their values */
    FAILS(sv_model_insert(tx, &twin, &why), SV_E_MODEL_EXISTS);
    twin.type = "none";
    FAILS(sv_model_insert(tx, &twin, &why), SV_E_MODEL_TYPE_NOT_FOUND);
    const struct sv_model_type type = {.id = sv_id_new(), .value = "small", .label = "", .descr = ""};
    FAILS(sv_model_type_insert(tx, &type, &why), SV_E_MODEL_EXISTS);

    WORKS(sv_model_get(tx, "small", sv_tx_arena(tx), &m, &why));
    CHECK(sv_id_eq(&m.id, &small) && sv_id_empty(&m.template_id));
    CHECK_STR(m.type, "general");
    CHECK_STR(m.descr, "d");
    m.sysdisk = 77;
    FAILS(sv_model_get(tx, "none", sv_tx_arena(tx), &m, &why), SV_E_MODEL_NOT_FOUND);
    CHECK_INT(why.field, SV_F_MODEL);
    CHECK_STR(why.arg[0], "none");
    CHECK_INT(m.sysdisk, 77);

    FAILS(sv_model_delete(tx, &general, &why), SV_E_MODEL_IN_USE);
    FAILS(sv_model_delete(tx, &unknown, &why), SV_E_MODEL_NOT_FOUND);
    struct sv_vm vm = new_vm(tx, &w.a, "vm");
    vm.model = "bear";
    WORKS(sv_vm_insert(tx, &vm, &why));
    FAILS(sv_model_delete(tx, &b, &why), SV_E_MODEL_IN_USE);
    CHECK_STR(why.arg[0], "bear");
    WORKS(sv_vm_set_state(tx, &vm.id, SV_VM_ANY, SV_VM_FAILED, &why)); /* holds its name only */
    WORKS(sv_model_delete(tx, &b, &why));
    WORKS(sv_model_delete(tx, &z, &why));
    c.text[0] = '\0';
    WORKS(sv_model_list(tx, see_model, &c, &why));
    CHECK_STR(c.text, "[general] small alpha");
    return SV_OK;
}

static void models(void)
{
    world_new();
    writing(use_models, NULL);
    world_remove();
}

/* --- templates ---------------------------------------------------------------------------------------------------- */

static struct sv_id add_template(struct sv_tx *tx, const struct sv_id *tenant, const char *name)
{
    const struct sv_template t = {.id = sv_id_new(),
                                  .tenant = *tenant,
                                  .name = name,
                                  .descr = "d",
                                  .os = "debian",
                                  .format = "qcow2",
                                  .source = "/in/x",
                                  .state = SV_TEMPLATE_IMPORTING,
                                  .created = sv_tx_now(tx)};
    WORKS(sv_template_insert(tx, &t, &why));
    return t.id;
}

struct seen {
    unsigned n;
    struct sv_id ids[64];
};

static void see_template(void *arg, const struct sv_template *t)
{
    struct seen *s = arg;
    CHECK(s->n < 64 && t->os[0]);
    s->ids[s->n++] = t->id;
}

/* Every page of a list, against what it should hold. */
static void check_list(struct sv_tx *tx, struct sv_scope scope, struct sv_template_filter f, const struct sv_id *want,
                       unsigned n)
{
    for (uint64_t offset = 0; offset <= n + 1; offset++) {
        for (unsigned limit = 0; limit <= n + 1; limit++) {
            const struct sv_page p = {.offset = offset, .limit = limit};
            struct seen s = {.n = 0};
            uint64_t total = 99, rows = offset < n ? n - offset : 0;
            WORKS(sv_template_list(tx, scope, &f, &p, see_template, &s, &total, &why));
            CHECK_INT(total, n);
            CHECK_INT(s.n, limit && limit < rows ? limit : rows);
            for (unsigned i = 0; i < s.n; i++)
                CHECK(sv_id_eq(&s.ids[i], &want[offset + i]));
        }
    }
}

static enum sv_err list_templates(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_scope all = sv_scope_system(), a = sv_scope_tenant(&w.a), b = sv_scope_tenant(&w.b);
    const struct sv_id t[] = {add_template(tx, &w.a, "Web 1"), add_template(tx, &no_id, "web 2"),
                              add_template(tx, &w.b, "web_3"), add_template(tx, &w.a, "db 100%"),
                              add_template(tx, &no_id, "all")};
    const struct sv_id of_a[] = {t[0], t[1], t[3], t[4]}, of_b[] = {t[1], t[2], t[4]}, web_a[] = {t[0], t[1]};
    const struct sv_id unknown = sv_id_new();
    struct sv_template row = {.size = 77};
    (void)arg;
    (void)err;
    check_list(tx, all, (struct sv_template_filter){.name = NULL}, t, 5);
    check_list(tx, a, (struct sv_template_filter){.name = NULL}, of_a, 4);
    check_list(tx, b, (struct sv_template_filter){.name = ""}, of_b, 3);
    check_list(tx, a, (struct sv_template_filter){.name = "WEB"}, web_a, 2);
    check_list(tx, all, (struct sv_template_filter){.name = "_"}, &t[2], 1);
    check_list(tx, a, (struct sv_template_filter){.name = "%"}, &t[3], 1);
    check_list(tx, b, (struct sv_template_filter){.name = "%"}, NULL, 0);
    check_list(tx, a, (struct sv_template_filter){.id = t[1]}, &t[1], 1);
    check_list(tx, a, (struct sv_template_filter){.id = t[2]}, NULL, 0);
    check_list(tx, all, (struct sv_template_filter){.id = t[2], .name = "WEB_"}, &t[2], 1);
    check_list(tx, all, (struct sv_template_filter){.id = t[2], .name = "x"}, NULL, 0);
    check_list(tx, all, (struct sv_template_filter){.id = unknown}, NULL, 0);
    FAILS(sv_template_get(tx, a, &t[2], sv_tx_arena(tx), &row, &why), SV_E_TEMPLATE_NOT_FOUND);
    const struct sv_error other = why;
    FAILS(sv_template_get(tx, a, &unknown, sv_tx_arena(tx), &row, &why), SV_E_TEMPLATE_NOT_FOUND);
    CHECK(same_error(&other, &why));
    CHECK_INT(row.size, 77);
    WORKS(sv_template_get(tx, a, &t[4], sv_tx_arena(tx), &row, &why)); /* offered to all */
    CHECK(sv_id_empty(&row.tenant));
    return SV_OK;
}

static int64_t uses(struct sv_tx *tx, const struct sv_id *id)
{
    struct sv_template t;
    WORKS(sv_template_get(tx, sv_scope_system(), id, sv_tx_arena(tx), &t, &why));
    return t.uses;
}

static enum sv_err live_template(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_id id = add_template(tx, &w.a, "t"), second = add_template(tx, &w.a, "t"), unknown = sv_id_new();
    struct sv_template t;
    (void)arg;
    (void)err;
    WORKS(sv_template_ready(tx, &id, 5, 50, "md5", "sha", &why));
    WORKS(sv_template_get(tx, sv_scope_system(), &id, sv_tx_arena(tx), &t, &why));
    CHECK_INT(t.state, SV_TEMPLATE_READY);
    CHECK_STR(t.source, "");
    CHECK_STR(t.md5, "md5");
    CHECK_STR(t.sha256, "sha");
    CHECK_STR(t.format, "qcow2");
    CHECK_INT(t.size, 5);
    CHECK_INT(t.virtual_size, 50);
    CHECK_INT(t.uses, 0);
    WORKS(sv_template_set_state(tx, &id, SV_TEMPLATE_FAILED, &why));
    const char *const args[SV_ERR_ARGS] = {"cut short", "", ""};
    WORKS(sv_template_set_format(tx, &second, "vmdk", &why));
    WORKS(sv_template_set_failed(tx, &second, "IMAGE_REFUSED", args, &why));
    WORKS(sv_template_get(tx, sv_scope_system(), &second, sv_tx_arena(tx), &t, &why));
    CHECK_INT(t.state, SV_TEMPLATE_FAILED);
    CHECK_STR(t.format, "vmdk");
    CHECK_STR(t.error_symbol, "IMAGE_REFUSED");
    CHECK_STR(t.error_args[0], "cut short");
    FAILS(sv_template_set_format(tx, &unknown, "raw", &why), SV_E_TEMPLATE_NOT_FOUND);
    FAILS(sv_template_set_failed(tx, &unknown, "x", args, &why), SV_E_TEMPLATE_NOT_FOUND);
    FAILS(sv_template_set_state(tx, &unknown, SV_TEMPLATE_FAILED, &why), SV_E_TEMPLATE_NOT_FOUND);
    FAILS(sv_template_ready(tx, &unknown, 1, 1, "", "", &why), SV_E_TEMPLATE_NOT_FOUND);
    FAILS(sv_template_delete(tx, &unknown, &why), SV_E_TEMPLATE_NOT_FOUND);

    /* Disks and models count as uses; either keeps it. */
    struct sv_id vm = add_vm(tx, &w.a, "vm"), vm2 = add_vm(tx, &w.a, "vm");
    struct sv_disk d[] = {new_disk(tx, &w.a, &vm), new_disk(tx, &w.a, &vm), new_disk(tx, &w.a, &vm2),
                          new_disk(tx, &w.a, &vm)};
    d[1].target = "vdb";
    d[3].target = "vdc";
    d[0].template_id = d[1].template_id = d[2].template_id = id;
    d[3].template_id = second;
    for (int i = 0; i < 4; i++)
        WORKS(sv_disk_insert(tx, &d[i], &why));
    CHECK_INT(uses(tx, &id), 3);
    CHECK_INT(uses(tx, &second), 1);
    add_type(tx, "type");
    add_model(tx, "type", "bound");
    WORKS(sv_model_bind(tx, "bound", &id, 9, &why));
    FAILS(sv_model_bind(tx, "none", &id, 9, &why), SV_E_MODEL_NOT_FOUND);
    FAILS(sv_model_bind(tx, "bound", &unknown, 9, &why), SV_E_DB);
    CHECK_INT(uses(tx, &id), 4);
    FAILS(sv_template_delete(tx, &id, &why), SV_E_DB);
    WORKS(sv_disk_delete_vm(tx, &vm, &why));
    CHECK_INT(uses(tx, &id), 2);
    CHECK_INT(uses(tx, &second), 0);
    WORKS(sv_disk_delete_vm(tx, &vm2, &why));
    WORKS(sv_disk_delete_vm(tx, &vm2, &why));
    CHECK_INT(uses(tx, &id), 1);
    FAILS(sv_template_delete(tx, &id, &why), SV_E_DB);
    WORKS(sv_model_bind(tx, "bound", &no_id, 0, &why));
    WORKS(sv_template_delete(tx, &id, &why));
    WORKS(sv_template_ready(tx, &second, 1, 1, "", "", &why));
    return SV_OK;
}

static void templates(void)
{
    world_new();
    CHECK_INT(sv_db_write(w.f.db, list_templates, NULL, &why), SV_OK);
    write_sql(&w.f, "DELETE FROM template");
    writing(live_template, NULL);
    world_sound_but_quota();
    world_remove();
}

/* --- hosts -------------------------------------------------------------------------------------------------------- */

static struct sv_host read_host(struct sv_tx *tx, const struct sv_id *id)
{
    struct sv_host h;
    WORKS(sv_host_get(tx, id, sv_tx_arena(tx), &h, &why));
    return h;
}

static void see_host(void *arg, const struct sv_host *h)
{
    struct seen *s = arg;
    s->ids[s->n++] = h->id;
}

static enum sv_err use_hosts(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_id unknown = sv_id_new();
    struct seen s = {.n = 0};
    struct sv_host h = {.vcpus = 77};
    (void)arg;
    (void)err;
    WORKS(sv_host_set_connected(tx, &w.host, false, &why)); /* the world's own stays out of it */
    const struct sv_id small = add_host(tx, 1, 4, 8 * SV_GIB), big = add_host(tx, 2, 8, 16 * SV_GIB);
    const struct sv_id again = add_host(tx, 2, 8, 16 * SV_GIB);
    CHECK(sv_id_eq(&again, &big)); /* the same (uri, index) */
    h = read_host(tx, &big);
    CHECK(h.index == 2 && h.connected && !h.maintenance && h.memory == 16 * SV_GIB && h.used_vcpus == 0);
    CHECK_STR(h.uri, "sim://");
    CHECK_STR(h.os_version, "Debian 12");
    h.vcpus = 77;
    FAILS(sv_host_get(tx, &unknown, sv_tx_arena(tx), &h, &why), SV_E_HOST_NOT_FOUND);
    CHECK_INT(h.vcpus, 77);
    WORKS(sv_host_list(tx, see_host, &s, &why));
    CHECK(s.n == 3 && sv_id_eq(&s.ids[1], &small) && sv_id_eq(&s.ids[2], &big));

    WORKS(sv_host_reserve(tx, &big, 8, 16 * SV_GIB, &why));
    char text[64];
    FAILS(sv_host_reserve(tx, &small, 6, 9 * SV_GIB, &why), SV_E_NO_CAPACITY);
    sv_amounts_text(why.arg[0], NULL, false, text, sizeof(text));
    CHECK_STR(text, "vCPU 6 > 4, RAM 9216 MB > 8192 MB");
    FAILS(sv_host_reserve(tx, &big, 1, 0, &why), SV_E_NO_CAPACITY);
    FAILS(sv_host_reserve(tx, &big, -1, 1, &why), SV_E_NO_CAPACITY); /* what it gives does not pay for what it takes */
    WORKS(sv_host_reserve(tx, &big, -3, -6 * SV_GIB, &why));
    WORKS(sv_host_reserve(tx, &big, 3, 0, &why));
    WORKS(sv_host_reserve(tx, &big, -3, 6 * SV_GIB, &why));
    FAILS(sv_host_reserve(tx, &unknown, 0, 0, &why), SV_E_NO_CAPACITY);
    WORKS(sv_host_reserve(tx, &big, -5, -16 * SV_GIB, &why));
    CHECK_INT(read_host(tx, &big).used_memory, 0);

    return SV_OK;
}

static void hosts(void)
{
    world_new();
    writing(use_hosts, NULL);
    world_remove();
}

static enum sv_err use_storages(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_id unknown = sv_id_new(), host = add_host(tx, 1, 4, SV_GIB);
    struct sv_storage in = {.id = sv_id_new(), .host = host, .name = "n", .descr = "", .type = "dir", .location = "/b"};
    struct sv_id id = no_id, first = no_id;
    struct sv_storage s = {.size = 77};
    int64_t vcpus, memory, bytes, ips;
    (void)arg;
    (void)err;
    FAILS(sv_storage_of_host(tx, &host, SV_GIB, &id, &why), SV_E_NO_CAPACITY);
    FAILS(sv_storage_own(tx, &host, &id, &why), SV_E_STORAGE_NOT_FOUND);
    in.created = 20;
    WORKS(sv_storage_ensure(tx, &in, &first, &why));
    in.id = sv_id_new();
    WORKS(sv_storage_ensure(tx, &in, &id, &why));
    CHECK(sv_id_eq(&id, &first));
    in.location = "/a"; /* a host has one image directory: it moved */
    WORKS(sv_storage_ensure(tx, &in, &id, &why));
    CHECK(sv_id_eq(&id, &first));
    WORKS(sv_storage_of_host(tx, &host, SV_GIB, &id, &why));
    CHECK(sv_id_eq(&id, &first));
    FAILS(sv_storage_get(tx, &unknown, sv_tx_arena(tx), &s, &why), SV_E_STORAGE_NOT_FOUND);
    CHECK_INT(s.size, 77);
    WORKS(sv_storage_set_usage(tx, &first, 100, 40, &why));
    WORKS(sv_storage_get(tx, &first, sv_tx_arena(tx), &s, &why));
    CHECK(s.size == 100 && s.used == 40 && sv_id_eq(&s.host, &host) && s.own && s.ready && !s.shared);
    CHECK_STR(s.location, "/a");
    WORKS(sv_host_totals(tx, &vcpus, &memory, &bytes, &ips, &why));
    CHECK_INT(vcpus, 1000000 + 4);
    CHECK_INT(memory, (1000000 + 1) * SV_GIB);
    CHECK_INT(bytes, 100);
    CHECK_INT(ips, 0);
    return SV_OK;
}

static struct sv_storage new_storage(const struct sv_id *host, const char *type, const char *location, int64_t size)
{
    static int64_t created = 100;
    return (struct sv_storage){.id = sv_id_new(),
                               .host = *host,
                               .name = location,
                               .descr = "",
                               .type = type,
                               .location = location,
                               .ready = true,
                               .size = size,
                               .created = created++};
}

static void count_storage(void *arg, const struct sv_storage *s)
{
    sv_buf_printf(arg, "%s ", s->location);
}

static enum sv_err there_once(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_id a = add_host(tx, 1, 4, SV_GIB), b = add_host(tx, 2, 4, SV_GIB);
    struct sv_storage s = new_storage(&a, "dir", "/srv", 1);
    const enum sv_storage_use second = SV_STORAGE_SECONDARY;
    const struct sv_page all = {0}, page = {.offset = 2, .limit = 2};
    struct sv_buf seen = {0};
    uint64_t total;
    (void)arg;
    (void)err;
    WORKS(sv_storage_insert(tx, &s, &why));
    s.id = sv_id_new();
    FAILS(sv_storage_insert(tx, &s, &why), SV_E_STORAGE_EXISTS);
    s.host = b; /* the other host's own directory of this name */
    WORKS(sv_storage_insert(tx, &s, &why));
    s = new_storage(&a, "nfs", "nas:/x", 1);
    s.shared = true;
    WORKS(sv_storage_insert(tx, &s, &why));
    s = new_storage(&b, "nfs", "nas:/x", 1); /* there on every host */
    FAILS(sv_storage_insert(tx, &s, &why), SV_E_STORAGE_EXISTS);
    s = new_storage(&a, "ceph", "one", 1);
    s.monitors = "10.0.0.1";
    s.pool = "rbd";
    s.user = "admin";
    WORKS(sv_storage_insert(tx, &s, &why));
    s.id = sv_id_new();
    s.location = "another name of it";
    s.host = b;
    FAILS(sv_storage_insert(tx, &s, &why), SV_E_STORAGE_EXISTS);
    s.pool = "rbd2";
    s.ready = false; /* not listed until it is */
    WORKS(sv_storage_insert(tx, &s, &why));
    WORKS(sv_storage_list(tx, &all, count_storage, &seen, &total, &why));
    CHECK_INT(total, 5);
    CHECK_STR(seen.p, "/srv /srv nas:/x one /images ");
    seen.n = 0;
    WORKS(sv_storage_list(tx, &page, count_storage, &seen, &total, &why));
    CHECK_INT(total, 5);
    CHECK_STR(seen.p, "nas:/x one ");
    seen.n = 0;
    WORKS(sv_storage_list_host(tx, &b, count_storage, &seen, &why));
    CHECK_STR(seen.p, "/srv nas:/x another name of it ");
    WORKS(sv_storage_set_ready(tx, &s.id, true, &why));
    WORKS(sv_storage_update(tx, &s.id, NULL, "why not", &second, &why));
    WORKS(sv_storage_get(tx, &s.id, sv_tx_arena(tx), &s, &why));
    CHECK(s.ready && s.use == SV_STORAGE_SECONDARY);
    CHECK_STR(s.descr, "why not");
    CHECK_STR(s.name, "one");
    CHECK_STR(s.pool, "rbd2");
    CHECK_STR(s.user, "admin");
    WORKS(sv_storage_unused(tx, &s.id, &why));
    WORKS(sv_storage_delete(tx, &s.id, &why));
    FAILS(sv_storage_get(tx, &s.id, sv_tx_arena(tx), &s, &why), SV_E_STORAGE_NOT_FOUND);
    FAILS(sv_storage_set_ready(tx, &s.id, true, &why), SV_E_STORAGE_NOT_FOUND);
    FAILS(sv_storage_update(tx, &s.id, "x", NULL, NULL, &why), SV_E_STORAGE_NOT_FOUND);
    sv_buf_free(&seen);
    return SV_OK;
}

static struct sv_id chosen(struct sv_tx *tx, const struct sv_id *host)
{
    struct sv_id id = no_id;
    WORKS(sv_storage_of_host(tx, host, SV_GIB, &id, &why));
    return id;
}

static struct sv_id put_disk(struct sv_tx *tx, const struct sv_id *storage, int64_t size)
{
    const struct sv_disk d = {.id = sv_id_new(),
                              .tenant = w.a,
                              .storage = *storage,
                              .name = "d",
                              .descr = "",
                              .target = "",
                              .size = size,
                              .use = "volume"};
    WORKS(sv_disk_insert(tx, &d, &why));
    return d.id;
}

/* Ceph and second storages hold no disk of a VM, however large they are. */
static enum sv_err place_disks(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_id host = add_host(tx, 1, 4, SV_GIB), other = add_host(tx, 2, 4, SV_GIB);
    const enum sv_storage_use main_use = SV_STORAGE_MAIN, second = SV_STORAGE_SECONDARY;
    struct sv_storage small = new_storage(&host, "dir", "/small", 10), big = new_storage(&host, "nfs", "n:/big", 100),
                      ceph = new_storage(&host, "ceph", "c", 1000), theirs = new_storage(&other, "dir", "/t", 1000);
    struct sv_id id;
    struct sv_storage s;
    (void)arg;
    (void)err;
    ceph.monitors = ceph.pool = "c";
    WORKS(sv_storage_insert(tx, &ceph, &why));
    FAILS(sv_storage_of_host(tx, &host, SV_GIB, &id, &why), SV_E_NO_CAPACITY);
    WORKS(sv_storage_insert(tx, &small, &why));
    WORKS(sv_storage_insert(tx, &big, &why));
    WORKS(sv_storage_insert(tx, &theirs, &why));
    id = chosen(tx, &host);
    CHECK(sv_id_eq(&id, &big.id));
    const struct sv_id disk = put_disk(tx, &big.id, 90);
    id = chosen(tx, &host); /* as much room: the older one */
    CHECK(sv_id_eq(&id, &small.id));
    WORKS(sv_disk_set_size(tx, &disk, 89, &why));
    id = chosen(tx, &host);
    CHECK(sv_id_eq(&id, &big.id));
    WORKS(sv_storage_set_usage(tx, &big.id, 100, 95, &why)); /* what is there counts when it is more */
    id = chosen(tx, &host);
    CHECK(sv_id_eq(&id, &small.id));
    WORKS(sv_storage_update(tx, &small.id, NULL, NULL, &second, &why));
    id = chosen(tx, &host);
    CHECK(sv_id_eq(&id, &big.id));
    WORKS(sv_storage_update(tx, &small.id, NULL, NULL, &main_use, &why));
    WORKS(sv_storage_set_ready(tx, &small.id, false, &why));
    id = chosen(tx, &host);
    CHECK(sv_id_eq(&id, &big.id));
    FAILS(sv_storage_delete(tx, &big.id, &why), SV_E_STORAGE_IN_USE);
    CHECK_STR(why.arg[0], "1 disks, 0 backups");
    WORKS(sv_storage_get(tx, &big.id, sv_tx_arena(tx), &s, &why));
    CHECK_INT(s.promised, 89);
    WORKS(sv_disk_delete(tx, &disk, &why));
    WORKS(sv_storage_get(tx, &big.id, sv_tx_arena(tx), &s, &why));
    CHECK_INT(s.promised, 0);
    WORKS(sv_storage_delete(tx, &big.id, &why));
    return SV_OK;
}

static void storages(void)
{
    world_new();
    writing(use_storages, NULL);
    world_remove();
    world_new();
    writing(there_once, NULL);
    world_remove();
    world_new();
    writing(place_disks, NULL);
    world_remove();
}

CHECK_MAIN(T(models), T(templates), T(hosts), T(storages))
