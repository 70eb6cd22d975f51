#include "hv/libvirt/internal.h"

#include <stdlib.h>

/* What domains are: lookup, power, agent, ownership, state and list. */

void lv_domain_free(virDomainPtr *d)
{
    if (*d)
        virDomainFree(*d);
    *d = NULL;
}

const char *lv_power_name(enum sv_hv_power p)
{
    static const char *const names[] = {
        [SV_HV_ABSENT] = "absent", [SV_HV_OFF] = "stopped", [SV_HV_RUNNING] = "running",
        [SV_HV_PAUSED] = "paused", [SV_HV_SAVED] = "saved", [SV_HV_CRASHED] = "crashed",
    };
    return names[p];
}

virDomainPtr lv_lookup(struct lv_host *h, virConnectPtr conn, const struct sv_id *vm, struct sv_error *err)
{
    virDomainPtr d = virDomainLookupByUUIDString(conn, vm->s);
    if (!d)
        lv_error(h, conn, "lookup", err);
    return d;
}

static enum sv_hv_power power_from(int state, int reason)
{
    switch ((virDomainState)state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
    case VIR_DOMAIN_SHUTDOWN: /* on its way down, not there yet */
        return SV_HV_RUNNING;
    case VIR_DOMAIN_PAUSED:
    case VIR_DOMAIN_PMSUSPENDED:
        return SV_HV_PAUSED;
    case VIR_DOMAIN_CRASHED:
        return SV_HV_CRASHED;
    case VIR_DOMAIN_SHUTOFF:
        return reason == VIR_DOMAIN_SHUTOFF_CRASHED ? SV_HV_CRASHED : SV_HV_OFF;
    case VIR_DOMAIN_NOSTATE:
        break;
    }
    return SV_HV_OFF;
}

enum sv_err lv_power_of(struct lv_host *h, virConnectPtr conn, virDomainPtr d, enum sv_hv_power *ret,
                        struct sv_error *err)
{
    int state, reason;
    if (virDomainGetState(d, &state, &reason, 0) < 0)
        return lv_error(h, conn, "state", err);
    enum sv_hv_power p = power_from(state, reason);
    if (p == SV_HV_OFF && virDomainHasManagedSaveImage(d, 0) == 1)
        p = SV_HV_SAVED;
    *ret = p;
    return SV_OK;
}

/* Events keep it current; before the first one the live definition tells. */
bool lv_agent_up(struct lv_host *h, virDomainPtr d, const struct sv_id *vm)
{
    int known = lv_table_agent(&h->table, vm);
    char state[32] = "";
    if (known >= 0)
        return known == 1;
    SV_AUTOFREE char *xml = virDomainGetXMLDesc(d, 0);
    if (!xml)
        return false;
    lv_screen_note(h, vm, xml);
    lv_xml_attr(xml, "target", "name", LV_AGENT_CHANNEL, "state", state, sizeof(state));
    bool up = strcmp(state, "connected") == 0;
    lv_table_set_agent(&h->table, vm, up);
    return up;
}

/* Named by its id and carrying our mark. The mark is looked for once. */
bool lv_is_ours(struct lv_host *h, virDomainPtr d, struct sv_id *ret)
{
    char uuid[VIR_UUID_STRING_BUFLEN];
    const char *name = virDomainGetName(d);
    if (!name || virDomainGetUUIDString(d, uuid) < 0 || strcmp(name, uuid) != 0)
        return false;
    struct sv_id id = sv_id_from(uuid);
    if (sv_id_empty(&id))
        return false;
    if (!lv_table_is_ours(&h->table, &id)) {
        SV_AUTOFREE char *mark = virDomainGetMetadata(d, VIR_DOMAIN_METADATA_ELEMENT, LV_METADATA_URI, 0);
        if (!mark)
            return false;
        lv_table_set_ours(&h->table, &id);
    }
    *ret = id;
    return true;
}

static bool is_up(enum sv_hv_power p)
{
    return p == SV_HV_RUNNING || p == SV_HV_PAUSED;
}

static enum sv_err do_state(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    virDomainInfo info;
    LV_DOMAIN d = lv_lookup(h, conn, &op->vm, err);
    if (!d)
        return err->code;
    enum sv_err rc = lv_power_of(h, conn, d, &op->state.power, err);
    if (rc || !is_up(op->state.power))
        return rc;
    if (virDomainGetInfo(d, &info) < 0)
        return lv_error(h, conn, "info", err);
    op->state.vcpus = info.nrVirtCpu;
    op->state.memory = (int64_t)info.maxMem * 1024; /* with what was plugged in */
    op->state.agent = lv_agent_up(h, d, &op->vm);
    return SV_OK;
}

enum sv_err lv_state(struct sv_hv_host *base, const struct sv_id *vm, struct sv_hv_state *ret,
                     const struct sv_deadline *d, struct sv_error *err)
{
    LV_OP op = lv_op_new(vm);
    enum sv_err rc = lv_call(lv_host_of(base), op, do_state, LV_CALL_HOST, d, err);
    if (rc == SV_E_DOMAIN_MISSING)
        *ret = (struct sv_hv_state){.power = SV_HV_ABSENT};
    else if (!rc)
        *ret = op->state;
    return rc == SV_E_DOMAIN_MISSING ? SV_OK : rc;
}

/* --- list --- */

static int64_t number(virDomainStatsRecordPtr r, const char *field)
{
    for (int i = 0; i < r->nparams; i++) {
        const virTypedParameter *p = &r->params[i];
        if (strcmp(p->field, field) != 0)
            continue;
        if (p->type == VIR_TYPED_PARAM_INT)
            return p->value.i;
        if (p->type == VIR_TYPED_PARAM_UINT)
            return p->value.ui;
        if (p->type == VIR_TYPED_PARAM_ULLONG)
            return (int64_t)p->value.ul;
    }
    return 0;
}

static void fill_row(struct lv_host *h, virDomainStatsRecordPtr r, struct lv_row *row)
{
    virDomainInfo info;
    row->name = sv_strdup(virDomainGetName(r->dom));
    row->state.power = power_from((int)number(r, "state.state"), (int)number(r, "state.reason"));
    bool ours = lv_is_ours(h, r->dom, &row->vm);
    if (!ours || !is_up(row->state.power) || virDomainGetInfo(r->dom, &info) < 0)
        return;
    row->state.vcpus = info.nrVirtCpu;
    row->state.memory = (int64_t)info.maxMem * 1024;
    row->state.agent = lv_agent_up(h, r->dom, &row->vm);
}

static void mark_saved(virConnectPtr conn, struct lv_op *op)
{
    virDomainPtr *saved = NULL;
    int n = virConnectListAllDomains(conn, &saved,
                                     VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE | VIR_CONNECT_LIST_DOMAINS_INACTIVE);
    for (int i = 0; i < n; i++) {
        for (size_t k = 0; k < op->row_count; k++)
            if (op->rows[k].state.power == SV_HV_OFF && strcmp(op->rows[k].name, virDomainGetName(saved[i])) == 0)
                op->rows[k].state.power = SV_HV_SAVED;
        virDomainFree(saved[i]);
    }
    free(saved);
}

static enum sv_err do_list(struct lv_host *h, virConnectPtr conn, struct lv_op *op, struct sv_error *err)
{
    virDomainStatsRecordPtr *rows = NULL;
    /* Nothing here asks a QEMU: one that hangs must not hold up the rest. */
    int n = virConnectGetAllDomainStats(conn, VIR_DOMAIN_STATS_STATE, &rows, 0);
    if (n < 0)
        return lv_error(h, conn, "list", err);
    op->rows = sv_alloc((size_t)(n ? n : 1) * sizeof(*op->rows));
    for (int i = 0; i < n; i++)
        fill_row(h, rows[i], &op->rows[i]);
    op->row_count = (size_t)n;
    virDomainStatsRecordListFree(rows);
    mark_saved(conn, op);
    return virConnectIsAlive(conn) == 1 ? SV_OK : lv_error(h, conn, "list", err);
}

enum sv_err lv_list(struct sv_hv_host *base,
                    void (*row)(void *arg, const struct sv_id *vm, const char *name, const struct sv_hv_state *s),
                    void *arg, const struct sv_deadline *d, struct sv_error *err)
{
    LV_OP op = lv_op_new(NULL);
    enum sv_err rc = lv_call(lv_host_of(base), op, do_list, LV_CALL_HOST, d, err);
    for (size_t i = 0; !rc && i < op->row_count; i++)
        row(arg, &op->rows[i].vm, op->rows[i].name, &op->rows[i].state);
    return rc;
}
