#include "hv/libvirt/internal.h"

#include "starvirt/log.h"

#include <ctype.h>

/* What some of libvirt's codes mean to us; all others are HYPERVISOR. */
static const struct {
    int code;
    enum sv_err err;
} codes[] = {
    {VIR_ERR_NO_DOMAIN, SV_E_DOMAIN_MISSING},
    {VIR_ERR_AGENT_UNRESPONSIVE, SV_E_VM_NO_AGENT},
    {VIR_ERR_NO_SUPPORT, SV_E_UNSUPPORTED},
    {VIR_ERR_CONFIG_UNSUPPORTED, SV_E_UNSUPPORTED},
    {VIR_ERR_OPERATION_UNSUPPORTED, SV_E_UNSUPPORTED},
    {VIR_ERR_ARGUMENT_UNSUPPORTED, SV_E_UNSUPPORTED},
};

static size_t put_word(const char *word, size_t n, char *buf, size_t at, size_t size)
{
    static const char hidden[] = "(path)";
    if (memchr(word, '/', n)) {
        word = hidden;
        n = sizeof(hidden) - 1;
    }
    if (at && at + 1 < size)
        buf[at++] = ' ';
    for (size_t i = 0; i < n && at + 1 < size; i++)
        buf[at++] = word[i];
    return at;
}

void lv_plain_text(const char *text, char *buf, size_t size)
{
    const char *end = text + strcspn(text, "\r\n");
    /* "Child process (/usr/sbin/x --y z) unexpected exit ...": the command is the host's own business. */
    const char *command = strstr(text, "Child process (");
    size_t at = 0;
    if (command && command < end)
        end = command + strlen("Child process");
    while (text < end) {
        while (text < end && isspace((unsigned char)*text))
            text++;
        const char *word = text;
        while (text < end && !isspace((unsigned char)*text))
            text++;
        if (text > word)
            at = put_word(word, (size_t)(text - word), buf, at, size);
    }
    buf[at] = '\0';
}

static enum sv_err meaning(int code, const char *text)
{
    if (strstr(text, "No space left on device") || strstr(text, "Disk quota exceeded"))
        return SV_E_STORAGE_FULL;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i].code == code)
            return codes[i].err;
    return SV_E_HYPERVISOR;
}

enum sv_err lv_error_text(struct lv_host *h, const char *what, int code, const char *text, struct sv_error *err)
{
    enum sv_err rc = meaning(code, text);
    char plain[SV_ERR_ARG_MAX];
    lv_plain_text(text, plain, sizeof(plain));
    sv_log(rc == SV_E_DOMAIN_MISSING ? SV_LOG_DEBUG : SV_LOG_WARN, "hv.error", "host", h->base.name, "call", what,
           "code", sv_dec(code).s, "text", text, NULL);
    return sv_fail(err, rc, SV_F_NONE, plain);
}

enum sv_err lv_error(struct lv_host *h, virConnectPtr conn, const char *what, struct sv_error *err)
{
    virErrorPtr e = virGetLastError();
    SV_AUTOFREE char *text = sv_strdup(e && e->message ? e->message : "no reason given");
    int code = e ? e->code : VIR_ERR_OK;
    bool alive = virConnectIsAlive(conn) == 1; /* forgets the error */
    enum sv_err rc = lv_error_text(h, what, code, text, err);
    virResetLastError();
    /* It broke off in the middle: nobody knows whether it was done. */
    return alive ? rc : sv_fail(err, SV_E_HOST_TIMEOUT, SV_F_NONE, h->base.name);
}
