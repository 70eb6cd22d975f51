/* Who asks, and what they may see. */
#ifndef STARVIRT_ACTOR_H
#define STARVIRT_ACTOR_H

#include "starvirt/id.h"

enum sv_role { SV_ROLE_TENANT, SV_ROLE_ADMIN };

/* The owner of a request, from its token. */
struct sv_actor {
    enum sv_role role;
    struct sv_id tenant; /* the token's own tenant */
    struct sv_id token;
    int64_t expires; /* [ms UTC] the token's end, 0 = none */
};

/* Which tenant's rows a query may touch: a required argument of every store function over tenant
 * rows, so that an unscoped query does not compile. Made only by the two functions below. */
struct sv_scope {
    struct sv_id tenant; /* empty: all tenants (admin) */
};

/* An admin sees all tenants, a tenant its own. */
static inline struct sv_scope sv_scope_of(const struct sv_actor *a)
{
    struct sv_scope s = {.tenant = a->tenant};
    if (a->role == SV_ROLE_ADMIN)
        s.tenant.s[0] = '\0';
    return s;
}
/* For job steps and the program itself, which act on an id already checked at acceptance. */
static inline struct sv_scope sv_scope_system(void)
{
    return (struct sv_scope){.tenant = {.s = ""}};
}
static inline struct sv_scope sv_scope_tenant(const struct sv_id *t)
{
    return (struct sv_scope){.tenant = *t};
}

#endif
