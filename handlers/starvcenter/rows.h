/* Short forms for the parameter rows of this dialect, and what several of its resources share. */
#ifndef HANDLERS_STARVCENTER_ROWS_H
#define HANDLERS_STARVCENTER_ROWS_H

#include "starvirt/api_rows.h"
#include "starvirt/core.h"

#define REQUIRED .flags = SV_P_REQUIRED
#define NAME_LEN .flags = SV_P_OUR_MAX, .max = SV_MAX_NAME

/* An id in the path: {vmId}. */
#define PATH_ID(key, st, m, f, zh, en)                                                                                 \
    {                                                                                                                  \
        .name = (key), .type = SV_T_ID, .in = SV_IN_PATH, .flags = SV_P_REQUIRED, .offset = SV_OFF_STR(st, m),         \
        .field = (f), DOC(zh, en)                                                                                      \
    }

/* Which tenant an admin means; a tenant's own is the default (ours). */
#define TENANT_ROW(st, m)                                                                                              \
    ID("tenant.id", st, m, .flags = SV_P_EXTENSION, .field = SV_F_TENANT,                                              \
       DOC("租户编号(管理员)", "tenant, for administrators"))

/* Paging; the input struct embeds `struct sv_page_in page`. */
#define PAGE_ROWS(st)        PAGE_ROWS_AS(st, 0)
#define PAGE_ROWS_NEEDED(st) PAGE_ROWS_AS(st, SV_P_REQUIRED)
/* Needed where the BOOL row `key` is not true. */
#define PAGE_ROWS_NEEDED_UNLESS(st, key) PAGE_ROWS_AS(st, SV_P_REQUIRED, .unless = (key))
#define PAGE_ROWS_AS(st, required, ...)                                                                                \
    SV_PAGE_AT("page.startnum", st, .flags = SV_P_MIN | SV_P_OUR_MAX | (required), .min = 1, .max = 1000000000,        \
               DOC("分页起始位置(页码)", "page number, from 1"), ##__VA_ARGS__),                                       \
        SV_PAGE_SIZE("page.everypagenum", st, .flags = SV_P_MIN | SV_P_MAX | (required), .min = 1, .max = SV_MAX_PAGE, \
                     DOC("每页数量", "rows of a page"), ##__VA_ARGS__)
/* Neither = all rows; one without the other = first page, or pages of 30. */
struct sv_page sv_page_of(const struct sv_page_in *in);

/* How a search is ordered. */
#define ORDER_ROW(st, m)                                                                                               \
    ENUM("search.orderby", st, m, SV_VALUES("createtime", "name"),                                                     \
         DOC("排序方式(createtime:按创建时间;name:按名称)", "order: createtime (unless given) or name"))
bool sv_is_by_name(const char *order);

/* A new node of a load balancer, alone or inside of the balancer's (realnode.c). */
struct sv_node_in {
    const char *name, *desc, *slb, *ip, *vm;
    struct sv_opt_int port, weight;
};
enum { SV_NODE_ROWS = 7 };
extern const struct sv_param sv_node_params[SV_NODE_ROWS];
struct sv_slb_node_new;
const struct sv_slb_node_new *sv_nodes_of(struct sv_arena *a, const struct sv_objs *nodes);

/* Every input that is one object id, and every reply that is one startid. */
struct sv_id_in {
    const char *id;
};

/* The elements of a comma list, blanks around them dropped; an empty one stays, as something that nothing is called. */
const char *const *sv_split_list(const char *text, struct sv_arena *a, size_t *ret_n);

/* A look at what may hang, since the request came; after the core's call: has the answer to wait for it? It does for at
 * most 3 s, then it is the last look. */
struct sv_look sv_look_of(const struct sv_call *c);
void sv_wait_for_look(struct sv_call *c, const struct sv_look *look);

/* A failure that names a wire key which stands for no core field. */
enum sv_err sv_wire_fail(struct sv_call *c, enum sv_err code, const char *wire, const char *arg);

/* The vm.* fields of one VM (StarVCenter 2.2.2, 2.2.3). */
void sv_put_vm(struct sv_reply *r, const struct sv_vm *vm);
/* The vnic.* fields of one NIC (StarVCenter 2.5.1, 2.17.6). */
#define NIC_FIELDS                                                                                                     \
    SV_TEXT("vnic.id"), SV_TEXT("vnic.name"), SV_TEXT("vnic.desc"), SV_TEXT("vnic.createtime"), SV_TEXT("vnic.vmid"),  \
        SV_TEXT("vnic.macaddress"), SV_TEXT("vnic.ipaddress"), SV_TEXT("vnic.vpc.id"), SV_TEXT("vnic.vpc.name"),       \
        SV_TEXT("vnic.undo.startid", .flags = SV_O_OURS)
void sv_put_nic(void *reply, const struct sv_nic *n);
/* VMs that are being made, each with its job. */
void sv_put_made(struct sv_reply *r, const struct sv_vm_made *made, int64_t n);

extern const struct sv_route_table sv_table_tenant, sv_table_quota, sv_table_vm, sv_table_power, sv_table_guest,
    sv_table_vdisk, sv_table_vnic, sv_table_model, sv_table_vpc, sv_table_network, sv_table_template, sv_table_job,
    sv_table_storage, sv_table_snapshot, sv_table_monitor, sv_table_host, sv_table_backup, sv_table_rule,
    sv_table_secgroup, sv_table_slb, sv_table_realnode, sv_table_address, sv_table_mapping, sv_table_router,
    sv_table_alarm, sv_table_affinity, sv_table_not_yet;

#endif
