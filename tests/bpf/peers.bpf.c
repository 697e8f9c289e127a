/* What the gate is measured by: programs that do the least of what it does. */
#include "frame.h"

SEC("xdp")
int nothing(struct xdp_md *ctx)
{
	return XDP_DROP;
}

/* A flow of the cheapest NAT there is: no state, no counters, no expiry. */
struct tuple {
	__be32 src;
	__be32 dst;
	__be16 src_port;
	__be16 dst_port;
	__u32 protocol;
};

struct target {
	__be32 dst;
	__be16 port;
	__u16 ip_change; /* of what a checksum covers, in its own byte order */
	__u16 l4_change;
	__u16 mac[6];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct tuple);
	__type(value, struct target);
} targets SEC(".maps");

static __always_inline __u16 changed(__u16 checksum, __u32 change)
{
	__u32 sum = (__u16)~checksum + change;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline void set_macs(struct ethhdr *eth, const __u16 *mac)
{
	__u16 *at = (__u16 *)eth;

	for (int i = 0; i < 6; i++)
		at[i] = mac[i];
}

SEC("xdp")
int cheapest(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct tcphdr *tcp = (void *)(ip + 1);
	struct target *target;
	struct tuple tuple;

	if ((void *)(tcp + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 ||
	    ip->protocol != IPPROTO_TCP || ip->ttl < 2)
		return XDP_PASS;
	tuple.src = ip->saddr;
	tuple.dst = ip->daddr;
	tuple.src_port = tcp->source;
	tuple.dst_port = tcp->dest;
	tuple.protocol = ip->protocol;
	target = bpf_map_lookup_elem(&targets, &tuple);
	if (!target)
		return XDP_PASS;
	ip->daddr = target->dst;
	tcp->dest = target->port;
	ip->ttl--;
	ip->check = changed(ip->check, target->ip_change);
	tcp->check = changed(tcp->check, target->l4_change);
	set_macs(eth, target->mac);
	return XDP_TX;
}

/* Drops whom a list of networks holds. */
struct network {
	__u32 bits;
	__be32 address;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1 << 20);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct network);
	__type(value, __u32);
} networks SEC(".maps");

SEC("xdp")
int denied(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct network whole = { .bits = 32 };

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	whole.address = ip->saddr;
	return bpf_map_lookup_elem(&networks, &whole) ? XDP_DROP : XDP_PASS;
}

/* Sends everything out where `exits` says, with the stations of `macs`. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} exits SEC(".maps");

struct macs {
	__u16 word[6];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct macs);
} macs SEC(".maps");

static __always_inline int is_ip(const struct ethhdr *eth)
{
	return eth->h_proto == bpf_htons(ETH_P_IP) || eth->h_proto == bpf_htons(ETH_P_IPV6);
}

SEC("xdp")
int redirect(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	__u32 zero = 0;
	struct macs *next = bpf_map_lookup_elem(&macs, &zero);

	if (!next || (void *)(eth + 1) > (void *)(long)ctx->data_end || !is_ip(eth))
		return XDP_PASS;
	set_macs(eth, next->word);
	return bpf_redirect_map(&exits, 0, XDP_DROP);
}

/* Forwards IPv4 as the kernel's routes say, without the kernel. */
SEC("xdp")
int route(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	__be16 *ports = (void *)(ip + 1);
	struct bpf_fib_lookup way = {};

	if ((void *)(ports + 2) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 ||
	    ip->ttl < 2)
		return XDP_PASS;
	way.family = 2; /* AF_INET */
	way.ifindex = ctx->ingress_ifindex;
	way.l4_protocol = ip->protocol;
	way.sport = ports[0];
	way.dport = ports[1];
	way.tot_len = bpf_ntohs(ip->tot_len);
	way.ipv4_src = ip->saddr;
	way.ipv4_dst = ip->daddr;
	if (bpf_fib_lookup(ctx, &way, sizeof(way), 0) != BPF_FIB_LKUP_RET_SUCCESS)
		return XDP_PASS;
	ip->check = changed(ip->check, (__u16)~bpf_htons(0x100));
	ip->ttl--;
	__builtin_memcpy(eth->h_dest, way.dmac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, way.smac, ETH_ALEN);
	return bpf_redirect(way.ifindex, 0);
}

/* Sends everything back where it came from. */
SEC("xdp")
int bounce(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	__u8 mac[ETH_ALEN];

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end || !is_ip(eth))
		return XDP_PASS;
	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
	return XDP_TX;
}

char _license[] SEC("license") = "Dual MIT/GPL";
