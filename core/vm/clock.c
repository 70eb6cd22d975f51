/* The clock of a guest that stood still: while it was paused, or its memory lay in a snapshot, time went on. Its agent
 * sets it; a guest without one goes on with the gap, and the job's log says so. */
#include <stdio.h>
#include <stdlib.h>

#include "core/host/host.h"
#include "core/vm/vm.h"

enum { CALL_LIMIT_MS = 10 * 1000 };
enum { NOTABLE_MS = 500 };

static enum sv_err set(struct sv_run *r, struct sv_hv_host *h, int64_t wait_ms, int64_t *ret_behind,
                       struct sv_error *err)
{
    struct sv_cloud *c = sv_run_app(r);
    const struct sv_deadline wait = sv_deadline_within(sv_run_deadline(r), wait_ms);
    struct sv_agent_wait w = {.vm = sv_run_job(r)->object};
    enum sv_err rc;

    sv_agent_wait_begin(c, &w);
    do {
        const struct sv_deadline d = sv_deadline_within(sv_run_deadline(r), CALL_LIMIT_MS);

        rc = SV_HV_CALL(h, set_time, &w.vm, ret_behind, &d);
    } while (rc == SV_E_VM_NO_AGENT && wait_ms && sv_agent_wait_news(r, &w, &wait));
    sv_agent_wait_end(c, &w);
    return rc;
}

void sv_clock_set(struct sv_run *r, struct sv_hv_host *h, int64_t wait_ms, bool say_all)
{
    struct sv_error e = {.code = SV_OK};
    int64_t behind = 0;
    char seconds[32];
    const enum sv_err rc = set(r, h, wait_ms, &behind, &e);

    if (rc) {
        e.code = rc;
        sv_run_note_error(r, SV_LOG_WARN, SV_N_CLOCK_LEFT, &e);
        return;
    }
    snprintf(seconds, sizeof(seconds), "%s%lld.%03lld", behind < 0 ? "-" : "", llabs(behind) / 1000,
             llabs(behind) % 1000);
    if (say_all || llabs(behind) >= NOTABLE_MS)
        sv_run_note(r, SV_LOG_INFO, SV_N_CLOCK_SET, seconds, NULL);
}
