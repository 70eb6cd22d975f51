#include "hv/libvirt/internal.h"

#include "starvirt/log.h"

/* Libvirt has one type of function for each kind of event and a macro that casts the difference away:
 * each function below has exactly the type that its kind is called with. They run on the event loop. The
 * owner hears of domains only while it was told that the host is connected: then it looks at them all. */

void lv_tell_host(struct lv_host *h, bool connected, const char *why)
{
    pthread_mutex_lock(&h->ev_mu);
    if (!h->ev_off && h->ev.host)
        h->ev.host(h->ev.arg, &h->base, connected, why);
    pthread_mutex_unlock(&h->ev_mu);
}

static void tell_power(struct lv_host *h, const struct sv_id *vm, enum sv_hv_power now)
{
    pthread_mutex_lock(&h->ev_mu);
    if (!h->ev_off && h->ev.power && h->base.connected)
        h->ev.power(h->ev.arg, &h->base, vm, now);
    pthread_mutex_unlock(&h->ev_mu);
}

static void tell_agent(struct lv_host *h, const struct sv_id *vm, bool up)
{
    pthread_mutex_lock(&h->ev_mu);
    if (!h->ev_off && h->ev.agent && h->base.connected)
        h->ev.agent(h->ev.arg, &h->base, vm, up);
    pthread_mutex_unlock(&h->ev_mu);
}

/* Without asking libvirt, which must not be done here: named by its id, as only ours are. */
static bool id_of(virDomainPtr d, struct sv_id *ret)
{
    char uuid[VIR_UUID_STRING_BUFLEN];
    const char *name = virDomainGetName(d);
    if (virDomainGetUUIDString(d, uuid) < 0 || !name || strcmp(name, uuid) != 0)
        return false;
    *ret = sv_id_from(uuid);
    return !sv_id_empty(ret);
}

static bool stopped_as(int detail, enum sv_hv_power *ret)
{
    switch ((virDomainEventStoppedDetailType)detail) {
    case VIR_DOMAIN_EVENT_STOPPED_CRASHED:
    case VIR_DOMAIN_EVENT_STOPPED_FAILED:
        *ret = SV_HV_CRASHED;
        return true;
    case VIR_DOMAIN_EVENT_STOPPED_SAVED:
        *ret = SV_HV_SAVED;
        return true;
    case VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN:
    case VIR_DOMAIN_EVENT_STOPPED_DESTROYED:
    case VIR_DOMAIN_EVENT_STOPPED_MIGRATED:
    case VIR_DOMAIN_EVENT_STOPPED_FROM_SNAPSHOT:
        break;
    }
    *ret = SV_HV_OFF;
    return true;
}

/* False where the event says nothing about power. */
static bool power_after(int event, int detail, enum sv_hv_power *ret)
{
    switch ((virDomainEventType)event) {
    case VIR_DOMAIN_EVENT_STARTED:
    case VIR_DOMAIN_EVENT_RESUMED:
        *ret = SV_HV_RUNNING;
        return true;
    case VIR_DOMAIN_EVENT_SUSPENDED:
    case VIR_DOMAIN_EVENT_PMSUSPENDED:
        *ret = SV_HV_PAUSED;
        return true;
    case VIR_DOMAIN_EVENT_STOPPED:
        return stopped_as(detail, ret);
    case VIR_DOMAIN_EVENT_CRASHED:
        *ret = SV_HV_CRASHED;
        return true;
    case VIR_DOMAIN_EVENT_UNDEFINED:
        *ret = SV_HV_ABSENT;
        return true;
    case VIR_DOMAIN_EVENT_DEFINED:
    case VIR_DOMAIN_EVENT_SHUTDOWN: /* STOPPED follows */
        break;
    }
    return false;
}

/* The end of a proof's guest may be told late: its row is gone then, and the host connected. */
static bool is_proof(struct lv_host *h, const struct sv_id *vm)
{
    pthread_mutex_lock(&h->mu);
    bool is = sv_id_eq(&h->proof, vm);
    pthread_mutex_unlock(&h->mu);
    return is;
}

static int on_lifecycle(virConnectPtr conn, virDomainPtr d, int event, int detail, void *arg)
{
    struct lv_host *h = arg;
    struct sv_id vm;
    enum sv_hv_power now;
    (void)conn;
    /* A running domain that is undefined lives on until it stops. */
    if (!id_of(d, &vm) || !power_after(event, detail, &now) ||
        (now == SV_HV_ABSENT && virDomainGetID(d) != (unsigned)-1))
        return 0;
    if (is_proof(h, &vm)) {
        lv_table_set_power_if_known(&h->table, &vm, now);
        return 0;
    }
    lv_table_set_power(&h->table, &vm, now);
    if (event == VIR_DOMAIN_EVENT_STARTED)
        lv_screen_started(h, &vm);
    tell_power(h, &vm, now);
    return 0;
}

static void on_agent(virConnectPtr conn, virDomainPtr d, int state, int reason, void *arg)
{
    struct lv_host *h = arg;
    struct sv_id vm;
    (void)conn;
    (void)reason;
    if (!id_of(d, &vm))
        return;
    bool up = state == VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED;
    lv_table_set_agent(&h->table, &vm, up);
    tell_agent(h, &vm, up);
}

static void on_unplugged(virConnectPtr conn, virDomainPtr d, const char *alias, void *arg)
{
    struct lv_host *h = arg;
    struct sv_id vm;
    (void)conn;
    (void)alias;
    if (id_of(d, &vm))
        lv_table_set_unplugged(&h->table, &vm);
}

static void on_job_ended(virConnectPtr conn, virDomainPtr d, virTypedParameterPtr params, int n, void *arg)
{
    struct lv_host *h = arg;
    struct sv_id vm;
    (void)conn;
    (void)params; /* who waits asks for them: the event may have been missed */
    (void)n;
    if (id_of(d, &vm))
        lv_table_set_job_ended(&h->table, &vm);
}

static void on_reboot(virConnectPtr conn, virDomainPtr d, void *arg)
{
    struct lv_host *h = arg;
    struct sv_id vm;
    (void)conn;
    if (id_of(d, &vm))
        lv_table_set_rebooted(&h->table, &vm);
}

static void on_close(virConnectPtr conn, int reason, void *arg)
{
    static const char *const reasons[] = {
        [VIR_CONNECT_CLOSE_REASON_ERROR] = "the connection broke",
        [VIR_CONNECT_CLOSE_REASON_EOF] = "the hypervisor's service ended",
        [VIR_CONNECT_CLOSE_REASON_KEEPALIVE] = "the hypervisor's service does not answer",
        [VIR_CONNECT_CLOSE_REASON_CLIENT] = "the connection was closed",
    };
    lv_host_lost(arg, conn, reason >= 0 && reason <= VIR_CONNECT_CLOSE_REASON_CLIENT ? reasons[reason] : "");
}

static void drop_host(void *arg)
{
    lv_host_unref(arg);
}

static int add(struct lv_host *h, virConnectPtr conn, int kind, virConnectDomainEventGenericCallback fn)
{
    int id = virConnectDomainEventRegisterAny(conn, NULL, kind, fn, lv_host_ref(h), drop_host);
    if (id < 0) {
        sv_log(SV_LOG_WARN, "hv.no_event", "host", h->base.name, "text", virGetLastErrorMessage(), NULL);
        lv_host_unref(h);
    }
    return id;
}

void lv_events_register(struct lv_host *h, virConnectPtr conn, int ids[LV_EVENTS])
{
    /* Drivers inside this process cannot lose their connection; they take the callback and forget it. */
    if (!h->in_process && virConnectRegisterCloseCallback(conn, on_close, lv_host_ref(h), drop_host) < 0)
        lv_host_unref(h);
    ids[0] = add(h, conn, VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle));
    ids[1] = add(h, conn, VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(on_reboot));
    ids[2] = add(h, conn, VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_agent));
    ids[3] = add(h, conn, VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_unplugged));
    ids[4] = add(h, conn, VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, VIR_DOMAIN_EVENT_CALLBACK(on_job_ended));
    virResetLastError();
}

void lv_events_deregister(virConnectPtr conn, const int ids[LV_EVENTS])
{
    for (int i = 0; i < LV_EVENTS; i++)
        if (ids[i] >= 0)
            virConnectDomainEventDeregisterAny(conn, ids[i]);
    virConnectUnregisterCloseCallback(conn, on_close);
    virResetLastError();
}
