/* Short forms for the parameter rows of this dialect, and what several of its resources share. */
#ifndef HANDLERS_STARVCENTER_ROWS_H
#define HANDLERS_STARVCENTER_ROWS_H

#include "starvirt/api.h"
#include "starvirt/core.h"

/* One row: wire key, input struct, member, then designated members of struct sv_param. */
#define STR(key, st, m, ...)                                                                                           \
    {                                                                                                                  \
        .name = (key), .type = SV_T_STR, .offset = SV_OFF_STR(st, m), __VA_ARGS__                                      \
    }
#define ID(key, st, m, ...)                                                                                            \
    {                                                                                                                  \
        .name = (key), .type = SV_T_ID, .offset = SV_OFF_STR(st, m), __VA_ARGS__                                       \
    }
#define INT(key, st, m, ...)                                                                                           \
    {                                                                                                                  \
        .name = (key), .type = SV_T_INT, .offset = SV_OFF_INT(st, m), __VA_ARGS__                                      \
    }
#define BOOL(key, st, m, ...)                                                                                          \
    {                                                                                                                  \
        .name = (key), .type = SV_T_BOOL, .offset = SV_OFF_BOOL(st, m), __VA_ARGS__                                    \
    }
#define ENUM(key, st, m, ...)                                                                                          \
    {                                                                                                                  \
        .name = (key), .type = SV_T_ENUM, .offset = SV_OFF_STR(st, m), __VA_ARGS__                                     \
    }
#define TIME(key, st, m, ...)                                                                                          \
    {                                                                                                                  \
        .name = (key), .type = SV_T_TIME, .offset = SV_OFF_INT(st, m), __VA_ARGS__                                     \
    }
#define DOC(zh, en) .doc_zh = (zh), .doc_en = (en)
#define REQUIRED    .flags = SV_P_REQUIRED
#define NAME_LEN    .flags = SV_P_OUR_MAX, .max = SV_MAX_NAME

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
struct sv_page_in {
    struct sv_opt_int start, size;
};
#define PAGE_ROWS(st)                                                                                                  \
    INT("page.startnum", st, page.start, .flags = SV_P_MIN | SV_P_OUR_MAX, .min = 1, .max = 1000000000,                \
        DOC("分页起始位置(页码)", "page number, from 1")),                                                             \
        INT("page.everypagenum", st, page.size, .flags = SV_P_MIN | SV_P_MAX, .min = 1, .max = SV_MAX_PAGE,            \
            DOC("每页数量", "rows of a page"))
/* Neither = all rows; one without the other = first page, or pages of 30. */
struct sv_page sv_page_of(const struct sv_page_in *in);

/* Every input that is one object id, and every reply that is one startid. */
struct sv_id_in {
    const char *id;
};

/* A failure that names a wire key which stands for no core field. */
enum sv_err sv_wire_fail(struct sv_call *c, enum sv_err code, const char *wire, const char *arg);

/* The vm.* fields of one VM (StarVCenter 2.2.2, 2.2.3). */
void sv_put_vm(struct sv_reply *r, const struct sv_vm *vm);
/* VMs that are being made, each with its job. */
void sv_put_made(struct sv_reply *r, const struct sv_vm_made *made, int64_t n);

extern const struct sv_route_table sv_table_tenant, sv_table_quota, sv_table_vm, sv_table_power, sv_table_guest,
    sv_table_vdisk, sv_table_vnic, sv_table_model, sv_table_vpc, sv_table_template, sv_table_job, sv_table_storage,
    sv_table_snapshot, sv_table_backup, sv_table_not_yet;
#define ROUTE_COUNT(a) (sizeof(a) / sizeof((a)[0]))

#endif
