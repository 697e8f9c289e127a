// SPDX-License-Identifier: MIT
//
// Whom a cookie is for, as a segment says it.

#pragma once

#include "../parse.h"
#include "service.h"

// Who has sent a segment, to a service.
static __always_inline struct visitor visitor_of(const struct packet *p,
						 const struct cookie_service *service, __be32 isn)
{
	return (struct visitor){ &p->src.addr, p->v4, p->src.port, service->service, isn };
}
