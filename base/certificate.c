#include "starvirt/certificate.h"

#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "starvirt/clock.h"
#include "starvirt/mem.h"

enum { KEY_ID = 64 };

struct chain {
    gnutls_x509_crt_t *v;
    unsigned n;
};

/* What both texts became. */
struct parts {
    struct chain chain;
    gnutls_privkey_t key;
};

static void parts_free(struct parts *p)
{
    for (unsigned i = 0; i < p->chain.n; i++)
        gnutls_x509_crt_deinit(p->chain.v[i]);
    gnutls_free(p->chain.v);
    if (p->key)
        gnutls_privkey_deinit(p->key);
    *p = (struct parts){0};
}

static gnutls_datum_t datum(const char *text)
{
    return (gnutls_datum_t){(unsigned char *)(uintptr_t)text, (unsigned)strlen(text)};
}

__attribute__((format(printf, 3, 4))) static bool fault(struct sv_certificate_fault *ret, bool of_key, const char *fmt,
                                                        ...)
{
    va_list ap;
    ret->of_key = of_key;
    va_start(ap, fmt);
    vsnprintf(ret->why, sizeof(ret->why), fmt, ap);
    va_end(ap);
    return false;
}

/* --- reading --- */

static bool read_chain(const char *text, struct chain *ret, struct sv_certificate_fault *ret_fault)
{
    const gnutls_datum_t d = datum(text);
    const int code = gnutls_x509_crt_list_import2(&ret->v, &ret->n, &d, GNUTLS_X509_FMT_PEM, 0);
    if (code >= 0 && ret->n > 0)
        return true;
    ret->n = 0;
    if (!strstr(text, "-----BEGIN CERTIFICATE"))
        return fault(ret_fault, false, "has no certificate in PEM form");
    return fault(ret_fault, false, "its certificate cannot be read: %s", gnutls_strerror(code));
}

static bool read_key(const char *text, gnutls_privkey_t *ret, struct sv_certificate_fault *ret_fault)
{
    const gnutls_datum_t d = datum(text);
    int code = gnutls_privkey_init(ret);
    if (code >= 0)
        code = gnutls_privkey_import_x509_raw(*ret, &d, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (code >= 0)
        return true;
    if (strstr(text, "ENCRYPTED"))
        return fault(ret_fault, true, "has a passphrase, which nobody could type");
    if (!strstr(text, "PRIVATE KEY-----"))
        return fault(ret_fault, true, "has no private key in PEM form");
    return fault(ret_fault, true, "its key cannot be read: %s", gnutls_strerror(code));
}

static bool belong_together(gnutls_x509_crt_t cert, gnutls_privkey_t key)
{
    unsigned char of_cert[KEY_ID], of_key[KEY_ID];
    size_t cert_n = sizeof(of_cert), key_n = sizeof(of_key);
    gnutls_pubkey_t pub;
    if (gnutls_pubkey_init(&pub) < 0)
        return false;
    const bool same = gnutls_pubkey_import_privkey(pub, key, 0, 0) >= 0 &&
                      gnutls_pubkey_get_key_id(pub, GNUTLS_KEYID_USE_SHA256, of_key, &key_n) >= 0 &&
                      gnutls_x509_crt_get_key_id(cert, GNUTLS_KEYID_USE_SHA256, of_cert, &cert_n) >= 0 &&
                      key_n == cert_n && memcmp(of_key, of_cert, key_n) == 0;
    gnutls_pubkey_deinit(pub);
    return same;
}

static bool read_parts(const char *chain, const char *key, struct parts *ret, struct sv_certificate_fault *ret_fault)
{
    if (!read_chain(chain ? chain : "", &ret->chain, ret_fault) || !read_key(key ? key : "", &ret->key, ret_fault))
        return false;
    return belong_together(ret->chain.v[0], ret->key) ||
           fault(ret_fault, true, "belongs to another certificate than the first of the chain");
}

/* --- writing --- */

static void add_secret(struct sv_buf *out, gnutls_datum_t *d)
{
    /* Room for all of it first: growing would leave copies of the key behind. */
    sv_buf_reserve(out, d->size);
    sv_buf_add(out, d->data, d->size);
    explicit_bzero(d->data, d->size);
    gnutls_free(d->data);
}

static bool write_chain(const struct chain *c, struct sv_buf *out)
{
    for (unsigned i = 0; i < c->n; i++) {
        gnutls_datum_t d = {0};
        if (gnutls_x509_crt_export2(c->v[i], GNUTLS_X509_FMT_PEM, &d) < 0)
            return false;
        add_secret(out, &d);
    }
    return true;
}

static bool write_key(gnutls_privkey_t key, struct sv_buf *out)
{
    gnutls_x509_privkey_t x509 = NULL;
    gnutls_datum_t d = {0};
    const bool done = gnutls_privkey_export_x509(key, &x509) >= 0 &&
                      gnutls_x509_privkey_export2_pkcs8(x509, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &d) >= 0;
    if (done)
        add_secret(out, &d);
    if (x509)
        gnutls_x509_privkey_deinit(x509);
    return done;
}

static void describe(const struct chain *c, struct sv_certificate *ret)
{
    size_t n = sizeof(ret->sha1);
    ret->count = c->n;
    ret->from_ms = INT64_MIN;
    ret->to_ms = INT64_MAX;
    for (unsigned i = 0; i < c->n; i++) {
        const int64_t from = (int64_t)gnutls_x509_crt_get_activation_time(c->v[i]) * 1000;
        const int64_t to = (int64_t)gnutls_x509_crt_get_expiration_time(c->v[i]) * 1000;
        ret->from_ms = from > ret->from_ms ? from : ret->from_ms;
        ret->to_ms = to < ret->to_ms ? to : ret->to_ms;
    }
    gnutls_x509_crt_get_fingerprint(c->v[0], GNUTLS_DIG_SHA1, ret->sha1, &n);
}

static bool make(const struct parts *p, struct sv_certificate *ret, struct sv_certificate_fault *ret_fault)
{
    struct sv_buf pem = {0};
    *ret = (struct sv_certificate){0};
    describe(&p->chain, ret);
    const bool done = write_chain(&p->chain, &pem) && write_key(p->key, &pem);
    ret->pem = sv_buf_steal(&pem);
    if (done)
        return true;
    sv_certificate_free(ret);
    return fault(ret_fault, true, "is of a kind that cannot be used");
}

bool sv_certificate_read(const char *chain, const char *key, struct sv_certificate *ret,
                         struct sv_certificate_fault *ret_fault)
{
    SV_CLEANUP(parts_free) struct parts p = {0};
    return read_parts(chain, key, &p, ret_fault) && make(&p, ret, ret_fault);
}

void sv_certificate_free(struct sv_certificate *c)
{
    if (c->pem)
        explicit_bzero(c->pem, strlen(c->pem));
    free(c->pem);
    *c = (struct sv_certificate){0};
}

/* --- judging --- */

static bool in_order(const struct chain *c, struct sv_certificate_fault *ret_fault)
{
    if (c->n > SV_CERTIFICATE_CHAIN_MAX)
        return fault(ret_fault, false, "has %u certificates, at most %d are taken", c->n, SV_CERTIFICATE_CHAIN_MAX);
    for (unsigned i = 0; i + 1 < c->n; i++)
        if (gnutls_x509_crt_check_issuer(c->v[i], c->v[i + 1]) == 0)
            return fault(ret_fault, false, "certificate %u is not signed by certificate %u", i + 1, i + 2);
    return true;
}

static enum sv_err check_dates(const struct sv_certificate *c, enum sv_field field, struct sv_error *err)
{
    const int64_t now = sv_now_ms();
    char when[SV_TIME_LEN + 1], why[SV_ERR_ARG_MAX];
    if (c->to_ms <= now) {
        sv_time_format(c->to_ms, when);
        return sv_fail(err, SV_E_CERTIFICATE_EXPIRED, field, when);
    }
    if (c->from_ms > now) {
        sv_time_format(c->from_ms, when);
        snprintf(why, sizeof(why), "is not valid before %s", when);
        return sv_fail(err, SV_E_CERTIFICATE, field, why);
    }
    return SV_OK;
}

enum sv_err sv_certificate_check(const char *chain, enum sv_field chain_field, const char *key, enum sv_field key_field,
                                 struct sv_certificate *ret, struct sv_error *err)
{
    SV_CLEANUP(parts_free) struct parts p = {0};
    SV_CLEANUP(sv_certificate_free) struct sv_certificate c = {0};
    struct sv_certificate_fault wrong;
    if (!read_parts(chain, key, &p, &wrong) || !in_order(&p.chain, &wrong) || !make(&p, &c, &wrong))
        return sv_fail(err, SV_E_CERTIFICATE, wrong.of_key ? key_field : chain_field, wrong.why);
    enum sv_err rc = check_dates(&c, chain_field, err);
    if (!rc) {
        *ret = c;
        c = (struct sv_certificate){0};
    }
    return rc;
}
