/* Routers, outer addresses, mappings. */
#ifndef CORE_ROUTER_H
#define CORE_ROUTER_H

#include "core/network/network.h"
#include "starvirt/core_router.h"

extern const struct sv_job_kind sv_kind_router_create, sv_kind_router_delete;

#endif
