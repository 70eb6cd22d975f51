#include "hv/libvirt/internal.h"

#include <libvirt/libvirt-qemu.h>
#include <stdlib.h>

/* What is done inside a guest by its agent, and the password of its screen. */

enum {
    PING_S = 5,          /* an agent that lives answers at once; a busy guest gets time */
    COME_BACK_MS = 30000 /* from the channel's return to the agent's */
};
#define CHANNEL_MARK "name='" LV_AGENT_CHANNEL "'"

int lv_agent_bound(virDomainPtr d)
{
    return virDomainAgentSetResponseTimeout(d, LV_AGENT_S, 0);
}

static enum sv_err awake(struct lv_host *h, virConnectPtr conn, virDomainPtr d, struct sv_error *err)
{
    enum sv_hv_power now;
    enum sv_err rc = lv_power_of(h, conn, d, &now, err);
    if (!rc && now != SV_HV_RUNNING)
        rc = sv_fail(err, SV_E_VM_STATE, SV_F_VM, lv_power_name(now));
    if (!rc && lv_agent_bound(d) < 0) /* it has gone, or is a driver without agents */
        virResetLastError();
    return rc;
}

/* --- passwords --- */

static enum sv_err do_set_password(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    enum sv_err rc = awake(h, conn, d, err);
    if (!rc && !lv_agent_up(h, d, &op->vm))
        rc = sv_fail(err, SV_E_VM_NO_AGENT, SV_F_VM);
    if (!rc && virDomainSetUserPassword(d, op->user, op->secret, 0) < 0)
        rc = lv_error(h, conn, "set_password", err);
    if (rc == SV_E_UNSUPPORTED) /* not even a channel */
        rc = sv_fail(err, SV_E_VM_NO_AGENT, SV_F_VM);
    return rc;
}

enum sv_err lv_set_password(struct sv_hv_host *h, const struct sv_id *vm, const char *user, const char *password,
                            const struct sv_deadline *d, struct sv_error *err)
{
    LV_OP op = lv_op_new(vm);
    op->user = sv_strdup(user);
    op->secret = sv_strdup(password);
    return lv_call(lv_host_of(h), op, do_set_password, LV_CALL_GUEST, d, err);
}

/* --- the agent --- */

/* Libvirt synchronises with the agent before it hands over a command. */
static enum sv_err do_ping(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    enum sv_err rc = awake(h, conn, d, err);
    if (rc)
        return rc;
    SV_AUTOFREE char *pong = virDomainQemuAgentCommand(d, "{\"execute\":\"guest-ping\"}", PING_S, 0);
    return pong ? SV_OK : lv_error(h, conn, "ping", err);
}

static enum sv_err do_unplug_channel(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    return lv_unplug(h, conn, d, "channel", CHANNEL_MARK, &op->pending, err);
}

static enum sv_err do_plug_channel(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    SV_AUTOFREE char *xml = lv_channel_xml();
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    lv_table_set_agent(&h->table, &op->vm, 0); /* the new channel's first event says that it opened */
    return lv_plug(h, conn, d, "channel", CHANNEL_MARK, xml, err);
}

static enum sv_err call(struct lv_host *h, const struct sv_id *vm, lv_fn fn, const struct sv_deadline *d,
                        struct sv_error *err)
{
    LV_OP op = lv_op_new(vm);
    return lv_call(h, op, fn, LV_CALL_GUEST, d, err);
}

static void until_agent(struct lv_host *h, const struct sv_id *vm, const struct sv_deadline *d)
{
    struct lv_table *t = &h->table;
    pthread_mutex_lock(&t->mu);
    while (!t->closing && !sv_deadline_over(d) && !sv_deadline_cancelled(d) && lv_table_get(t, vm)->agent != 1)
        lv_cond_wait(&t->changed, &t->mu, d, sv_deadline_left(d));
    pthread_mutex_unlock(&t->mu);
}

static enum sv_err replug(struct lv_host *h, const struct sv_id *vm, const struct sv_deadline *d, struct sv_error *err)
{
    const struct lv_op model = {.vm = *vm};
    enum sv_err rc = lv_until_unplugged(h, &model, do_unplug_channel, d, err);
    if (!rc)
        rc = call(h, vm, do_plug_channel, d, err);
    if (rc)
        return rc;
    const struct sv_deadline soon = sv_deadline_within(d, COME_BACK_MS);
    until_agent(h, vm, &soon);
    return sv_deadline_cancelled(d) ? sv_fail(err, SV_E_JOB_CANCELLED, SV_F_NONE) : call(h, vm, do_ping, d, err);
}

/* Whatever a channel says that does not answer, the client hears that the agent does not. */
static bool is_silence(enum sv_err rc)
{
    return rc == SV_E_VM_NO_AGENT || rc == SV_E_HYPERVISOR || rc == SV_E_UNSUPPORTED;
}

enum sv_err lv_agent_sync(struct sv_hv_host *base, const struct sv_id *vm, const struct sv_deadline *d,
                          struct sv_error *err)
{
    struct lv_host *h = lv_host_of(base);
    LV_HOLD(h);
    enum sv_err rc = call(h, vm, do_ping, d, err);
    if (is_silence(rc))
        rc = replug(h, vm, d, err);
    if (is_silence(rc))
        return sv_fail(err, SV_E_VM_NO_AGENT, SV_F_VM);
    if (!rc)
        lv_table_set_agent(&h->table, vm, 1);
    return rc;
}

/* --- its clock --- */

/* Asked first whether it hears: setting has no limit of its own. */
static enum sv_err do_set_time(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    long long seconds = 0;
    unsigned ns = 0;
    enum sv_err rc = do_ping(h, conn, op, err);
    if (rc)
        return is_silence(rc) ? sv_fail(err, SV_E_VM_NO_AGENT, SV_F_VM) : rc;
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    if (virDomainGetTime(d, &seconds, &ns, 0) < 0)
        return lv_error(h, conn, "get_time", err);
    const int64_t now = sv_now_ms();
    op->value = now - (seconds * 1000 + ns / 1000000);
    if (virDomainSetTime(d, now / 1000, (unsigned)(now % 1000) * 1000000, 0) < 0)
        return lv_error(h, conn, "set_time", err);
    return SV_OK;
}

enum sv_err lv_set_time(struct sv_hv_host *h, const struct sv_id *vm, int64_t *ret_behind, const struct sv_deadline *d,
                        struct sv_error *err)
{
    LV_OP op = lv_op_new(vm);
    enum sv_err rc = lv_call(lv_host_of(h), op, do_set_time, LV_CALL_GUEST, d, err);
    if (!rc)
        *ret_behind = op->value;
    return rc;
}

/* --- its addresses --- */

static char *list_addresses(virDomainInterfacePtr *ifs, int n)
{
    struct sv_buf all = {0};
    for (int i = 0; i < n; i++)
        for (unsigned k = 0; ifs[i] && k < ifs[i]->naddrs; k++) {
            if (all.n)
                sv_buf_add(&all, "\n", 1);
            sv_buf_add(&all, ifs[i]->addrs[k].addr, strlen(ifs[i]->addrs[k].addr));
        }
    return all.n ? sv_buf_steal(&all) : sv_strdup("");
}

static enum sv_err do_addresses(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    virDomainInterfacePtr *ifs = NULL;
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    enum sv_err rc = awake(h, conn, d, err);
    if (!rc && !lv_agent_up(h, d, &op->vm))
        rc = sv_fail(err, SV_E_VM_NO_AGENT, SV_F_VM);
    if (rc)
        return rc;
    const int n = virDomainInterfaceAddresses(d, &ifs, VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT, 0);
    if (n < 0)
        return lv_error(h, conn, "guest_addresses", err);
    op->text = list_addresses(ifs, n);
    for (int i = 0; i < n; i++)
        virDomainInterfaceFree(ifs[i]);
    free(ifs);
    return SV_OK;
}

enum sv_err lv_guest_addresses(struct sv_hv_host *h, const struct sv_id *vm, char **ret, const struct sv_deadline *d,
                               struct sv_error *err)
{
    LV_OP op = lv_op_new(vm);
    enum sv_err rc = lv_call(lv_host_of(h), op, do_addresses, LV_CALL_GUEST, d, err);
    if (!rc)
        *ret = sv_strdup(op->text);
    return rc;
}

/* --- the screen --- */

static enum sv_err do_set_vnc_password(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    enum sv_hv_power now;
    unsigned flags = VIR_DOMAIN_AFFECT_CONFIG;
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    enum sv_err rc = lv_power_of(h, conn, d, &now, err);
    if (rc)
        return rc;
    if (now == SV_HV_RUNNING || now == SV_HV_PAUSED)
        flags |= VIR_DOMAIN_AFFECT_LIVE;
    char *xml = lv_graphics_xml(op->secret);
    int r = virDomainUpdateDeviceFlags(d, xml, flags);
    explicit_bzero(xml, strlen(xml));
    free(xml);
    return r < 0 ? lv_error(h, conn, "set_vnc_password", err) : SV_OK;
}

enum sv_err lv_set_vnc_password(struct sv_hv_host *h, const struct sv_id *vm, const char *password,
                                const struct sv_deadline *d, struct sv_error *err)
{
    LV_OP op = lv_op_new(vm);
    op->secret = sv_strdup(password);
    return lv_call(lv_host_of(h), op, do_set_vnc_password, LV_CALL_HOST, d, err);
}
