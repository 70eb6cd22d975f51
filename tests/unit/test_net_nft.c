/* One transaction of nftables: whole or not at all, in the namespace that was meant. */
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "net/linux/internal.h"
#include "net_sandbox.h"

static void make_namespaces(void)
{
    CHECK_INT(RUN("ip", "netns", "add", "one"), 0);
    CHECK_INT(RUN("ip", "netns", "add", "two"), 0);
}

static enum sv_err run(int fd, const char *text)
{
    return nft_run(fd, text, strlen(text), &err);
}

static bool has(int fd, const char *table)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    OK(nft_look(fd, "list tables", &out, &err));
    return out.p && strstr(out.p, table);
}

static void a_text_is_in_force_in_its_namespace_only(void)
{
    SV_AUTOFD int one = netns_open("/run/netns/one");
    SV_AUTOFD int two = netns_open("/run/netns/two");
    OK(run(one, "add table ip first\nadd chain ip first c\nadd rule ip first c ip saddr 192.0.2.1 drop\n"));
    CHECK(has(one, "table ip first"));
    CHECK(!has(two, "first"));
    CHECK(!has(-1, "first"));
    OK(run(-1, "add table ip mine"));
    CHECK(has(-1, "table ip mine"));
    CHECK(!has(one, "mine"));
    OK(run(-1, "delete table ip mine"));
    OK(run(one, "delete table ip first"));
}

static void a_bad_text_changes_nothing(void)
{
    SV_AUTOFD int one = netns_open("/run/netns/one");
    CHECK_INT(run(one, "add table ip half\nadd rule ip half nowhere drop\n"), SV_E_NETWORK);
    CHECK(strstr(err.arg[0], "No such file or directory"));
    CHECK(!strchr(err.arg[0], '\n'));
    CHECK(!has(one, "half"));
    CHECK_INT(run(one, "add table ip half\nnonsense\n"), SV_E_NETWORK);
    CHECK(strstr(err.arg[0], "nft: syntax error"));
    CHECK(!has(one, "half"));
    CHECK_INT(nft_run(one, "add table ip half\0", sizeof("add table ip half"), &err), SV_E_INTERNAL);
    CHECK(!has(one, "half"));
}

struct worker {
    const char *netns;
    unsigned failures;
};

static void *many(void *arg)
{
    struct worker *w = arg;
    struct sv_error e;
    SV_AUTOFD int fd = netns_open(w->netns);
    static const char text[] =
        "add table ip t\ndelete table ip t\nadd table ip t\nadd set ip t s { type ipv4_addr; flags "
        "interval; elements = { 192.0.2.0/25, 198.51.100.7 }; }\nadd chain ip t c { type filter "
        "hook input priority 0; }\nadd rule ip t c iifname \"lo\" tcp dport { 22, 80 } accept\n";
    for (int i = 0; i < 50; i++)
        w->failures += nft_run(fd, text, strlen(text), &e) != SV_OK;
    return NULL;
}

static void threads_do_not_meet(void)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.netns = i % 2 ? "/run/netns/one" : "/run/netns/two"};
        CHECK_INT(pthread_create(&threads[i], NULL, many, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK_INT(workers[i].failures, 0);
    }
}

int main(int argc, char **argv)
{
    static const struct check_test tests[] = {T(a_text_is_in_force_in_its_namespace_only),
                                              T(a_bad_text_changes_nothing), T(threads_do_not_meet)};
    return net_sandbox(tests, sizeof(tests) / sizeof(tests[0]), make_namespaces, argc, argv);
}
