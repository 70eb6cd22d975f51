#include "starvirt/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/internal.h"
#include "starvirt/limits.h"
#include "starvirt/mem.h"

struct error_row {
    const char *symbol;
    enum sv_retry retry;
    const char *text[2]; /* by enum sv_lang */
};

static const struct error_row errors[] = {
    [SV_OK] = {"OK", SV_RETRY_NO, {[SV_LANG_ZH] = "成功", [SV_LANG_EN] = "success"}},
#define SV_ERROR(sym, retry_, zh, en) [SV_E_##sym] = {#sym, retry_, {[SV_LANG_ZH] = (zh), [SV_LANG_EN] = (en)}},
#include "starvirt/errors.def"
#undef SV_ERROR
};

/* Errors that an operator must look at. */
static const bool ours[SV_ERR_COUNT] = {
    [SV_E_INTERNAL] = true,     [SV_E_HOST_TIMEOUT] = true, [SV_E_HYPERVISOR] = true,  [SV_E_DOMAIN_MISSING] = true,
    [SV_E_STORAGE] = true,      [SV_E_STORAGE_FULL] = true, [SV_E_NETWORK] = true,     [SV_E_HOST_DOWN] = true,
    [SV_E_JOB_DEADLINE] = true, [SV_E_JOB_LOST] = true,     [SV_E_JOB_ABORTED] = true, [SV_E_DB] = true,
    [SV_E_DB_NEWER] = true,     [SV_E_DB_LOCKED] = true,    [SV_E_CONFIG] = true,      [SV_E_SYSTEM] = true,
    [SV_E_DISK_FULL] = true,    [SV_E_DB_IO] = true,        [SV_E_DB_DAMAGED] = true,  [SV_E_DB_LOST] = true,
};

/* Named only where no dialect has put the wire key, as in logs. */
static const char *const field_names[SV_F_COUNT] = {
    [SV_F_NONE] = "",
    [SV_F_VM] = "vm",
    [SV_F_VM_NAME] = "vm-name",
    [SV_F_VM_DESC] = "vm-desc",
    [SV_F_VCPUS] = "vcpus",
    [SV_F_MEMORY] = "memory",
    [SV_F_VM_COUNT] = "vm-count",
    [SV_F_MODEL] = "model",
    [SV_F_MODEL_TYPE] = "model-type",
    [SV_F_MODEL_VALUE] = "model-value",
    [SV_F_TEMPLATE] = "template",
    [SV_F_TEMPLATE_NAME] = "template-name",
    [SV_F_TEMPLATE_PATH] = "template-path",
    [SV_F_TEMPLATE_URL] = "template-url",
    [SV_F_TEMPLATE_FORMAT] = "template-format",
    [SV_F_CHECKSUM] = "checksum",
    [SV_F_VPC] = "vpc",
    [SV_F_VPC_NAME] = "vpc-name",
    [SV_F_VNC_PASSWORD] = "vnc-password",
    [SV_F_PASSWORD] = "password",
    [SV_F_USER] = "user",
    [SV_F_NESTED] = "nested",
    [SV_F_DISK] = "disk",
    [SV_F_DISK_COUNT] = "disk-count",
    [SV_F_DISK_SIZE] = "disk-size",
    [SV_F_NIC] = "nic",
    [SV_F_HOST] = "host",
    [SV_F_HOST_LABELS] = "host-labels",
    [SV_F_STORAGE] = "storage",
    [SV_F_HOST_NAME] = "host-name",
    [SV_F_HOST_URI] = "host-uri",
    [SV_F_LABELS] = "labels",
    [SV_F_VCPU_OVERCOMMIT] = "vcpu-overcommit",
    [SV_F_MEMORY_OVERCOMMIT] = "memory-overcommit",
    [SV_F_TENANT] = "tenant",
    [SV_F_TENANT_NAME] = "tenant-name",
    [SV_F_TOKEN] = "token",
    [SV_F_TOKEN_ROLE] = "token-role",
    [SV_F_TOKEN_EXPIRY] = "token-expiry",
    [SV_F_QUOTA_VCPUS] = "quota-vcpus",
    [SV_F_QUOTA_MEMORY] = "quota-memory",
    [SV_F_QUOTA_STORAGE] = "quota-storage",
    [SV_F_QUOTA_IMAGES] = "quota-images",
    [SV_F_QUOTA_SUBNETS] = "quota-subnets",
    [SV_F_QUOTA_IPS] = "quota-ips",
    [SV_F_QUOTA_JOBS] = "quota-jobs",
    [SV_F_JOB] = "job",
    [SV_F_SNAPSHOT] = "snapshot",
    [SV_F_BACKUP] = "backup",
    [SV_F_SNAPSHOT_NAME] = "snapshot-name",
    [SV_F_SNAPSHOT_DESC] = "snapshot-desc",
    [SV_F_STORAGE_NAME] = "storage-name",
    [SV_F_STORAGE_TYPE] = "storage-type",
    [SV_F_STORAGE_LOCATION] = "storage-location",
    [SV_F_CEPH_MONITORS] = "ceph-monitors",
    [SV_F_CEPH_POOL] = "ceph-pool",
    [SV_F_CEPH_USER] = "ceph-user",
    [SV_F_CEPH_KEY] = "ceph-key",
    [SV_F_DISK_NAME] = "disk-name",
    [SV_F_BACKUP_NAME] = "backup-name",
    [SV_F_BACKUP_DESC] = "backup-desc",
    [SV_F_NETWORK] = "network",
    [SV_F_NET_TYPE] = "network-type",
    [SV_F_NET_DEVICE] = "network-device",
    [SV_F_NET_VLAN] = "vlan",
    [SV_F_NETNS] = "network-namespace",
    [SV_F_RULE] = "rule",
    [SV_F_RULE_DIRECTION] = "rule-direction",
    [SV_F_RULE_PROTO] = "rule-protocol",
    [SV_F_RULE_SRC] = "rule-sources",
    [SV_F_RULE_DST] = "rule-targets",
    [SV_F_RULE_PORTS] = "rule-ports",
    [SV_F_RULE_DESC] = "rule-desc",
    [SV_F_AFFINITY] = "affinity",
    [SV_F_AFFINITY_NAME] = "affinity-name",
    [SV_F_AFFINITY_DESC] = "affinity-desc",
    [SV_F_GROUP] = "security-group",
    [SV_F_GROUP_NAME] = "security-group-name",
    [SV_F_GROUP_DESC] = "security-group-desc",
    [SV_F_POOL] = "pool",
    [SV_F_POOL_NAME] = "pool-name",
    [SV_F_POOL_FIRST] = "pool-first",
    [SV_F_POOL_LAST] = "pool-last",
    [SV_F_POOL_GATEWAY] = "pool-gateway",
    [SV_F_POOL_NETMASK] = "pool-netmask",
    [SV_F_OUTER_IP] = "outer-ip",
    [SV_F_OUTER_PORT] = "outer-port",
    [SV_F_INNER_PORT] = "inner-port",
    [SV_F_SOURCES] = "sources",
    [SV_F_NAT] = "mapping",
};

static bool is_error(enum sv_err code)
{
    return (unsigned)code < SV_ERR_COUNT;
}

enum sv_err sv_fail_args(struct sv_error *e, enum sv_err code, enum sv_field field, ...)
{
    if (!e)
        return code;
    /* Built aside: an argument may point into *e, when an error is wrapped into another. */
    struct sv_error made = {.code = code, .field = field};
    va_list ap;
    va_start(ap, field);
    for (unsigned i = 0; i < SV_ERR_ARGS; i++) {
        const char *arg = va_arg(ap, const char *);
        if (!arg)
            break;
        SV_COPY(made.arg[i], arg);
    }
    va_end(ap);
    *e = made;
    return code;
}

const char *sv_err_symbol(enum sv_err code)
{
    return is_error(code) ? errors[code].symbol : "UNKNOWN";
}

enum sv_retry sv_err_retry(enum sv_err code)
{
    return is_error(code) ? errors[code].retry : SV_RETRY_UNKNOWN;
}

const char *sv_retry_name(enum sv_retry retry)
{
    switch (retry) {
    case SV_RETRY_NO:
        return "no";
    case SV_RETRY_SAFE:
        return "safe";
    case SV_RETRY_UNKNOWN:
        break;
    }
    return "unknown";
}

bool sv_err_is_ours(enum sv_err code)
{
    return !is_error(code) || ours[code];
}

enum sv_err sv_err_by_symbol(const char *symbol)
{
    for (unsigned i = 0; symbol && i < SV_ERR_COUNT; i++)
        if (strcmp(errors[i].symbol, symbol) == 0)
            return (enum sv_err)i;
    return SV_ERR_COUNT;
}

/* --- fields as arguments ----------------------------------------------------------------------------- */

enum { FIELD = 0x1d }; /* then its number */

struct sv_dec sv_arg_field(enum sv_field field)
{
    struct sv_dec d = {.s = {FIELD}};

    sv_copy(d.s + 1, sizeof(d.s) - 1, sv_dec(field).s);
    return d;
}

enum sv_field sv_field_of_arg(const char *arg)
{
    int64_t v;

    if (arg[0] != FIELD || !sv_parse_int(arg + 1, &v) || v < 0 || v >= SV_F_COUNT)
        return SV_F_NONE;
    return (enum sv_field)v;
}

/* --- amounts ---------------------------------------------------------------------------------------- */

enum { AMOUNT = 0x1c }; /* then a letter that says how, then the digits; job logs part their arguments by 0x1e, 0x1f */

struct sv_dec sv_bytes(int64_t v, unsigned how)
{
    struct sv_dec d = {.s = {AMOUNT, (char)('a' + (how & (SV_OF_DISK | SV_ROUND_DOWN)))}};

    sv_copy(d.s + 2, sizeof(d.s) - 2, sv_dec(v).s);
    return d;
}

bool sv_is_amount(const char *p)
{
    return p[0] == AMOUNT && p[1] >= 'a' && p[1] <= 'a' + (SV_OF_DISK | SV_ROUND_DOWN);
}

static int64_t unit_size(const char *unit)
{
    return strcmp(unit, "GB") == 0 ? SV_GIB : strcmp(unit, "MB") == 0 ? SV_MIB : 1;
}

/* Moves *p behind the amount it is at. */
static void put_amount(const char **p, const char *unit, bool bare, char *buf, size_t size)
{
    const unsigned how = (unsigned)((*p)[1] - 'a');
    const char *shown = unit ? unit : how & SV_OF_DISK ? "GB" : "MB";
    const size_t digits = strspn(*p + 2, "0123456789-");
    const int64_t each = unit_size(shown);
    char text[24] = "";
    int64_t v = 0;

    if (digits < sizeof(text))
        memcpy(text, *p + 2, digits);
    sv_parse_int(text, &v);
    if (!(how & SV_ROUND_DOWN) && v > 0 && v % each)
        v += each - v % each;
    snprintf(buf, size, "%lld%s%s", (long long)(v / each), bare ? "" : " ", bare ? "" : shown);
    *p += 2 + digits;
}

void sv_amounts_text(const char *text, const char *unit, bool bare, char *buf, size_t size)
{
    struct sv_buf out SV_CLEANUP(sv_buf_free) = {0};

    for (const char *p = text; *p;) {
        const size_t plain = strcspn(p, (const char[]){AMOUNT, '\0'});
        char amount[32];

        sv_buf_add(&out, p, plain);
        p += plain;
        if (!*p)
            break;
        if (!sv_is_amount(p)) {
            p++;
            continue;
        }
        put_amount(&p, unit, bare, amount, sizeof(amount));
        sv_buf_puts(&out, amount);
    }
    sv_copy(buf, size, out.n ? out.p : "");
}

/* --- templates -------------------------------------------------------------------------------------- */

struct shown {
    const char *field, *unit, *value;
    const char *hint; /* in the reader's language: what stands before the name, and, behind a NUL, after it */
    const char *const *args;
    bool words;                    /* arguments are reasons, to be put into Chinese */
    char text[5 * SV_ERR_ARG_MAX]; /* of what had to be made */
};

static void put_arg(struct shown *s, unsigned i, bool bare, char *buf, size_t size)
{
    const char *arg = s->args[i] ? s->args[i] : "";
    const enum sv_field field = sv_field_of_arg(arg);
    char plain[2 * SV_ERR_ARG_MAX];

    sv_amounts_text(field ? field_names[field] : arg, s->unit, bare, plain, sizeof(plain));
    if (s->words)
        sv_phrase_text(plain, buf, size);
    else
        sv_copy(buf, size, plain);
}

/* "1-255"; only {0} where that is all. */
static void put_range(struct shown *s)
{
    char most[SV_ERR_ARG_MAX];
    size_t n;

    put_arg(s, 0, true, s->text, sizeof(s->text));
    put_arg(s, 1, true, most, sizeof(most));
    n = strlen(s->text);
    if (most[0])
        snprintf(s->text + n, sizeof(s->text) - n, s->text[0] == '-' ? " - %s" : "-%s", most);
}

/* "vm.id=x" */
static void put_value(struct shown *s)
{
    const bool named = s->value && s->value[0];
    char arg[SV_ERR_ARG_MAX] = "";

    if (!named)
        put_arg(s, 0, false, arg, sizeof(arg));
    const char *value = named ? s->value : arg;
    snprintf(s->text, sizeof(s->text), "%s%s%s", s->field, value[0] ? "=" : "", value);
}

/* "a / b / c" */
static void put_others(struct shown *s)
{
    sv_copy(s->text, sizeof(s->text), s->field);
    for (unsigned i = 0; i < SV_ERR_ARGS; i++) {
        const size_t n = strlen(s->text);
        char arg[SV_ERR_ARG_MAX];

        put_arg(s, i, false, arg, sizeof(arg));
        snprintf(s->text + n, sizeof(s->text) - n, "%s%s", arg[0] ? " / " : "", arg);
    }
}

static void put_hint(struct shown *s)
{
    const char *name = s->args[SV_ERR_ARGS - 1];

    s->text[0] = '\0';
    if (s->hint && name && name[0])
        snprintf(s->text, sizeof(s->text), "%s%s%s", s->hint, name, s->hint + strlen(s->hint) + 1);
}

/* What the placeholder at p stands for and how long it is, NULL if there is none. */
static const char *placeholder(const char *p, struct shown *s, size_t *ret_len)
{
    const char how = p[0] == '{' && p[1] ? p[2] : '\0';
    const bool bare = how == '#';

    s->words = how == '~';
    *ret_len = bare || s->words ? 4 : 3;
    if (p[0] != '{' || p[1] == '\0' || p[*ret_len - 1] != '}')
        return NULL;
    if (p[1] == 'f')
        return s->field ? s->field : "";
    static const struct {
        char letter;
        void (*put)(struct shown *s);
    } made[] = {{'r', put_range}, {'v', put_value}, {'o', put_others}, {'h', put_hint}};
    for (unsigned i = 0; i < sizeof(made) / sizeof(made[0]); i++)
        if (p[1] == made[i].letter) {
            made[i].put(s);
            return s->text;
        }
    if (p[1] < '0' || p[1] >= '0' + SV_ERR_ARGS)
        return NULL;
    put_arg(s, (unsigned)(p[1] - '0'), bare, s->text, sizeof(s->text));
    return s->text;
}

static void expand(const char *tmpl, struct shown *s, char *buf, size_t size)
{
    size_t n = 0;
    if (size == 0)
        return;
    while (*tmpl) {
        size_t skip;
        const char *value = placeholder(tmpl, s, &skip);
        const char *from = value ? value : tmpl;
        size_t len = value ? strlen(value) : 1 + strcspn(tmpl + 1, "{");
        tmpl += value ? skip : len;
        if (len > size - 1 - n) {
            size_t fits = sv_utf8_cut(from, size - 1 - n);
            memcpy(buf + n, from, fits);
            n += fits;
            break;
        }
        memcpy(buf + n, from, len);
        n += len;
    }
    buf[n] = '\0';
}

void sv_text_expand(const char *tmpl, const char *field, const char *const args[SV_ERR_ARGS], char *buf, size_t size)
{
    struct shown s = {.field = field ? field : "", .args = args};

    expand(tmpl, &s, buf, size);
}

void sv_err_text(const struct sv_error *e, enum sv_lang lang, char *buf, size_t size)
{
    const char *const args[SV_ERR_ARGS] = {e->arg[0], e->arg[1], e->arg[2]};
    const char *field = e->wire;
    if (field[0] == '\0' && (unsigned)e->field < SV_F_COUNT)
        field = field_names[e->field];
    if (!is_error(e->code)) {
        sv_copy(buf, size, "UNKNOWN");
        return;
    }
    static const char *const hints[] = {[SV_LANG_ZH] = ",是否指 \0?", [SV_LANG_EN] = ", did you mean \0?"};
    struct shown s = {.field = field, .unit = e->unit, .value = e->value, .hint = hints[lang], .args = args};
    expand(errors[e->code].text[lang], &s, buf, size);
}

struct sv_dec sv_dec(int64_t v)
{
    struct sv_dec d;
    d.s[sv_dec_write(d.s, v)] = '\0';
    return d;
}
