#include "net/balance/internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "starvirt/certificate.h"

void certs_free(struct certs *c)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->v[i].pem.p)
            explicit_bzero(c->v[i].pem.p, c->v[i].pem.n);
        sv_buf_free(&c->v[i].pem);
    }
    free(c->v);
    *c = (struct certs){0};
}

static void hex_upper(const unsigned char *bytes, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02X", bytes[i]);
}

/* Read and written anew, so that nothing but a certificate gets into a file or into a command. */
static enum sv_err read_one(const struct sv_net_balancer *b, const char *dir, struct cert *ret, struct sv_error *err)
{
    SV_CLEANUP(sv_certificate_free) struct sv_certificate c = {0};
    struct sv_certificate_fault fault;
    if (!sv_certificate_read(b->pem, b->pem, &c, &fault))
        return sv_fail(err, SV_E_INTERNAL, SV_F_NONE, "a balancer without a certificate");
    snprintf(ret->name, sizeof(ret->name), "%s.pem", b->id.s);
    sv_buf_puts(&ret->pem, c.pem);
    hex_upper(c.sha1, sizeof(c.sha1), ret->sha1);
    SV_CLEANUP(sv_buf_free) struct sv_buf is = {0};
    SV_AUTOFREE char *path = sv_asprintf("%s/%s", dir, ret->name);
    const enum sv_err rc = file_read(path, &is, err);
    ret->differs = !same_text(&is, &ret->pem);
    return rc;
}

enum sv_err certs_read(const struct balancers *b, const char *dir, struct certs *ret, struct sv_error *err)
{
    enum sv_err rc = SV_OK;
    ret->v = sv_alloc((b->n + 1) * sizeof(*ret->v));
    for (size_t i = 0; !rc && i < b->n; i++) {
        if (b->v[i]->proto != SV_NET_BALANCE_HTTPS)
            continue;
        struct cert *one = &ret->v[ret->n++];
        rc = read_one(b->v[i], dir, one, err);
        ret->differs = ret->differs || one->differs;
    }
    return rc;
}

enum sv_err certs_write(const struct certs *c, const char *dir, struct sv_error *err)
{
    enum sv_err rc = SV_OK;
    for (size_t i = 0; !rc && i < c->n; i++) {
        bool changed;
        SV_AUTOFREE char *path = sv_asprintf("%s/%s", dir, c->v[i].name);
        rc = file_write(path, c->v[i].pem.p, c->v[i].pem.n, &changed, err);
    }
    return rc;
}

static bool wanted(const struct certs *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->v[i].name, name) == 0)
            return true;
    return false;
}

static bool is_cert(const char *name)
{
    const size_t n = strlen(name);
    return (n > 4 && strcmp(name + n - 4, ".pem") == 0) || (n > 8 && strcmp(name + n - 8, ".pem.new") == 0);
}

enum sv_err certs_sweep(const struct certs *c, const char *dir, struct sv_error *err)
{
    enum sv_err rc = SV_OK;
    DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT ? SV_OK : net_errno(err, "open", dir);
    for (const struct dirent *e; !rc && (e = readdir(d)) != NULL;) {
        SV_AUTOFREE char *path = sv_asprintf("%s/%s", dir, e->d_name);
        if (is_cert(e->d_name) && !wanted(c, e->d_name))
            rc = file_remove(path, err);
    }
    closedir(d);
    return rc;
}
