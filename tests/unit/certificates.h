/* Certificates made for tests, by GnuTLS: a key each, signed by another or by themselves. */
#ifndef CERTIFICATES_H
#define CERTIFICATES_H

#include "check.h"

#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <time.h>

#include "starvirt/mem.h"

struct made {
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t cert;
};

/* Valid from `from` to `to` [s from now]; `by` NULL: signed by itself. */
static inline struct made certificate_make(const char *name, const struct made *by, int from, int to)
{
    static unsigned char serial;
    struct made m;
    serial++;
    CHECK(gnutls_x509_privkey_init(&m.key) >= 0 && gnutls_x509_crt_init(&m.cert) >= 0);
    CHECK(gnutls_x509_privkey_generate(m.key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) >=
          0);
    gnutls_x509_crt_set_version(m.cert, 3);
    gnutls_x509_crt_set_serial(m.cert, &serial, 1);
    gnutls_x509_crt_set_activation_time(m.cert, time(NULL) + from);
    gnutls_x509_crt_set_expiration_time(m.cert, time(NULL) + to);
    gnutls_x509_crt_set_dn_by_oid(m.cert, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name));
    gnutls_x509_crt_set_key(m.cert, m.key);
    gnutls_x509_crt_set_ca_status(m.cert, 1);
    if (!by)
        by = &m;
    CHECK(gnutls_x509_crt_sign2(m.cert, by->cert, by->key, GNUTLS_DIG_SHA256, 0) >= 0);
    return m;
}

static inline void certificate_forget(struct made *m)
{
    gnutls_x509_crt_deinit(m->cert);
    gnutls_x509_privkey_deinit(m->key);
}

static inline void certificate_pem(const struct made *m, struct sv_buf *out)
{
    gnutls_datum_t d;
    CHECK(gnutls_x509_crt_export2(m->cert, GNUTLS_X509_FMT_PEM, &d) >= 0);
    sv_buf_add(out, d.data, d.size);
    gnutls_free(d.data);
}

static inline void certificate_key_pem(const struct made *m, struct sv_buf *out)
{
    gnutls_datum_t d;
    CHECK(gnutls_x509_privkey_export2(m->key, GNUTLS_X509_FMT_PEM, &d) >= 0);
    sv_buf_add(out, d.data, d.size);
    gnutls_free(d.data);
}

#endif
