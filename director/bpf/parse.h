// SPDX-License-Identifier: MIT
//
// Reads a packet as far as the gate needs it. Every access is checked against the packet's end.

#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "maps.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define TCP_URG 0x20

#define IP_MORE_FRAGMENTS 0x2000
#define IP_OFFSET 0x1fff

// RFC 8200 sets no limit on the chain; the director reads as many.
#define EXTENSION_HEADERS 8

enum reading {
	OTHER,     // nothing that could be the director's
	TRANSPORT, // TCP, UDP or SCTP, src and dst filled
	BEGINNING, // the first fragment of what may be one of them, addresses filled
	FRAGMENT,  // a later one, the same
	QUOTE,     // an ICMP error; src and dst are those of the quoted packet
};

#define BAD_OFFSET 1 // it ends within itself, or behind the packet
#define BAD_FLAGS 2  // no TCP sends them together

struct packet {
	struct address from; // source of the packet itself, also when it quotes another
	struct endpoint src;
	struct endpoint dst;
	__u8 flags;  // of TCP, when they are there
	__u8 fault;  // of a TCP header that no TCP sends
	__u8 header; // bytes of the IP header before that of TRANSPORT; 0: there is more before it
	bool v4;     // whether the addresses of src and dst are
};

// Follows the ports of TCP (RFC 9293 3.1).
struct tcp_rest {
	__be32 seq;
	__be32 ack;
	__u8 offset;
	__u8 flags;
};

// The type of a frame. (struct ethhdr is packed: clang would read and write it byte by byte.)
static __always_inline __be16 type_of(const struct ethhdr *eth)
{
	return *((const __be16 *)eth + ETH_ALEN);
}

static __always_inline void set_type(struct ethhdr *eth, __be16 type)
{
	*((__be16 *)eth + ETH_ALEN) = type;
}

struct cursor {
	void *at;
	void *end;
};

struct extension {
	__u8 next;
	__u8 length; // in 8 bytes, the first 8 not counted
};

// RFC 792 and RFC 4443 share the first 8 bytes.
struct icmp {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 rest;
};

struct fragment_header {
	__u8 next;
	__u8 reserved;
	__be16 offset; // 13 bits, 2 reserved, more
	__be32 id;
};

// Points `var` at the next header and steps over it; leaves the function when it is cut off.
#define TAKE(var, cursor)                                                                          \
	do {                                                                                       \
		(var) = (cursor)->at;                                                              \
		if ((void *)((var) + 1) > (cursor)->end)                                           \
			return OTHER;                                                              \
		(cursor)->at = (var) + 1;                                                          \
	} while (0)

// The protocols that a service can have; all begin with their ports.
static __always_inline bool has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

// The sets of control bits that a TCP sends, a bit for each. `Flags::is_nonsense` says the same in Rust.
#define SET(flags) (1ULL << (flags))
#define SENSIBLE                                                                                   \
	(SET(TCP_SYN) | SET(TCP_SYN | TCP_URG) | SET(TCP_SYN | TCP_ACK) | SET(TCP_RST) |           \
	 SET(TCP_RST | TCP_ACK) | SET(TCP_FIN | TCP_ACK) | SET(TCP_FIN | TCP_ACK | TCP_URG) |      \
	 SET(TCP_ACK) | SET(TCP_ACK | TCP_URG))
#define CONTROL (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK | TCP_URG)

static __always_inline void set_port(struct endpoint *end, __be16 port, __u8 protocol)
{
	end->port = port;
	end->protocol = protocol;
	end->zero = 0;
}

static __always_inline __u8 fault_of(struct tcp_rest *rest, void *end)
{
	__u32 length = (rest->offset >> 4) * 4;
	void *header = (void *)rest - 4;

	if (length < 20 || header + length > end)
		return BAD_OFFSET;
	return SENSIBLE >> (rest->flags & CONTROL) & 1 ? 0 : BAD_FLAGS;
}

static __always_inline enum reading read_ports(struct cursor *c, __u8 protocol, struct packet *p)
{
	__be16 *port;

	if (!has_ports(protocol))
		return OTHER;
	TAKE(port, c);
	set_port(&p->src, *port, protocol);
	TAKE(port, c);
	set_port(&p->dst, *port, protocol);
	if (protocol == IPPROTO_TCP) {
		struct tcp_rest *rest = c->at;

		if ((void *)(rest + 1) <= c->end) {
			p->flags = rest->flags;
			p->fault = fault_of(rest, c->end);
		}
	}
	return TRANSPORT;
}

// A SYN, and not the answer to one.
static __always_inline bool is_opening(__u8 flags)
{
	return (flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static __always_inline bool opens(const struct packet *p)
{
	return is_opening(p->flags);
}

// What most packets are: TCP, whole, in an IPv4 packet without options.
static __always_inline bool is_plain(const struct iphdr *ip)
{
	return *(__u8 *)ip == 0x45 && ip->protocol == IPPROTO_TCP &&
	       !(ip->frag_off & bpf_htons(IP_MORE_FRAGMENTS | IP_OFFSET));
}

static __always_inline enum reading read_v4(struct cursor *c, struct packet *p, __u8 *protocol)
{
	struct iphdr *ip;
	__u16 fragment;

	TAKE(ip, c);
	if (ip->version != 4 || ip->ihl < 5)
		return OTHER;
	c->at = (void *)ip + ip->ihl * 4;
	set_v4(&p->src.addr, ip->saddr);
	set_v4(&p->dst.addr, ip->daddr);
	p->v4 = true;
	p->header = ip->ihl == 5 ? sizeof(*ip) : 0;
	*protocol = ip->protocol;
	fragment = bpf_ntohs(ip->frag_off);
	if (fragment & IP_OFFSET)
		return FRAGMENT;
	return fragment & IP_MORE_FRAGMENTS ? BEGINNING : TRANSPORT;
}

static __always_inline enum reading read_v6(struct cursor *c, struct packet *p, __u8 *protocol)
{
	struct ipv6hdr *ip;
	struct extension *extension;
	struct fragment_header *fragment;
	enum reading reading = TRANSPORT;

	TAKE(ip, c);
	if (ip->version != 6)
		return OTHER;
	set_v6(&p->src.addr, &ip->saddr);
	set_v6(&p->dst.addr, &ip->daddr);
	p->v4 = is_v4(&p->src.addr);
	p->header = has_ports(ip->nexthdr) ? sizeof(*ip) : 0;
	*protocol = ip->nexthdr;
	for (int i = 0; i <= EXTENSION_HEADERS; i++) {
		switch (*protocol) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
			extension = c->at;
			if ((void *)(extension + 1) > c->end)
				return OTHER;
			*protocol = extension->next;
			c->at += (extension->length + 1) * 8;
			break;
		case IPPROTO_FRAGMENT:
			TAKE(fragment, c);
			*protocol = fragment->next;
			if (fragment->offset & bpf_htons(0xfff8))
				return FRAGMENT;
			if (fragment->offset & bpf_htons(1))
				reading = BEGINNING;
			break;
		default:
			return reading;
		}
	}
	return OTHER;
}

// Unreachable, source quench, time exceeded, parameter problem (RFC 792).
static __always_inline bool is_v4_error(__u8 type)
{
	return type == 3 || type == 4 || type == 11 || type == 12;
}

// Unreachable, too big, time exceeded, parameter problem (RFC 4443 2.1).
static __always_inline bool is_v6_error(__u8 type)
{
	return type >= 1 && type <= 4;
}

// The ports of the packet that an ICMP error quotes. A quoted fragment without them is nobody's.
static __always_inline enum reading read_quote(enum reading ip, struct cursor *c, __u8 protocol,
					       struct packet *p)
{
	if (ip != TRANSPORT && ip != BEGINNING)
		return OTHER;
	if (read_ports(c, protocol, p) != TRANSPORT)
		return OTHER;
	return QUOTE;
}

// What follows an IP header that is a fragment's. Echo and whatever else can have no ports is not
// the director's; behind an IPv6 extension any may be.
static __always_inline enum reading read_fragment(__u8 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
		return FRAGMENT;
	default:
		return OTHER;
	}
}

static __always_inline enum reading parse_v4(struct cursor *c, struct packet *p)
{
	struct icmp *icmp;
	__u8 protocol;
	enum reading reading = read_v4(c, p, &protocol);

	p->from = p->src.addr;
	if (reading == FRAGMENT || reading == BEGINNING)
		return read_fragment(protocol);
	if (reading != TRANSPORT)
		return reading;
	if (protocol != IPPROTO_ICMP)
		return read_ports(c, protocol, p);
	TAKE(icmp, c);
	if (!is_v4_error(icmp->type))
		return OTHER;
	reading = read_v4(c, p, &protocol);
	return read_quote(reading, c, protocol, p);
}

static __always_inline enum reading parse_v6(struct cursor *c, struct packet *p)
{
	struct icmp *icmp;
	__u8 protocol;
	enum reading reading = read_v6(c, p, &protocol);

	p->from = p->src.addr;
	if (reading == FRAGMENT || reading == BEGINNING)
		return read_fragment(protocol);
	if (reading != TRANSPORT)
		return reading;
	if (protocol != IPPROTO_ICMPV6)
		return read_ports(c, protocol, p);
	TAKE(icmp, c);
	if (!is_v6_error(icmp->type))
		return OTHER;
	reading = read_v6(c, p, &protocol);
	return read_quote(reading, c, protocol, p);
}

__noinline enum reading parse(struct xdp_md *ctx, struct packet *p)
{
	struct cursor c = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	struct ethhdr *eth;

	if (!p)
		return OTHER;

	TAKE(eth, &c);
	switch (type_of(eth)) {
	case bpf_htons(ETH_P_IP):
		return parse_v4(&c, p);
	case bpf_htons(ETH_P_IPV6):
		return parse_v6(&c, p);
	default:
		return OTHER;
	}
}

// The same for what is plain, in place; false for others. A call and its return are a good part of what a
// packet of a flood costs.
static __always_inline bool parse_plain(struct xdp_md *ctx, struct packet *p)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	__be16 *port = (void *)(ip + 1);
	struct tcp_rest *rest = (void *)(port + 2);

	if ((void *)(rest + 1) > end || type_of(eth) != bpf_htons(ETH_P_IP) || !is_plain(ip))
		return false;
	set_v4(&p->from, ip->saddr);
	set_v4(&p->src.addr, ip->saddr);
	set_v4(&p->dst.addr, ip->daddr);
	set_port(&p->src, port[0], IPPROTO_TCP);
	set_port(&p->dst, port[1], IPPROTO_TCP);
	p->flags = rest->flags;
	p->fault = fault_of(rest, end);
	p->header = sizeof(*ip);
	p->v4 = true;
	return true;
}
