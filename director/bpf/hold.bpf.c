// SPDX-License-Identifier: MIT
//
// Holds all packets back that come in by an interface, for the moment in which the gate is off it: what
// is lost is sent again, but what the kernel gets of a connection that it does not know it resets.

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

__u64 held;

SEC("tc")
int hold(struct __sk_buff *skb)
{
	__sync_fetch_and_add(&held, 1);
	return TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
