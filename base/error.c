#include "starvirt/error.h"

#include <stdarg.h>
#include <string.h>

#include "base/internal.h"
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
    [SV_F_STORAGE] = "storage",
    [SV_F_TENANT] = "tenant",
    [SV_F_TENANT_NAME] = "tenant-name",
    [SV_F_TOKEN] = "token",
    [SV_F_TOKEN_ROLE] = "token-role",
    [SV_F_TOKEN_EXPIRY] = "token-expiry",
    [SV_F_QUOTA_VCPUS] = "quota-vcpus",
    [SV_F_QUOTA_MEMORY] = "quota-memory",
    [SV_F_QUOTA_STORAGE] = "quota-storage",
    [SV_F_QUOTA_SUBNETS] = "quota-subnets",
    [SV_F_QUOTA_IPS] = "quota-ips",
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

/* What the placeholder at p stands for, NULL if there is none. */
static const char *placeholder(const char *p, const char *field, const char *const args[SV_ERR_ARGS])
{
    if (p[0] != '{' || p[1] == '\0' || p[2] != '}')
        return NULL;
    if (p[1] == 'f')
        return field ? field : "";
    if (p[1] < '0' || p[1] >= '0' + SV_ERR_ARGS)
        return NULL;
    const char *arg = args[p[1] - '0'];
    return arg ? arg : "";
}

void sv_text_expand(const char *tmpl, const char *field, const char *const args[SV_ERR_ARGS], char *buf, size_t size)
{
    size_t n = 0;
    if (size == 0)
        return;
    while (*tmpl) {
        const char *value = placeholder(tmpl, field, args);
        const char *from = value ? value : tmpl;
        size_t len = value ? strlen(value) : 1 + strcspn(tmpl + 1, "{");
        tmpl += value ? 3 : len;
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
    sv_text_expand(errors[e->code].text[lang], field, args, buf, size);
}

struct sv_dec sv_dec(int64_t v)
{
    struct sv_dec d;
    d.s[sv_dec_write(d.s, v)] = '\0';
    return d;
}
