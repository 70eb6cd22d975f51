/* Operations of the document and of ours that are not there yet: each answers NOT_IMPLEMENTED. A row moves
 * out of here with its handler. */
#include "handlers/starvcenter/rows.h"

#define DATA(k) .data = (k) == SV_ASYNC_EACH ? SV_DATA_LIST : SV_DATA_NONE
#define NOT_YET(s, m, p, k, zh)                                                                                        \
    {                                                                                                                  \
        .section = (s), .method = (m), .path = (p), .kind = (k), DATA(k), DOC(zh, "not served yet")                    \
    }
#define NOT_YET_OURS(s, m, p, k, zh)                                                                                   \
    {                                                                                                                  \
        .section = (s), .method = (m), .path = (p), .kind = (k), DATA(k), .extension = true, DOC(zh, "not served yet") \
    }

static const struct sv_route routes[] = {
    NOT_YET("2.3.5", "POST", "cloudnetwork/sharenet/connect", SV_SYNC, "云主机-添加IP映射"),
    NOT_YET("2.3.6", "POST", "cloudnetwork/sharenet/search", SV_SYNC, "查询租户间IP映射清单"),
    NOT_YET("2.3.7", "POST", "cloudnetwork/portMapping/create", SV_SYNC, "添加端口映射"),
    NOT_YET("2.3.8", "DELETE", "cloudnetwork/ipmapping/{natId}", SV_SYNC, "删除IP/Port映射"),
    NOT_YET("2.3.9", "POST", "cloudnetwork/acessrule/search", SV_SYNC, "查询访问控制规则"),
    NOT_YET("2.3.10", "POST", "cloudnetwork/acessrule/add", SV_SYNC, "添加访问控制规则"),
    NOT_YET("2.3.11", "DELETE", "cloudnetwork/acessrule/{ruleId}", SV_SYNC, "删除访问控制规则"),
    NOT_YET("2.3.12", "POST", "cloudnetwork/netgate", SV_SYNC, "子网边界防火墙开启与关闭"),
    NOT_YET("2.8.1", "POST", "cloudmonitor/compute/current", SV_SYNC, "查询CPU/MEM性能监控数据(实时)"),
    NOT_YET("2.8.2", "POST", "cloudmonitor/compute/history", SV_SYNC, "查询CPU/MEM监控数据(历史)"),
    NOT_YET("2.8.3", "POST", "cloudmonitor/disk/history", SV_SYNC, "查询磁盘IO监控数据(历史)"),
    NOT_YET("2.8.4", "POST", "cloudmonitor/net/history", SV_SYNC, "查询网络IO监控数据(历史)"),
    NOT_YET("2.8.5", "POST", "cloudmonitor/everydisk/current", SV_SYNC, "查询磁盘IO监控数据(实时-分磁盘)"),
    NOT_YET("2.8.6", "POST", "cloudmonitor/everynet/current", SV_SYNC, "查询网络IO监控数据(实时-分网卡)"),
    NOT_YET("2.8.7", "POST", "cloudmonitor/compute/currents", SV_SYNC, "查询计算性能监控数据(实时，批量)"),
    NOT_YET("2.9.1", "POST", "vroute/create", SV_ASYNC_EACH, "创建云路由"),
    NOT_YET("2.9.2", "POST", "vroute/vpcAdd", SV_SYNC, "云路由添加子网接入"),
    NOT_YET("2.9.3", "POST", "vroute/vpcDelete", SV_SYNC, "云路由删除子网接入"),
    NOT_YET("2.9.4", "GET", "vroute/{vmId}", SV_SYNC, "获取云路由详细"),
    NOT_YET("2.9.5", "POST", "vroute/Mapping/search", SV_SYNC, "查询云路由的映射管理"),
    NOT_YET("2.11.1", "POST", "cloudip/mapping/outerIp/search", SV_SYNC, "映射功能查询外网IP列表"),
    NOT_YET("2.12.1", "POST", "cloudslb/search", SV_SYNC, "查询SLB实例"),
    NOT_YET("2.12.2", "POST", "cloudslb/add", SV_SYNC, "新增SLB实例"),
    NOT_YET("2.12.3", "PUT", "cloudslb/modify", SV_SYNC, "修改SLB实例"),
    NOT_YET("2.12.4", "DELETE", "cloudslb/{slbid}", SV_SYNC, "删除SLB实例"),
    NOT_YET("2.12.5", "POST", "cloudslb/start", SV_SYNC, "启用SLB实例"),
    NOT_YET("2.12.6", "POST", "cloudslb/stop", SV_SYNC, "停用SLB实例"),
    NOT_YET("2.12.7", "PUT", "cloudslb/https/cert/conf", SV_SYNC, "配置https证书"),
    NOT_YET("2.13.1", "POST", "cloudslb/realnode/search", SV_SYNC, "查询SLB后端节点"),
    NOT_YET("2.13.2", "POST", "cloudslb/realnode/add", SV_SYNC, "新增SLB后端节点"),
    NOT_YET("2.13.3", "PUT", "cloudslb/realnode/modify", SV_SYNC, "修改SLB后端节点"),
    NOT_YET("2.13.4", "DELETE", "cloudslb/realnode/{realnodeid}", SV_SYNC, "删除SLB后端节点"),
    NOT_YET("2.14", "POST", "cloudhost/search", SV_SYNC, "查询物理机列表"),
    NOT_YET("2.15.1", "POST", "cloudalarm/search", SV_SYNC, "查询告警信息"),
    NOT_YET("2.17.1", "POST", "cloudsegroup/search", SV_SYNC, "查询安全组"),
    NOT_YET("2.17.2", "POST", "cloudsegroup/create", SV_SYNC, "创建安全组"),
    NOT_YET("2.17.3", "DELETE", "cloudsegroup/{securitygroupid}", SV_SYNC, "删除安全组"),
    NOT_YET("2.17.4", "POST", "cloudsegroup/vnic/bind", SV_SYNC, "绑定云主机"),
    NOT_YET("2.17.5", "POST", "cloudsegroup/vnic/unbind", SV_SYNC, "解绑云主机"),
    NOT_YET("2.17.6", "POST", "cloudsegroup/vnic/search", SV_SYNC, "查询安全组绑定的网卡"),
    NOT_YET("2.18.1", "POST", "cloudsegroup/rule/search", SV_SYNC, "查询安全组规则"),
    NOT_YET("2.18.2", "POST", "cloudsegroup/rule/add", SV_SYNC, "添加安全组规则"),
    NOT_YET("2.18.3", "DELETE", "cloudsegroup/rule/{ruleid}", SV_SYNC, "删除安全组规则"),
    NOT_YET("2.18.4", "POST", "cloudsegroup/rule/vm", SV_SYNC, "查询云主机相关的安全组规则"),
    NOT_YET("2.18.5", "POST", "cloudsegroup/retryrule/search", SV_SYNC, "查询安全组未生效规则"),
    NOT_YET("2.18.6", "PUT", "cloudsegroup/retryrule/reset", SV_SYNC, "重新补偿未生效规则"),
    NOT_YET_OURS("cloud hosts", "PUT", "cloudvm/migrate", SV_ASYNC, "迁移云主机"),
    NOT_YET_OURS("routers", "POST", "vroute/search", SV_SYNC, "查询云路由"),
    NOT_YET_OURS("routers", "DELETE", "vroute/{vmId}", SV_ASYNC, "删除云路由"),
    NOT_YET_OURS("addresses", "POST", "cloudip/pool/add", SV_SYNC, "新增 IP 地址池"),
    NOT_YET_OURS("addresses", "POST", "cloudip/pool/search", SV_SYNC, "查询 IP 地址池"),
    NOT_YET_OURS("addresses", "DELETE", "cloudip/pool/{poolId}", SV_SYNC, "删除 IP 地址池"),
    NOT_YET_OURS("hosts", "POST", "cloudhost/add", SV_SYNC, "新增主机"),
    NOT_YET_OURS("hosts", "PUT", "cloudhost/modify", SV_SYNC, "修改主机"),
    NOT_YET_OURS("hosts", "PUT", "cloudhost/mending", SV_ASYNC, "主机维护"),
    NOT_YET_OURS("hosts", "DELETE", "cloudhost/{hostId}", SV_SYNC, "移除主机"),
    NOT_YET_OURS("alarms", "PUT", "cloudalarm/relieve", SV_SYNC, "解除告警"),
    NOT_YET_OURS("alarms", "POST", "cloudalarm/threshold/search", SV_SYNC, "查询告警阈值"),
    NOT_YET_OURS("alarms", "PUT", "cloudalarm/threshold/modify", SV_SYNC, "修改告警阈值"),
    NOT_YET_OURS("audit", "POST", "cloudaudit/search", SV_SYNC, "查询审计日志"),
};
const struct sv_route_table sv_table_not_yet = {routes, ROUTE_COUNT(routes)};
