#include "check.h"
#include "starvirt/error.h"
#include "starvirt/limits.h"
#include "starvirt/mem.h"
#include "starvirt/note.h"

static enum sv_err rule(struct sv_error *err, int64_t need)
{
    return sv_fail(err, SV_E_QUOTA_MEMORY, SV_F_QUOTA_MEMORY, sv_bytes(need * SV_MIB, 0).s,
                   sv_bytes(512 * SV_MIB, 0).s);
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
    /* the header is the wire's to name */
    expect_text(&e, SV_LANG_EN, "the header  is missing");
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

/* The core counts bytes; whoever shows them has units. */
static void amounts_are_shown_in_units(void)
{
    struct sv_error e;
    char buf[64];

    sv_fail(&e, SV_E_QUOTA_STORAGE, SV_F_DISK_SIZE, sv_bytes(3 * SV_GIB + 1, SV_OF_DISK).s,
            sv_bytes(3 * SV_GIB - 1, SV_OF_DISK | SV_ROUND_DOWN).s);
    expect_text(&e, SV_LANG_EN, "storage quota exceeded: 4 GB needed, 2 GB available");
    e.unit = "MB"; /* of the wire key at fault */
    expect_text(&e, SV_LANG_EN, "storage quota exceeded: 3073 MB needed, 3071 MB available");
    sv_fail(&e, SV_E_QUOTA_BELOW_USE, SV_F_QUOTA_MEMORY, sv_bytes(5 * SV_MIB, 0).s);
    expect_text(&e, SV_LANG_EN, "quota-memory is below what is in use: 5");
    snprintf(buf, sizeof(buf), "4 vCPU, %s", sv_bytes(2 * SV_GIB, 0).s);
    sv_fail(&e, SV_E_NO_CAPACITY, SV_F_NONE, buf);
    expect_text(&e, SV_LANG_EN, "no host can take it: 4 vCPU, 2048 MB");
    sv_amounts_text("\x1cz12 \x1c", NULL, true, buf, sizeof(buf)); /* nobody's */
    CHECK_STR(buf, "z12 ");
    sv_amounts_text(sv_bytes(INT64_MAX, SV_OF_DISK | SV_ROUND_DOWN).s, "B", true, buf, sizeof(buf));
    CHECK_STR(buf, "9223372036854775807");
}

static void ranges_and_fields(void)
{
    struct sv_error e;

    sv_fail(&e, SV_E_PARAM_RANGE, SV_F_VCPUS, "1", "255");
    expect_text(&e, SV_LANG_EN, "parameter vcpus is out of range, allowed: 1-255");
    sv_fail(&e, SV_E_PARAM_RANGE, SV_F_VCPUS, "1-30");
    expect_text(&e, SV_LANG_EN, "parameter vcpus is out of range, allowed: 1-30");
    sv_fail(&e, SV_E_PARAM_RANGE, SV_F_DISK_SIZE, sv_bytes(SV_GIB, SV_OF_DISK).s, sv_bytes(9 * SV_GIB, SV_OF_DISK).s);
    expect_text(&e, SV_LANG_EN, "parameter disk-size is out of range, allowed: 1-9");
    sv_fail(&e, SV_E_PARAM_RANGE, SV_F_QUOTA_IPS, "-1", "5");
    expect_text(&e, SV_LANG_EN, "parameter quota-ips is out of range, allowed: -1 - 5");
    sv_fail(&e, SV_E_PARAM_CONFLICT, SV_F_DISK_SIZE, sv_arg_field(SV_F_DISK_COUNT).s);
    expect_text(&e, SV_LANG_EN, "parameter disk-size conflicts with another: disk-count");
    CHECK_INT(sv_field_of_arg(e.arg[0]), SV_F_DISK_COUNT);
    CHECK_INT(sv_field_of_arg("12"), SV_F_NONE);
    CHECK_INT(sv_field_of_arg("\x1d"
                              "9999"),
              SV_F_NONE);
}

/* Reasons are English where they arise. */
static void reasons_in_chinese(void)
{
    static const struct {
        const char *en, *zh;
    } c[] = {{"3 VMs, 1 VPC", "3 台云主机、1 个私网"},
             {"1 VM, 2 templates, 1 disk", "1 台云主机、2 个模板、1 块磁盘"},
             {"stopped", "已停止"},
             {"No such file or directory", "文件或目录不存在"},
             {"backup: open: No space left on device", "备份:open:设备空间不足"},
             {"secrets/key: Permission denied", "secrets/key:权限不足"},
             {"named qcow2 but the content is raw", "声明为 qcow2,内容却是 raw"},
             {"this is a tar archive: unpack it first", "这是 tar 归档,请先解包"},
             {"this is gzip: unpack it first", "这是 gzip,请先解包"},
             {"ip ended with 2: RTNETLINK answers: File exists", "ip 以状态 2 结束:RTNETLINK answers:文件已存在"},
             {"internal error: the monitor said so", "“internal error: the monitor said so”"},
             {"vda", "vda"},
             {"数据盘 1", "数据盘 1"},
             {"named  but the content is ", "“named  but the content is ”"},
             {"* VMs", "* 台云主机"},
             {"", ""}};
    for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
        const char *const args[SV_ERR_ARGS] = {c[i].en};
        char text[256];
        sv_text_expand("{0~}", "", args, text, sizeof(text));
        CHECK_STR(text, c[i].zh);
        sv_text_expand("{0}", "", args, text, sizeof(text));
        CHECK_STR(text, c[i].en);
    }
}

/* What the client sent, others that would do, and what may have been meant. */
static void values_others_and_hints(void)
{
    struct sv_error e = {0};
    char text[512];
    sv_fail(&e, SV_E_VM_NOT_FOUND, SV_F_VM);
    sv_err_text(&e, SV_LANG_EN, text, sizeof(text));
    CHECK_STR(text, "no such VM: vm");
    SV_COPY(e.wire, "vm.id");
    e.value = "x";
    sv_err_text(&e, SV_LANG_EN, text, sizeof(text));
    CHECK_STR(text, "no such VM: vm.id=x");
    sv_fail(&e, SV_E_PARAM_MISSING, SV_F_MODEL, "b", "c");
    sv_err_text(&e, SV_LANG_EN, text, sizeof(text));
    CHECK_STR(text, "the required parameter model / b / c is missing");
    sv_fail(&e, SV_E_NOT_FOUND, SV_F_NONE, "/x", "", "y");
    sv_err_text(&e, SV_LANG_ZH, text, sizeof(text));
    CHECK_STR(text, "请求路径不存在:/x,是否指 y?");
}

static void shown_texts(void)
{
    static const struct {
        const char *text;
        unsigned max;
        const char *shown;
    } c[] = {{"", 4, ""},
             {"abcd", 4, "abcd"},
             {"abcde", 4, "abcd…"},
             {"云主机云主", 4, "云主机云…"},
             {"a\nb", 9, "a\\u000ab"},
             {"\xe2\x80\xae", 9, "\\u202e"},
             {"😀😀", 1, "😀…"}};
    char text[64], small[16];
    for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
        sv_show(text, sizeof(text), c[i].text, strlen(c[i].text), c[i].max);
        CHECK_STR(text, c[i].shown);
    }
    for (size_t size = 1; size <= sizeof(small); size++) {
        sv_show(small, size, "云主机云主机", strlen("云主机云主机"), 64);
        CHECK(strlen(small) < size && sv_utf8_valid(small, strlen(small)));
    }
}

CHECK_MAIN(T(reasons_in_chinese), T(values_others_and_hints), T(shown_texts), T(both_languages), T(names_the_wire_key),
           T(no_arguments), T(wraps_itself), T(long_arguments_are_cut), T(arguments_are_not_templates),
           T(rows_are_whole), T(symbols), T(numbers), T(notes), T(amounts_are_shown_in_units), T(ranges_and_fields))
