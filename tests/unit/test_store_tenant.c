/* Tenants, quota, tokens, idempotency keys. */
#include <pthread.h>

#include "store_fixture.h"

#define HOUR (3600 * 1000LL)

/* --- quota: every dimension alone ------------------------------------------------------------------------------- */

struct dimension {
    size_t offset;
    int64_t unit; /* of the wire */
    enum sv_err code;
};
static const struct dimension dimensions[] = {
    {offsetof(struct sv_amounts, vcpus), 1, SV_E_QUOTA_VCPUS},
    {offsetof(struct sv_amounts, memory), SV_MIB, SV_E_QUOTA_MEMORY},
    {offsetof(struct sv_amounts, storage), SV_GIB, SV_E_QUOTA_STORAGE},
    {offsetof(struct sv_amounts, images), SV_MIB, SV_E_QUOTA_IMAGES},
    {offsetof(struct sv_amounts, subnets), 1, SV_E_QUOTA_SUBNETS},
    {offsetof(struct sv_amounts, ips), 1, SV_E_QUOTA_IPS},
};
enum { DIMENSIONS = sizeof(dimensions) / sizeof(dimensions[0]) };

static struct sv_amounts only(const struct dimension *d, int64_t value)
{
    struct sv_amounts a = {0};
    *(int64_t *)((char *)&a + d->offset) = value;
    return a;
}

static int64_t part(struct sv_amounts a, const struct dimension *d)
{
    return *(const int64_t *)((const char *)&a + d->offset);
}

/* An argument as people read it, without the unit. */
static const char *shown(int arg)
{
    static char text[SV_ERR_ARG_MAX];

    sv_amounts_text(why.arg[arg], NULL, true, text, sizeof(text));
    return text;
}

static struct sv_tenant read_tenant(struct sv_tx *tx, const struct sv_id *id)
{
    struct sv_tenant t;
    WORKS(sv_tenant_get(tx, sv_scope_system(), id, sv_tx_arena(tx), &t, &why));
    return t;
}

static enum sv_err try_dimension(struct sv_tx *tx, const struct dimension *d)
{
    struct sv_amounts quota = no_limit;
    char name[32];
    *(int64_t *)((char *)&quota + d->offset) = 10 * d->unit;
    snprintf(name, sizeof(name), "dimension %zu", d->offset);
    const struct sv_id id = add_tenant(tx, name, &quota);
    const struct sv_amounts seven = only(d, 7 * d->unit), three = only(d, 3 * d->unit), one = only(d, d->unit);
    const struct sv_amounts four = only(d, 4 * d->unit), bit = only(d, 3 * d->unit + 1), back = only(d, -7 * d->unit);

    WORKS(sv_tenant_reserve(tx, &id, &seven, &why));
    FAILS(sv_tenant_reserve(tx, &id, &four, &why), d->code);
    CHECK_STR(shown(0), "4");
    CHECK_STR(shown(1), "3");
    FAILS(sv_tenant_reserve(tx, &id, &bit, &why), d->code); /* one byte too many is too many */
    CHECK_STR(shown(0), "4");
    CHECK_STR(shown(1), "3");
    CHECK_INT(part(read_tenant(tx, &id).used, d), 7 * d->unit);
    WORKS(sv_tenant_reserve(tx, &id, &three, &why));
    FAILS(sv_tenant_reserve(tx, &id, &one, &why), d->code);
    CHECK_STR(shown(1), "0");

    /* Below what is in use: nothing more, but giving back is never refused. */
    quota = only(d, d->unit);
    WORKS(sv_tenant_set_quota(tx, sv_scope_system(), &id, &quota, &why));
    FAILS(sv_tenant_reserve(tx, &id, &one, &why), d->code);
    CHECK_STR(shown(1), "0");
    WORKS(sv_tenant_reserve(tx, &id, &back, &why));
    CHECK_INT(part(read_tenant(tx, &id).used, d), 3 * d->unit);
    quota = no_limit;
    WORKS(sv_tenant_set_quota(tx, sv_scope_tenant(&id), &id, &quota, &why));
    const struct sv_amounts huge = only(d, 1LL << 60);
    WORKS(sv_tenant_reserve(tx, &id, &huge, &why));
    return SV_OK;
}

/* A mixed request takes all or nothing; what it gives back does not pay for what it takes. */
static enum sv_err try_mixed(struct sv_tx *tx)
{
    const struct sv_amounts quota = {.vcpus = 4, .memory = 4 * SV_MIB, .storage = 0, .subnets = -1, .ips = 1};
    const struct sv_id id = add_tenant(tx, "mixed", &quota), unknown = sv_id_new();
    const struct sv_amounts both = {.vcpus = 2, .memory = 5 * SV_MIB}, fits = {.vcpus = 4, .memory = SV_MIB},
                            swap = {.vcpus = -4, .memory = 4 * SV_MIB}, nothing = {0}, storage = {.storage = 1};
    FAILS(sv_tenant_reserve(tx, &id, &both, &why), SV_E_QUOTA_MEMORY);
    CHECK_INT(read_tenant(tx, &id).used.vcpus, 0);
    FAILS(sv_tenant_reserve(tx, &id, &storage, &why), SV_E_QUOTA_STORAGE);
    CHECK_STR(shown(0), "1"); /* a part counts whole */
    WORKS(sv_tenant_reserve(tx, &id, &fits, &why));
    FAILS(sv_tenant_reserve(tx, &id, &swap, &why), SV_E_QUOTA_MEMORY);
    CHECK_INT(read_tenant(tx, &id).used.vcpus, 4);
    WORKS(sv_tenant_reserve(tx, &id, &nothing, &why));
    FAILS(sv_tenant_reserve(tx, &unknown, &nothing, &why), SV_E_TENANT_NOT_FOUND);
    return SV_OK;
}

static enum sv_err try_quota(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg;
    (void)err;
    for (int i = 0; i < DIMENSIONS; i++)
        try_dimension(tx, &dimensions[i]);
    return try_mixed(tx);
}

static void quota_is_exact(void)
{
    world_new();
    writing(try_quota, NULL);
    world_remove();
}

/* --- quota: 64 threads want one of ten ---------------------------------------------------------------------------- */

struct racer {
    pthread_t thread;
    pthread_barrier_t *start;
    const struct sv_id *tenant;
    enum sv_err result;
    struct sv_error err;
};

static enum sv_err take_one(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_amounts one = {.vcpus = 1, .memory = SV_GIB};
    return sv_tenant_reserve(tx, arg, &one, err);
}

static void *race(void *arg)
{
    struct racer *r = arg;
    struct sv_id tenant = *r->tenant;
    pthread_barrier_wait(r->start);
    r->result = sv_db_write(w.f.db, take_one, &tenant, &r->err);
    return NULL;
}

static enum sv_err make_limited(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_amounts quota = {.vcpus = 10, .memory = 100 * SV_GIB};
    struct sv_id *id = arg;
    (void)err;
    *id = add_tenant(tx, "limited", &quota);
    return SV_OK;
}

static void ten_of_sixty_four_win(void)
{
    struct racer r[64];
    struct sv_id tenant;
    unsigned won = 0;
    pthread_barrier_t start;
    world_new();
    writing(make_limited, &tenant);
    pthread_barrier_init(&start, NULL, 64);
    for (int i = 0; i < 64; i++) {
        r[i] = (struct racer){.start = &start, .tenant = &tenant};
        CHECK_INT(pthread_create(&r[i].thread, NULL, race, &r[i]), 0);
    }
    for (int i = 0; i < 64; i++)
        pthread_join(r[i].thread, NULL);
    for (int i = 0; i < 64; i++) {
        CHECK(r[i].result == SV_OK || r[i].result == SV_E_QUOTA_VCPUS);
        won += r[i].result == SV_OK;
        if (r[i].result != SV_OK) {
            CHECK_STR(r[i].err.arg[0], "1");
            CHECK_STR(r[i].err.arg[1], "0");
        }
    }
    CHECK_INT(won, 10);
    CHECK_INT(read_number(&w.f, "SELECT used_vcpus FROM tenant WHERE name = 'limited'"), 10);
    CHECK_INT(read_number(&w.f, "SELECT used_memory FROM tenant WHERE name = 'limited'"), 10 * SV_GIB);
    pthread_barrier_destroy(&start);
    world_remove();
}

/* --- tenants as rows ---------------------------------------------------------------------------------------------- */

struct seen {
    unsigned n;
    struct sv_id ids[64];
};

static void see_tenant(void *arg, const struct sv_tenant *t)
{
    struct seen *s = arg;
    CHECK(s->n < 64 && t->name[0]);
    s->ids[s->n++] = t->id;
}

static void check_list(struct sv_tx *tx, struct sv_scope scope, struct sv_tenant_filter f, const struct sv_id *want,
                       unsigned n)
{
    for (uint64_t offset = 0; offset <= n + 1; offset++) {
        for (unsigned limit = 0; limit <= n + 1; limit++) {
            const struct sv_page p = {.offset = offset, .limit = limit};
            struct seen s = {.n = 0};
            uint64_t total = 99, rows = offset < n ? n - offset : 0;
            WORKS(sv_tenant_list(tx, scope, &f, &p, see_tenant, &s, &total, &why));
            CHECK_INT(total, n);
            CHECK_INT(s.n, limit && limit < rows ? limit : rows);
            for (unsigned i = 0; i < s.n; i++)
                CHECK(sv_id_eq(&s.ids[i], &want[offset + i]));
        }
    }
}

static enum sv_err list_tenants(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_scope all = sv_scope_system(), mine = sv_scope_tenant(&w.a);
    const struct sv_id c = add_tenant(tx, "100%_C", &no_limit), d = add_tenant(tx, "d", &no_limit);
    const struct sv_id unknown = sv_id_new(), every[] = {w.a, w.b, c, d}, ab[] = {w.a, w.b};
    (void)arg;
    (void)err;
    check_list(tx, all, (struct sv_tenant_filter){.name = NULL}, every, 4);
    check_list(tx, all, (struct sv_tenant_filter){.name = ""}, every, 4);
    check_list(tx, all, (struct sv_tenant_filter){.name = "TENANT"}, ab, 2);
    check_list(tx, all, (struct sv_tenant_filter){.name = "%"}, &c, 1);
    check_list(tx, all, (struct sv_tenant_filter){.name = "0%_c"}, &c, 1);
    check_list(tx, all, (struct sv_tenant_filter){.name = "_"}, &c, 1);
    check_list(tx, all, (struct sv_tenant_filter){.name = "none"}, NULL, 0);
    check_list(tx, all, (struct sv_tenant_filter){.id = d}, &d, 1);
    check_list(tx, all, (struct sv_tenant_filter){.id = d, .name = "x"}, NULL, 0);
    check_list(tx, all, (struct sv_tenant_filter){.id = unknown}, NULL, 0);
    check_list(tx, mine, (struct sv_tenant_filter){.name = NULL}, &w.a, 1);
    check_list(tx, mine, (struct sv_tenant_filter){.name = "ANT A"}, &w.a, 1);
    check_list(tx, mine, (struct sv_tenant_filter){.name = "b"}, NULL, 0);
    check_list(tx, mine, (struct sv_tenant_filter){.id = w.a}, &w.a, 1);
    check_list(tx, mine, (struct sv_tenant_filter){.id = w.b}, NULL, 0);
    return SV_OK;
}

static enum sv_err change_tenants(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_scope mine = sv_scope_tenant(&w.a), all = sv_scope_system();
    struct sv_arena *a = sv_tx_arena(tx);
    const struct sv_id unknown = sv_id_new();
    struct sv_tenant t = {.vm_count = 7}, twin = {.id = sv_id_new(), .name = "tenant b", .descr = ""};
    (void)arg;
    (void)err;
    FAILS(sv_tenant_get(tx, mine, &w.b, a, &t, &why), SV_E_TENANT_NOT_FOUND);
    const struct sv_error other = why;
    FAILS(sv_tenant_get(tx, mine, &unknown, a, &t, &why), SV_E_TENANT_NOT_FOUND);
    CHECK(same_error(&other, &why));
    CHECK_INT(t.vm_count, 7);
    FAILS(sv_tenant_update(tx, mine, &w.b, "x", NULL, &why), SV_E_TENANT_NOT_FOUND);
    FAILS(sv_tenant_set_quota(tx, mine, &w.b, &no_limit, &why), SV_E_TENANT_NOT_FOUND);
    FAILS(sv_tenant_delete(tx, mine, &w.b, &why), SV_E_TENANT_NOT_FOUND);
    FAILS(sv_tenant_update(tx, all, &unknown, "x", NULL, &why), SV_E_TENANT_NOT_FOUND);
    FAILS(sv_tenant_insert(tx, &twin, &why), SV_E_TENANT_NAME_TAKEN);
    CHECK_STR(why.arg[0], "tenant b");
    FAILS(sv_tenant_update(tx, all, &w.a, "tenant b", NULL, &why), SV_E_TENANT_NAME_TAKEN);
    WORKS(sv_tenant_update(tx, mine, &w.a, NULL, "what it is for", &why));
    WORKS(sv_tenant_update(tx, all, &w.a, "renamed", NULL, &why));
    t = read_tenant(tx, &w.a);
    CHECK_STR(t.name, "renamed");
    CHECK_STR(t.descr, "what it is for");
    CHECK(!t.is_admin);
    CHECK_INT(t.quota.memory, -1);
    return SV_OK;
}

/* Each thing that a tenant may own keeps it. */
static enum sv_err keep_tenants(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_scope all = sv_scope_system();
    const struct sv_id owner = add_tenant(tx, "owner", &no_limit);
    const struct sv_tenant admin = {.id = sv_id_new(), .name = "admin", .descr = "", .is_admin = true};
    const struct sv_template template = {.id = sv_id_new(), .tenant = owner, .name = "t"};
    const struct sv_amounts one = {.subnets = 1};
    struct sv_vpc vpc = new_vpc(tx, &owner, 24);
    struct sv_disk disk = new_disk(tx, &owner, &no_id);
    (void)arg;
    (void)err;
    WORKS(sv_tenant_insert(tx, &admin, &why));
    FAILS(sv_tenant_delete(tx, all, &admin.id, &why), SV_E_TENANT_IS_ADMIN);

    struct sv_id vm = add_vm(tx, &owner, "vm"), vm2 = add_vm(tx, &owner, "vm");
    FAILS(sv_tenant_delete(tx, all, &owner, &why), SV_E_TENANT_IN_USE);
    CHECK_STR(why.arg[0], "2 VMs");
    WORKS(sv_vm_delete(tx, &vm, &why));
    WORKS(sv_vm_delete(tx, &vm2, &why));
    WORKS(sv_tenant_reserve(tx, &owner, &one, &why));
    WORKS(sv_vpc_insert(tx, &vpc, 0x0A000000U, 8, &why));
    FAILS(sv_tenant_delete(tx, all, &owner, &why), SV_E_TENANT_IN_USE);
    CHECK_STR(why.arg[0], "1 VPC");
    WORKS(sv_template_insert(tx, &template, &why));
    WORKS(sv_disk_insert(tx, &disk, &why));
    FAILS(sv_tenant_delete(tx, all, &owner, &why), SV_E_TENANT_IN_USE);
    CHECK_STR(why.arg[0], "1 VPC, 1 template, 1 disk");
    WORKS(sv_vpc_delete(tx, &vpc.id, &why));
    WORKS(sv_template_delete(tx, &template.id, &why));
    FAILS(sv_tenant_delete(tx, all, &owner, &why), SV_E_TENANT_IN_USE);
    CHECK_STR(why.arg[0], "1 disk");
    return SV_E_VM_STATE;
}

static enum sv_err delete_tenant(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_id owner = add_tenant(tx, "owner", &no_limit);
    const struct sv_token token = {.id = sv_id_new(), .tenant = owner, .descr = ""};
    const struct sv_idem kept = {.reply = "{}"};
    unsigned char hash[32] = {1};
    struct sv_token t;
    (void)arg;
    (void)err;
    WORKS(sv_token_insert(tx, &token, hash, &why));
    WORKS(sv_idem_insert(tx, &owner, "key", &kept, &why));
    WORKS(sv_token_find(tx, hash, &t, &why));
    WORKS(sv_tenant_delete(tx, sv_scope_system(), &owner, &why));
    FAILS(sv_token_find(tx, hash, &t, &why), SV_E_TOKEN_INVALID);
    FAILS(sv_tenant_delete(tx, sv_scope_system(), &owner, &why), SV_E_TENANT_NOT_FOUND);
    return SV_OK;
}

static void tenants(void)
{
    world_new();
    writing(list_tenants, NULL);
    writing(change_tenants, NULL);
    CHECK_INT(sv_db_write(w.f.db, keep_tenants, NULL, NULL), SV_E_VM_STATE);
    writing(delete_tenant, NULL);
    CHECK_INT(read_number(&w.f, "SELECT count(*) FROM idem"), 0);
    world_sound();
    world_remove();
}

/* --- tokens ------------------------------------------------------------------------------------------------------- */

static void see_token(void *arg, const struct sv_token *t)
{
    struct seen *s = arg;
    s->ids[s->n++] = t->id;
}

static uint64_t list_tokens(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *tenant, struct sv_page p,
                            struct seen *s)
{
    uint64_t total = 99;
    *s = (struct seen){.n = 0};
    WORKS(sv_token_list(tx, scope, tenant, &p, see_token, s, &total, &why));
    return total;
}

static enum sv_err use_tokens(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_scope all = sv_scope_system(), of_a = sv_scope_tenant(&w.a), of_b = sv_scope_tenant(&w.b);
    struct sv_token in[6], t = {.created = 77};
    unsigned char hash[6][32] = {{0}}, wrong[32] = {9};
    struct seen s;
    (void)arg;
    (void)err;
    for (int i = 0; i < 6; i++) {
        hash[i][31] = (unsigned char)(i + 1);
        in[i] = (struct sv_token){.id = sv_id_new(),
                                  .tenant = i % 2 ? w.b : w.a,
                                  .role = i == 4 ? SV_ROLE_ADMIN : SV_ROLE_TENANT,
                                  .descr = "text",
                                  .created = sv_tx_now(tx)};
    }
    in[2].expires = sv_tx_now(tx);
    in[3].expires = sv_tx_now(tx) + 1;
    for (int i = 0; i < 6; i++)
        WORKS(sv_token_insert(tx, &in[i], hash[i], &why));
    FAILS(sv_token_insert(tx, &(struct sv_token){.id = sv_id_new(), .tenant = w.a}, hash[0], &why), SV_E_DB);

    FAILS(sv_token_find(tx, wrong, &t, &why), SV_E_TOKEN_INVALID);
    FAILS(sv_token_find(tx, hash[2], &t, &why), SV_E_TOKEN_EXPIRED);
    CHECK_INT(t.created, 77);
    WORKS(sv_token_find(tx, hash[3], &t, &why)); /* the last millisecond counts */
    CHECK(sv_id_eq(&t.tenant, &w.b) && t.role == SV_ROLE_TENANT);
    WORKS(sv_token_find(tx, hash[4], &t, &why));
    FAILS(sv_token_get(tx, &no_id, &t, &why), SV_E_TOKEN_INVALID);
    FAILS(sv_token_get(tx, &in[2].id, &t, &why), SV_E_TOKEN_EXPIRED);
    WORKS(sv_token_get(tx, &in[4].id, &t, &why));
    CHECK(sv_id_eq(&t.id, &in[4].id) && sv_id_eq(&t.tenant, &in[4].tenant) && t.role == in[4].role);
    CHECK(sv_id_eq(&t.id, &in[4].id) && t.role == SV_ROLE_ADMIN);

    CHECK_INT(list_tokens(tx, all, &no_id, all_rows, &s), 6);
    for (int i = 0; i < 6; i++)
        CHECK(sv_id_eq(&s.ids[i], &in[i].id));
    CHECK_INT(list_tokens(tx, all, &no_id, (struct sv_page){.offset = 4, .limit = 5}, &s), 6);
    CHECK(s.n == 2 && sv_id_eq(&s.ids[0], &in[4].id));
    CHECK_INT(list_tokens(tx, all, &w.b, all_rows, &s), 3);
    CHECK(s.n == 3 && sv_id_eq(&s.ids[2], &in[5].id));
    CHECK_INT(list_tokens(tx, of_a, &no_id, (struct sv_page){.offset = 1, .limit = 1}, &s), 3);
    CHECK(s.n == 1 && sv_id_eq(&s.ids[0], &in[2].id));
    CHECK_INT(list_tokens(tx, of_a, &w.b, all_rows, &s), 0);
    CHECK_INT(s.n, 0);

    WORKS(sv_token_touch(tx, &in[0].id, 50, &why));
    WORKS(sv_token_touch(tx, &in[0].id, 40, &why)); /* late news */
    WORKS(sv_token_find(tx, hash[0], &t, &why));
    CHECK_INT(t.last_used, 50);

    FAILS(sv_token_delete(tx, of_b, &in[0].id, &why), SV_E_TOKEN_NOT_FOUND);
    CHECK_INT(why.field, SV_F_TOKEN);
    WORKS(sv_token_delete(tx, of_a, &in[0].id, &why));
    FAILS(sv_token_delete(tx, all, &in[0].id, &why), SV_E_TOKEN_NOT_FOUND);
    FAILS(sv_token_find(tx, hash[0], &t, &why), SV_E_TOKEN_INVALID);
    return SV_OK;
}

static void tokens(void)
{
    world_new();
    writing(use_tokens, NULL);
    world_remove();
}

/* --- idempotency keys --------------------------------------------------------------------------------------------- */

static bool find_key(struct sv_tx *tx, const struct sv_id *tenant, const char *key, struct sv_idem *ret)
{
    bool found = false;
    WORKS(sv_idem_find(tx, tenant, key, sv_tx_arena(tx), ret, &found, &why));
    return found;
}

static enum sv_err use_keys(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_idem in = {.hash = {7, 8}, .reply = "first"}, got;
    const int64_t now = tx->now;
    (void)arg;
    (void)err;
    CHECK(!find_key(tx, &w.a, "k", &got));
    WORKS(sv_idem_insert(tx, &w.a, "k", &in, &why));
    CHECK(find_key(tx, &w.a, "k", &got));
    CHECK_STR(got.reply, "first");
    CHECK(memcmp(got.hash, in.hash, 32) == 0);
    CHECK(!find_key(tx, &w.b, "k", &got)); /* keys belong to their tenant */
    CHECK(!find_key(tx, &w.a, "K", &got));
    tx->now = now + SV_IDEMPOTENCY_HOURS * HOUR - 1;
    CHECK(find_key(tx, &w.a, "k", &got));
    tx->now = now + SV_IDEMPOTENCY_HOURS * HOUR;
    CHECK(!find_key(tx, &w.a, "k", &got));
    in.reply = "second";
    WORKS(sv_idem_insert(tx, &w.a, "k", &in, &why)); /* used anew */
    CHECK(find_key(tx, &w.a, "k", &got));
    CHECK_STR(got.reply, "second");
    WORKS(sv_idem_expire(tx, tx->now, &why));
    CHECK(find_key(tx, &w.a, "k", &got));
    WORKS(sv_idem_expire(tx, tx->now + 1, &why));
    CHECK(!find_key(tx, &w.a, "k", &got));
    tx->now = now;
    return SV_OK;
}

static enum sv_err add_keys(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_idem in = {.reply = ""};
    char key[16];
    (void)arg;
    (void)err;
    for (int i = 0; i < 2500; i++) {
        snprintf(key, sizeof(key), "%d", i);
        WORKS(sv_idem_insert(tx, i % 2 ? &w.a : &w.b, key, &in, &why));
    }
    return SV_OK;
}

static enum sv_err expire_keys(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg;
    return sv_idem_expire(tx, tx->now + 1, err);
}

static void keys(void)
{
    world_new();
    writing(use_keys, NULL);
    writing(add_keys, NULL);
    writing(expire_keys, NULL);
    wait_for("SELECT count(*) FROM idem", 0);
    world_remove();
}

/* --- all statements ----------------------------------------------------------------------------------------------- */

static void statements_prepare(void)
{
    world_new();
    WORKS(sv_db_check_statements(w.f.db, &why));
    world_remove();
}

CHECK_MAIN(T(quota_is_exact), T(ten_of_sixty_four_win), T(tenants), T(tokens), T(keys), T(statements_prepare))
