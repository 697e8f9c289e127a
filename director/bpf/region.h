// SPDX-License-Identifier: MIT
//
// Regions: where in the world a source is, as far as rules ask for it. A region is a set of
// countries and autonomous systems; the director knows which networks that are.

#pragma once

#include "filter.h"

#define REGIONS 32
#define REGION_NETWORKS (1 << 20)

// The regions that a network is in.
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, REGION_NETWORKS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct network_v4);
	__type(value, __u32);
} regions_v4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, REGION_NETWORKS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct network_v6);
	__type(value, __u32);
} regions_v6 SEC(".maps");

// Packets that were not taken, of each region.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REGIONS);
	__type(key, __u32);
	__type(value, __u64);
} region_drops SEC(".maps");

static __always_inline __u32 regions_of(const struct address *from)
{
	struct network_v4 v4 = { 32, from->word[3] };
	struct network_v6 v6 = { 128, *from };
	__u32 *named;

	if (is_v4(from))
		named = filter.regions & V4 ? bpf_map_lookup_elem(&regions_v4, &v4) : 0;
	else
		named = filter.regions & V6 ? bpf_map_lookup_elem(&regions_v6, &v6) : 0;
	return (named ? *named : 0) ^ filter.outside;
}

// The number of the lowest bit that is set, of one at least. (clang 14 does not come to an end
// with __builtin_ctz here.)
static __always_inline __u32 lowest(__u32 bits)
{
	__u32 number = 0;

	for (__u32 half = REGIONS / 2; half; half /= 2) {
		if (bits << (REGIONS - half))
			continue;
		number += half;
		bits >>= half;
	}
	return number;
}

// Why a packet for a service is not taken from these regions, or ADMITTED.
static __always_inline enum counter by_region(const struct packet *p, __u32 regions)
{
	__u32 against = regions & filter.sealed, first;
	__u64 *dropped;

	if (!against && !may_be_known(p))
		against = regions & filter.closed;
	if (!against)
		return ADMITTED;
	first = lowest(against);
	dropped = bpf_map_lookup_elem(&region_drops, &first);
	if (dropped)
		*dropped += 1;
	return REGION;
}
