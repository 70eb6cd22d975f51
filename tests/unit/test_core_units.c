/* Which unit of networks is told next, and who hears of it. */
#include "check.h"
#include "core/network/unit_queue.h"

static struct sv_unit_queue *q;
static uint64_t heard[16];
static unsigned heard_count;

static void hear(void *arg, uint64_t ticket)
{
    (void)arg;
    heard[heard_count++] = ticket;
}

static void begin(void)
{
    heard_count = 0;
    q = sv_unit_queue_new(hear, NULL);
}

static void end(void)
{
    sv_unit_queue_free(q);
}

/* Ids need not be UUIDs here. */
static struct sv_id name(const char *text)
{
    struct sv_id id;
    SV_COPY(id.s, text);
    return id;
}

static void wish_of(const char *tenant, enum sv_net_unit kind, const char *id, uint64_t ticket)
{
    const struct sv_unit_wish w = {.kind = kind, .id = name(id), .tenant = name(tenant), .ticket = ticket};
    sv_unit_queue_add(q, &w);
}

#define TAKES(text)                                                                                                    \
    do {                                                                                                               \
        item = sv_unit_queue_take(q);                                                                                  \
        CHECK(item);                                                                                                   \
        CHECK_STR(item->id.s, (text));                                                                                 \
    } while (0)
#define TAKES_NONE()                                                                                                   \
    do {                                                                                                               \
        CHECK(!sv_unit_queue_any(q));                                                                                  \
        CHECK(!sv_unit_queue_take(q));                                                                                 \
    } while (0)

static void a_ticket_is_answered_when_all_its_units_are(void)
{
    struct sv_unit_item *item, *first;
    begin();
    wish_of("a", SV_UNIT_NIC, "n1", 7);
    wish_of("a", SV_UNIT_NIC, "n2", 7);
    TAKES("n1");
    first = item;
    TAKES("n2");
    sv_unit_queue_end(q, first, SV_UNIT_TOLD, 0);
    CHECK_INT(heard_count, 0);
    sv_unit_queue_end(q, item, SV_UNIT_FAILED, 0); /* a first failure is an answer, too */
    CHECK_INT(heard_count, 1);
    CHECK_INT(heard[0], 7);
    CHECK_INT(sv_unit_queue_counts(q).failed, 1);
    end();
}

static void who_asks_meanwhile_hears_of_the_next_time(void)
{
    struct sv_unit_item *item;
    begin();
    wish_of("a", SV_UNIT_NIC, "n", 1);
    TAKES("n");
    wish_of("a", SV_UNIT_NIC, "n", 2);
    TAKES_NONE(); /* one at a time */
    sv_unit_queue_answered(q, item);
    CHECK_INT(heard_count, 1);
    sv_unit_queue_end(q, item, SV_UNIT_TOLD, 0);
    CHECK_INT(heard_count, 1);
    TAKES("n");
    sv_unit_queue_end(q, item, SV_UNIT_TOLD, 0);
    CHECK_INT(heard_count, 2);
    CHECK_INT(heard[1], 2);
    TAKES_NONE();
    end();
}

static void a_pause_doubles_and_ends_at_once_with_a_new_wish(void)
{
    struct sv_unit_item *item;
    int64_t now = 0;
    begin();
    CHECK_INT(sv_unit_pause(1), 1000);
    CHECK_INT(sv_unit_pause(2), 2000);
    CHECK_INT(sv_unit_pause(6), 32000);
    CHECK_INT(sv_unit_pause(7), 60000);
    CHECK_INT(sv_unit_pause(700), 60000);
    wish_of("a", SV_UNIT_ROUTER, "r", 0);
    for (unsigned failures = 0; failures < 3; failures++) {
        TAKES("r");
        CHECK_INT(item->failures, failures);
        sv_unit_queue_end(q, item, SV_UNIT_FAILED, now);
        CHECK_INT(sv_unit_queue_due(q), now + (1000 << failures));
        now += (1000 << failures) - 1;
        sv_unit_queue_tick(q, now);
        TAKES_NONE();
        sv_unit_queue_tick(q, ++now);
    }
    TAKES("r");
    sv_unit_queue_end(q, item, SV_UNIT_FAILED, now);
    TAKES_NONE();
    wish_of("a", SV_UNIT_ROUTER, "r", 0);
    TAKES("r");
    CHECK_INT(item->failures, 4); /* in a row, all the same */
    sv_unit_queue_end(q, item, SV_UNIT_FAILED, now);
    const struct sv_id other = name("b"), mine = name("a");
    sv_unit_queue_hurry(q, &other);
    sv_unit_queue_tick(q, now);
    TAKES_NONE();
    sv_unit_queue_hurry(q, &mine);
    sv_unit_queue_tick(q, now);
    TAKES("r");
    sv_unit_queue_end(q, item, SV_UNIT_TOLD, now);
    CHECK_INT(sv_unit_queue_counts(q).failed, 0);
    end();
}

static void tenants_take_turns(void)
{
    struct sv_unit_item *item, *of_a[SV_UNITS_OF_TENANT];
    char id[16];
    begin();
    for (unsigned i = 0; i < 100; i++) {
        snprintf(id, sizeof(id), "a%u", i);
        wish_of("a", SV_UNIT_NIC, id, 0);
    }
    wish_of("b", SV_UNIT_NIC, "b", 0);
    TAKES("a0");
    of_a[0] = item;
    TAKES("b");
    sv_unit_queue_end(q, item, SV_UNIT_TOLD, 0);
    for (unsigned i = 1; i < SV_UNITS_OF_TENANT; i++)
        of_a[i] = sv_unit_queue_take(q);
    TAKES_NONE(); /* it has its share */
    wish_of("b", SV_UNIT_NIC, "b", 0);
    TAKES("b");
    sv_unit_queue_end(q, item, SV_UNIT_TOLD, 0);
    for (unsigned i = 0; i < SV_UNITS_OF_TENANT; i++)
        sv_unit_queue_end(q, of_a[i], SV_UNIT_TOLD, 0);
    TAKES("a3");
    sv_unit_queue_end(q, item, SV_UNIT_TOLD, 0);
    end();
}

static void what_failed_leaves_room_for_the_rest(void)
{
    struct sv_unit_item *item, *failing[SV_UNITS_THAT_FAILED];
    char id[16];
    begin();
    for (unsigned i = 0; i < SV_UNITS_AT_A_TIME; i++) {
        snprintf(id, sizeof(id), "t%u", i);
        const struct sv_unit_wish w = {.kind = SV_UNIT_VPC, .id = name(id), .tenant = name(id), .failures = 1};
        sv_unit_queue_add(q, &w);
    }
    for (unsigned i = 0; i < SV_UNITS_THAT_FAILED; i++)
        failing[i] = sv_unit_queue_take(q);
    TAKES_NONE();
    wish_of("fresh", SV_UNIT_VPC, "v", 0);
    TAKES("v");
    sv_unit_queue_end(q, item, SV_UNIT_TOLD, 0);
    for (unsigned i = 0; i < SV_UNITS_THAT_FAILED; i++)
        sv_unit_queue_end(q, failing[i], SV_UNIT_FAILED, 0);
    CHECK(sv_unit_queue_any(q));
    end();
}

static void groups_come_before_filters_and_go_after_them(void)
{
    struct sv_unit_item *item, *group, *filter;
    begin();
    wish_of("a", SV_UNIT_NIC, "n", 0);
    wish_of("a", SV_UNIT_GROUP, "g", 9);
    TAKES("g");
    group = item;
    TAKES_NONE(); /* the filter may name it */
    sv_unit_queue_end(q, group, SV_UNIT_AFTER_NICS, 0);
    CHECK_INT(heard_count, 0);
    TAKES("n");
    filter = item;
    TAKES_NONE();
    sv_unit_queue_end(q, filter, SV_UNIT_FAILED, 0); /* it may fail for ever */
    TAKES("g");
    CHECK(item->last);
    sv_unit_queue_end(q, item, SV_UNIT_TOLD, 0);
    CHECK_INT(heard_count, 1);
    CHECK_INT(heard[0], 9);
    end();
}

/* Those that wait when all of it ends are woken by others; nothing leaks. */
static void ends_with_what_there_is(void)
{
    struct sv_unit_item *item;
    begin();
    wish_of("a", SV_UNIT_VPC, "v", 1);
    wish_of("b", SV_UNIT_VPC, "w", 1);
    wish_of("b", SV_UNIT_NIC, "n", 2);
    TAKES("v");
    sv_unit_queue_end(q, item, SV_UNIT_FAILED, 0);
    end();
    CHECK_INT(heard_count, 0);
}

CHECK_MAIN(T(a_ticket_is_answered_when_all_its_units_are), T(who_asks_meanwhile_hears_of_the_next_time),
           T(a_pause_doubles_and_ends_at_once_with_a_new_wish), T(tenants_take_turns),
           T(what_failed_leaves_room_for_the_rest), T(groups_come_before_filters_and_go_after_them),
           T(ends_with_what_there_is))
