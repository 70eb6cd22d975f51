/* What VMs are made of and run on: models, templates, hosts, storages (StarVCenter 2.2.17-2.2.20, 2.14, 2.16). */
#ifndef STARVIRT_STORE_CATALOG_H
#define STARVIRT_STORE_CATALOG_H

#include "starvirt/store.h"

struct sv_model_type {
    struct sv_id id;
    const char *value, *label, *descr;
};
struct sv_model {
    struct sv_id id;
    const char *type; /* value of its type */
    const char *value, *label, *descr;
    struct sv_id template_id; /* may be empty: an empty system disk */
    int64_t sysdisk;          /* [bytes], 0 = the default */
};
enum sv_err sv_model_type_insert(struct sv_tx *tx, const struct sv_model_type *t,
                                 struct sv_error *err); /* MODEL_EXISTS */
enum sv_err sv_model_insert(struct sv_tx *tx, const struct sv_model *m,
                            struct sv_error *err); /* also MODEL_TYPE_NOT_FOUND */
enum sv_err sv_model_get(struct sv_tx *tx, const char *value, struct sv_arena *a, struct sv_model *ret,
                         struct sv_error *err);
enum sv_err sv_model_bind(struct sv_tx *tx, const char *value, const struct sv_id *template_id, int64_t sysdisk,
                          struct sv_error *err);
/* Types in order of creation, each followed by its models (m NULL once for the type itself). */
enum sv_err sv_model_list(struct sv_tx *tx,
                          void (*row)(void *arg, const struct sv_model_type *t, const struct sv_model *m), void *arg,
                          struct sv_error *err);
/* Either a model or a type, by id; MODEL_IN_USE while VMs have it or the type has models. */
enum sv_err sv_model_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);

enum sv_template_state { SV_TEMPLATE_IMPORTING, SV_TEMPLATE_READY, SV_TEMPLATE_FAILED, SV_TEMPLATE_DELETING };
struct sv_template {
    struct sv_id id, tenant /* empty = offered to all tenants */;
    const char *name, *descr, *os, *format /* as imported; "" until it is known */;
    const char *error_symbol, *error_args[SV_ERR_ARGS]; /* why it failed; "" = it has not */
    const char *source;                                 /* file to import from, "" afterwards; never shown to tenants */
    const char *md5, *sha256;
    int64_t size, virtual_size; /* [bytes] */
    int64_t held;               /* [bytes] of these, or of its upload, that count in its tenant's quota */
    enum sv_template_state state;
    int64_t created;
    int64_t uses; /* disks based on it + models bound to it, on reading */
};
enum sv_err sv_template_insert(struct sv_tx *tx, const struct sv_template *t, struct sv_error *err);
/* A tenant scope sees its own and the ones offered to all. */
enum sv_err sv_template_get(struct sv_tx *tx, struct sv_scope scope, const struct sv_id *id, struct sv_arena *a,
                            struct sv_template *ret, struct sv_error *err);
struct sv_template_filter {
    struct sv_id id;
    const char *name;
};
enum sv_err sv_template_list(struct sv_tx *tx, struct sv_scope scope, const struct sv_template_filter *f,
                             const struct sv_page *p, void (*row)(void *arg, const struct sv_template *t), void *arg,
                             uint64_t *ret_total, struct sv_error *err);
enum sv_err sv_template_hold(struct sv_tx *tx, const struct sv_id *id, int64_t bytes, struct sv_error *err);
enum sv_err sv_template_set_state(struct sv_tx *tx, const struct sv_id *id, enum sv_template_state to,
                                  struct sv_error *err);
enum sv_err sv_template_set_source(struct sv_tx *tx, const struct sv_id *id, const char *source, struct sv_error *err);
enum sv_err sv_template_set_format(struct sv_tx *tx, const struct sv_id *id, const char *format, struct sv_error *err);
enum sv_err sv_template_set_failed(struct sv_tx *tx, const struct sv_id *id, const char *symbol,
                                   const char *const args[SV_ERR_ARGS], struct sv_error *err);
/* What the import found out; also sets READY and clears source. */
enum sv_err sv_template_ready(struct sv_tx *tx, const struct sv_id *id, int64_t size, int64_t virtual_size,
                              const char *md5, const char *sha256, struct sv_error *err);
enum sv_err sv_template_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);

struct sv_host {
    struct sv_id id;
    const char *name, *descr, *uri;
    const char *driver; /* "libvirt", "sim" */
    int index;          /* which host behind the URI */
    bool connected;
    bool maintenance;
    bool added;                                 /* by a request, not by the options */
    const char *labels;                         /* "key=value", by comma, sorted; "" = none */
    int64_t vcpu_overcommit, memory_overcommit; /* [%]; 0 = the server's */
    int64_t real_vcpus, real_memory;            /* what it has */
    int64_t vcpus, memory;                      /* after overcommit: what may be placed */
    int64_t used_vcpus, used_memory;            /* placed, kept */
    int64_t sockets;
    const char *cpu_vendor, *cpu_model, *os_version, *virt_version;
    int64_t created;
};
/* By (uri, index): inserts or returns the row that is there. */
enum sv_err sv_host_ensure(struct sv_tx *tx, const struct sv_host *h, struct sv_id *ret_id, struct sv_error *err);
enum sv_err sv_host_get(struct sv_tx *tx, const struct sv_id *id, struct sv_arena *a, struct sv_host *ret,
                        struct sv_error *err);
enum sv_err sv_host_list(struct sv_tx *tx, void (*row)(void *arg, const struct sv_host *h), void *arg,
                         struct sv_error *err);
enum sv_err sv_host_set_connected(struct sv_tx *tx, const struct sv_id *id, bool connected, struct sv_error *err);
/* By (uri, index) alone: HOST_EXISTS. */
enum sv_err sv_host_insert(struct sv_tx *tx, const struct sv_host *h, struct sv_error *err);
/* What it has, as it said; what may be placed follows from its overcommit, or [%] of the vCPUs where it has none. */
struct sv_host_capacity {
    int64_t vcpus, memory, sockets;
    const char *cpu_vendor, *cpu_model, *os_version, *virt_version;
};
enum sv_err sv_host_set_capacity(struct sv_tx *tx, const struct sv_id *id, const struct sv_host_capacity *has,
                                 int64_t vcpu_overcommit, struct sv_error *err);
/* Name, description, labels and overcommits := those of `h`; [%] as above. */
enum sv_err sv_host_update(struct sv_tx *tx, const struct sv_host *h, int64_t vcpu_overcommit, struct sv_error *err);
enum sv_err sv_host_set_maintenance(struct sv_tx *tx, const struct sv_id *id, bool on, struct sv_error *err);
/* HOST_IN_USE with what it holds: VMs, storages besides its image directory, what is in that, open jobs, undos that are
 * pending. Its image directory's row and what was left over there go with it. */
enum sv_err sv_host_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);
/* Any sign; NO_CAPACITY when a positive delta does not fit. */
enum sv_err sv_host_reserve(struct sv_tx *tx, const struct sv_id *id, int64_t vcpus, int64_t memory,
                            struct sv_error *err);
/* Sums over all hosts; storage over all storages (resourcequota/search). */
enum sv_err sv_host_totals(struct sv_tx *tx, int64_t *ret_vcpus, int64_t *ret_memory, int64_t *ret_storage,
                           int64_t *ret_ips, struct sv_error *err);

enum sv_storage_use {
    SV_STORAGE_MAIN,      /* "main": disks of VMs */
    SV_STORAGE_SECONDARY, /* "seconds": backups */
};
struct sv_storage {
    struct sv_id id, host; /* a shared one: the host it was added through */
    const char *name, *descr, *type /* "dir", "nfs", "ceph" */, *location;
    enum sv_storage_use use;
    bool shared;                        /* other hosts reach it, too */
    bool own;                           /* the image directory of its host: there as long as the host is */
    bool ready;                         /* false while a job adds or removes it */
    const char *monitors, *pool, *user; /* Ceph; its key is a sealed secret of the storage */
    int64_t size, used;                 /* [bytes] as last seen */
    int64_t promised;                   /* [bytes] of all its disks, kept; on reading only */
    int64_t created;
};
/* A host's image directory: inserts it, or returns the row that is there, which moves to `location`. */
enum sv_err sv_storage_ensure(struct sv_tx *tx, const struct sv_storage *s, struct sv_id *ret_id, struct sv_error *err);
/* Another one. STORAGE_EXISTS: this location, or this Ceph pool, is one already. */
enum sv_err sv_storage_insert(struct sv_tx *tx, const struct sv_storage *s, struct sv_error *err);
enum sv_err sv_storage_get(struct sv_tx *tx, const struct sv_id *id, struct sv_arena *a, struct sv_storage *ret,
                           struct sv_error *err);
/* Ready ones of all hosts. */
enum sv_err sv_storage_list(struct sv_tx *tx, const struct sv_page *p,
                            void (*row)(void *arg, const struct sv_storage *s), void *arg, uint64_t *ret_total,
                            struct sv_error *err);
/* What a host has to open: its added ones and the shared ones, also those that are not ready. */
enum sv_err sv_storage_list_host(struct sv_tx *tx, const struct sv_id *host,
                                 void (*row)(void *arg, const struct sv_storage *s), void *arg, struct sv_error *err);
enum sv_err sv_storage_own(struct sv_tx *tx, const struct sv_id *host, struct sv_id *ret, struct sv_error *err);
/* The storage new disks of a host's VMs go to: of those for VM disks that it reaches the one with the most room,
 * that is size less what is used or promised, whichever is more. NO_CAPACITY, naming the `bytes` that are to go there.
 */
enum sv_err sv_storage_of_host(struct sv_tx *tx, const struct sv_id *host, int64_t bytes, struct sv_id *ret,
                               struct sv_error *err);
enum sv_err sv_storage_set_usage(struct sv_tx *tx, const struct sv_id *id, int64_t size, int64_t used,
                                 struct sv_error *err);
/* NULL = unchanged. */
enum sv_err sv_storage_update(struct sv_tx *tx, const struct sv_id *id, const char *name, const char *descr,
                              const enum sv_storage_use *use, struct sv_error *err);
enum sv_err sv_storage_set_ready(struct sv_tx *tx, const struct sv_id *id, bool ready, struct sv_error *err);
/* STORAGE_IN_USE with what it holds; SV_OK when it holds nothing. */
enum sv_err sv_storage_unused(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);
/* Also STORAGE_IN_USE. */
enum sv_err sv_storage_delete(struct sv_tx *tx, const struct sv_id *id, struct sv_error *err);

#endif
