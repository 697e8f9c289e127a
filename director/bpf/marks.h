// SPDX-License-Identifier: MIT
//
// Whether a packet bears a mark that a service has, by the rules that the director knows too.

#pragma once

#include "parse.h"
#include "region.h"

static __always_inline bool is_within(const struct address *a, const struct address *net,
				      const struct address *mask)
{
	__u32 differs = 0;

	for (int i = 0; i < 4; i++)
		differs |= (a->word[i] ^ net->word[i]) & mask->word[i];
	return !differs;
}

// The regions of the client, if any rule asks for them.
static __always_inline __u32 regions_for(const struct address *client)
{
	return scope.regional ? regions_of(client) : 0;
}

static __always_inline __u8 family_of(const struct address *a)
{
	return is_v4(a) ? V4 : V6;
}

// A fragment has neither ports nor, behind an extension, a protocol: it is judged by the rest. Not
// static, so that the kernel checks it once, and not for each of the rules.
__noinline bool fits(const struct rule *rule, const struct endpoint *src, const struct endpoint *dst,
		     __u32 port, __u32 regions)
{
	__u16 from, to;

	if (!rule || !src || !dst)
		return false;
	from = bpf_ntohs(src->port);
	to = bpf_ntohs(dst->port);
	if (rule->port != ANY_PORT && rule->port != port)
		return false;
	if (rule->region && !(rule->region & regions))
		return false;
	if (!is_within(&dst->addr, &rule->dst, &rule->dst_mask) ||
	    !is_within(&src->addr, &rule->src, &rule->src_mask))
		return false;
	if (!src->protocol)
		return true;
	return (!rule->protocol || rule->protocol == src->protocol) && from >= rule->src_first &&
	       from <= rule->src_last && to >= rule->dst_first && to <= rule->dst_last;
}

static __always_inline bool is_marked(const struct endpoint *src, const struct endpoint *dst,
				      __u32 port)
{
	__u32 list = scope.list & 1;
	struct rules *all = bpf_map_lookup_elem(&rules, &list);
	__u32 regions = regions_for(&src->addr);

	if (!all)
		return false;
	for (__u32 i = 0; i < RULES; i++) {
		if (i >= scope.rules)
			return false;
		if (fits(&all->rule[i], src, dst, port, regions))
			return all->rule[i].wanted & family_of(&dst->addr);
	}
	return false;
}
