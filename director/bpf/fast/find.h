// SPDX-License-Identifier: MIT
//
// Which flow a packet belongs to.
//
// The hash is multilinear over words of the tuple, under keys that are drawn at each start (D.
// Lemire and O. Kaser, "Strongly universal string hashing is fast"): nobody outside can make up
// tuples that meet in one bucket, and it costs a multiplication a word.

#pragma once

#include "../flows.h"

struct tuple {
	__u32 src[4];
	__u32 dst[4]; // IPv4 in the last word
	__u32 ports;
	__u8 kind; // WAY_V6, WAY_TCP
	__u8 protocol;
};

// A way of a flow, and the flow.
struct found {
	struct flow *flow;
	struct way *way;
	struct way *other;
	const struct splice *splice; // if its ends need it
	__u32 back; // 1: from the real server
};

static __always_inline __u32 hash_of(const struct head *head, const struct tuple *t)
{
	const __u64 *key = head->keys;
	__u64 sum = key[0] + key[4] * t->src[3] + key[8] * t->dst[3] + key[9] * t->ports +
		    key[10] * t->protocol;

	if (t->kind & WAY_V6)
		for (int i = 0; i < 3; i++)
			sum += key[1 + i] * t->src[i] + key[5 + i] * t->dst[i];
	return sum >> 32;
}

static __always_inline __u64 slot_in(__u32 number, __u32 hash)
{
	struct bucket *bucket = bpf_map_lookup_elem(&flow_slots, &number);
	__u64 hit = 0;

	if (!bucket)
		return 0;
	for (int i = 0; i < SLOTS; i++) {
		__u64 slot = bucket->slot[i];

		if (slot >> 32 == hash)
			hit = slot;
	}
	return hit;
}

static __always_inline bool is_at(const struct address *a, const __u32 *word, bool v6)
{
	if (a->word[3] != word[3])
		return false;
	return !v6 || (a->word[0] == word[0] && a->word[1] == word[1] && a->word[2] == word[2]);
}

static __always_inline bool is_its(const struct found *f, const struct tuple *t)
{
	const struct address *addr = f->flow->addr;
	const struct address *src = &addr[f->back ? REAL_SERVER : CLIENT];
	const struct address *dst = &addr[f->back ? LOCAL : VIP];
	bool v6 = t->kind & WAY_V6;

	return (f->way->kind & (WAY_V6 | WAY_TCP)) == t->kind &&
	       *(__u32 *)&f->way->src == t->ports && is_at(src, t->src, v6) && is_at(dst, t->dst, v6);
}

static __always_inline bool find(const struct head *head, const struct tuple *t, struct found *f)
{
	__u32 hash = hash_of(head, t);
	__u32 slot = slot_in(hash & head->mask, hash);
	__u32 number;

	if (!slot)
		slot = slot_in((hash * 0x9e3779b1) >> 8 & head->mask, hash);
	if (!slot)
		return false;
	number = (slot >> 1) - 1;
	f->back = slot & 1;
	f->flow = bpf_map_lookup_elem(&flows, &number);
	if (!f->flow)
		return false;
	f->way = f->back ? &f->flow->back : &f->flow->there;
	f->other = f->back ? &f->flow->there : &f->flow->back;
	f->splice = f->way->kind & WAY_SPLICE ? bpf_map_lookup_elem(&splices, &number) : NULL;
	return is_its(f, t) && (f->splice || !(f->way->kind & WAY_SPLICE));
}
