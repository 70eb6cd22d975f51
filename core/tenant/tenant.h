/* Tenants and their tokens. */
#ifndef CORE_TENANT_H
#define CORE_TENANT_H

#include "core/run/run.h"

/* First start: the admin tenant and DIR/admin.token; a write closure, arg is the cloud. */
enum sv_err sv_tenant_first(struct sv_tx *tx, void *arg, struct sv_error *err);

/* A new token and the hash that its row has. */
void sv_token_make(char text[SV_TOKEN_TEXT], unsigned char hash[SV_SHA256_LEN]);

#endif
