/* Lines of a job log for people: names of kinds and steps become titles, packed errors become prose. */
#include "jobs/internal.h"

/* Record separator; the store parts the arguments of a line by the unit separator. */
#define SEP '\x1e'

void jobs_clean(char *s)
{
    if (sv_field_of_arg(s))
        return;
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 && !sv_is_amount(s))
            *s = ' ';
}

void jobs_error_pack(const struct sv_error *e, char *buf, size_t size)
{
    unsigned n = SV_ERR_ARGS;
    while (n && !e->arg[n - 1][0])
        n--;
    sv_copy(buf, size, sv_err_symbol(e->code));
    for (unsigned i = 0; i < n; i++) {
        size_t used = strlen(buf);
        if (used + 2 > size)
            return;
        buf[used] = SEP;
        sv_copy(buf + used + 1, size - used - 1, e->arg[i]);
        jobs_clean(buf + used + 1);
    }
}

void jobs_error_unpack(const char *packed, struct sv_error *ret)
{
    char part[SV_ERR_ARG_MAX];
    memset(ret, 0, sizeof(*ret));
    ret->code = SV_ERR_COUNT;
    for (unsigned i = 0; i <= SV_ERR_ARGS; i++) {
        size_t n = strcspn(packed, "\x1e");
        sv_copy(part, n < sizeof(part) ? n + 1 : sizeof(part), packed);
        if (i == 0)
            ret->code = sv_err_by_symbol(part);
        else
            SV_COPY(ret->arg[i - 1], part);
        if (packed[n] != SEP)
            return;
        packed += n + 1;
    }
}

/* Which arguments of a note the engine wrote as names. */
struct note_row {
    bool kind0, step0;
    bool error[SV_ERR_ARGS];
};
static const struct note_row note_rows[SV_NOTE_COUNT] = {
    [SV_N_ACCEPTED] = {.kind0 = true},
    [SV_N_RESUMED] = {.step0 = true},
    [SV_N_STEP_BEGIN] = {.step0 = true},
    [SV_N_STEP_DONE] = {.step0 = true},
    [SV_N_STEP_FAILED] = {.step0 = true, .error = {false, true}},
    [SV_N_UNDO_BEGIN] = {.step0 = true},
    [SV_N_UNDO_FAILED] = {.step0 = true, .error = {false, true}},
    [SV_N_FAILED] = {.error = {true}},
    [SV_N_PASSWORD_LEFT] = {.error = {true}},
    [SV_N_CLOCK_LEFT] = {.error = {true}},
};

static const char *step_title(const struct sv_job_kind *kind, const char *name, enum sv_lang lang)
{
    for (unsigned i = 0; kind && i < kind->step_count; i++)
        if (strcmp(kind->steps[i].name, name) == 0)
            return lang == SV_LANG_ZH ? kind->steps[i].title_zh : kind->steps[i].title_en;
    return name;
}

static const char *kind_title(const struct sv_jobs *jobs, const char *name, enum sv_lang lang)
{
    const struct sv_job_kind *kind = sv_jobs_kind(jobs, name);
    if (!kind)
        return name;
    return lang == SV_LANG_ZH ? kind->title_zh : kind->title_en;
}

static const char *error_text(const char *packed, enum sv_lang lang, char *buf, size_t size)
{
    struct sv_error e;
    jobs_error_unpack(packed, &e);
    if (e.code == SV_ERR_COUNT)
        return packed;
    sv_err_text(&e, lang, buf, size);
    return buf;
}

void sv_jobs_note_text(const struct sv_jobs *jobs, const struct sv_job *job, const struct sv_job_line *line,
                       enum sv_lang lang, char *buf, size_t size)
{
    static const struct note_row none;
    const struct note_row *row = (unsigned)line->note < SV_NOTE_COUNT ? &note_rows[line->note] : &none;
    char prose[SV_ERR_ARGS][512];
    const char *args[SV_ERR_ARGS];
    for (unsigned i = 0; i < SV_ERR_ARGS; i++) {
        args[i] = line->args[i] ? line->args[i] : "";
        if (row->error[i])
            args[i] = error_text(args[i], lang, prose[i], sizeof(prose[i]));
    }
    if (row->kind0)
        args[0] = kind_title(jobs, args[0], lang);
    if (row->step0)
        args[0] = step_title(sv_jobs_kind(jobs, job->kind), args[0], lang);
    sv_note_text(line->note, lang, args, buf, size);
}
