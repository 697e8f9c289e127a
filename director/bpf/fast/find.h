// SPDX-License-Identifier: MIT
//
// Which flow a packet belongs to.
//
// The hash is multilinear over words of the tuple, under keys that are drawn at each start (D.
// Lemire and O. Kaser, "Strongly universal string hashing is fast"): nobody outside can make up
// tuples that meet in one bucket, and it costs a multiplication a word.

#pragma once

#include "../flows.h"

// Addresses are read where they are: the stack of the gate has no room for those of IPv6.
struct tuple {
	const __be32 *src; // one word, or four
	const __be32 *dst;
	__u32 ports;
	__u8 kind; // FLOW_V6, FLOW_TCP
	__u8 protocol;
};

// A flow, and the way of a packet in it.
struct found {
	struct flow *flow;
	const struct way *way;
	const struct wide *wide; // if it is
	const struct splice *splice; // if its ends need it
	__u32 back; // 1: from the real server
};

static __always_inline __u32 hash_of(const struct tuple *t)
{
	const __u64 *key = head.keys;
	__u32 last = t->kind & FLOW_V6 ? 3 : 0;
	__u64 sum = key[0] + key[4] * t->src[last] + key[8] * t->dst[last] + key[9] * t->ports +
		    key[10] * t->protocol;

	for (__u32 i = 0; i < last; i++)
		sum += key[1 + i] * t->src[i] + key[5 + i] * t->dst[i];
	return sum >> 32;
}

// Where in a bucket a hash is entered, if that place is free.
static __always_inline __u32 home_of(__u32 hash)
{
	return hash >> 29;
}

// The slot of a hash that does not stand at home, or 0. No jumps: where it stands is different each
// time, and the processor would guess wrong. (clang would make jumps of it without the barrier.)
static __always_inline __u64 slot_away(const struct bucket *bucket, __u32 hash)
{
	__u64 hit = 0;

	for (int i = 0; i < SLOTS; i++) {
		__u64 slot = bucket->slot[i];
		__s64 same = ((__s64)(slot >> 32 ^ hash) - 1) >> 63;

		barrier_var(same);
		hit |= slot & same;
	}
	return hit;
}

// The slot of a hash, or 0.
static __always_inline __u64 slot_in(__u32 number, __u32 hash)
{
	const struct bucket *bucket = bpf_map_lookup_elem(&flow_slots, &number);
	__u64 slot;

	if (!bucket)
		return 0;
	slot = bucket->slot[home_of(hash)];
	return slot && slot >> 32 == hash ? slot : slot_away(bucket, hash);
}

// Where an address or a port of a packet stands that would stand at `place` if the client had sent
// it: the four are mirrored on the way back.
static __always_inline __u32 seen_from(const struct found *f, enum place place)
{
	return place ^ f->back * 3;
}

static __always_inline const struct address *wide_of(const struct found *f, enum place place)
{
	return &f->wide->addr[seen_from(f, place)];
}

static __always_inline bool is_at(const struct address *a, const __be32 *word)
{
	return a->word[0] == word[0] && a->word[1] == word[1] && a->word[2] == word[2] &&
	       a->word[3] == word[3];
}

// That four words of an address are there the verifier has forgotten by now.
static __always_inline bool is_its(const struct found *f, const struct tuple *t, void *end)
{
	const struct flow *flow = f->flow;

	if ((flow->kind & (FLOW_V6 | FLOW_TCP)) != t->kind ||
	    flow->port[seen_from(f, CLIENT)] != (__be16)t->ports ||
	    flow->port[seen_from(f, VIP)] != t->ports >> 16)
		return false;
	if (t->kind & FLOW_V6)
		return f->wide && (void *)(t->dst + 4) <= end && (void *)(t->src + 4) <= end &&
		       is_at(wide_of(f, CLIENT), t->src) && is_at(wide_of(f, VIP), t->dst);
	return flow->addr[seen_from(f, CLIENT)] == *t->src &&
	       flow->addr[seen_from(f, VIP)] == *t->dst;
}

static __always_inline bool find(const struct tuple *t, void *end, struct found *f)
{
	__u32 hash = hash_of(t);
	__u32 slot = slot_in(hash & head.mask, hash);
	__u32 number;
	__u8 kind;

	if (!slot)
		slot = slot_in((hash * 0x9e3779b1) >> 8 & head.mask, hash);
	if (!slot)
		return false;
	number = (slot >> 1) - 1;
	f->back = slot & 1;
	f->flow = bpf_map_lookup_elem(&flows, &number);
	if (!f->flow)
		return false;
	f->way = &f->flow->way[f->back];
	kind = f->flow->kind;
	f->wide = kind & FLOW_WIDE ? bpf_map_lookup_elem(&wides, &number) : NULL;
	f->splice = kind & FLOW_SPLICE ? bpf_map_lookup_elem(&splices, &number) : NULL;
	return is_its(f, t, end) && (f->splice || !(kind & FLOW_SPLICE));
}
