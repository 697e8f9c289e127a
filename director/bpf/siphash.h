// SPDX-License-Identifier: MIT
//
// SipHash-2-4 (J.-P. Aumasson, D. J. Bernstein, 2012) of words, little-endian as they stand in memory.

#pragma once

#include <linux/types.h>

struct siphash_key {
	__u64 word[2];
};

struct sip {
	__u64 v0, v1, v2, v3;
};

static __always_inline __u64 rotate(__u64 value, int by)
{
	return value << by | value >> (64 - by);
}

static __always_inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v2 = rotate(s->v2, 32);
}

static __always_inline struct sip siphash_of(const struct siphash_key *key)
{
	__u64 k0 = key->word[0], k1 = key->word[1];

	return (struct sip){
		k0 ^ 0x736f6d6570736575,
		k1 ^ 0x646f72616e646f6d,
		k0 ^ 0x6c7967656e657261,
		k1 ^ 0x7465646279746573,
	};
}

static __always_inline void absorb(struct sip *s, __u64 word)
{
	s->v3 ^= word;
	for (int n = 0; n < 2; n++)
		sip_round(s);
	s->v0 ^= word;
}

// Of all that was absorbed, `length` bytes, the last less than eight of which are `rest`.
static __always_inline __u64 finish(struct sip *s, __u64 length, __u64 rest)
{
	absorb(s, length << 56 | rest);
	s->v2 ^= 0xff;
	for (int n = 0; n < 4; n++)
		sip_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}
