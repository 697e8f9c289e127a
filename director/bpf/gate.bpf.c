// SPDX-License-Identifier: MIT
//
// The gate: the first step of a packet's way, in the driver of the interface.
//
// It forwards packets of connections that the director has established (fast.h). It hands other
// packets for a virtual service, and replies of NAT real servers, to the AF_XDP socket of their
// queue, and passes everything else (ARP, ssh, ...) to the kernel. What it cannot read it passes:
// the kernel knows how to refuse it.
//
//     Ethernet -> IPv4 | IPv6 + extensions -> TCP | UDP | SCTP | ICMP error + quoted packet
//
// One instance runs on each interface (PORT); the maps are shared by all.
//
// What is `__noinline` and not static (parse, is_ours, restricted ...) the kernel checks once, for any
// arguments, and not again for each way that leads there: of the million instructions that it looks
// at, all of this takes an eighth, and would take nearly all of them inlined. Since they may get any
// arguments, such functions ask whether their pointers are there. And the 512 bytes of stack that a
// chain of calls may have do not hold all of it at once. The way of established packets is one
// function: a call and its return are a sixth of what they cost.

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "cookie.h"
#include "fast.h"
#include "filter.h"
#include "limit.h"
#include "maps.h"
#include "marks.h"
#include "parse.h"
#include "region.h"
#include "repeat.h"
#include "sight.h"

const volatile __u32 PORT;
const volatile __u32 FAST_PATH;

static __always_inline void count(struct counts *counts, enum counter what)
{
	counts->of[what & (COUNTS - 1)] += 1;
}

static __always_inline int pass(struct counts *counts)
{
	count(counts, PASSED);
	return XDP_PASS;
}

static __always_inline int drop(struct counts *counts, enum counter why)
{
	barrier_var(why); // or clang leaves the mask out: it knows what functions return, the verifier does not
	count(counts, why);
	return XDP_DROP;
}

static __always_inline int to_director(struct counts *counts, __u32 queue)
{
	__u32 slot = PORT * QUEUES + queue;
	int verdict = bpf_redirect_map(&sockets, slot, XDP_DROP);

	count(counts, verdict == XDP_REDIRECT ? REDIRECTED : NO_SOCKET);
	return verdict;
}

static __always_inline __u32 role(const struct endpoint *endpoint)
{
	const struct standing *standing = standing_of(endpoint);

	return standing ? standing->roles : 0;
}

static __always_inline bool is_ftp_data(__be16 port)
{
	return port == bpf_htons(20) || bpf_ntohs(port) >= 1024;
}

// The roles of an endpoint that has `roles` by itself: if none, those of every port.
static __always_inline __u32 widened(__u32 roles, const struct endpoint *end)
{
	struct endpoint key = *end;
	__u32 wide;

	if (roles || !scope.wide)
		return roles;
	key.port = 0;
	wide = role(&key);
	return wide & FTP_DATA && is_ftp_data(end->port) ? wide | SERVICE : wide;
}

// The same, for endpoints that have not been looked up yet.
static __always_inline __u32 roles_of(const struct endpoint *end)
{
	return widened(role(end), end);
}

// Whether this host itself talks there, and not the director: one of its addresses, and no port
// that the director speaks from. A fragment has no port, and may be for either.
static __always_inline bool is_hosts(const struct endpoint *end)
{
	struct address addr = end->addr;
	struct own *own = bpf_map_lookup_elem(&locals, &addr);
	__u16 port = bpf_ntohs(end->port);

	if (own && !end->protocol)
		return own->first > own->last;
	return own && (port < own->first || port > own->last);
}

// A packet goes to a service when its destination, which has `roles` by itself, is one. It is a reply
// when its source is a real server and its destination is not this host itself (a health check's
// answer, say). No mark makes anything else of what a real server sends; whether a fragment is of one,
// its address alone does not say.
__noinline bool is_ours(const struct packet *p, __u32 roles)
{
	if (!p)
		return false;
	if (widened(roles, &p->dst) & SERVICE)
		return true;
	if (roles_of(&p->src) & REAL) {
		if (!is_hosts(&p->dst))
			return true;
		if (p->src.protocol)
			return false;
	}
	return scope.rules && is_marked(&p->src, &p->dst, PORT);
}

// Whether a packet to a service is another's, by a mark: that has no cookies.
__noinline bool is_anothers(const struct packet *p)
{
	return p && is_marked(&p->src, &p->dst, PORT);
}

// An error quotes a packet that was sent earlier: one from a service to a client, or one to a real
// server that this host has not sent itself.
__noinline bool is_about_ours(const struct packet *quoted)
{
	if (!quoted)
		return false;
	if (roles_of(&quoted->src) & SERVICE)
		return true;
	if (roles_of(&quoted->dst) & REAL) {
		if (!is_hosts(&quoted->src))
			return true;
		if (quoted->dst.protocol)
			return false;
	}
	return scope.rules && is_marked(&quoted->dst, &quoted->src, PORT);
}

static __always_inline bool is_for_us(struct xdp_md *ctx)
{
	__u64 *to = (void *)(long)ctx->data; // the first 6 bytes of a frame, and two more

	return (void *)(to + 1) <= (void *)(long)ctx->data_end &&
	       *to << 16 == stations[PORT & (PORTS - 1)] << 16;
}

// Forwards what needs no decision.
static __always_inline int forward_flow(struct xdp_md *ctx, struct counts *counts)
{
	int verdict = FAST_PATH ? forward(ctx) : MISS;

	if (verdict != MISS)
		count(counts, FORWARDED);
	return verdict;
}

// Drops a packet of which the director would not hear otherwise.
static __always_inline int refuse(struct xdp_md *ctx, struct counts *counts,
				  const struct packet *packet, enum counter why)
{
	sample(ctx, packet);
	return drop(counts, why);
}

// Sends an answer back the way that its question came. Drivers of devices do that; veth loses it
// without a word, unless a program runs at the far end, but not what is redirected.
static __always_inline int answer(struct counts *counts, const struct lane *lane)
{
	count(counts, ANSWERED);
	return lane->direct ? XDP_TX : bpf_redirect_map(&exits, PORT, XDP_DROP);
}

// Whether there is a worker to read what comes by a queue.
static __always_inline bool is_read(__u32 queue)
{
	__u32 slot = PORT * QUEUES + queue;

	return bpf_map_lookup_elem(&sockets, &slot);
}

// TCP for a service with cookies, before it gets to the director. Where no answer gets out, a worker
// gives it. Nobody is answered whose next word nobody would hear: a client that waits for its server to
// speak would wait for ever, but sends a SYN again.
static __always_inline int greet(struct xdp_md *ctx, struct counts *counts,
				 const struct packet *packet, const struct cookie_service *service)
{
	const struct lane *lane = &lanes[PORT & (PORTS - 1)];

	if (!is_read(ctx->rx_queue_index) ||
	    (opens(packet) && !lane->direct && !lane->on))
		return to_director(counts, ctx->rx_queue_index);
	switch (meet(ctx, packet, service)) {
	case ANSWER:
		sample(ctx, packet);
		return answer(counts, lane);
	case REFUSE:
		return refuse(ctx, counts, packet, BAD_COOKIE);
	case HEARD:
		return refuse(ctx, counts, packet, RESET_HEARD);
	default:
		return to_director(counts, ctx->rx_queue_index);
	}
}

// Why a SYN in an IPv4 packet without options, of which a flood is made, is not taken; ADMITTED when it
// has to be read first.
static __always_inline enum counter refused_at_once(struct xdp_md *ctx, struct listing *listing)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct tcp_rest *rest = (void *)(ip + 1) + 4; // after the ports
	struct address from;

	if (!listing || listing->list == ALLOW || (void *)(rest + 1) > end || !is_plain(ip) ||
	    !is_opening(rest->flags))
		return ADMITTED;
	set_v4(&from, ip->saddr);
	return may_be_real(&from) || is_next() ? ADMITTED : noted(listing);
}

// Filters what is not of an established connection, and finds out whose it is.
static __always_inline int judge(struct xdp_md *ctx, struct counts *counts)
{
	const struct standing *standing = NULL;
	struct packet packet;
	bool ours, allowed = false;
	struct listing *listing = listing_v4(ctx);
	enum counter refused = refused_at_once(ctx, listing);
	enum reading reading;

	if (refused != ADMITTED)
		return drop(counts, refused);
	reading = TRANSPORT;
	if (!parse_plain(ctx, &packet)) {
		packet = (struct packet){};
		reading = parse(ctx, &packet);
	}
	refused = filtered(ctx, &packet, listing, PORT, &allowed);
	if (refused != ADMITTED)
		return refuse(ctx, counts, &packet, refused);
	switch (reading) {
	case TRANSPORT:
	case FRAGMENT: // keyed by address alone: port and protocol are zero
		standing = standing_of(&packet.dst);
		ours = standing && standing->roles & SERVICE;
		if (!ours)
			ours = is_ours(&packet, standing ? standing->roles : 0);
		break;
	case QUOTE:
		ours = is_about_ours(&packet);
		break;
	default:
		ours = false;
	}
	if (!ours)
		return pass(counts);
	if (reading == TRANSPORT && packet.fault && !is_real(&packet.from))
		return refuse(ctx, counts, &packet,
			      packet.fault == BAD_FLAGS ? TCP_FLAGS : BAD_TCP_OFFSET);
	if ((filter.limits | filter.closed | filter.sealed) && !allowed &&
	    !is_real(&packet.from)) {
		refused = restricted(&packet);
		if (refused != ADMITTED)
			return refuse(ctx, counts, &packet, refused);
	}
	if (!standing || !(standing->cookies.flags & (MINTS | REPEATS)) ||
	    (standing->cookies.flags & SHARED && is_anothers(&packet)))
		return to_director(counts, ctx->rx_queue_index);
	if (standing->cookies.flags & MINTS)
		return greet(ctx, counts, &packet, &standing->cookies);
	if (!allowed && !is_real(&packet.from) && comes_first(&packet, standing->cookies.slot))
		return refuse(ctx, counts, &packet, FIRST_DATAGRAM);
	return to_director(counts, ctx->rx_queue_index);
}

SEC("xdp")
int gate(struct xdp_md *ctx)
{
	__u32 port = PORT;
	struct counts *counts = bpf_map_lookup_elem(&counters, &port);
	bool for_us = is_for_us(ctx);
	int verdict;

	if (!counts)
		return XDP_PASS;
	verdict = for_us ? forward_flow(ctx, counts) : MISS; // established connections come first
	if (verdict != MISS)
		return verdict;
	count(counts, RECEIVED);
	return for_us ? judge(ctx, counts) : pass(counts);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
