#include <pthread.h>

#include "check.h"
#include "starvirt/clock.h"
#include "starvirt/id.h"

#define THREADS 4
#define EACH    5000

static void looks_like_uuid7(void)
{
    int64_t before = sv_now_ms();
    struct sv_id id = sv_id_new();
    CHECK_INT(strlen(id.s), SV_ID_LEN);
    CHECK(sv_id_valid(id.s));
    CHECK_INT(id.s[14], '7');
    CHECK(strchr("89ab", id.s[19]));
    int64_t ms = 0;
    for (int i = 0; i < 13; i++)
        if (id.s[i] != '-')
            ms = ms * 16 + (id.s[i] <= '9' ? id.s[i] - '0' : id.s[i] - 'a' + 10);
    CHECK(ms >= before && ms <= sv_now_ms() + 10);
}

/* Far more than one millisecond can count. */
static void strictly_rising(void)
{
    struct sv_id last = sv_id_new();
    for (int i = 0; i < 50000; i++) {
        struct sv_id next = sv_id_new();
        CHECK(strcmp(last.s, next.s) < 0);
        last = next;
    }
}

static void *make_many(void *arg)
{
    struct sv_id *ids = arg;
    for (int i = 0; i < EACH; i++)
        ids[i] = sv_id_new();
    return NULL;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct sv_id *)a)->s, ((const struct sv_id *)b)->s);
}

static void unique_across_threads(void)
{
    struct sv_id *ids = calloc(THREADS * EACH, sizeof(*ids));
    pthread_t t[THREADS];
    CHECK(ids);
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_create(&t[i], NULL, make_many, ids + i * EACH), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    for (int i = 0; i < THREADS; i++)
        for (int k = 1; k < EACH; k++)
            CHECK(strcmp(ids[i * EACH + k - 1].s, ids[i * EACH + k].s) < 0);
    qsort(ids, THREADS * EACH, sizeof(*ids), by_text);
    /* The stamp alone must differ: the first 18 characters, without the random part. */
    for (int i = 1; i < THREADS * EACH; i++)
        CHECK(strncmp(ids[i - 1].s, ids[i].s, 18) != 0);
    free(ids);
}

static void validity(void)
{
    CHECK(sv_id_valid("018c5f3a-0000-7000-8000-00000000abcd"));
    static const char *const bad[] = {"",
                                      "x",
                                      "018C5F3A-0000-7000-8000-00000000ABCD",
                                      "018c5f3a-0000-7000-8000-00000000abcg",
                                      "018c5f3a-0000-7000-8000-00000000abc",
                                      "018c5f3a-0000-7000-8000-00000000abcde",
                                      "018c5f3a00000-7000-8000-00000000abcd",
                                      "../../../../../../../../etc/passwd0000"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(!sv_id_valid(bad[i]));
        struct sv_id id = sv_id_from(bad[i]);
        CHECK(sv_id_empty(&id));
    }
    CHECK(!sv_id_valid(NULL));
    struct sv_id none = sv_id_from(NULL), a = sv_id_new(), b = sv_id_from(a.s);
    CHECK(sv_id_empty(&none));
    CHECK(sv_id_eq(&a, &b) && !sv_id_eq(&a, &none));
}

static void hex_and_random(void)
{
    char out[11];
    sv_hex("\x00\x7f\x80\xff\x1a", 5, out);
    CHECK_STR(out, "007f80ff1a");
    unsigned char a[32] = {0}, b[32] = {0};
    sv_random(a, sizeof(a));
    sv_random(b, sizeof(b));
    CHECK(memcmp(a, b, sizeof(a)) != 0);
}

static void lists_grow_and_find(void)
{
    struct sv_ids l = {0};
    struct sv_id all[100];
    const struct sv_id other = sv_id_new();

    CHECK(!sv_ids_have(&l, &other));
    for (int i = 0; i < 100; i++) {
        all[i] = sv_id_new();
        sv_ids_add(&l, &all[i]);
    }
    for (int i = 0; i < 50; i++) { /* the other way round */
        const struct sv_id swap = l.v[i];
        l.v[i] = l.v[99 - i];
        l.v[99 - i] = swap;
    }
    sv_ids_sort(&l);
    CHECK_INT(l.n, 100);
    for (int i = 0; i < 100; i++)
        CHECK(sv_ids_have(&l, &all[i]) && sv_id_eq(&l.v[i], &all[i]));
    CHECK(!sv_ids_have(&l, &other));
    sv_ids_free(&l);
    CHECK(!l.v && l.n == 0);
}

CHECK_MAIN(T(looks_like_uuid7), T(strictly_rising), T(unique_across_threads), T(validity), T(hex_and_random),
           T(lists_grow_and_find))
