// SPDX-License-Identifier: MIT
//
// The agent: on a real server, takes the packets of the directors out of their tunnels, and the
// connections in that cookies have proved to them.
//
//     Ethernet -> IPv4 | IPv6 -> (nothing | GRE | UDP + GUE) -> IPv4 | IPv6 -> ...
//                 `----------- taken off -----------------'
//
// It runs at tc ingress, before the stack, which then gets the inner packet as if it had come
// over the interface by itself. What is not a director's tunnel packet for a VIP of this host goes
// on as it came: the host may have tunnels of its own. A packet is decapsulated once.

#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "agent/cookie.h"
#include "agent/inner.h"
#include "agent/maps.h"
#include "agent/outer.h"
#include "agent/packet.h"
#include "agent/strip.h"
#include "agent/tunnel.h"

// Flooded by a bridge, sniffed, or of a VLAN, which has an interface of its own.
static __always_inline bool is_for_another(struct __sk_buff *skb)
{
	return skb->pkt_type != PACKET_HOST || skb->vlan_present;
}

static __always_inline enum outcome read_all(struct __sk_buff *skb, struct packet *p,
					     enum outcome tunnel)
{
	enum outcome outcome = check_outer(skb, p);

	if (outcome == READ_ON)
		outcome = read_tunnel(skb, p, tunnel);
	if (outcome == READ_ON)
		outcome = read_inner(skb, p);
	return outcome;
}

static __always_inline enum outcome decapsulate(struct __sk_buff *skb)
{
	struct packet p = {};
	enum outcome outcome, tunnel;

	if (is_for_another(skb) || read_outer(skb, &p) != READ_ON)
		return PASSED;
	tunnel = tunnel_of(skb, &p);
	if (tunnel == PASSED || !is_local(&p.dst))
		return PASSED;
	if (!is_in(&directors, &p.src))
		return SOURCE;
	outcome = read_all(skb, &p, tunnel);
	if (outcome != READ_ON)
		return outcome;
	return strip(skb, &p) ? tunnel : NO_ROOM;
}

SEC("tc")
int agent(struct __sk_buff *skb)
{
	enum outcome outcome = decapsulate(skb);

	count(outcome);
	if (!is_drop(outcome))
		welcome(skb);
	// Unspecified: other programs of this interface see it next (TCX_NEXT).
	return is_drop(outcome) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
