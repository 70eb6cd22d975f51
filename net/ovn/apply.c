/* Plans made true. */
#include "net/ovn/internal.h"

/* Hosts that are switched off never follow: after this their time it is theirs. */
enum { HOSTS_MS = 500, ATTEMPTS = 5 };

/* --- until OVN works with it --- */

struct counts {
    int64_t made, translated, followed; /* nb_cfg, sb_cfg, hv_cfg */
};

static int64_t count_of(json_object *row, const char *column)
{
    return json_object_get_int64(json_object_object_get(row, column));
}

static enum sv_err read_counts(struct ovn_link *l, struct counts *ret, struct sv_error *err)
{
    OVN_AUTOJSON json_object *answer = NULL;
    enum sv_err rc = ovn_transact(l,
                                  "[\"OVN_Northbound\",{\"op\":\"select\",\"table\":\"NB_Global\",\"where\":[],"
                                  "\"columns\":[\"nb_cfg\",\"sb_cfg\",\"hv_cfg\"]}]",
                                  &answer, err);
    json_object *rows = rc ? NULL : ovn_rows(answer, 0);
    json_object *row = rows && json_object_array_length(rows) ? json_object_array_get_idx(rows, 0) : NULL;
    if (row)
        *ret = (struct counts){count_of(row, "nb_cfg"), count_of(row, "sb_cfg"), count_of(row, "hv_cfg")};
    return rc;
}

/* Until the column is another than `seen`; an error when that does not happen within `ms`. */
static enum sv_err wait_change(struct ovn_link *l, const char *column, int64_t seen, int64_t ms, struct sv_error *err)
{
    OVN_AUTOJSON json_object *answer = NULL;
    SV_AUTOFREE char *text =
        sv_asprintf("[\"OVN_Northbound\",{\"op\":\"wait\",\"timeout\":%lld,\"table\":\"NB_Global\","
                    "\"where\":[],\"columns\":[\"%s\"],\"until\":\"!=\",\"rows\":[{\"%s\":%lld}]}]",
                    (long long)ms, column, column, (long long)seen);
    return ovn_transact(l, text, &answer, err);
}

enum sv_err ovn_wait_translated(struct ovn_link *l, int64_t *until, struct sv_error *err)
{
    for (;;) {
        struct counts c = {0};
        enum sv_err rc = read_counts(l, &c, err);
        *until = *until ? *until : c.made;
        if (rc || c.translated >= *until)
            return rc;
        /* A quarter of the time is left to say so. */
        const int64_t left = sv_deadline_left(&l->deadline);
        rc = wait_change(l, "sb_cfg", c.translated, left - left / 4, err);
        if (rc)
            return l->refused
                       ? sv_fail(err, SV_E_NETWORK, SV_F_NONE, "ovn-northd does not follow OVN's northbound database")
                       : rc;
    }
}

static void wait_followed(struct ovn_link *l, int64_t until)
{
    struct sv_error ignored;
    const struct sv_deadline hosts = sv_deadline_within(&l->deadline, HOSTS_MS);
    for (;;) {
        struct counts c = {0};
        if (read_counts(l, &c, &ignored) || c.followed >= until || sv_deadline_left(&hosts) == 0 ||
            wait_change(l, "hv_cfg", c.followed, sv_deadline_left(&hosts), &ignored))
            return;
    }
}

/* --- applying --- */

static enum sv_err find(struct ovn_link *l, const struct ovn_plan *p, struct ovn_found *ret, struct sv_error *err)
{
    OVN_AUTOJSON json_object *answer = NULL;
    SV_AUTOFREE char *text = ovn_find_text(p);
    enum sv_err rc = ovn_transact(l, text, &answer, err);
    if (!rc && !ovn_found_read(p, answer, ret))
        rc = sv_fail(err, SV_E_NETWORK, SV_F_NONE, "OVN's northbound database gave an answer that is none");
    return rc;
}

static enum sv_err is_same(struct ovn_link *l, const struct ovn_plan *p, const struct ovn_found *f, bool *ret,
                           struct sv_error *err)
{
    OVN_AUTOJSON json_object *answer = NULL;
    SV_AUTOFREE char *text = ovn_same_text(p, f);
    *ret = false;
    if (!text)
        return SV_OK;
    enum sv_err rc = ovn_transact(l, text, &answer, err);
    if (rc)
        return rc;
    /* One row for each row and set, none for what should be left. */
    const size_t n = json_object_array_length(answer);
    for (size_t i = 0; i < n; i++) {
        json_object *rows = ovn_rows(answer, i);
        if (!rows || json_object_array_length(rows) != (i + p->leave_count < n ? 1 : 0))
            return SV_OK;
    }
    *ret = true;
    return SV_OK;
}

static enum sv_err make(struct ovn_link *l, const struct ovn_plan *p, const struct ovn_found *f, int64_t *ret_count,
                        struct sv_error *err)
{
    OVN_AUTOJSON json_object *answer = NULL;
    SV_AUTOFREE char *text = ovn_make_text(p, f);
    enum sv_err rc = ovn_transact(l, text, &answer, err);
    json_object *rows = rc ? NULL : ovn_rows(answer, json_object_array_length(answer) - 1);
    if (rows && json_object_array_length(rows))
        *ret_count = count_of(json_object_array_get_idx(rows, 0), "nb_cfg");
    return rc;
}

/* Once; *ret_count stays 0 when all is as it should be. */
static enum sv_err attempt(struct ovn_link *l, const struct ovn_plan *p, int64_t *ret_count, struct sv_error *err)
{
    SV_CLEANUP(ovn_found_free) struct ovn_found found = {0};
    bool same = false;
    enum sv_err rc = find(l, p, &found, err);
    if (rc || (p->row_count == 0 && found.stale_count == 0))
        return rc;
    rc = is_same(l, p, &found, &same, err);
    return rc || same ? rc : make(l, p, &found, ret_count, err);
}

enum sv_err ovn_whole(const struct ovn_net *net, const struct ovn_plan *p, bool *ret, struct sv_error *err)
{
    SV_CLEANUP(ovn_link_close) struct ovn_link l = {.fd = -1};
    SV_CLEANUP(ovn_found_free) struct ovn_found found = {0};
    const struct sv_deadline limit = sv_deadline_within(NULL, OVN_CALL_MS);
    enum sv_err rc = ovn_link_open(&l, OVN_NORTH, net->remotes, &limit, err);
    if (!rc)
        rc = find(&l, p, &found, err);
    return rc ? rc : is_same(&l, p, &found, ret, err);
}

enum sv_err ovn_apply(const struct ovn_net *net, const struct ovn_plan *p, const struct sv_deadline *d,
                      struct sv_error *err)
{
    SV_CLEANUP(ovn_link_close) struct ovn_link l = {.fd = -1};
    const struct sv_deadline none = {0}, limit = sv_deadline_within(d ? d : &none, OVN_CALL_MS);
    int64_t count = 0;
    enum sv_err rc = ovn_link_open(&l, OVN_NORTH, net->remotes, &limit, err);
    if (rc)
        return rc;
    /* Refused: mostly because another unit made the same row at the same time. */
    for (unsigned i = 0; i < ATTEMPTS && (i == 0 || l.refused); i++)
        rc = attempt(&l, p, &count, err);
    /* Where all is as it should be, too: an earlier call may have waited in vain. */
    const bool changed = count > 0;
    if (!rc)
        rc = ovn_wait_translated(&l, &count, err);
    if (!rc && changed)
        wait_followed(&l, count);
    return rc;
}

enum sv_err ovn_remove(const struct ovn_net *net, const char *kind, const struct sv_id *id, const struct sv_deadline *d,
                       struct sv_error *err)
{
    SV_CLEANUP(ovn_plan_free) struct ovn_plan p = {0};
    ovn_plan_init(&p, net->owner, kind, id->s);
    return ovn_apply(net, &p, d, err);
}
