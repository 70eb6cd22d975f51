/* What hosts do, as the southbound database says: which one has a port, and how far its ovn-controller has come. */
#include "net/ovn/internal.h"

#define DATABASE "[\"OVN_Southbound\","

/* The first row that the only question found; NULL when there is none. Stays with *answer. */
static enum sv_err ask_row(struct ovn_link *l, const char *text, json_object **answer, json_object **ret,
                           struct sv_error *err)
{
    const enum sv_err rc = ovn_transact(l, text, answer, err);
    json_object *rows = rc ? NULL : ovn_rows(*answer, 0);
    *ret = rows && json_object_array_length(rows) ? json_object_array_get_idx(rows, 0) : NULL;
    return rc;
}

/* Row of table Chassis that has the port; "" = none has. */
static enum sv_err find_chassis(struct ovn_link *l, const struct sv_id *nic, char ret[SV_ID_LEN + 1],
                                struct sv_error *err)
{
    OVN_AUTOJSON json_object *answer = NULL;
    json_object *row;
    SV_AUTOFREE char *text =
        sv_asprintf(DATABASE "{\"op\":\"select\",\"table\":\"Port_Binding\",\"columns\":[\"chassis\"],"
                             "\"where\":[[\"logical_port\",\"==\",\"%s\"]]}]",
                    nic->s);
    const enum sv_err rc = ask_row(l, text, &answer, &row, err);
    const char *chassis = row ? ovn_reference(row, "chassis") : NULL;
    sv_copy(ret, SV_ID_LEN + 1, chassis ? chassis : "");
    return rc;
}

/* `name` stays "" where the chassis has gone. */
struct progress {
    char name[256];
    int64_t count;
};

static enum sv_err read_progress(struct ovn_link *l, const char *chassis, struct progress *ret, struct sv_error *err)
{
    OVN_AUTOJSON json_object *answer = NULL;
    json_object *row;
    SV_AUTOFREE char *text =
        sv_asprintf(DATABASE "{\"op\":\"select\",\"table\":\"Chassis_Private\",\"columns\":[\"name\",\"nb_cfg\"],"
                             "\"where\":[[\"chassis\",\"==\",[\"uuid\",\"%s\"]]]}]",
                    chassis);
    const enum sv_err rc = ask_row(l, text, &answer, &row, err);
    const char *name = row ? json_object_get_string(json_object_object_get(row, "name")) : NULL;
    *ret = (struct progress){.count = row ? json_object_get_int64(json_object_object_get(row, "nb_cfg")) : 0};
    SV_COPY(ret->name, name ? name : "");
    return rc;
}

/* Until it has come further than `seen`; an error when it has not within `ms`. */
static enum sv_err wait_progress(struct ovn_link *l, const char *chassis, int64_t seen, int64_t ms,
                                 struct sv_error *err)
{
    OVN_AUTOJSON json_object *answer = NULL;
    SV_AUTOFREE char *text =
        sv_asprintf(DATABASE "{\"op\":\"wait\",\"timeout\":%lld,\"table\":\"Chassis_Private\","
                             "\"where\":[[\"chassis\",\"==\",[\"uuid\",\"%s\"]]],\"columns\":[\"nb_cfg\"],"
                             "\"until\":\"!=\",\"rows\":[{\"nb_cfg\":%lld}]}]",
                    (long long)ms, chassis, (long long)seen);
    return ovn_transact(l, text, &answer, err);
}

static enum sv_err lags(const char *name, struct sv_error *err)
{
    SV_AUTOFREE char *text = sv_asprintf("host %s does not follow OVN's southbound database", name);
    return sv_fail(err, SV_E_NETWORK, SV_F_NONE, text);
}

static enum sv_err wait_followed(struct ovn_link *l, const char *chassis, int64_t until, struct sv_error *err)
{
    for (;;) {
        struct progress p;
        enum sv_err rc = read_progress(l, chassis, &p, err);
        if (rc || !p.name[0] || p.count >= until)
            return rc;
        /* A quarter of the time is left to say so. */
        const int64_t left = sv_deadline_left(&l->deadline);
        rc = wait_progress(l, chassis, p.count, left - left / 4, err);
        if (rc)
            return l->refused ? lags(p.name, err) : rc;
    }
}

enum sv_err ovn_nic_followed(const struct ovn_net *net, const struct sv_id *nic, int64_t until,
                             const struct sv_deadline *d, struct sv_error *err)
{
    SV_CLEANUP(ovn_link_close) struct ovn_link l = {.fd = -1};
    char chassis[SV_ID_LEN + 1];
    if (!net->south)
        return SV_OK;
    enum sv_err rc = ovn_link_open(&l, OVN_SOUTH, net->south, d, err);
    if (!rc)
        rc = find_chassis(&l, nic, chassis, err);
    return rc || !chassis[0] ? rc : wait_followed(&l, chassis, until, err);
}
