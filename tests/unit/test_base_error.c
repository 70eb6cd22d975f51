#include "check.h"
#include "starvirt/error.h"
#include "starvirt/mem.h"
#include "starvirt/note.h"

static enum sv_err rule(struct sv_error *err, int64_t need)
{
    return sv_fail(err, SV_E_QUOTA_MEMORY, SV_F_QUOTA_MEMORY, sv_dec(need).s, sv_dec(512).s);
}

static void expect_text(const struct sv_error *e, enum sv_lang lang, const char *want)
{
    char buf[512];
    sv_err_text(e, lang, buf, sizeof(buf));
    CHECK_STR(buf, want);
}

static void both_languages(void)
{
    struct sv_error e;
    CHECK_INT(rule(&e, 1024), SV_E_QUOTA_MEMORY);
    CHECK_INT(e.code, SV_E_QUOTA_MEMORY);
    CHECK_INT(e.field, SV_F_QUOTA_MEMORY);
    expect_text(&e, SV_LANG_EN, "memory quota exceeded: 1024 MB needed, 512 MB available");
    expect_text(&e, SV_LANG_ZH, "内存配额不足:需要 1024 MB,可用 512 MB");
    CHECK_INT(rule(NULL, 1), SV_E_QUOTA_MEMORY);
}

static void names_the_wire_key(void)
{
    struct sv_error e;
    sv_fail(&e, SV_E_PARAM_RANGE, SV_F_VCPUS, "1-255");
    expect_text(&e, SV_LANG_EN, "parameter vcpus is out of range, allowed: 1-255");
    SV_COPY(e.wire, "vm.cpunum");
    expect_text(&e, SV_LANG_EN, "parameter vm.cpunum is out of range, allowed: 1-255");
    expect_text(&e, SV_LANG_ZH, "参数 vm.cpunum 超出范围,允许 1-255");
}

static void no_arguments(void)
{
    struct sv_error e;
    memset(&e, 'x', sizeof(e));
    sv_fail(&e, SV_E_TOKEN_MISSING, SV_F_NONE);
    CHECK_STR(e.arg[0], "");
    CHECK_STR(e.arg[2], "");
    CHECK_STR(e.wire, "");
    expect_text(&e, SV_LANG_EN, "the header KEY_TOKEN is missing");
}

/* An error wrapped into another takes its arguments from the struct it is written to. */
static void wraps_itself(void)
{
    struct sv_error e;
    sv_fail(&e, SV_E_SYSTEM, SV_F_NONE, "no such file");
    sv_fail(&e, SV_E_STORAGE, SV_F_NONE, e.arg[0]);
    expect_text(&e, SV_LANG_EN, "storage error: no such file");
}

static void long_arguments_are_cut(void)
{
    struct sv_error e;
    char text[600];
    memset(text, 0, sizeof(text));
    for (int i = 0; i < 100; i++)
        memcpy(text + i * 3, "云", 3);
    sv_fail(&e, SV_E_INTERNAL, SV_F_NONE, text);
    CHECK_INT(strlen(e.arg[0]), 126); /* 42 whole characters below 128 */
    CHECK(sv_utf8_valid(e.arg[0], strlen(e.arg[0])));
    char small[16];
    sv_err_text(&e, SV_LANG_EN, small, sizeof(small));
    CHECK_STR(small, "internal error:");
    char mid[20];
    sv_err_text(&e, SV_LANG_EN, mid, sizeof(mid));
    CHECK_STR(mid, "internal error: 云");
    char one[1] = {'x'};
    sv_err_text(&e, SV_LANG_EN, one, sizeof(one));
    CHECK_STR(one, "");
}

/* Arguments come from users: braces in them are text. */
static void arguments_are_not_templates(void)
{
    struct sv_error e;
    sv_fail(&e, SV_E_TENANT_NAME_TAKEN, SV_F_TENANT_NAME, "{1}{f}{", "secret");
    expect_text(&e, SV_LANG_EN, "a tenant of this name exists: {1}{f}{");
    char buf[64];
    const char *const args[SV_ERR_ARGS] = {"A", NULL, "C"};
    sv_text_expand("{0}{1}{2}{3}{x}{{0}}{", "F", args, buf, sizeof(buf));
    CHECK_STR(buf, "AC{3}{x}{A}{");
}

static bool has_placeholder(const char *s, char which)
{
    char p[4] = {'{', which, '}', '\0'};
    return strstr(s, p) != NULL;
}

/* Every row: a symbol that is found again, a sentence in both languages with the same placeholders. */
static void rows_are_whole(void)
{
    static const struct sv_error probe = {.arg = {"{0}", "{1}", "{2}"}, .wire = "{f}"};
    for (int i = 1; i < SV_ERR_COUNT; i++) {
        struct sv_error e = probe;
        char zh[512], en[512];
        e.code = (enum sv_err)i;
        CHECK_INT(sv_err_by_symbol(sv_err_symbol(e.code)), i);
        CHECK(*sv_retry_name(sv_err_retry(e.code)) != '\0');
        sv_err_text(&e, SV_LANG_ZH, zh, sizeof(zh));
        sv_err_text(&e, SV_LANG_EN, en, sizeof(en));
        CHECK(strlen(zh) > 3 && strlen(en) > 3 && strcmp(zh, en) != 0);
        CHECK(sv_utf8_valid(zh, strlen(zh)));
        for (const char *p = "012f"; *p; p++)
            if (has_placeholder(zh, *p) != has_placeholder(en, *p))
                check_failed(__FILE__, __LINE__, "%s: {%c} in one language only", sv_err_symbol(e.code), *p);
    }
    for (int f = SV_F_NONE + 1; f < SV_F_COUNT; f++) {
        struct sv_error e = {.code = SV_E_VM_NOT_FOUND, .field = (enum sv_field)f};
        char en[128];
        sv_err_text(&e, SV_LANG_EN, en, sizeof(en));
        CHECK(strlen(en) > strlen("no such VM: "));
    }
}

static void symbols(void)
{
    CHECK_STR(sv_err_symbol(SV_E_VM_LOCKED), "VM_LOCKED");
    CHECK_INT(sv_err_by_symbol("VM_LOCKED"), SV_E_VM_LOCKED);
    CHECK_INT(sv_err_by_symbol("NO_SUCH"), SV_ERR_COUNT);
    CHECK_INT(sv_err_by_symbol(NULL), SV_ERR_COUNT);
    CHECK_STR(sv_retry_name(sv_err_retry(SV_E_VM_LOCKED)), "safe");
    CHECK_STR(sv_retry_name(sv_err_retry(SV_E_VM_NOT_FOUND)), "no");
    CHECK_STR(sv_retry_name(sv_err_retry(SV_E_HYPERVISOR)), "unknown");
    CHECK(sv_err_is_ours(SV_E_DB) && sv_err_is_ours(SV_E_INTERNAL));
    CHECK(!sv_err_is_ours(SV_E_BAD_JSON) && !sv_err_is_ours(SV_E_QUOTA_VCPUS));
}

static void numbers(void)
{
    CHECK_STR(sv_dec(0).s, "0");
    CHECK_STR(sv_dec(-7).s, "-7");
    CHECK_STR(sv_dec(INT64_MAX).s, "9223372036854775807");
    CHECK_STR(sv_dec(INT64_MIN).s, "-9223372036854775808");
}

static void notes(void)
{
    char buf[128];
    const char *const args[SV_ERR_ARGS] = {"vda", "20", NULL};
    sv_note_text(SV_N_DISK_READY, SV_LANG_EN, args, buf, sizeof(buf));
    CHECK_STR(buf, "disk vda is ready, 20 GB");
    sv_note_text(SV_N_DISK_READY, SV_LANG_ZH, args, buf, sizeof(buf));
    CHECK_STR(buf, "磁盘 vda 就绪,20 GB");
    for (int i = 0; i < SV_NOTE_COUNT; i++)
        CHECK_INT(sv_note_by_symbol(sv_note_symbol((enum sv_note)i)), i);
    CHECK_INT(sv_note_by_symbol("NO_SUCH"), SV_NOTE_COUNT);
}

CHECK_MAIN(T(both_languages), T(names_the_wire_key), T(no_arguments), T(wraps_itself), T(long_arguments_are_cut),
           T(arguments_are_not_templates), T(rows_are_whole), T(symbols), T(numbers), T(notes))
