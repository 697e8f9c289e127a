// SPDX-License-Identifier: MIT
//
// What programs of this host answer as real servers by NAT. It passes no interface on receive, where
// the gate would find it; so this program, at tc egress of the director's interfaces, hands it to the
// door instead (a TUN device), from which the director reads it.
//
//     local program -> route, neighbour -> tc egress -> door -> director -> VIP's answer -> tx ring
//                                              `- all else, and what the director gives back
//
// It knows endpoints, not connections: the director gives back what belongs to none, by a socket with
// the mark GIVEN_BACK. A door that is gone takes nothing, and the packet is lost: better than that a
// client is answered by an address that it has never asked.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "address.h"

// ICMP errors (RFC 792); those of ICMPv6 are 1 to 4 (RFC 4443).
#define ICMP_UNREACHABLE 3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER_PROBLEM 12
#define ICMPV6_LAST_ERROR 4

#define FRAGMENT_HEADER 44 // next header (RFC 8200)
#define NOT_WHOLE 0x3fff   // IPv4: more fragments, or not the first one

const volatile __u32 DOOR; // index of the interface
const volatile __u32 GIVEN_BACK;

// Who answers for a service. The address as a whole stands for fragments and ICMP errors.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct endpoint);
	__type(value, __u32);
} answering SEC(".maps");

struct sender {
	struct address addr;
	__u32 after; // where the transport header is
	__u8 protocol;
	bool whole;
};

static __always_inline long load(struct __sk_buff *skb, __u32 at, void *to, __u32 length)
{
	return bpf_skb_load_bytes_relative(skb, at, to, length, BPF_HDR_START_NET);
}

static __always_inline bool read_v4(struct __sk_buff *skb, struct sender *from)
{
	struct iphdr ip;

	if (load(skb, 0, &ip, sizeof(ip)))
		return false;
	set_v4(&from->addr, ip.saddr);
	from->protocol = ip.protocol;
	from->whole = !(ip.frag_off & bpf_htons(NOT_WHOLE));
	from->after = ip.ihl * 4;
	return true;
}

static __always_inline bool read_v6(struct __sk_buff *skb, struct sender *from)
{
	struct ipv6hdr ip;

	if (load(skb, 0, &ip, sizeof(ip)))
		return false;
	set_v6(&from->addr, &ip.saddr);
	from->protocol = ip.nexthdr;
	from->whole = ip.nexthdr != FRAGMENT_HEADER;
	from->after = sizeof(ip);
	return from->whole || !load(skb, sizeof(ip), &from->protocol, 1);
}

static __always_inline bool answers(const struct sender *from, __u8 protocol, __be16 port)
{
	struct endpoint end = {.addr = from->addr, .port = port, .protocol = protocol};

	return bpf_map_lookup_elem(&answering, &end);
}

static __always_inline bool is_error(const struct sender *from, __u8 type)
{
	if (from->protocol == IPPROTO_ICMPV6)
		return type > 0 && type <= ICMPV6_LAST_ERROR;
	return type == ICMP_UNREACHABLE || type == ICMP_TIME_EXCEEDED ||
	       type == ICMP_PARAMETER_PROBLEM;
}

static __always_inline bool is_answer(struct __sk_buff *skb, const struct sender *from)
{
	__be16 port;
	__u8 type;

	switch (from->protocol) {
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return from->whole && answers(from, 0, 0) && !load(skb, from->after, &type, 1) &&
		       is_error(from, type);
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		if (!from->whole)
			return answers(from, 0, 0);
		return !load(skb, from->after, &port, sizeof(port)) &&
		       (answers(from, from->protocol, port) || answers(from, from->protocol, 0));
	default:
		return false;
	}
}

// What goes to a group answers nobody.
static __always_inline bool is_for_many(struct __sk_buff *skb)
{
	__u8 first = 0;

	bpf_skb_load_bytes_relative(skb, 0, &first, sizeof(first), BPF_HDR_START_MAC);
	return first & 1; // of an Ethernet address (IEEE 802.3 3.2.3)
}

SEC("tc")
int home(struct __sk_buff *skb)
{
	struct sender from = {};
	bool readable = false;

	if (skb->mark == GIVEN_BACK)
		return TC_ACT_UNSPEC;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		readable = read_v4(skb, &from);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		readable = read_v6(skb, &from);
	if (!readable || !is_answer(skb, &from) || is_for_many(skb))
		return TC_ACT_UNSPEC;
	return bpf_redirect(DOOR, 0);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
