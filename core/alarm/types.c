/* What types of alarms there are, and what is said of each.
 *
 * Relieved by itself: host.lost when the host is connected; vm.crashed when the VM runs; figures as alarm.h says;
 * certificate.ending when there is another one; network.rules when the engine took them; backup.failed by a good one;
 * undo.failed when it is done; all of them when their object is gone. */
#include <stdio.h>

#include "core/alarm/alarm.h"

static const struct sv_alarm_kind kinds[] = {
    [SV_ALARM_HOST_LOST] = {"host.lost", SV_ALARM_HIGH, SV_ALARM_OF_HOST,
                            .text = {"主机 {f} 自 {2} 起失去连接:{0~}", "host {f} is not connected since {2}: {0}"}},
    [SV_ALARM_VM_CRASHED] = {"vm.crashed", SV_ALARM_HIGH, SV_ALARM_OF_VM,
                             .text = {"云主机 {f} 于 {2} 异常终止", "VM {f} crashed at {2}"}},
    [SV_ALARM_VM_CPU] = {"vm.cpu", SV_ALARM_MEDIUM, SV_ALARM_OF_VM, 90, 5,
                         .text = {"云主机 {f} 的 CPU 使用率为 {0}%,自 {2} 起不低于 {1}%",
                                  "the CPU of VM {f} is used to {0} %, and to {1} % or more since {2}"}},
    [SV_ALARM_VM_MEMORY] = {"vm.memory", SV_ALARM_MEDIUM, SV_ALARM_OF_VM, 90, 5,
                            .text = {"云主机 {f} 的内存使用率为 {0}%,自 {2} 起不低于 {1}%",
                                     "the memory of VM {f} is used to {0} %, and to {1} % or more since {2}"}},
    [SV_ALARM_VM_DISK] = {"vm.disk", SV_ALARM_MEDIUM, SV_ALARM_OF_VM, 90, 5,
                          .text = {"云主机 {f} 的磁盘使用率为 {0}%,自 {2} 起不低于 {1}%",
                                   "a disk of VM {f} is used to {0} %, and to {1} % or more since {2}"}},
    [SV_ALARM_HOST_CPU] = {"host.cpu", SV_ALARM_MEDIUM, SV_ALARM_OF_HOST, 90, 5,
                           .text = {"主机 {f} 的 CPU 使用率为 {0}%,自 {2} 起不低于 {1}%",
                                    "the CPU of host {f} is used to {0} %, and to {1} % or more since {2}"}},
    [SV_ALARM_HOST_MEMORY] = {"host.memory", SV_ALARM_HIGH, SV_ALARM_OF_HOST, 90, 5,
                              .text = {"主机 {f} 的内存使用率为 {0}%,自 {2} 起不低于 {1}%",
                                       "the memory of host {f} is used to {0} %, and to {1} % or more since {2}"}},
    [SV_ALARM_STORAGE_FULL] = {"storage.full", SV_ALARM_HIGH, SV_ALARM_OF_STORAGE, 90, 5,
                               .text = {"存储 {f} 已使用 {0}%,自 {2} 起不低于 {1}%",
                                        "storage {f} is full to {0} %, and to {1} % or more since {2}"}},
    [SV_ALARM_CERTIFICATE] = {"certificate.ending", SV_ALARM_MEDIUM, SV_ALARM_OF_SLB, .time = true,
                              .text = {"{f} 的证书将于 {0} 到期,{2} 时剩余 {1} 天",
                                       "the certificate of {f} ends at {0}, in {1} days from {2} on"}},
    [SV_ALARM_RULES] = {"network.rules", SV_ALARM_HIGH, SV_ALARM_OF_NIC, .error = true,
                        .text = {"{f} 的网络配置自 {2} 起未生效:{0}",
                                 "the network of {f} is not as it should be since {2}: {0}"}},
    [SV_ALARM_BACKUP] = {"backup.failed", SV_ALARM_MEDIUM, SV_ALARM_OF_VM, .error = true,
                         .text = {"{f} 于 {2} 的备份失败:{0}", "the backup of {f} at {2} failed: {0}"}},
    [SV_ALARM_UNDO] = {"undo.failed", SV_ALARM_MEDIUM, SV_ALARM_OF_VM,
                       .text = {"{f} 的任务 {0} 自 {2} 起未能撤销完成,相关资源继续保留",
                                "job {0} of {f} could not be undone since {2}; what it made is kept"}},
};
_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == SV_ALARM_TYPES, "a row for each type");

const struct sv_alarm_kind *sv_alarm_kind(enum sv_alarm_type t)
{
    return &kinds[t];
}

/* --- names ---------------------------------------------------------------------------------------------- */

static const char *const level_names[] = {
    [SV_ALARM_HIGH] = "high", [SV_ALARM_MEDIUM] = "medium", [SV_ALARM_LOW] = "low"};
static const char *const way_names[] = {
    [SV_ALARM_OPEN] = "none", [SV_ALARM_AUTO] = "auto", [SV_ALARM_MANUAL] = "manual"};
static const char *const object_names[][2] = {
    [SV_ALARM_OF_HOST] = {"主机", "host"},         [SV_ALARM_OF_VM] = {"云主机", "vm"},
    [SV_ALARM_OF_STORAGE] = {"存储", "storage"},   [SV_ALARM_OF_SLB] = {"负载均衡", "slb"},
    [SV_ALARM_OF_VPC] = {"私网", "vpc"},           [SV_ALARM_OF_ROUTER] = {"路由器", "router"},
    [SV_ALARM_OF_GROUP] = {"安全组", "secgroup"},  [SV_ALARM_OF_NIC] = {"网卡", "nic"},
    [SV_ALARM_OF_DISK] = {"磁盘", "disk"},         [SV_ALARM_OF_TEMPLATE] = {"模板", "template"},
    [SV_ALARM_OF_SERVER] = {"管理服务", "server"},
};

const char *sv_alarm_level_name(enum sv_alarm_level l)
{
    return level_names[l];
}

const char *sv_alarm_way_name(enum sv_alarm_way w)
{
    return way_names[w];
}

const char *sv_alarm_object_name(enum sv_alarm_object o, enum sv_lang lang)
{
    return object_names[o][lang];
}

int sv_alarm_object_by_name(const char *name)
{
    for (int i = 0; i < SV_ALARM_OBJECTS; i++)
        if (strcmp(name, object_names[i][SV_LANG_ZH]) == 0 || strcmp(name, object_names[i][SV_LANG_EN]) == 0)
            return i;
    return -1;
}

/* --- in words ------------------------------------------------------------------------------------------- */

static void time_text(const char *ms, char buf[SV_TIME_LEN + 1])
{
    int64_t at = 0;

    sv_parse_int(ms, &at);
    sv_time_format(at, buf);
}

/* A symbol of a newer program is shown as it is. */
static void error_text(const char *symbol, const char *arg, enum sv_lang lang, char *buf, size_t size)
{
    const enum sv_err code = sv_err_by_symbol(symbol);
    struct sv_error e;

    snprintf(buf, size, "%s", symbol);
    if (code == SV_ERR_COUNT)
        return;
    sv_fail(&e, code, SV_F_NONE, arg);
    sv_err_text(&e, lang, buf, size);
}

/* One name of an object says of which kind it is where the type does not. */
static void subject_text(const struct sv_alarm *a, enum sv_lang lang, char *buf, size_t size)
{
    const struct sv_alarm_kind *k = &kinds[a->type];

    if (a->object_type == SV_ALARM_OF_SERVER)
        snprintf(buf, size, "%s", lang == SV_LANG_ZH ? "管理服务" : "this server");
    else if (k->error || k->time || a->type == SV_ALARM_UNDO)
        snprintf(buf, size, "%s %s", object_names[a->object_type][lang], a->object_name);
    else
        snprintf(buf, size, "%s", a->object_name);
}

void sv_alarm_text(const struct sv_alarm *a, enum sv_lang lang, char *buf, size_t size)
{
    const struct sv_alarm_kind *k = &kinds[a->type];
    char since[SV_TIME_LEN + 1], at[SV_TIME_LEN + 1], why[512], subject[SV_MAX_NAME + 64];
    const char *args[SV_ERR_ARGS] = {a->args[0], a->args[1], since};

    time_text(a->args[2], since);
    if (k->time) {
        time_text(a->args[0], at);
        args[0] = at;
    }
    if (k->error) {
        error_text(a->args[0], a->args[1], lang, why, sizeof(why));
        args[0] = why;
    }
    subject_text(a, lang, subject, sizeof(subject));
    sv_text_expand(k->text[lang], subject, args, buf, size);
}
