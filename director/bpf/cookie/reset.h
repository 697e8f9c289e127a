// SPDX-License-Identifier: MIT
//
// Clients that show by a RST that they are there. director/src/cookie/reset.rs says the same in Rust,
// and why; workers write and read the same words.
//
//     number to reset   the largest that is not above the client's own and ends in these 16 bits:
//                       15 MAC | 1 key
//     word              32 of the tuple's place | 32 number that was reset

#pragma once

#include "../roll.h"
#include "visitor.h"

#define RESETS_KEPT 65536
#define NEAR 0xffff // how far below the client's number it may lie

// An array that the director maps too. Another RST that falls on a word takes it.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RESETS_KEPT);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} resets SEC(".maps");

static __always_inline __u64 *reset_at(__u64 place)
{
	__u32 slot = place % RESETS_KEPT;

	return bpf_map_lookup_elem(&resets, &slot);
}

static __always_inline __u64 word_of(__u64 place, __u32 number)
{
	return place >> 32 << 32 | number;
}

// How a number for this client ends, by the key of `parity`.
static __always_inline __u16 ending(const struct cookie_service *service,
				    const struct packet *p, __u32 parity)
{
	struct visitor visitor = visitor_of(p, service, 0);

	return (mac(&service->keys[parity], &visitor) & 0xfffe) | parity;
}

static __always_inline __u32 bait_for(const struct cookie_service *service,
				      const struct packet *p, __u32 isn)
{
	return isn - (__u16)(isn - ending(service, p, service->parity & 1));
}

// Whether a number is one that this client was given, by a key that is still good.
static __always_inline bool is_bait(const struct cookie_service *service,
				    const struct packet *p, __u32 number)
{
	__u32 parity = number & 1;

	return service->flags & HAS_KEY << parity &&
	       ending(service, p, parity) == (number & 0xffff);
}
