/* Stands where real servers would: counts and drops TCP, UDP and tunnels, and answers a SYN with
 * a SYN+ACK so that a connection gets established, and a datagram that asks with itself. ARP, ICMP
 * and the like go to the kernel.
 */
#include "frame.h"

enum { SUNK, ANSWERED, COUNTERS };

/* Sequence number of every SYN+ACK. */
#define SERVER_ISN 5000

/* The first byte of a datagram that asks. Its echo says the same, and nobody answers that. */
#define QUESTION '?'

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

static __always_inline int count(__u32 which, int action)
{
	__u64 *counter = bpf_map_lookup_elem(&counters, &which);

	if (counter)
		*counter += 1;
	return action;
}

static __always_inline void swap_macs(struct ethhdr *eth)
{
	__u8 mac[ETH_ALEN];

	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
}

/* Makes the SYN its own answer. Swapping addresses and ports leaves the checksum as it is; the
 * three fields that change are taken out of it and put in again (RFC 1624, equation 3). */
static __always_inline void answer(struct tcphdr *tcp)
{
	__u32 before = words(bpf_ntohl(tcp->seq)) + words(bpf_ntohl(tcp->ack_seq)) +
		       bpf_ntohs(((__be16 *)tcp)[6]);
	__u32 seq = bpf_ntohl(tcp->seq), sum;
	__be16 port = tcp->source;

	tcp->source = tcp->dest;
	tcp->dest = port;
	tcp->seq = bpf_htonl(SERVER_ISN);
	tcp->ack_seq = bpf_htonl(seq + 1);
	tcp->ack = 1;
	sum = (__u16)~bpf_ntohs(tcp->check) + words(SERVER_ISN) + words(seq + 1) +
	      bpf_ntohs(((__be16 *)tcp)[6]);
	/* Three words' complements: 5 times 0xffff is 0 in this arithmetic. */
	tcp->check = fold(sum + 5 * 0xffff - before);
}

static __always_inline int is_syn(const struct tcphdr *tcp)
{
	return tcp->syn && !tcp->ack && !tcp->rst && !tcp->fin;
}

/* Swapping addresses and ports leaves the checksum as it is. */
static __always_inline int echo(void *l4, void *end)
{
	struct udphdr *udp = l4;
	__u8 *first = (void *)(udp + 1);
	__be16 port;

	if ((void *)(first + 1) > end || *first != QUESTION)
		return 0;
	port = udp->source;
	udp->source = udp->dest;
	udp->dest = port;
	return 1;
}

/* Makes what is asked for here its own answer, but for addresses. */
static __always_inline int reply(__u8 protocol, void *l4, void *end)
{
	struct tcphdr *tcp = l4;

	if (protocol == IPPROTO_UDP)
		return echo(l4, end);
	if (protocol != IPPROTO_TCP || (void *)(tcp + 1) > end || !is_syn(tcp))
		return 0;
	answer(tcp);
	return 1;
}

/* What ends here without a look inside. */
static __always_inline int is_sunk(__u8 protocol)
{
	return protocol == IPPROTO_UDP || protocol == IPPROTO_IPIP || protocol == IPPROTO_IPV6 ||
	       protocol == IPPROTO_GRE;
}

static __always_inline int sink_v4(struct ethhdr *eth, void *end)
{
	struct iphdr *ip = (void *)(eth + 1);
	__be32 address;

	if ((void *)(ip + 1) > end || (ip->protocol != IPPROTO_TCP && !is_sunk(ip->protocol)))
		return XDP_PASS;
	if (ip->ihl != 5 || !reply(ip->protocol, ip + 1, end))
		return count(SUNK, XDP_DROP);
	address = ip->saddr;
	ip->saddr = ip->daddr;
	ip->daddr = address;
	swap_macs(eth);
	return count(ANSWERED, XDP_TX);
}

static __always_inline int sink_v6(struct ethhdr *eth, void *end)
{
	struct ipv6hdr *ip = (void *)(eth + 1);
	struct in6_addr address;

	if ((void *)(ip + 1) > end || (ip->nexthdr != IPPROTO_TCP && !is_sunk(ip->nexthdr)))
		return XDP_PASS;
	if (!reply(ip->nexthdr, ip + 1, end))
		return count(SUNK, XDP_DROP);
	address = ip->saddr;
	ip->saddr = ip->daddr;
	ip->daddr = address;
	swap_macs(eth);
	return count(ANSWERED, XDP_TX);
}

SEC("xdp")
int sink(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return sink_v4(eth, end);
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return sink_v6(eth, end);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
