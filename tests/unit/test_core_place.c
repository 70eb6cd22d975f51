/* Which host a VM goes to: each filter and weight by itself, both policies, the words for it, and what it costs the
 * writer thread. */
#include "core/place/place.h"

#include "starvirt/clock.h"
#include "store_fixture.h"

#define BIT(filter) (1U << (filter))

/* --- the rule --- */

static const struct sv_place_wish plain = {.vcpus = 2, .memory = 4 * SV_GIB, .disks = 20 * SV_GIB, .labels = ""};

static struct sv_place_host roomy(const char *id)
{
    struct sv_place_host h = {.labels = "", .ready = true, .storage = true, .vcpus = 8, .memory = 16 * SV_GIB};

    SV_COPY(h.id.s, id);
    return h;
}

static unsigned ruled_out(struct sv_place_host h, struct sv_place_wish wish)
{
    struct sv_place_verdict v = {.against = 0};
    const size_t fit = sv_place_rank(&h, 1, &wish, &v);

    CHECK_INT(fit, v.against == 0);
    return v.against;
}

static void each_filter_rules_out(void)
{
    static const struct {
        struct sv_place_host h; /* laid over a roomy one by `mask` */
        struct sv_place_wish w;
        unsigned against;
    } cases[] = {
        {{.ready = true, .storage = true, .vcpus = 2, .memory = 4 * SV_GIB}, {.vcpus = 2, .memory = 4 * SV_GIB}, 0},
        {{.storage = true, .vcpus = 8, .memory = SV_GIB}, {.memory = 4 * SV_GIB}, BIT(SV_PLACE_READY)},
        {{.ready = true, .maintenance = true, .memory = SV_GIB}, {.memory = 4 * SV_GIB}, BIT(SV_PLACE_MAINTENANCE)},
        {{.ready = true, .vcpus = 8, .memory = SV_GIB}, {.memory = 1}, BIT(SV_PLACE_STORAGE)},
        {{.ready = true, .storage = true, .vcpus = 1, .memory = SV_GIB}, {.vcpus = 2}, BIT(SV_PLACE_VCPUS)},
        {{.ready = true, .storage = true, .memory = SV_GIB - 1}, {.memory = SV_GIB}, BIT(SV_PLACE_MEMORY)},
        {{.ready = true, .storage = true, .vcpus = 1, .memory = 1},
         {.vcpus = 2, .memory = 2},
         BIT(SV_PLACE_VCPUS) | BIT(SV_PLACE_MEMORY)},
        {{.ready = true, .storage = true, .vcpus = -1, .memory = -1},
         {.vcpus = 0},
         BIT(SV_PLACE_VCPUS) | BIT(SV_PLACE_MEMORY)},
        {{.ready = true, .storage = true, .apart = 1}, {.vcpus = 0}, BIT(SV_PLACE_APART)},
        {{.ready = true, .storage = true, .together = 1}, {.together = 2}, BIT(SV_PLACE_TOGETHER)},
        {{.ready = true, .storage = true, .together = 2}, {.together = 2}, 0},
        {{.ready = true, .storage = true, .liked = -9}, {.vcpus = 0}, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sv_place_host h = cases[i].h;
        struct sv_place_wish wish = cases[i].w;

        h.labels = wish.labels = "";
        if (ruled_out(h, wish) != cases[i].against)
            check_failed(__FILE__, __LINE__, "case %zu: %x, expected %x", i, ruled_out(h, wish), cases[i].against);
    }
}

static void labels_are_whole_words(void)
{
    static const struct {
        const char *has, *wanted;
        bool fits;
    } cases[] = {
        {"", "", true},
        {"a=1", "", true},
        {"", "a=1", false},
        {"a=1", "a=1", true},
        {"a=1", "a=11", false},
        {"a=11", "a=1", false},
        {"aa=1", "a=1", false},
        {"a=1,b=2,c=3", "c=3", true},
        {"a=1,b=2", "b=2,a=1", true},
        {"a=1,b=2", "a=1,c=2", false},
        {"disk=ssd", "ssd", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sv_place_host h = roomy("a");
        struct sv_place_wish wish = plain;

        h.labels = cases[i].has;
        wish.labels = cases[i].wanted;
        if ((ruled_out(h, wish) == 0) != cases[i].fits)
            check_failed(__FILE__, __LINE__, "\"%s\" for \"%s\"", cases[i].has, cases[i].wanted);
    }
}

static void lists_of_labels(void)
{
    static const struct {
        const char *text, *means; /* NULL: PARAM_FORMAT */
    } cases[] = {
        {"", ""},
        {"disk=ssd", "disk=ssd"},
        {"zone=b,disk=ssd,zone=b", "disk=ssd,zone=b"},
        {"a.b-c_d=X.1", "a.b-c_d=X.1"},
        {"disk", NULL},
        {"=ssd", NULL},
        {"disk=", NULL},
        {"a=1,", NULL},
        {",a=1", NULL},
        {"a=1,,b=2", NULL},
        {"a=1, b=2", NULL},
        {"a=b=c", NULL},
        {"a=\xc3\xbc", NULL},
        {"a234567890123456789012345678901234567890123456789012345678901234=1", NULL},
    };
    struct sv_arena *a = sv_arena_new();
    struct sv_buf many = {0};
    const char *text;
    struct sv_error e;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        text = NULL;
        const enum sv_err rc = sv_labels_read(cases[i].text, SV_F_HOST_LABELS, a, &text, &e);

        CHECK_INT(rc, cases[i].means ? SV_OK : SV_E_PARAM_FORMAT);
        if (cases[i].means && text)
            CHECK_STR(text, cases[i].means);
    }
    for (unsigned i = 0; i < 33; i++)
        sv_buf_printf(&many, "%sk%u=1", i ? "," : "", i);
    CHECK_INT(sv_labels_read(many.p, SV_F_HOST_LABELS, a, &text, &e), SV_E_PARAM_RANGE);
    sv_buf_free(&many);
    sv_arena_free(a);
}

static const char *order_of(const struct sv_place_host *h, size_t n, const struct sv_place_wish *wish,
                            struct sv_place_verdict *v)
{
    static char text[64];

    text[0] = '\0';
    sv_place_rank(h, n, wish, v);
    for (size_t i = 0; i < n; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", v[i].against ? "!" : "", v[i].host->id.s);
    return text;
}

static void weights_rank(void)
{
    struct sv_place_host h[] = {roomy("d"), roomy("c"), roomy("b"), roomy("a")};
    struct sv_place_verdict v[4];
    struct sv_place_wish wish = plain;

    CHECK_STR(order_of(h, 4, &wish, v), "abcd");
    CHECK_INT(v[0].why, SV_PLACE_ID);
    CHECK_STR(sv_place_why(v[0].why, wish.policy, 4), "the lowest id among equals");
    h[0].memory++;
    h[3].memory--;
    CHECK_STR(order_of(h, 4, &wish, v), "dbca");
    CHECK_INT(v[0].why, SV_PLACE_ROOM);
    CHECK_INT(v[1].why, SV_PLACE_ID);
    CHECK_STR(sv_place_why(v[0].why, wish.policy, 4), "most free memory");
    wish.policy = SV_PLACE_PACK;
    CHECK_STR(order_of(h, 4, &wish, v), "abcd");
    CHECK_STR(sv_place_why(v[0].why, wish.policy, 4), "least free memory");
    h[1].liked = 1; /* with its friends */
    h[3].liked = -1;
    CHECK_STR(order_of(h, 4, &wish, v), "cbda");
    CHECK_INT(v[0].why, SV_PLACE_LIKED);
    h[1].ready = false;
    h[2].maintenance = true;
    h[0].memory = 0;
    CHECK_STR(order_of(h, 4, &wish, v), "a!b!c!d");
    CHECK_STR(sv_place_why(v[0].why, wish.policy, 1), "the only one that fits");
}

static void reasons_are_counted(void)
{
    struct sv_place_host h[20];
    struct sv_place_verdict v[20];
    struct sv_error e = {0};
    char text[SV_ERR_ARG_MAX], shown[256];

    for (unsigned i = 0; i < 20; i++) {
        char id[] = {(char)('a' + i), '\0'};

        h[i] = roomy(id);
        h[i].memory = (1 + i) * 256 * SV_MIB; /* the largest of twelve: 3 GiB */
        h[i].maintenance = i >= 12 && i < 17;
        h[i].ready = i < 17;
    }
    CHECK_INT(sv_place_rank(h, 20, &plain, v), 0);
    sv_place_against(v, 20, &plain, text, sizeof(text));
    sv_amounts_text(text, NULL, false, shown, sizeof(shown));
    CHECK_STR(shown, "12 short of memory (4096 MB > 3072 MB), 5 in maintenance, 3 not connected");
    snprintf(shown, sizeof(shown), "20 hosts: %s", text);
    sv_fail(&e, SV_E_NO_CAPACITY, SV_F_NONE, shown);
    sv_err_text(&e, SV_LANG_ZH, shown, sizeof(shown));
    CHECK_STR(shown, "没有主机能容纳:20 台主机:12 台内存不足(4096 MB > 3072 MB)、5 台维护中、3 台未连接");
    h[0].storage = false;
    h[0].apart = 1;
    h[0].vcpus = 1;
    h[1].labels = "a=1";
    struct sv_place_wish wish = plain;
    wish.labels = "a=1";
    sv_place_rank(h, 20, &wish, v);
    sv_place_against(v, 20, &wish, text, sizeof(text));
    sv_amounts_text(text, NULL, false, shown, sizeof(shown));
    CHECK(strncmp(shown, "12 short of memory (4096 MB > 3072 MB), 11 without the labels, 5 in maintenance", 76) == 0);
    CHECK(strstr(shown, ", others")); /* it does not all fit into an argument */
    sv_place_against(v, 0, &wish, text, sizeof(text));
    CHECK_STR(text, "");
}

/* --- in a transaction --- */

static struct sv_cloud cloud; /* its policy is all that is looked at */

static struct sv_place *begun(struct sv_tx *tx, int64_t vcpus, int64_t gib)
{
    const struct sv_place_order o = {.vcpus = vcpus, .memory = gib * SV_GIB, .disks = SV_GIB};
    struct sv_place *p = NULL;

    WORKS(sv_place_begin(&cloud, tx, &o, &p, &why));
    return p;
}

static void lands(struct sv_tx *tx, struct sv_place *p, const struct sv_id *want)
{
    struct sv_placed got = {.host = {.s = "untouched"}};

    if (want) {
        WORKS(sv_place_take(p, tx, &got, &why));
        CHECK_STR(got.host.s, want->s);
    } else {
        FAILS(sv_place_take(p, tx, &got, &why), SV_E_NO_CAPACITY);
        CHECK_STR(got.host.s, "untouched");
    }
}

static struct sv_host host_row(struct sv_tx *tx, const struct sv_id *id)
{
    struct sv_host h;

    WORKS(sv_host_get(tx, id, sv_tx_arena(tx), &h, &why));
    return h;
}

static enum sv_err batches(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg;
    (void)err;
    WORKS(sv_host_set_connected(tx, &w.host, false, &why)); /* the world's own stays out of it */
    const struct sv_id small = add_host(tx, 1, 4, 8 * SV_GIB), big = add_host(tx, 2, 8, 16 * SV_GIB);

    add_storage(tx, &small);
    add_storage(tx, &big);
    struct sv_place *p = begun(tx, 1, 4);
    lands(tx, p, &big);                                                                 /* 16 against 8 */
    lands(tx, p, &big);                                                                 /* 12 against 8 */
    lands(tx, p, sv_id_eq(&small, &big) || strcmp(small.s, big.s) < 0 ? &small : &big); /* 8 each: the lower id */
    CHECK_INT(host_row(tx, &big).used_memory + host_row(tx, &small).used_memory, 12 * SV_GIB);
    p = begun(tx, 1, 4); /* another reader sees the same */
    lands(tx, p, strcmp(small.s, big.s) < 0 ? &big : &small);
    cloud.placement = SV_PLACE_PACK;
    lands(tx, begun(tx, 1, 4), &small);
    cloud.placement = SV_PLACE_SPREAD;
    lands(tx, begun(tx, 0, 5), NULL);
    char text[SV_ERR_ARG_MAX];
    sv_amounts_text(why.arg[0], NULL, false, text, sizeof(text));
    CHECK_STR(text, "3 hosts: 2 short of memory (5120 MB > 4096 MB), 1 not connected");
    return SV_OK;
}

static enum sv_err without_storage(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)arg;
    (void)err;
    WORKS(sv_host_set_connected(tx, &w.host, false, &why));
    const struct sv_id host = add_host(tx, 1, 4, 8 * SV_GIB);

    lands(tx, begun(tx, 1, 1), NULL);
    char text[SV_ERR_ARG_MAX];
    sv_amounts_text(why.arg[0], NULL, false, text, sizeof(text));
    CHECK(strstr(text, "1 without a storage for disks (1 GB)"));
    add_storage(tx, &host);
    lands(tx, begun(tx, 1, 1), &host);
    return SV_OK;
}

static void batches_keep_books(void)
{
    world_new();
    writing(batches, NULL);
    world_remove();
}

static void a_host_needs_a_storage(void)
{
    world_new();
    writing(without_storage, NULL);
    world_remove();
}

/* --- figures --- */

enum { TIMES = 50, HOSTS = 500 };

static enum sv_err add_hosts(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    (void)err;
    for (int i = 1; i < *(const int *)arg; i++) {
        const struct sv_id host = add_host(tx, i, 1000000, 1000000 * SV_GIB);

        add_storage(tx, &host);
    }
    return SV_OK;
}

static enum sv_err place_one(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const int64_t start = sv_mono_us();
    struct sv_placed placed;

    (void)err;
    WORKS(sv_place_take(begun(tx, 1, 1), tx, &placed, &why));
    *(int64_t *)arg += sv_mono_us() - start;
    return SV_OK;
}

static void what_it_costs(void)
{
    static const int counts[] = {1, 20, HOSTS};

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        double best = 1e9;
        int n = counts[i];

        world_new();
        writing(add_hosts, &n);
        for (int round = 0; round < 5; round++) {
            int64_t sum = 0;

            for (int k = 0; k < TIMES; k++)
                writing(place_one, &sum);
            best = (double)sum / TIMES < best ? (double)sum / TIMES : best;
        }
        printf("placing one VM among %d hosts: %.1f us\n", n, best);
        world_remove();
    }
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {
        T(each_filter_rules_out), T(labels_are_whole_words), T(lists_of_labels),        T(weights_rank),
        T(reasons_are_counted),   T(batches_keep_books),     T(a_host_needs_a_storage), T(what_it_costs),
    };

    return check_run(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
