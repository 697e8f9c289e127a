// SPDX-License-Identifier: MIT
//
// Sights: of what the gate keeps from the director, a few packets are shown to it, so that it knows
// who sends most while an attack goes on. How far apart they are it says itself (`gap`).

#pragma once

#include "filter.h"

#define SIGHTS (1 << 16) // bytes

struct sight {
	struct address from;
	__u32 gap;    // packets that it stands for
	__u16 length; // of the frame
	__u16 opens;  // whether it would open a TCP connection
};

// When it is full, nobody looks fast enough: what comes then is not missed.
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SIGHTS);
} sights SEC(".maps");

// Packets to let by until the next one is shown.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} ahead SEC(".maps");

static __noinline int show(struct xdp_md *ctx, const struct packet *p, __u32 gap, __u32 *next)
{
	struct sight sight = { .gap = gap };

	if (!ctx || !p || !next || !gap)
		return 0;
	sight.from = p->from;
	sight.length = ctx->data_end - ctx->data;
	sight.opens = p->dst.protocol == IPPROTO_TCP && opens(p);
	bpf_ringbuf_output(&sights, &sight, sizeof(sight), BPF_RB_NO_WAKEUP);
	// As far as the gap on average, and never in step with anything.
	*next = gap > 1 ? bpf_get_prandom_u32() % (2 * gap - 1) : 0;
	return 0;
}

// What says how far it is to the packet that is shown next, when that is the one at hand; others are
// let by.
static __always_inline __u32 *is_next(void)
{
	__u32 only = 0;
	__u32 *next;

	if (!filter.gap)
		return 0;
	next = bpf_map_lookup_elem(&ahead, &only);
	if (!next || !*next)
		return next;
	*next -= 1;
	return 0;
}

static __always_inline void sample(struct xdp_md *ctx, const struct packet *p)
{
	__u32 *next = is_next();

	if (next)
		show(ctx, p, filter.gap, next);
}
