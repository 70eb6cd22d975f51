/* What happens to a guest: one transition function, its events, and the guest's own time. */
#include "hv/sim/internal.h"

#include <stdlib.h>

bool sim_guest_runs(const struct sim_domain *d)
{
    return d->live.power == SV_HV_RUNNING || d->live.power == SV_HV_PAUSED;
}

static bool has_agent(const struct sim_host *h, const struct sim_domain *d)
{
    if (d->live.flags & (SIM_AGENT_OFF | SIM_AGENT_ON))
        return d->live.flags & SIM_AGENT_ON;
    return h->sim->conf.agent;
}

static void set_agent(struct sim_host *h, struct sim_domain *d, bool up)
{
    if (d->agent == up)
        return;
    d->agent = up;
    sim_tell_agent(h, d);
}

/* A guest begins to boot: timers of the boot before are void, the agent comes up when it is done. */
static void boot(struct sim_host *h, struct sim_domain *d)
{
    d->epoch++;
    set_agent(h, d, false);
    if (!has_agent(h, d))
        return;
    if (h->sim->conf.boot_us)
        sim_timer_add(h, SIM_TIMER_AGENT, &d->key, d->epoch, h->sim->conf.boot_us);
    else
        set_agent(h, d, true);
}

/* Of the boot before, or of a guest that ended. */
static void forget_words(struct sim_domain *d, const struct sim_live *before)
{
    if (sim_guest_runs(d) && before->boots == d->live.boots)
        return;
    free(d->words);
    d->words = NULL;
}

bool sim_guest_words_apply(struct sim_domain *d, const unsigned char *p, size_t n)
{
    if (n > SIM_CONTENT_MAX || !sim_guest_runs(d))
        return false;
    free(d->words);
    d->words = n ? memcpy(sv_alloc(n + 1), p, n) : NULL;
    return true;
}

bool sim_guest_live_apply(struct sim_domain *d, const unsigned char *p, size_t n)
{
    const struct sim_live before = d->live;

    if (n != sizeof(d->live))
        return false;
    memcpy(&d->live, p, n);
    if (!sim_guest_runs(d))
        sim_plugged_forget(d);
    forget_words(d, &before);
    return d->live.power <= SV_HV_CRASHED;
}

enum sv_err sim_guest_write(struct sim_host *h, struct sim_domain *d, const char *words, struct sv_error *err)
{
    const size_t n = strlen(words);

    if (!sim_guest_runs(d) || n > SIM_CONTENT_MAX)
        return sv_fail(err, SV_E_HYPERVISOR, SV_F_NONE, "the guest does not run, or the text is too long");
    if (strcmp(d->words ? d->words : "", words) == 0)
        return SV_OK;
    const enum sv_err rc = sim_record(h, SIM_REC_WORDS, &d->key, words, n, err);
    if (!rc)
        (void)sim_guest_words_apply(d, (const unsigned char *)words, n);
    return rc;
}

enum sv_err sim_guest_become(struct sim_host *h, struct sim_domain *d, const struct sim_live *next,
                             struct sv_error *err)
{
    const struct sim_live before = d->live;
    const bool ran = sim_guest_runs(d);
    const enum sv_err rc = sim_record(h, SIM_REC_LIVE, &d->key, next, sizeof(*next), err);

    if (rc)
        return rc;
    if (before.power != next->power)
        sim_load_turn(d);
    d->live = *next;
    const bool runs = sim_guest_runs(d);
    if (!ran && runs)
        sim_load_begin(d);
    if (ran && !runs) {
        d->epoch++;
        set_agent(h, d, false);
        sim_plugged_forget(d);
    }
    forget_words(d, &before);
    if (before.power != next->power) {
        sim_tell_power(h, d);
        sim_screens_power(h, d);
    }
    if (runs && (!ran || before.boots != next->boots))
        boot(h, d);
    if (before.power != next->power || before.boots != next->boots)
        pthread_cond_broadcast(&h->change);
    return SV_OK;
}

enum sv_err sim_guest_off(struct sim_host *h, struct sim_domain *d, enum sv_hv_power how, struct sv_error *err)
{
    struct sim_live next = d->live;

    next.power = (uint8_t)how;
    next.flags &= (uint8_t) ~(SIM_STOPPING | SIM_REBOOTING | SIM_GROWN);
    next.vcpus = next.vcpus_max = 0;
    next.memory = next.memory_max = 0;
    sim_clock_reset(d);
    return sim_guest_become(h, d, &next, err);
}

enum sv_err sim_guest_agent(struct sim_host *h, struct sim_domain *d, bool on, struct sv_error *err)
{
    struct sim_live next = d->live;

    next.flags &= (uint8_t) ~(SIM_AGENT_OFF | SIM_AGENT_ON);
    next.flags |= on ? SIM_AGENT_ON : SIM_AGENT_OFF;
    const enum sv_err rc = sim_guest_become(h, d, &next, err);
    if (!rc && sim_guest_runs(d))
        set_agent(h, d, on);
    return rc;
}

/* The agent's channel opens once more, which is when somebody asks it. */
void sim_guest_address(struct sim_host *h, struct sim_domain *d, const char *address)
{
    free(d->address);
    d->address = sv_strdup(address);
    if (d->agent)
        sim_tell_agent(h, d);
}

void sim_guest_go_on(struct sim_host *h, const struct sim_domain *d)
{
    if (d->live.flags & SIM_STOPPING)
        sim_timer_add(h, SIM_TIMER_STOP, &d->key, d->epoch, h->sim->conf.stop_us);
    else if (d->live.flags & SIM_REBOOTING)
        sim_timer_add(h, SIM_TIMER_REBOOT, &d->key, d->epoch, h->sim->conf.stop_us);
}

/* While the server was away the guests went on: they have long booted. */
void sim_guest_revive(struct sim_host *h, struct sim_domain *d)
{
    if (!sim_guest_runs(d))
        return;
    d->agent = has_agent(h, d);
    sim_guest_go_on(h, d);
}

static enum sv_err rebooted(struct sim_host *h, struct sim_domain *d, struct sv_error *err)
{
    struct sim_live next = d->live;

    next.flags &= (uint8_t)~SIM_REBOOTING;
    next.boots++;
    return sim_guest_become(h, d, &next, err);
}

static enum sv_err happen(struct sim_host *h, struct sim_domain *d, enum sim_timer_kind kind, struct sv_error *err)
{
    const bool awake = d->live.power == SV_HV_RUNNING; /* a paused guest goes on when it is resumed */

    switch (kind) {
    case SIM_TIMER_AGENT:
        set_agent(h, d, has_agent(h, d));
        break;
    case SIM_TIMER_STOP:
        return awake && d->live.flags & SIM_STOPPING ? sim_guest_off(h, d, SV_HV_OFF, err) : SV_OK;
    case SIM_TIMER_REBOOT:
        return awake && d->live.flags & SIM_REBOOTING ? rebooted(h, d, err) : SV_OK;
    case SIM_TIMER_HANG:
        break;
    }
    return SV_OK;
}

void sim_guest_timer(struct sim_host *h, const struct sim_timer *t)
{
    struct sim_domain *d = sim_table_get(&h->domains, &t->vm);
    struct sv_error err;

    if (!d || d->epoch != t->epoch || !sim_guest_runs(d))
        return;
    if (happen(h, d, t->kind, &err) != SV_OK) /* the journal cannot be written now: it takes a little longer */
        sim_timer_add(h, t->kind, &t->vm, t->epoch, 1000000);
}
