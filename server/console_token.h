/* Console tokens: who shows one may open one console of one VM, once, soon (threat 30). Only their hashes are
 * kept, in memory: a server that starts anew knows none. Threads: any. */
#ifndef STARVIRT_SERVER_CONSOLE_TOKEN_H
#define STARVIRT_SERVER_CONSOLE_TOKEN_H

#include "starvirt/actor.h"

enum {
    SV_CONSOLE_TOKEN_LEN = 64,      /* hex digits: 256 bits */
    SV_MAX_CONSOLE_TOKENS = 1024,   /* that wait at a time */
    SV_MAX_CONSOLE_TOKENS_EACH = 64 /* of one tenant; one more displaces its oldest */
};

struct sv_console_tokens;
struct sv_console_tokens *sv_console_tokens_new(int64_t life_ms);
void sv_console_tokens_free(struct sv_console_tokens *t); /* NULL ok */
/* `tenant` owns the VM, `who` asked. */
void sv_console_token_issue(struct sv_console_tokens *t, const struct sv_id *tenant, const struct sv_id *vm,
                            const struct sv_actor *who, char ret[SV_CONSOLE_TOKEN_LEN + 1]);
/* True once, for the VM that it was made for. A token that is shown is used up, whatever it was shown for. Whether
 * the token of *ret_who is still good is the caller's to ask. */
bool sv_console_token_redeem(struct sv_console_tokens *t, const char *token, const struct sv_id *vm,
                             struct sv_id *ret_tenant, struct sv_actor *ret_who);
unsigned sv_console_tokens_waiting(struct sv_console_tokens *t);

#endif
