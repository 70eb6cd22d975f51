#include "certificates.h"
#include "starvirt/certificate.h"
#include "starvirt/clock.h"

enum { DAY = 24 * 3600 };

static struct made root, middle, leaf, other, old, future;
static struct sv_buf chain, key;

static void prepare(void)
{
    root = certificate_make("root", NULL, -DAY, 30 * DAY);
    middle = certificate_make("middle", &root, -DAY, 10 * DAY);
    leaf = certificate_make("leaf", &middle, -3600, 20 * DAY);
    other = certificate_make("other", NULL, -DAY, DAY);
    old = certificate_make("old", NULL, -DAY, -60);
    future = certificate_make("future", NULL, DAY, 2 * DAY);
    certificate_pem(&leaf, &chain);
    certificate_pem(&middle, &chain);
    certificate_pem(&root, &chain);
    certificate_key_pem(&leaf, &key);
}

static void cleanup(void)
{
    struct made *const all[] = {&root, &middle, &leaf, &other, &old, &future};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        certificate_forget(all[i]);
    sv_buf_free(&chain);
    sv_buf_free(&key);
}

static void takes_a_chain(void)
{
    struct sv_certificate c = {0};
    struct sv_error err;
    CHECK_INT(sv_certificate_check(chain.p, SV_F_TOKEN, key.p, SV_F_PASSWORD, &c, &err), SV_OK);
    CHECK_INT(c.count, 3);
    const int64_t left = c.to_ms - sv_now_ms();
    CHECK(left > (10 * DAY - 60) * 1000LL && left < (10 * DAY + 60) * 1000LL); /* of the middle one */
    CHECK(c.from_ms < sv_now_ms() && c.from_ms > sv_now_ms() - 2 * 3600 * 1000LL);
    CHECK(strncmp(c.pem, "-----BEGIN CERTIFICATE-----\n", 28) == 0);
    CHECK(strstr(c.pem, "-----BEGIN PRIVATE KEY-----\n") && !strstr(c.pem, "\n\n"));
    sv_certificate_free(&c);
    CHECK(!c.pem);
    sv_certificate_free(&c);
}

/* What surrounds the blocks is understood by nobody and handed to nobody. */
static void writes_anew(void)
{
    struct sv_certificate a = {0}, b = {0};
    struct sv_certificate_fault fault;
    SV_AUTOFREE char *noisy = sv_asprintf("  subject=x\n\nset server b/n weight 0\n%s\n\n%s", chain.p, "trailing\n");
    SV_AUTOFREE char *noisy_key = sv_asprintf("junk\n\n%s\n\njunk", key.p);
    CHECK(sv_certificate_read(chain.p, key.p, &a, &fault));
    CHECK(sv_certificate_read(noisy, noisy_key, &b, &fault));
    CHECK_STR(b.pem, a.pem);
    CHECK(memcmp(a.sha1, b.sha1, sizeof(a.sha1)) == 0);
    /* And what was written is read again. */
    sv_certificate_free(&b);
    CHECK(sv_certificate_read(a.pem, a.pem, &b, &fault));
    CHECK_STR(b.pem, a.pem);
    sv_certificate_free(&a);
    sv_certificate_free(&b);
}

static void refused(const char *certs, const char *with, enum sv_err code, enum sv_field field, const char *why)
{
    struct sv_certificate c = {.count = 77};
    struct sv_error err = {0};
    CHECK_INT(sv_certificate_check(certs, SV_F_TOKEN, with, SV_F_PASSWORD, &c, &err), code);
    CHECK_INT(err.field, field);
    if (!strstr(err.arg[0], why))
        check_failed(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", err.arg[0], why);
    CHECK_INT(c.count, 77);
}

static void says_what_is_wrong(void)
{
    SV_AUTOFREE char *half = sv_asprintf("%.100s\n-----END CERTIFICATE-----\n", chain.p);
    SV_AUTOFREE char *half_key = sv_asprintf("%.60s\n-----END EC PRIVATE KEY-----\n", key.p);
    struct sv_buf other_key = {0}, upside = {0}, many = {0};
    certificate_key_pem(&other, &other_key);
    certificate_pem(&leaf, &upside);
    certificate_pem(&root, &upside);
    certificate_pem(&middle, &upside);
    for (int i = 0; i < SV_CERTIFICATE_CHAIN_MAX + 1; i++)
        certificate_pem(&leaf, &many);
    refused(NULL, key.p, SV_E_CERTIFICATE, SV_F_TOKEN, "has no certificate in PEM form");
    refused("", key.p, SV_E_CERTIFICATE, SV_F_TOKEN, "has no certificate in PEM form");
    refused(key.p, key.p, SV_E_CERTIFICATE, SV_F_TOKEN, "has no certificate in PEM form");
    refused(half, key.p, SV_E_CERTIFICATE, SV_F_TOKEN, "its certificate cannot be read: ");
    refused(chain.p, NULL, SV_E_CERTIFICATE, SV_F_PASSWORD, "has no private key in PEM form");
    refused(chain.p, chain.p, SV_E_CERTIFICATE, SV_F_PASSWORD, "has no private key in PEM form");
    refused(chain.p, half_key, SV_E_CERTIFICATE, SV_F_PASSWORD, "its key cannot be read: ");
    refused(chain.p, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            SV_E_CERTIFICATE, SV_F_PASSWORD, "passphrase");
    refused(chain.p, other_key.p, SV_E_CERTIFICATE, SV_F_PASSWORD, "belongs to another certificate");
    refused(upside.p, key.p, SV_E_CERTIFICATE, SV_F_TOKEN, "certificate 1 is not signed by certificate 2");
    refused(many.p, key.p, SV_E_CERTIFICATE, SV_F_TOKEN, "has 9 certificates, at most 8 are taken");
    sv_buf_free(&other_key);
    sv_buf_free(&upside);
    sv_buf_free(&many);
}

static void dates(void)
{
    struct sv_buf c = {0}, k = {0}, f = {0}, fk = {0};
    certificate_pem(&old, &c);
    certificate_key_pem(&old, &k);
    certificate_pem(&future, &f);
    certificate_key_pem(&future, &fk);
    refused(c.p, k.p, SV_E_CERTIFICATE_EXPIRED, SV_F_TOKEN, "20");
    refused(f.p, fk.p, SV_E_CERTIFICATE, SV_F_TOKEN, "is not valid before 20");
    sv_buf_free(&c);
    sv_buf_free(&k);
    sv_buf_free(&f);
    sv_buf_free(&fk);
}

CHECK_MAIN(T(prepare), T(takes_a_chain), T(writes_anew), T(says_what_is_wrong), T(dates), T(cleanup))
