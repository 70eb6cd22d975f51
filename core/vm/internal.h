/* Inside the room of VMs. */
#ifndef CORE_VM_INTERNAL_H
#define CORE_VM_INTERNAL_H

#include "core/vm/vm.h"

/* --- claims (core/vm/claim.c) --- */
/* A set of states, as claims take it. */
#define SV_VM_BIT(s) (1U << (s))
enum {
    SV_VM_SETTLED =
        SV_VM_BIT(SV_VM_STOPPED) | SV_VM_BIT(SV_VM_RUNNING) | SV_VM_BIT(SV_VM_PAUSED) | SV_VM_BIT(SV_VM_SAVED)
};
/* The VM, which no job holds, in one of these states. VM_NOT_FOUND, VM_LOCKED, VM_STATE, HOST_DOWN. */
enum sv_err sv_vm_claim_in(struct sv_tx *tx, const struct sv_actor *who, const char *id, unsigned from,
                           struct sv_vm *ret, struct sv_error *err);

void sv_make_mac(unsigned char mac[6]); /* core/vm/new.c */

/* Of a device that comes and of one that goes: the definition with it and without. */
#define SV_STEP_DEFINE_WITH                                                                                            \
    {                                                                                                                  \
        .name = "define", .title_zh = "更新定义", .title_en = "update the definition", .weight = 2,                    \
        .run = sv_step_define, .undo = sv_step_define_without, .undo_alone = true                                      \
    }
#define SV_STEP_DEFINE_WITHOUT                                                                                         \
    {                                                                                                                  \
        .name = "define", .title_zh = "更新定义", .title_en = "update the definition", .weight = 2,                    \
        .run = sv_step_define_without                                                                                  \
    }

/* --- passwords of guests (core/vm/account.c, core/vm/guest.c) --- */
enum sv_err sv_check_password(const char *user, const char *password, struct sv_error *err);
/* "account": waits for the guest agent and sets root's password. Needed when iarg[SV_CREATE_ACCOUNT] is set. */
enum sv_err sv_step_account(struct sv_run *r, struct sv_error *err);
bool sv_step_account_needed(const struct sv_job *job);

#endif
