/* The cloud itself: what all rooms of the core share. */
#ifndef CORE_CLOUD_H
#define CORE_CLOUD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "starvirt/core.h"
#include "starvirt/text.h"

struct sv_addresses;
struct sv_alarms;
struct sv_balance;
struct sv_host_addresses;
struct sv_host_asking;
struct sv_host_door;
struct sv_host_early;
struct sv_agent_wait;
struct sv_claim;
struct sv_router_seen;
struct sv_looks;
struct sv_secrets;
struct sv_keeper;
struct sv_monitor;
struct sv_sync;
struct sv_turns;
struct sv_vm_company;

/* A host as the cloud knows it: the row's id and the driver's handle. The first part never changes. One that was
 * removed is found by nobody any more, its handle closed once nobody uses it; the struct itself stays, since what a
 * driver told of it may still be under way. */
struct sv_cloud_host {
    struct sv_id id;
    struct sv_hv_host *hv; /* not without being held, see sv_host_use() */
    struct sv_cloud *cloud;
    char *uri;
    char name[64];
    bool given;                          /* by the options, not by a request */
    struct sv_host_asking *asking;       /* core/host/sync.c's */
    struct sv_host_addresses *addresses; /* core/host/address.c's */
    unsigned users;                      /* under host_mutex: who holds it */
    bool gone;                           /* under host_mutex: it was removed */
    int64_t lost_at;                     /* under host_mutex [ms monotonic]: its connection; 0 = it was never lost */
    /* Under host_mutex: what it said of itself when it connected last, and whether it can be used. */
    bool told;
    struct sv_hv_info info;
    enum sv_host_state state;
    char why[SV_HOST_WHY_LEN]; /* it is not ready; "" = not known */
    struct sv_host_turn {      /* under the monitor's mutex: when it is asked what it uses [ms monotonic] */
        int64_t due_ms, answered_ms;
        unsigned failures;
        bool asking;
    } turn;
};

struct sv_cloud {
    char *data_dir, *import_dirs, *backup_dir;
    char *real_dir;            /* the data directory, links resolved */
    int64_t backup_keep;       /* of a VM; 0 = all */
    int64_t monitor_ms;        /* between two samples of a host; 0 = none */
    pthread_mutex_t room_lock; /* claims */
    struct sv_claim *claims;
    struct sv_id admin; /* the first tenant: tells this cloud from others */
    struct sv_db *db;
    struct sv_net *net;
    struct sv_jobs *jobs;
    struct sv_hv_options hv_options; /* its texts are the options' */
    struct sv_hv **hvs;              /* under host_mutex, as the next */
    unsigned hv_count;
    struct sv_cloud_host **hosts; /* under host_mutex, as the next; oldest first */
    unsigned host_count, host_cap;
    struct sv_cloud_host **gone; /* those that were removed */
    unsigned gone_count, gone_cap;
    struct sv_host_door *door;          /* core/host/door.c */
    int64_t hosts_since;                /* [ms monotonic] when they were opened */
    struct sv_host_early *early;        /* under host_mutex (core/host/ready.c) */
    atomic_int_least64_t undos_pending; /* as last seen (core/host/pending.c) */
    uint32_t supernet;
    unsigned supernet_prefix, vpc_prefix;
    double vcpu_overcommit;
    enum sv_place_policy placement;
    pthread_mutex_t host_mutex;  /* host_change, and what hosts said of themselves */
    pthread_cond_t host_change;  /* a host connected or was lost */
    pthread_mutex_t agent_mutex; /* only for agent_change and agent_waits */
    pthread_cond_t agent_change; /* somebody's agent came */
    struct sv_agent_wait *agent_waits;
    const struct sv_vm_company *company; /* what goes along with a VM; fixed after sv_cloud_new */
    struct sv_secrets *secrets;
    struct sv_sync *sync;
    struct sv_looks *looks; /* core/run/look.c */
    struct sv_addresses *addresses;
    struct sv_alarms *alarms;   /* core/alarm */
    struct sv_balance *balance; /* what was found of load balancers; NULL before the start */
    struct sv_turns *turns;     /* reading what a unit should be, and telling the engine (core/network/turn.c) */
    struct sv_online {
        pthread_mutex_t mutex;
        struct sv_router_seen *v;
        size_t n, cap;
        uint64_t failovers;
    } online;                          /* core/network/online.c */
    struct sv_monitor *monitor;        /* core/monitor/sampler.c */
    struct sv_keeper *keeper;          /* core/network/keeper.c */
    pthread_mutex_t host_network_lock; /* one change of a physical interface at a time */
};

#endif
