/* Errors: one list, one small struct on the caller's stack.
 *
 * Every function that can fail returns enum sv_err (SV_OK is 0) and takes a `struct sv_error *err`
 * last, which is written only on failure and never allocates. The error carries a symbol, the core
 * field at fault and up to three short arguments; prose is made at the edge, in the language of the
 * reader, from the rows of errors.def. Threads: a struct belongs to its caller. */
#ifndef STARVIRT_ERROR_H
#define STARVIRT_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* May the client send the same request again? (docs/ERRORS.md, "retry") */
enum sv_retry {
    SV_RETRY_NO,      /* it would fail again until something else changes */
    SV_RETRY_SAFE,    /* nothing was done, a later try may succeed */
    SV_RETRY_UNKNOWN, /* it may have been done: look before trying again */
};

enum sv_lang { SV_LANG_ZH, SV_LANG_EN };

enum sv_err {
    SV_OK = 0,
#define SV_ERROR(sym, retry, zh, en) SV_E_##sym,
#include "starvirt/errors.def"
#undef SV_ERROR
    SV_ERR_COUNT
};

/* What a core rule can object to. A dialect finds the wire key through the `field` column of the
 * route's own parameter rows, so the core never learns wire names. */
enum sv_field {
    SV_F_NONE = 0,
    SV_F_VM,
    SV_F_VM_NAME,
    SV_F_VM_DESC,
    SV_F_VCPUS,
    SV_F_MEMORY,
    SV_F_VM_COUNT,
    SV_F_MODEL,
    SV_F_MODEL_TYPE,
    SV_F_MODEL_VALUE,
    SV_F_TEMPLATE,
    SV_F_TEMPLATE_NAME,
    SV_F_TEMPLATE_PATH,
    SV_F_TEMPLATE_URL,
    SV_F_TEMPLATE_FORMAT,
    SV_F_CHECKSUM,
    SV_F_VPC,
    SV_F_VPC_NAME,
    SV_F_VNC_PASSWORD,
    SV_F_PASSWORD,
    SV_F_USER,
    SV_F_NESTED,
    SV_F_DISK,
    SV_F_DISK_COUNT,
    SV_F_DISK_SIZE,
    SV_F_NIC,
    SV_F_HOST,
    SV_F_HOST_LABELS,
    SV_F_STORAGE,
    SV_F_HOST_NAME,
    SV_F_HOST_URI,
    SV_F_LABELS,
    SV_F_VCPU_OVERCOMMIT,
    SV_F_MEMORY_OVERCOMMIT,
    SV_F_TENANT,
    SV_F_TENANT_NAME,
    SV_F_TOKEN,
    SV_F_TOKEN_ROLE,
    SV_F_TOKEN_EXPIRY,
    SV_F_QUOTA_VCPUS,
    SV_F_QUOTA_MEMORY,
    SV_F_QUOTA_STORAGE,
    SV_F_QUOTA_IMAGES,
    SV_F_QUOTA_SUBNETS,
    SV_F_QUOTA_IPS,
    SV_F_QUOTA_JOBS,
    SV_F_JOB,
    SV_F_SNAPSHOT,
    SV_F_BACKUP,
    SV_F_SNAPSHOT_NAME,
    SV_F_SNAPSHOT_DESC,
    SV_F_STORAGE_NAME,
    SV_F_STORAGE_TYPE,
    SV_F_STORAGE_LOCATION,
    SV_F_CEPH_MONITORS,
    SV_F_CEPH_POOL,
    SV_F_CEPH_USER,
    SV_F_CEPH_KEY,
    SV_F_DISK_NAME,
    SV_F_BACKUP_NAME,
    SV_F_BACKUP_DESC,
    SV_F_NETWORK,
    SV_F_NET_TYPE,
    SV_F_NET_DEVICE,
    SV_F_NET_VLAN,
    SV_F_NETNS,
    SV_F_POOL,
    SV_F_POOL_NAME,
    SV_F_POOL_FIRST,
    SV_F_POOL_LAST,
    SV_F_POOL_GATEWAY,
    SV_F_POOL_NETMASK,
    SV_F_OUTER_IP,
    SV_F_OUTER_PORT,
    SV_F_INNER_PORT,
    SV_F_SOURCES,
    SV_F_NAT,
    SV_F_RULE,
    SV_F_RULE_DIRECTION,
    SV_F_RULE_PROTO,
    SV_F_RULE_SRC,
    SV_F_RULE_DST,
    SV_F_RULE_PORTS,
    SV_F_RULE_DESC,
    SV_F_AFFINITY,
    SV_F_AFFINITY_NAME,
    SV_F_AFFINITY_DESC,
    SV_F_GROUP,
    SV_F_GROUP_NAME,
    SV_F_GROUP_DESC,
    SV_F_ROUTER,
    SV_F_ROUTER_NAME,
    SV_F_SLB,
    SV_F_SLB_NAME,
    SV_F_SLB_DESC,
    SV_F_SLB_IP,
    SV_F_SLB_OWN,
    SV_F_SLB_PORT,
    SV_F_SLB_REAL_PORT,
    SV_F_SLB_PROTO,
    SV_F_SLB_POLICY,
    SV_F_SLB_URL,
    SV_F_SLB_RETRIES,
    SV_F_SLB_EVERY,
    SV_F_SLB_TIMEOUT,
    SV_F_SLB_IDLE,
    SV_F_SLB_CHECK,
    SV_F_SLB_CONNECTIONS,
    SV_F_SLB_CERT,
    SV_F_SLB_KEY,
    SV_F_SLB_NODES,
    SV_F_NODE,
    SV_F_NODE_NAME,
    SV_F_NODE_DESC,
    SV_F_NODE_IP,
    SV_F_NODE_PORT,
    SV_F_NODE_WEIGHT,
    SV_F_ALARM,
    SV_F_ALARM_TYPE,
    SV_F_ALARM_LEVEL,
    SV_F_ALARM_OBJECT_TYPE,
    SV_F_ALARM_WAY,
    SV_F_ALARM_VALUE,
    SV_F_ALARM_MINUTES,
    SV_F_COUNT
};

#define SV_ERR_ARGS    3
#define SV_ERR_ARG_MAX 128 /* bytes, longer arguments are cut at a UTF-8 boundary */

struct sv_error {
    enum sv_err code;
    enum sv_field field;
    unsigned element; /* which one of a list of objects the field is of: 1 = its first; 0 = of none */
    char wire[64];    /* wire key at fault; set by the API toolkit, empty otherwise */
    const char *unit; /* "MB", "GB": that key's; likewise, NULL otherwise */
    /* What the client sent under that key; likewise. */
    const char *value;
    char arg[SV_ERR_ARGS][SV_ERR_ARG_MAX];
};

/* Fills `e` and returns `code`, so that a rule can `return sv_fail(err, ...)`. Arguments are
 * strings; sv_dec() prints numbers. `e` may be NULL. */
#define sv_fail(e, code, field, ...) sv_fail_args((e), (code), (field), ##__VA_ARGS__, (const char *)NULL)
enum sv_err sv_fail_args(struct sv_error *e, enum sv_err code, enum sv_field field, ...) __attribute__((sentinel));

/* "VM_LOCKED" */
const char *sv_err_symbol(enum sv_err code);
enum sv_retry sv_err_retry(enum sv_err code);
/* "no", "safe", "unknown" */
const char *sv_retry_name(enum sv_retry retry);
/* True where the fault is ours (logged at error), false where it is the client's (logged at info). */
bool sv_err_is_ours(enum sv_err code);
/* Writes the sentence for people. {f} is the wire key, {0} {1} {2} the arguments, {r} a range: {0}, and up to {1}
 * where that is given; {v} the key with what was sent under it, or {0}: "vm.id=x"; {o} the key, or one of the others
 * among the arguments: "a / b"; {h} a hint where {2} names one: ", did you mean x?". Amounts of bytes among them
 * (sv_bytes) are shown in the error's unit; {0#} without its name. {0~}
 * and {r~} stand in Chinese texts: a reason in English is put into Chinese by the rows of base/phrases.def. */
void sv_err_text(const struct sv_error *e, enum sv_lang lang, char *buf, size_t size);
/* The symbol's number, SV_ERR_COUNT if unknown: for errors read back from the database. */
enum sv_err sv_err_by_symbol(const char *symbol);
/* Expands these in `tmpl`; shared by errors and notes. Amounts are shown in their own unit. */
void sv_text_expand(const char *tmpl, const char *field, const char *const args[SV_ERR_ARGS], char *buf, size_t size);

struct sv_dec {
    char s[24];
};
struct sv_dec sv_dec(int64_t v);
/* Another field as an argument: the toolkit puts its wire key. */
struct sv_dec sv_arg_field(enum sv_field field);
/* The field that an argument stands for, SV_F_NONE for any other argument. */
enum sv_field sv_field_of_arg(const char *arg);
/* An amount of bytes as an argument of errors, notes and events, alone or within a text: the core counts bytes,
 * units are for whoever shows them. */
enum {
    SV_OF_DISK = 1,    /* large: in GB where nobody says otherwise, else in MB */
    SV_ROUND_DOWN = 2, /* of what is left; else a part counts whole */
};
struct sv_dec sv_bytes(int64_t v, unsigned how);
/* Does one begin here? Its first character is one that cannot be seen. */
bool sv_is_amount(const char *p);
/* `text` with its amounts in `unit` ("MB", "GB"; NULL = each in its own), with the unit's name unless `bare`. */
void sv_amounts_text(const char *text, const char *unit, bool bare, char *buf, size_t size);

#endif
