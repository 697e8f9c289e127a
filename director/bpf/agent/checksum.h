// SPDX-License-Identifier: MIT
//
// The internet checksum (RFC 1071) over a part of a packet.

#pragma once

#include <linux/bpf.h>

#include "../address.h"
#include "../sum.h"

#define CHUNK 256 // even, and a multiple of 4 as bpf_csum_diff() wants it
#define LONGEST_PACKET 65536

struct chunk {
	__u64 words[CHUNK / 8];
};

// The stack has no room for it.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct chunk);
} scratch SEC(".maps");

// The sum of the bytes from `at` to `end`, folded; 0 when they cannot be read. A part that
// includes a correct checksum has the sum 0xffff.
static __noinline __u16 sum(struct __sk_buff *skb, __u32 at, __u32 end)
{
	__u32 slot = 0;
	struct chunk *chunk = bpf_map_lookup_elem(&scratch, &slot);
	__s64 sum = 0;
	__u64 rest;

	if (!chunk)
		return 0;
	for (int i = 0; i < LONGEST_PACKET / CHUNK && end - at >= CHUNK; i++, at += CHUNK) {
		if (bpf_skb_load_bytes(skb, at, chunk, CHUNK))
			return 0;
		sum = bpf_csum_diff(0, 0, (void *)chunk, CHUNK, sum);
	}
	rest = (end - at) % CHUNK;
	barrier_var(rest); // or clang hides its bounds from the verifier
	if (rest == 0)
		return folded((__u32)sum);
	__builtin_memset(chunk, 0, CHUNK);
	if (bpf_skb_load_bytes(skb, at, chunk, rest))
		return 0;
	return folded((__u32)bpf_csum_diff(0, 0, (void *)chunk, CHUNK, sum));
}
