/* The job log and events (ours, group "jobs"). */
#include <stdio.h>

#include "handlers/starvcenter/rows.h"

enum { EVENTS_PER_REPLY = 1000 };

/* --- one job as an object --------------------------------------------------------------------------- */

struct line_sink {
    struct sv_call *c;
    const struct sv_job *job;
    struct sv_reply *out;
    unsigned lines;
};

static void put_line(void *arg, const struct sv_job_line *l)
{
    struct line_sink *s = arg;
    struct sv_reply *r = s->out;
    char text[512];

    sv_job_line_text(s->c->cloud, s->job, l, s->c->lang, text, sizeof(text));
    sv_reply_obj(r);
    sv_put_int(r, "log.serial", l->serial);
    sv_put_time(r, "log.time", l->time);
    sv_put_str(r, "log.level", sv_level_name((enum sv_level)l->level));
    sv_put_str(r, "log.content", text);
    sv_reply_end_obj(r);
    s->lines++;
}

static enum sv_err put_job(struct sv_call *c, const struct sv_job *job, int64_t since, struct sv_reply *out)
{
    struct line_sink sink = {c, job, out, 0};
    char info[512];
    enum sv_err rc;

    sv_job_info(job, c->lang, info, sizeof(info));
    sv_reply_obj(out);
    sv_put_id(out, "startid", &job->id);
    sv_put_str(out, "job.name", sv_job_title(c->cloud, job, c->lang));
    sv_put_id(out, "job.objid", &job->object);
    sv_put_str(out, "job.objname", job->object_name);
    sv_put_int(out, "job.result", job->result);
    sv_put_int(out, "job.percent", job->percent);
    sv_put_time(out, "job.createtime", job->created);
    sv_put_time(out, "job.starttime", job->started);
    sv_put_time(out, "job.endtime", job->ended);
    sv_put_str(out, "job.resultinfo", info);
    sv_reply_list_in(out, "job.logs");
    rc = sv_job_log(c->tx, &c->actor, job, since, put_line, &sink, c->err);
    sv_reply_end_list(out);
    sv_reply_end_obj(out);
    return rc;
}

/* --- search ----------------------------------------------------------------------------------------- */

/* Appendix 4. */
static const struct sv_code result_codes[] = {
    {0, "成功", "done"},         {1, "失败", "failed"},      {2, "执行中", "running"},
    {3, "排队等待中", "queued"}, {4, "任务丢失", "lost"},    {5, "执行超时", "timed out"},
    {6, "异常终止", "aborted"},  {7, "已取消", "cancelled"}, {0}};

struct search_in {
    const char *startid, *object;
    struct sv_opt_int result;
    struct sv_page_in page;
};
static const struct sv_param search_params[] = {
    ID("startid", struct search_in, startid, .field = SV_F_JOB, DOC("任务编号", "id of the job")),
    ID("job.objid", struct search_in, object, DOC("对象编号", "id of the object")),
    INT("job.result", struct search_in, result, .flags = SV_P_MIN | SV_P_MAX, .min = 0, .max = 7, .codes = result_codes,
        DOC("结果代码(附表4)", "result code, appendix 4")),
    PAGE_ROWS(struct search_in),
};

struct job_sink {
    struct sv_call *c;
    struct sv_reply *out;
    enum sv_err rc;
};

static void put_row(void *arg, const struct sv_job *job)
{
    struct job_sink *s = arg;

    if (!s->rc)
        s->rc = put_job(s->c, job, 0, s->out);
}

static enum sv_err search(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct search_in *in = input;
    const struct sv_page p = sv_page_of(&in->page);
    const struct sv_job_filter f = {.id = sv_id_from(in->startid),
                                    .object = sv_id_from(in->object),
                                    .by_result = in->result.set,
                                    .result = (enum sv_job_result)in->result.v};
    const bool possible = (!in->startid || sv_id_valid(in->startid)) && (!in->object || sv_id_valid(in->object));
    struct job_sink s = {c, out, SV_OK};
    enum sv_err rc = SV_OK;

    sv_reply_list(out);
    if (possible)
        rc = sv_job_search(c->tx, &c->actor, &f, &p, put_row, &s, &out->count, c->err);
    return sv_reply_end_page(out, rc ? rc : s.rc);
}

/* --- show, with a long poll ------------------------------------------------------------------------- */

struct show_in {
    const char *startid;
    struct sv_opt_int since, wait;
};
static const struct sv_param show_params[] = {
    PATH_ID("startid", struct show_in, startid, SV_F_JOB, "任务编号", "id of the job"),
    INT("since", struct show_in, since, .in = SV_IN_QUERY, .flags = SV_P_MIN, .min = 0,
        DOC("只要此序号之后的日志", "only lines after this serial")),
    INT("wait", struct show_in, wait, .in = SV_IN_QUERY, .flags = SV_P_MIN | SV_P_MAX, .min = 0, .max = SV_MAX_WAIT_S,
        .unit = "s", DOC("等待新日志或任务结束的秒数", "hold the reply until a newer line or the end")),
};

static void seen_line(void *arg, const struct sv_job_line *l)
{
    (void)l;
    *(bool *)arg = true;
}

static enum sv_err show(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct show_in *in = input;
    struct sv_job job;
    bool news = false;
    enum sv_err rc = sv_job_find(c->tx, &c->actor, in->startid, c->arena, &job, c->err);

    if (rc)
        return rc;
    if (in->wait.v > 0 && !c->wait_over && !sv_job_ended(job.result)) {
        rc = sv_job_log(c->tx, &c->actor, &job, in->since.v, seen_line, &news, c->err);
        if (!rc && !news) {
            c->wait_key = sv_arena_printf(c->arena, "job:%s", job.id.s);
            c->wait_ms = in->wait.v * 1000;
            return SV_OK;
        }
    }
    return rc ? rc : put_job(c, &job, in->since.v, out);
}

/* --- cancel ----------------------------------------------------------------------------------------- */

static const struct sv_param cancel_params[] = {
    ID("startid", struct sv_id_in, id, REQUIRED, .field = SV_F_JOB, DOC("任务编号", "id of the job")),
};

static enum sv_err cancel(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct sv_id_in *in = input;
    enum sv_job_result result;
    enum sv_err rc = sv_job_cancel(c->cloud, c->tx, &c->actor, in->id, &result, c->err);

    if (rc)
        return rc;
    sv_reply_obj(out);
    sv_put_int(out, "job.result", result); /* 7 cancelled and undone, 2 being cancelled */
    sv_reply_end_obj(out);
    return SV_OK;
}

/* --- events ----------------------------------------------------------------------------------------- */

struct events_in {
    struct sv_opt_int since, wait;
};
static const struct sv_param events_params[] = {
    INT("since", struct events_in, since, .in = SV_IN_QUERY, .flags = SV_P_MIN, .min = 0,
        DOC("只要此序号之后的事件", "only events after this number")),
    INT("wait", struct events_in, wait, .in = SV_IN_QUERY, .flags = SV_P_MIN | SV_P_MAX, .min = 0, .max = SV_MAX_WAIT_S,
        .unit = "s", DOC("等待新事件的秒数", "hold the reply until there is one")),
};

struct event_sink {
    struct sv_reply *out;
    unsigned n;
};

static void put_event(void *arg, const struct sv_event *e)
{
    struct event_sink *s = arg;
    struct sv_reply *r = s->out;
    char content[1024];

    if (s->n++ == 0)
        sv_reply_list(r);
    sv_reply_obj(r);
    sv_put_int(r, "event.seq", e->seq);
    sv_put_time(r, "event.time", e->time);
    sv_put_str(r, "event.type", e->type);
    sv_put_str(r, "event.objtype", e->object_type);
    sv_put_id(r, "event.objid", &e->object);
    sv_put_id(r, "event.appid", &e->tenant);
    sv_amounts_text(e->content, NULL, true, content, sizeof(content));
    sv_put_str(r, "event.content", content);
    sv_reply_end_obj(r);
}

static enum sv_err events(struct sv_call *c, const void *input, struct sv_reply *out)
{
    const struct events_in *in = input;
    struct event_sink s = {out, 0};
    enum sv_err rc = sv_event_search(c->tx, &c->actor, in->since.v, EVENTS_PER_REPLY, put_event, &s, c->err);

    if (rc)
        return rc;
    if (s.n) {
        sv_reply_end_list(out);
    } else if (in->wait.v > 0 && !c->wait_over) {
        c->wait_key = "events";
        c->wait_ms = in->wait.v * 1000;
    }
    return SV_OK;
}

static const struct sv_reply_row log_rows[] = {
    SV_TEXT("log.serial"), SV_TEXT("log.time"), SV_TEXT("log.level"), SV_TEXT("log.content"), {0}};
#define JOB_FIELDS                                                                                                     \
    SV_TEXT("startid"), SV_TEXT("job.name"), SV_TEXT("job.objid"), SV_TEXT("job.objname"), SV_TEXT("job.result"),      \
        SV_TEXT("job.percent"), SV_TEXT("job.createtime"), SV_TEXT("job.starttime"), SV_TEXT("job.endtime"),           \
        SV_TEXT("job.resultinfo"), SV_OBJS("job.logs", log_rows)

static const struct sv_route routes[] = {
    {.section = "jobs",
     .method = "POST",
     .path = "joblog/search",
     .runs = SV_RUN_READ,
     SV_PARAMS(search_params),
     .in_size = sizeof(struct search_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(JOB_FIELDS),
     .handler = search,
     .extension = true,
     DOC("查询任务日志", "list jobs with their logs")},
    {.section = "jobs",
     .method = "GET",
     .path = "joblog/{startid}",
     .runs = SV_RUN_READ,
     SV_PARAMS(show_params),
     .in_size = sizeof(struct show_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(JOB_FIELDS),
     .handler = show,
     .extension = true,
     DOC("获取任务日志", "show one job with its log")},
    {.section = "jobs",
     .method = "PUT",
     .path = "joblog/cancel",
     .runs = SV_RUN_WRITE,
     SV_PARAMS(cancel_params),
     .in_size = sizeof(struct sv_id_in),
     .data = SV_DATA_OBJ,
     SV_FIELDS(SV_TEXT("job.result")),
     .handler = cancel,
     .extension = true,
     DOC("取消任务", "cancel a job and undo what it did")},
    {.section = "jobs",
     .method = "GET",
     .path = "events",
     .runs = SV_RUN_READ,
     SV_PARAMS(events_params),
     .in_size = sizeof(struct events_in),
     .data = SV_DATA_LIST,
     SV_FIELDS(SV_TEXT("event.seq"), SV_TEXT("event.time"), SV_TEXT("event.type"), SV_TEXT("event.objtype"),
               SV_TEXT("event.objid"), SV_TEXT("event.appid"), SV_TEXT("event.content")),
     .handler = events,
     .extension = true,
     DOC("状态变化事件", "state changes, numbered and replayable")},
};
const struct sv_route_table sv_table_job = {routes, ROUTE_COUNT(routes)};
