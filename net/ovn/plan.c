/* Plans as texts. References to rows that are there are their UUIDs, to those that this transaction makes their names
 * in it. */
#include <stdio.h>
#include <stdlib.h>

#include "net/ovn/internal.h"

static const struct {
    const char *name;
    bool root; /* else a row goes when nothing holds it any more */
    struct {
        enum ovn_table table;
        const char *column;
    } holders[2];
    unsigned holder_count;
} tables[OVN_TABLES] = {
    [OVN_SWITCH] = {"Logical_Switch", true, {{0}}, 0},
    [OVN_SWITCH_PORT] = {"Logical_Switch_Port", false, {{OVN_SWITCH, "ports"}}, 1},
    [OVN_DHCP] = {"DHCP_Options", true, {{0}}, 0},
    [OVN_PORT_GROUP] = {"Port_Group", true, {{0}}, 0},
    [OVN_ACL] = {"ACL", false, {{OVN_PORT_GROUP, "acls"}, {OVN_SWITCH, "acls"}}, 2},
    [OVN_ROUTER] = {"Logical_Router", true, {{0}}, 0},
    [OVN_ROUTER_PORT] = {"Logical_Router_Port", false, {{OVN_ROUTER, "ports"}}, 1},
    [OVN_NAT] = {"NAT", false, {{OVN_ROUTER, "nat"}}, 1},
    [OVN_ROUTE] = {"Logical_Router_Static_Route", false, {{OVN_ROUTER, "static_routes"}}, 1},
    [OVN_CHASSIS] = {"Gateway_Chassis", false, {{OVN_ROUTER_PORT, "gateway_chassis"}}, 1},
    [OVN_BALANCER] = {"Load_Balancer", true, {{0}}, 0},
};

static const struct {
    const char *kind;
    unsigned tables;
} kinds[] = {
    {"vpc", 1u << OVN_SWITCH | 1u << OVN_SWITCH_PORT | 1u << OVN_DHCP | 1u << OVN_ACL},
    {"nic", 1u << OVN_PORT_GROUP | 1u << OVN_ACL},
    {"group", 1u << OVN_PORT_GROUP | 1u << OVN_ACL},
    {"router", 1u << OVN_SWITCH | 1u << OVN_ROUTER | 1u << OVN_ROUTER_PORT | 1u << OVN_SWITCH_PORT | 1u << OVN_NAT |
                   1u << OVN_ROUTE | 1u << OVN_CHASSIS | 1u << OVN_BALANCER | 1u << OVN_ACL},
};

const char *ovn_table_name(enum ovn_table t)
{
    return tables[t].name;
}

/* --- making a plan --- */

void ovn_plan_init(struct ovn_plan *p, const char *owner, const char *kind, const char *id)
{
    *p = (struct ovn_plan){.arena = sv_arena_new(), .owner = owner, .unit = {.kind = kind}};
    p->unit.id = sv_arena_strdup(p->arena, id);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].kind, kind) == 0)
            p->tables = kinds[i].tables;
}

void ovn_plan_free(struct ovn_plan *p)
{
    for (size_t i = 0; i < p->row_count; i++)
        free(p->rows[i].columns);
    free(p->rows);
    free(p->holds);
    free(p->leaves);
    sv_arena_free(p->arena);
    *p = (struct ovn_plan){0};
}

static size_t add_row(struct ovn_plan *p, const struct ovn_row *r)
{
    p->rows = sv_grow(p->rows, p->row_count, &p->row_cap, sizeof(*p->rows));
    p->rows[p->row_count] = *r;
    p->rows[p->row_count].key = sv_arena_strdup(p->arena, r->key);
    return p->row_count++;
}

size_t ovn_row(struct ovn_plan *p, enum ovn_table table, const char *key)
{
    const struct ovn_row r = {.table = table, .unit = p->unit, .key = key};
    return add_row(p, &r);
}

size_t ovn_row_of(struct ovn_plan *p, enum ovn_table table, struct ovn_unit unit, const char *key, const char *name)
{
    const struct ovn_row r = {.table = table,
                              .unit = {.kind = unit.kind, .id = sv_arena_strdup(p->arena, unit.id)},
                              .key = key,
                              .name = sv_arena_strdup(p->arena, name)};
    size_t row = add_row(p, &r);
    ovn_set(p, row, "name", name);
    return row;
}

static struct ovn_column *add_column(struct ovn_plan *p, size_t row, const char *name)
{
    struct ovn_row *r = &p->rows[row];
    r->columns = sv_grow(r->columns, r->column_count, &r->column_cap, sizeof(*r->columns));
    r->columns[r->column_count] = (struct ovn_column){.name = name};
    return &r->columns[r->column_count++];
}

static void set_json(struct ovn_plan *p, size_t row, const char *column, struct sv_buf *json)
{
    add_column(p, row, column)->json = sv_arena_strdup(p->arena, json->p);
    sv_buf_free(json);
}

void ovn_set(struct ovn_plan *p, size_t row, const char *column, const char *text)
{
    struct sv_buf b = {0};
    struct sv_json j;
    sv_json_init(&j, &b);
    sv_json_str(&j, NULL, text);
    set_json(p, row, column, &b);
}

void ovn_set_int(struct ovn_plan *p, size_t row, const char *column, int64_t v)
{
    struct sv_buf b = {0};
    sv_buf_printf(&b, "%lld", (long long)v);
    set_json(p, row, column, &b);
}

void ovn_set_bool(struct ovn_plan *p, size_t row, const char *column, bool v)
{
    struct sv_buf b = {0};
    sv_buf_puts(&b, v ? "true" : "false");
    set_json(p, row, column, &b);
}

static void map_json(struct sv_json *j, const char *key, const char *const *pairs)
{
    sv_json_arr(j, key);
    sv_json_str(j, NULL, "map");
    sv_json_arr(j, NULL);
    for (; pairs[0]; pairs += 2) {
        sv_json_arr(j, NULL);
        sv_json_str(j, NULL, pairs[0]);
        sv_json_str(j, NULL, pairs[1]);
        sv_json_end_arr(j);
    }
    sv_json_end_arr(j);
    sv_json_end_arr(j);
}

void ovn_set_map(struct ovn_plan *p, size_t row, const char *column, const char *const *pairs)
{
    struct sv_buf b = {0};
    struct sv_json j;
    sv_json_init(&j, &b);
    map_json(&j, NULL, pairs);
    set_json(p, row, column, &b);
}

void ovn_set_row(struct ovn_plan *p, size_t row, const char *column, size_t to)
{
    add_column(p, row, column)->row = to;
}

void ovn_hold(struct ovn_plan *p, size_t holder, const char *column, size_t held)
{
    p->holds = sv_grow(p->holds, p->hold_count, &p->hold_cap, sizeof(*p->holds));
    p->holds[p->hold_count++] = (struct ovn_hold){.holder = holder, .column = column, .held = held};
}

void ovn_leave(struct ovn_plan *p, enum ovn_table table, const char *kind, const char *column, size_t held)
{
    p->leaves = sv_grow(p->leaves, p->leave_count, &p->leave_cap, sizeof(*p->leaves));
    p->leaves[p->leave_count++] = (struct ovn_leave){.table = table, .kind = kind, .column = column, .held = held};
}

void ovn_found_free(struct ovn_found *f)
{
    free(f->uuids);
    free(f->stale);
    *f = (struct ovn_found){0};
}

/* --- pieces of transactions --- */

/* ["a","b",...] */
static void strings(struct sv_json *j, const char *key, const char *const *v)
{
    sv_json_arr(j, key);
    for (; *v; v++)
        sv_json_str(j, NULL, *v);
    sv_json_end_arr(j);
}

static void op(struct sv_json *j, const char *name, enum ovn_table table)
{
    sv_json_obj(j, NULL);
    sv_json_str(j, "op", name);
    sv_json_str(j, "table", tables[table].name);
}

static void external_ids(struct sv_json *j, const char *key, const struct ovn_plan *p, const struct ovn_row *r)
{
    const char *pairs[16] = {"starvirt",    p->owner,   "starvirt-kind", r->unit.kind,
                             "starvirt-id", r->unit.id, "starvirt-row",  r->key};
    size_t n = 8;
    if (r->rule) {
        pairs[n++] = "starvirt-rule";
        pairs[n++] = r->rule;
    }
    if (r->nodes) {
        pairs[n++] = "starvirt-nodes";
        pairs[n++] = r->nodes;
    }
    map_json(j, key, pairs);
}

/* ["column",function, */
static void condition(struct sv_json *j, const char *column, const char *function)
{
    sv_json_arr(j, NULL);
    sv_json_str(j, NULL, column);
    sv_json_str(j, NULL, function);
}

static void ids_include(struct sv_json *j, const char *const *pairs)
{
    condition(j, "external_ids", "includes");
    map_json(j, NULL, pairs);
    sv_json_end_arr(j);
}

static void uuid_is(struct sv_json *j, const char *uuid)
{
    condition(j, "_uuid", "==");
    strings(j, NULL, OVN_MAP("uuid", uuid));
    sv_json_end_arr(j);
}

static void reference(struct sv_json *j, const char *key, const struct ovn_found *f, size_t row)
{
    char made[32];
    snprintf(made, sizeof(made), "row%zu", row);
    if (f->uuids[row][0])
        strings(j, key, OVN_MAP("uuid", f->uuids[row]));
    else
        strings(j, key, OVN_MAP("named-uuid", made));
}

/* ["set",[reference]] */
static void set_of(struct sv_json *j, const struct ovn_found *f, size_t row)
{
    sv_json_arr(j, NULL);
    sv_json_str(j, NULL, "set");
    sv_json_arr(j, NULL);
    reference(j, NULL, f, row);
    sv_json_end_arr(j);
    sv_json_end_arr(j);
}

/* "mutations":[["column","insert",["set",[reference]]]] */
static void mutation(struct sv_json *j, const char *column, const char *how, const struct ovn_found *f, size_t row)
{
    sv_json_arr(j, "mutations");
    condition(j, column, how);
    set_of(j, f, row);
    sv_json_end_arr(j);
    sv_json_end_arr(j);
}

static void begin(struct sv_json *j, struct sv_buf *out)
{
    sv_json_init(j, out);
    sv_json_arr(j, NULL);
    sv_json_str(j, NULL, "OVN_Northbound");
}

/* --- what is there --- */

char *ovn_find_text(const struct ovn_plan *p)
{
    struct sv_buf out = {0};
    struct sv_json j;
    begin(&j, &out);
    for (unsigned t = 0; t < OVN_TABLES; t++) {
        if (!(p->tables & 1u << t))
            continue;
        op(&j, "select", (enum ovn_table)t);
        sv_json_arr(&j, "where");
        ids_include(&j, OVN_MAP("starvirt", p->owner, "starvirt-kind", p->unit.kind, "starvirt-id", p->unit.id));
        sv_json_end_arr(&j);
        strings(&j, "columns", OVN_MAP("_uuid", "external_ids"));
        sv_json_end_obj(&j);
    }
    for (size_t i = 0; i < p->row_count; i++) {
        if (!p->rows[i].name)
            continue;
        op(&j, "select", p->rows[i].table);
        sv_json_arr(&j, "where");
        condition(&j, "name", "==");
        sv_json_str(&j, NULL, p->rows[i].name);
        sv_json_end_arr(&j);
        ids_include(&j, OVN_MAP("starvirt", p->owner));
        sv_json_end_arr(&j);
        strings(&j, "columns", OVN_MAP("_uuid"));
        sv_json_end_obj(&j);
    }
    sv_json_end_arr(&j);
    return sv_buf_steal(&out);
}

/* ["uuid","…"] */
const char *ovn_reference(json_object *row, const char *column)
{
    json_object *pair = json_object_object_get(row, column);
    json_object *uuid = json_object_is_type(pair, json_type_array) ? json_object_array_get_idx(pair, 1) : NULL;
    return json_object_is_type(uuid, json_type_string) && json_object_get_string_len(uuid) == SV_ID_LEN
               ? json_object_get_string(uuid)
               : NULL;
}

const char *ovn_uuid(json_object *row)
{
    return ovn_reference(row, "_uuid");
}

const char *ovn_external_id(json_object *row, const char *key)
{
    json_object *map = json_object_object_get(row, "external_ids");
    json_object *pairs = json_object_is_type(map, json_type_array) ? json_object_array_get_idx(map, 1) : NULL;
    for (size_t i = 0; json_object_is_type(pairs, json_type_array) && i < json_object_array_length(pairs); i++) {
        json_object *pair = json_object_array_get_idx(pairs, i);
        if (json_object_is_type(pair, json_type_array) && json_object_array_length(pair) == 2 &&
            strcmp(json_object_get_string(json_object_array_get_idx(pair, 0)), key) == 0)
            return json_object_get_string(json_object_array_get_idx(pair, 1));
    }
    return NULL;
}

json_object *ovn_rows(json_object *answer, size_t i)
{
    json_object *result = json_object_is_type(answer, json_type_array) ? json_object_array_get_idx(answer, i) : NULL;
    json_object *rows = json_object_is_type(result, json_type_object) ? json_object_object_get(result, "rows") : NULL;
    return json_object_is_type(rows, json_type_array) ? rows : NULL;
}

/* The place of a row that was found, NULL when it is not wanted (any more, or twice). */
static char *place_of(const struct ovn_plan *p, const struct ovn_found *f, enum ovn_table table, const char *key)
{
    for (size_t i = 0; key && i < p->row_count; i++)
        if (p->rows[i].table == table && !p->rows[i].name && strcmp(p->rows[i].key, key) == 0)
            return f->uuids[i][0] ? NULL : f->uuids[i];
    return NULL;
}

static bool found_own(const struct ovn_plan *p, json_object *rows, enum ovn_table table, struct ovn_found *f)
{
    for (size_t i = 0; rows && i < json_object_array_length(rows); i++) {
        json_object *row = json_object_array_get_idx(rows, i);
        const char *uuid = ovn_uuid(row);
        if (!uuid)
            return false;
        char *place = place_of(p, f, table, ovn_external_id(row, "starvirt-row"));
        if (!place) {
            f->stale = sv_grow(f->stale, f->stale_count, &f->stale_cap, sizeof(*f->stale));
            f->stale[f->stale_count].table = table;
            place = f->stale[f->stale_count++].uuid;
        }
        sv_copy(place, SV_ID_LEN + 1, uuid);
    }
    return rows != NULL;
}

bool ovn_found_read(const struct ovn_plan *p, json_object *answer, struct ovn_found *ret)
{
    size_t n = 0;
    *ret = (struct ovn_found){.uuids = sv_alloc((p->row_count + 1) * sizeof(*ret->uuids))};
    for (unsigned t = 0; t < OVN_TABLES; t++)
        if (p->tables & 1u << t && !found_own(p, ovn_rows(answer, n++), (enum ovn_table)t, ret))
            return false;
    for (size_t i = 0; i < p->row_count; i++) {
        json_object *rows = p->rows[i].name ? ovn_rows(answer, n++) : NULL;
        const char *uuid = rows && json_object_array_length(rows) ? ovn_uuid(json_object_array_get_idx(rows, 0)) : NULL;
        if (p->rows[i].name && !rows)
            return false;
        if (uuid)
            sv_copy(ret->uuids[i], sizeof(ret->uuids[i]), uuid);
    }
    return true;
}

/* --- is it as it should be? --- */

static void same_row(struct sv_json *j, const struct ovn_plan *p, const struct ovn_found *f, size_t row)
{
    const struct ovn_row *r = &p->rows[row];
    op(j, "select", r->table);
    sv_json_arr(j, "where");
    uuid_is(j, f->uuids[row]);
    for (size_t i = 0; i < r->column_count; i++) {
        condition(j, r->columns[i].name, "==");
        if (r->columns[i].json)
            sv_json_raw(j, NULL, r->columns[i].json);
        else
            reference(j, NULL, f, r->columns[i].row);
        sv_json_end_arr(j);
    }
    condition(j, "external_ids", "==");
    external_ids(j, NULL, p, r);
    sv_json_end_arr(j);
    sv_json_end_arr(j);
    strings(j, "columns", OVN_MAP("_uuid"));
    sv_json_end_obj(j);
}

static void same_hold(struct sv_json *j, const struct ovn_plan *p, const struct ovn_found *f, const struct ovn_hold *h)
{
    op(j, "select", p->rows[h->holder].table);
    sv_json_arr(j, "where");
    uuid_is(j, f->uuids[h->holder]);
    condition(j, h->column, "includes");
    set_of(j, f, h->held);
    sv_json_end_arr(j);
    sv_json_end_arr(j);
    strings(j, "columns", OVN_MAP("_uuid"));
    sv_json_end_obj(j);
}

/* Rows that hold it: as many as should, which is asked of them by name, and no other. */
static void same_leave(struct sv_json *j, const struct ovn_plan *p, const struct ovn_found *f,
                       const struct ovn_leave *l)
{
    op(j, "select", l->table);
    sv_json_arr(j, "where");
    ids_include(j, OVN_MAP("starvirt", p->owner, "starvirt-kind", l->kind));
    condition(j, l->column, "includes");
    set_of(j, f, l->held);
    sv_json_end_arr(j);
    for (size_t i = 0; i < p->hold_count; i++) {
        const struct ovn_hold *h = &p->holds[i];
        if (h->held != l->held || p->rows[h->holder].table != l->table || strcmp(h->column, l->column) != 0)
            continue;
        condition(j, "_uuid", "!=");
        strings(j, NULL, OVN_MAP("uuid", f->uuids[h->holder]));
        sv_json_end_arr(j);
    }
    sv_json_end_arr(j);
    strings(j, "columns", OVN_MAP("_uuid"));
    sv_json_end_obj(j);
}

char *ovn_same_text(const struct ovn_plan *p, const struct ovn_found *f)
{
    struct sv_buf out = {0};
    struct sv_json j;
    if (f->stale_count)
        return NULL;
    for (size_t i = 0; i < p->row_count; i++)
        if (!f->uuids[i][0])
            return NULL;
    begin(&j, &out);
    for (size_t i = 0; i < p->row_count; i++)
        if (!p->rows[i].name)
            same_row(&j, p, f, i);
    for (size_t i = 0; i < p->hold_count; i++)
        same_hold(&j, p, f, &p->holds[i]);
    for (size_t i = 0; i < p->leave_count; i++)
        same_leave(&j, p, f, &p->leaves[i]);
    sv_json_end_arr(&j);
    return sv_buf_steal(&out);
}

/* --- making it so --- */

static void let_go(struct sv_json *j, const struct ovn_stale *s)
{
    /* A set of one in the place of a plan's row. */
    char uuid[1][SV_ID_LEN + 1];
    const struct ovn_found one = {.uuids = uuid};
    SV_COPY(uuid[0], s->uuid);
    for (unsigned i = 0; i < tables[s->table].holder_count; i++) {
        const char *column = tables[s->table].holders[i].column;
        op(j, "mutate", tables[s->table].holders[i].table);
        sv_json_arr(j, "where");
        condition(j, column, "includes");
        set_of(j, &one, 0);
        sv_json_end_arr(j);
        sv_json_end_arr(j);
        mutation(j, column, "delete", &one, 0);
        sv_json_end_obj(j);
    }
    if (!tables[s->table].root)
        return;
    op(j, "delete", s->table);
    sv_json_arr(j, "where");
    uuid_is(j, s->uuid);
    sv_json_end_arr(j);
    sv_json_end_obj(j);
}

static void make_row(struct sv_json *j, const struct ovn_plan *p, const struct ovn_found *f, size_t row)
{
    char made[32];
    const struct ovn_row *r = &p->rows[row];
    const bool there = f->uuids[row][0];
    if (there && r->name)
        return;
    snprintf(made, sizeof(made), "row%zu", row);
    op(j, there ? "update" : "insert", r->table);
    if (there) {
        sv_json_arr(j, "where");
        uuid_is(j, f->uuids[row]);
        sv_json_end_arr(j);
    } else {
        sv_json_str(j, "uuid-name", made);
    }
    sv_json_obj(j, "row");
    for (size_t i = 0; i < r->column_count; i++)
        if (r->columns[i].json)
            sv_json_raw(j, r->columns[i].name, r->columns[i].json);
        else
            reference(j, r->columns[i].name, f, r->columns[i].row);
    external_ids(j, "external_ids", p, r);
    sv_json_end_obj(j);
    sv_json_end_obj(j);
}

static void make_leave(struct sv_json *j, const struct ovn_plan *p, const struct ovn_found *f,
                       const struct ovn_leave *l)
{
    if (!f->uuids[l->held][0])
        return;
    op(j, "mutate", l->table);
    sv_json_arr(j, "where");
    ids_include(j, OVN_MAP("starvirt", p->owner, "starvirt-kind", l->kind));
    condition(j, l->column, "includes");
    set_of(j, f, l->held);
    sv_json_end_arr(j);
    sv_json_end_arr(j);
    mutation(j, l->column, "delete", f, l->held);
    sv_json_end_obj(j);
}

static void make_hold(struct sv_json *j, const struct ovn_plan *p, const struct ovn_found *f, const struct ovn_hold *h)
{
    op(j, "mutate", p->rows[h->holder].table);
    sv_json_arr(j, "where");
    condition(j, "_uuid", "==");
    reference(j, NULL, f, h->holder);
    sv_json_end_arr(j);
    sv_json_end_arr(j);
    mutation(j, h->column, "insert", f, h->held);
    sv_json_end_obj(j);
}

/* The count that northd and the hosts follow, one more; and what it is then. */
static void count_on(struct sv_json *j)
{
    sv_json_raw(j, NULL,
                "{\"op\":\"mutate\",\"table\":\"NB_Global\",\"where\":[],\"mutations\":[[\"nb_cfg\",\"+=\",1]]}");
    sv_json_raw(j, NULL, "{\"op\":\"select\",\"table\":\"NB_Global\",\"where\":[],\"columns\":[\"nb_cfg\"]}");
}

/* A switch is needed by units that are applied side by side, and its name may be there twice: whoever comes second is
 * refused, and finds it the next time. */
static void still_missing(struct sv_json *j, const struct ovn_plan *p, const struct ovn_row *r)
{
    op(j, "wait", r->table);
    sv_json_int(j, "timeout", 0);
    sv_json_arr(j, "where");
    ids_include(j, OVN_MAP("starvirt", p->owner, "starvirt-kind", r->unit.kind, "starvirt-id", r->unit.id));
    sv_json_end_arr(j);
    strings(j, "columns", OVN_MAP("name"));
    sv_json_str(j, "until", "==");
    sv_json_arr(j, "rows");
    sv_json_end_arr(j);
    sv_json_end_obj(j);
}

char *ovn_make_text(const struct ovn_plan *p, const struct ovn_found *f)
{
    struct sv_buf out = {0};
    struct sv_json j;
    begin(&j, &out);
    for (size_t i = 0; i < p->row_count; i++)
        if (p->rows[i].table == OVN_SWITCH && !f->uuids[i][0])
            still_missing(&j, p, &p->rows[i]);
    for (size_t i = 0; i < f->stale_count; i++)
        let_go(&j, &f->stale[i]);
    for (size_t i = 0; i < p->leave_count; i++)
        make_leave(&j, p, f, &p->leaves[i]);
    for (size_t i = 0; i < p->row_count; i++)
        make_row(&j, p, f, i);
    for (size_t i = 0; i < p->hold_count; i++)
        make_hold(&j, p, f, &p->holds[i]);
    count_on(&j);
    sv_json_end_arr(&j);
    return sv_buf_steal(&out);
}
