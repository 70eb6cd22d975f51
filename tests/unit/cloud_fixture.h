/* A cloud without hosts over the small world of the stores: for rules that ask no host. Its engine is `none`, but units
 * wait to be told to it, for ever: the cloud is not started. */
#ifndef STARVIRT_TESTS_CLOUD_FIXTURE_H
#define STARVIRT_TESTS_CLOUD_FIXTURE_H

#include <sys/stat.h>

#include "starvirt/core.h"
#include "store_fixture.h"

static struct sv_cloud *cloud;
static struct sv_net *net;
static struct sv_net_ops told_ops;
static struct sv_actor admin, tenant;

static inline void remove_dir(const char *dir)
{
    SV_AUTOFREE char *tokens = sv_asprintf("%s/admin.token", dir);
    SV_AUTOFREE char *secrets = sv_asprintf("%s/secrets", dir);
    SV_AUTOFREE char *key = sv_asprintf("%s/secrets/key", dir);

    unlink(tokens);
    unlink(key);
    rmdir(secrets);
}

static inline void see_admin(void *arg, const struct sv_tenant *t)
{
    if (t->is_admin)
        *(struct sv_id *)arg = t->id;
}

static inline enum sv_err find_admin(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    const struct sv_tenant_filter any = {.name = NULL};
    uint64_t total;

    return sv_tenant_list(tx, sv_scope_system(), &any, &all_rows, see_admin, arg, &total, err);
}

/* A cloud without hosts: nothing here gets as far as one. */
static inline void open_cloud(void)
{
    struct sv_cloud_options opt = {.supernet = 10U << 24, .supernet_prefix = 8, .vpc_prefix = 24};
    struct sv_id id = {.s = ""};

    world_new();
    WORKS(sv_net_open("none", NULL, &net, &why));
    told_ops = *net->ops;
    told_ops.books_only = false;
    net->ops = &told_ops;
    opt.data_dir = opt.hv.data_dir = w.f.dir;
    opt.db = w.f.db;
    opt.net = net;
    WORKS(sv_cloud_new(&opt, &cloud, &why));
    reading(find_admin, &id);
    admin = (struct sv_actor){.role = SV_ROLE_ADMIN, .tenant = id};
    tenant = (struct sv_actor){.role = SV_ROLE_TENANT, .tenant = w.a};
}

static inline void close_cloud(void)
{
    sv_cloud_free(cloud);
    sv_net_close(net);
    remove_dir(w.f.dir);
    fixture_remove(&w.f);
}

#endif
