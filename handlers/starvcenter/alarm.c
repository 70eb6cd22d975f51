/* Alarms (StarVCenter 2.15; all but the search is ours). */
#include "handlers/starvcenter/rows.h"
#include "starvirt/core_alarm.h"

static const char *const levels[] = {"high", "medium", "low", NULL};

struct search_in {
    const char *level, *object_type, *object, *way;
    struct sv_opt_int from, to;
    struct sv_opt_bool all; /* the document's name says the opposite: true is no paging */
    struct sv_page_in page;
};
static const struct sv_param search_params[] = {
    ENUM("alarm.level", struct search_in, level, .values = levels, .field = SV_F_ALARM_LEVEL, DOC("告警级别", "level")),
    STR("alarm.obj.type", struct search_in, object_type, .flags = SV_P_OUR_MAX, .max = SV_MAX_NAME,
        .field = SV_F_ALARM_OBJECT_TYPE,
        DOC("告警对象类型(host 或 主机、vm 或 云主机、storage 或 存储等)",
            "type of the object: host, vm, storage, slb, vpc, router, secgroup, nic, disk, template, server")),
    ID("alarm.objid", struct search_in, object, DOC("告警对象编号(精准查询)", "id of the object")),
    ENUM("alarm.relieve.way", struct search_in, way, SV_VALUES("auto", "manual", "none"), .field = SV_F_ALARM_WAY,
         DOC("解除方式(auto:自动;manual:人工;none:未解除)", "how it was relieved; none: it is open")),
    TIME("alarm.starttime", struct search_in, from, DOC("开始时间", "raised then or later")),
    TIME("alarm.endtime", struct search_in, to, DOC("结束时间", "raised then or earlier")),
    BOOL("isfindPage", struct search_in, all, DOC("true:不分页查询", "true: all of them, without pages")),
    PAGE_ROWS_NEEDED_UNLESS(struct search_in, "isfindPage"),
};

struct listing {
    const struct sv_call *c;
    struct sv_reply *r;
};

static void put_alarm(void *arg, const struct sv_alarm *a)
{
    const struct listing *l = arg;
    char text[SV_ALARM_TEXT_LEN];

    sv_alarm_text(a, l->c->lang, text, sizeof(text));
    sv_reply_obj(l->r);
    sv_put_id(l->r, "alarm.id", &a->id);
    sv_put_str(l->r, "alarm.type", sv_alarm_kind(a->type)->symbol);
    sv_put_str(l->r, "alarm.level", sv_alarm_level_name(a->level));
    sv_put_id(l->r, "alarm.objid", &a->object);
    sv_put_str(l->r, "alarm.objname", a->object_name);
    sv_put_str(l->r, "alarm.obj.type", sv_alarm_object_name(a->object_type, SV_LANG_EN));
    sv_put_str(l->r, "alarm.content", text);
    sv_put_time(l->r, "alarm.create.time", a->created);
    sv_put_time(l->r, "alarm.relieve.time", a->relieved);
    sv_put_str(l->r, "alarm.relieve.way", sv_alarm_way_name(a->way));
    sv_reply_end_obj(l->r);
}

static enum sv_err search(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct search_in *in = input;
    /* A time has whole seconds: the last one counts whole. */
    const struct sv_alarm_search s = {.object = in->object,
                                      .object_type = in->object_type,
                                      .level = in->level,
                                      .way = in->way,
                                      .from = in->from.v,
                                      .to = in->to.set ? in->to.v + 999 : 0};
    const struct sv_page page = in->all.v ? (struct sv_page){.limit = 0} : sv_page_of(&in->page);
    struct listing l = {c, out};
    enum sv_err rc;

    sv_reply_list(out);
    rc = sv_alarm_search(c->tx, &c->actor, &s, &page, put_alarm, &l, &out->count, c->err);
    return sv_reply_end_page(out, rc);
}

static const struct sv_param relieve_params[] = {
    ID("alarm.id", struct sv_id_in, id, REQUIRED, .field = SV_F_ALARM, DOC("告警编号", "id of the alarm")),
};

static enum sv_err relieve(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;

    (void)out;
    return sv_alarm_relieve_by_hand(c->tx, &c->actor, in->id, c->err);
}

/* --- thresholds ------------------------------------------------------------------------------------- */

static void put_threshold(void *arg, const struct sv_alarm_threshold *t)
{
    struct sv_reply *r = arg;

    sv_reply_obj(r);
    sv_put_str(r, "alarm.type", sv_alarm_kind(t->type)->symbol);
    sv_put_int(r, "threshold.value", t->value);
    sv_put_int(r, "threshold.minutes", t->minutes);
    sv_put_str(r, "alarm.level", sv_alarm_level_name(t->level));
    sv_reply_end_obj(r);
}

static enum sv_err thresholds(struct sv_call *c, const void *input, struct sv_reply *out)
{
    enum sv_err rc;

    (void)input;
    sv_reply_list(out);
    rc = sv_alarm_thresholds(c->cloud, &c->actor, put_threshold, out, c->err);
    sv_reply_end_list(out);
    return rc;
}

struct modify_in {
    const char *type, *level;
    struct sv_opt_int value, minutes;
};
static const struct sv_param modify_params[] = {
    STR("alarm.type", struct modify_in, type, .flags = SV_P_REQUIRED | SV_P_OUR_MAX, .max = SV_MAX_NAME,
        .field = SV_F_ALARM_TYPE, DOC("告警类型", "type of alarm, one that has a threshold")),
    INT("threshold.value", struct modify_in, value, .flags = SV_P_REQUIRED | SV_P_OUR_MIN | SV_P_OUR_MAX, .min = 1,
        .max = 100, .field = SV_F_ALARM_VALUE, DOC("阈值(%)", "percent from which on it is raised")),
    INT("threshold.minutes", struct modify_in, minutes, .flags = SV_P_MIN | SV_P_OUR_MAX, .min = 1,
        .max = SV_MAX_ALARM_MINUTES, .field = SV_F_ALARM_MINUTES,
        DOC("持续时间(分钟)", "for so many minutes; as before unless given")),
    ENUM("alarm.level", struct modify_in, level, .values = levels, .field = SV_F_ALARM_LEVEL,
         DOC("告警级别", "level of alarms from now on; as before unless given")),
};

static enum sv_err modify(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct modify_in *in = input;

    (void)out;
    return sv_alarm_threshold_set(c->cloud, c->tx, &c->actor, in->type, in->value.v, in->minutes.v, in->level, c->err);
}

static const struct sv_route routes[] = {
    {.section = "2.15.1",
     .method = "POST",
     .path = "cloudalarm/search",
     .runs = SV_RUN_READ,
     SV_PARAMS(search_params),
     .in_size = sizeof(struct search_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("alarm.id"), SV_TEXT("alarm.type"), SV_TEXT("alarm.level"), SV_TEXT("alarm.objid"),
               SV_TEXT("alarm.objname"), SV_TEXT("alarm.obj.type"), SV_TEXT("alarm.content"),
               SV_TEXT("alarm.create.time"), SV_TEXT("alarm.relieve.time"), SV_TEXT("alarm.relieve.way")),
     .handler = search,
     DOC("查询告警信息", "list alarms, the newest first")},
    {.section = "alarms",
     .method = "PUT",
     .path = "cloudalarm/relieve",
     .runs = SV_RUN_WRITE,
     SV_PARAMS(relieve_params),
     .in_size = sizeof(struct sv_id_in),
     .handler = relieve,
     .extension = true,
     DOC("解除告警", "relieve an alarm by hand")},
    {.section = "alarms",
     .method = "POST",
     .path = "cloudalarm/threshold/search",
     .runs = SV_RUN_READ,
     .role = SV_ROLE_ADMIN,
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("alarm.type"), SV_TEXT("threshold.value"), SV_TEXT("threshold.minutes"), SV_TEXT("alarm.level")),
     .handler = thresholds,
     .extension = true,
     DOC("查询告警阈值", "list the thresholds of alarms")},
    {.section = "alarms",
     .method = "PUT",
     .path = "cloudalarm/threshold/modify",
     .runs = SV_RUN_WRITE,
     .role = SV_ROLE_ADMIN,
     SV_PARAMS(modify_params),
     .in_size = sizeof(struct modify_in),
     .handler = modify,
     .extension = true,
     DOC("修改告警阈值", "set a threshold, its minutes and the level of its alarms")},
};
const struct sv_route_table sv_table_alarm = {routes, ROUTE_COUNT(routes)};
