/* Operations of the document and of ours that are not there yet: each answers NOT_IMPLEMENTED. A row moves
 * out of here with its handler. */
#include "handlers/starvcenter/rows.h"

#define DATA(k) .data = (k) == SV_ASYNC_EACH ? SV_DATA_LIST : SV_DATA_NONE
#define NOT_YET_OURS(s, m, p, k, zh)                                                                                   \
    {                                                                                                                  \
        .section = (s), .method = (m), .path = (p), .kind = (k), DATA(k), .extension = true, DOC(zh, "not served yet") \
    }

static const struct sv_route routes[] = {
    NOT_YET_OURS("cloud hosts", "PUT", "cloudvm/migrate", SV_ASYNC, "迁移云主机"),
    NOT_YET_OURS("audit", "POST", "cloudaudit/search", SV_SYNC, "查询审计日志"),
};
const struct sv_route_table sv_table_not_yet = {routes, ROUTE_COUNT(routes)};
