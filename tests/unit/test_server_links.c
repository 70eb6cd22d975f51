/* Which connections go when places run short. */
#include "check.h"
#include "server/links.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LIMIT = 64, MOST = 4 * LIMIT };

static struct sv_links *links;
static struct {
    int ours, theirs;
    struct sv_link *link;
} open_ones[MOST];
static unsigned count;

static void begin(void)
{
    links = sv_links_new(LIMIT);
    count = 0;
}

/* Comes from address `who`; its number. */
static unsigned come(unsigned who)
{
    const struct sv_peer peer = {.net = {[14] = (uint8_t)(who >> 8), [15] = (uint8_t)who}};
    int ends[2];
    CHECK(count < MOST && socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    open_ones[count].ours = ends[0];
    open_ones[count].theirs = ends[1];
    open_ones[count].link = sv_link_open(links, ends[0], &peer);
    return count++;
}

static void come_many(unsigned who, unsigned n)
{
    while (n-- > 0)
        come(who);
}

static bool is_cut(unsigned i)
{
    struct pollfd p = {.fd = open_ones[i].theirs, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static unsigned cut_among(unsigned from, unsigned n)
{
    unsigned found = 0;
    for (unsigned i = from; i < from + n; i++)
        found += is_cut(i);
    return found;
}

static struct sv_links_stats stats(void)
{
    struct sv_links_stats s;
    sv_links_stats(links, &s);
    return s;
}

static void end(void)
{
    for (unsigned i = 0; i < count; i++) {
        sv_link_close(links, open_ones[i].link);
        close(open_ones[i].ours);
        close(open_ones[i].theirs);
    }
    CHECK_INT(stats().count, 0);
    CHECK_INT(stats().addresses, 0);
    sv_links_free(links);
}

/* One address has half of all; the oldest make room, who comes is let in. */
static void half_for_one_address(void)
{
    begin();
    come_many(1, LIMIT / 2);
    CHECK_INT(cut_among(0, count), 0);
    come_many(1, LIMIT);
    CHECK(stats().count <= LIMIT / 2);
    CHECK(is_cut(0) && !is_cut(count - 1));
    unsigned kept = count - cut_among(0, count);
    CHECK_INT(kept, stats().count);
    for (unsigned i = count - kept; i < count; i++)
        CHECK(!is_cut(i)); /* in the order they came */
    CHECK_INT(stats().cut_address, count - kept);
    end();
}

static void less_for_each_when_there_are_many(void)
{
    begin();
    for (unsigned who = 1; who <= 3; who++)
        come_many(who, LIMIT / 2);
    CHECK(stats().count <= LIMIT && stats().count >= LIMIT / 2);
    unsigned first = stats().count;
    come_many(1, 1); /* its share is what the others leave by now */
    CHECK(stats().count < first);
    end();
}

/* Worth nothing: no head. Then without a body, idle ones, and at last who has shown a good token. */
static void the_least_worth_goes(void)
{
    begin();
    unsigned good = come(1), idle = come(1), body = come(1), served = come(1);
    sv_link_good(open_ones[good].link);
    CHECK(sv_link_stage(open_ones[good].link, SV_LINK_IDLE, 60) &&
          sv_link_stage(open_ones[idle].link, SV_LINK_IDLE, 60));
    CHECK(sv_link_stage(open_ones[body].link, SV_LINK_BODY, 60) &&
          sv_link_stage(open_ones[served].link, SV_LINK_SERVED, 0));
    come_many(1, LIMIT);
    CHECK(!is_cut(good) && !is_cut(idle) && !is_cut(body) && !is_cut(served));
    for (unsigned i = served + 1; i < count; i++)
        sv_link_stage(open_ones[i].link, SV_LINK_SERVED, 0);
    while (!is_cut(good)) { /* a little late each time: places are kept for new ones */
        unsigned i = come(1);
        CHECK(sv_link_stage(open_ones[i].link, SV_LINK_SERVED, 0));
        CHECK(is_cut(idle) <= is_cut(body) && is_cut(good) <= is_cut(idle));
    }
    CHECK(!is_cut(served));
    /* All are served: who comes has to go. */
    unsigned late = come(1);
    CHECK(is_cut(late) && !sv_link_stage(open_ones[late].link, SV_LINK_SERVED, 0));
    CHECK(!is_cut(come(2)));
    end();
}

/* Places are kept for those who have not spoken yet: they do not go before the idle ones. */
static void new_ones_have_a_chance(void)
{
    begin();
    for (unsigned i = 0; i < LIMIT / 2; i++) {
        unsigned n = come(1);
        sv_link_good(open_ones[n].link);
        CHECK(sv_link_stage(open_ones[n].link, SV_LINK_IDLE, 60));
    }
    unsigned fresh = come(1);
    CHECK(!is_cut(fresh) && cut_among(0, fresh) == 1);
    end();
}

/* Of many addresses the one with the most gives; who has one connection keeps it, however old it is. */
static void the_largest_gives(void)
{
    begin();
    unsigned lone = come(1000);
    come_many(1001, LIMIT / 4);
    for (unsigned who = 1; who <= 2 * LIMIT; who++)
        come(who);
    CHECK(stats().count <= LIMIT);
    CHECK(cut_among(lone + 1, LIMIT / 4) == LIMIT / 4 - 1 || cut_among(lone + 1, LIMIT / 4) == LIMIT / 4);
    CHECK(stats().cut_full > 0);
    end();
    begin();
    lone = come(1000);
    for (unsigned who = 1; who <= 8; who++)
        come_many(who, LIMIT / 4);
    CHECK(stats().count <= LIMIT && !is_cut(lone));
    end();
}

static void time_is_up(void)
{
    begin();
    unsigned a = come(1), b = come(1), c = come(1);
    CHECK(sv_link_stage(open_ones[a].link, SV_LINK_BODY, 60) && sv_link_stage(open_ones[b].link, SV_LINK_SERVED, 0));
    CHECK(sv_link_stage(open_ones[c].link, SV_LINK_REPLY, 60));
    sv_links_hurry(links, 0);
    struct pollfd p = {.fd = open_ones[a].theirs, .events = POLLIN};
    CHECK_INT(poll(&p, 1, 10000), 1);
    CHECK(!is_cut(b) && !is_cut(c));
    CHECK(!sv_link_stage(open_ones[a].link, SV_LINK_SERVED, 0));
    CHECK_INT(stats().cut_late, 1);
    end();
}

CHECK_MAIN(T(half_for_one_address), T(less_for_each_when_there_are_many), T(the_least_worth_goes),
           T(new_ones_have_a_chance), T(the_largest_gives), T(time_is_up))
