/* Makes frames of many flows, for BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES.
 *
 * The kernel hands the same pages out again without resetting them, and a NAT downstream has
 * written into them: every header is written anew each time.
 */
#include "craft.h"

/* What has arrived where the frames go to (responder.bpf.c), if anybody is to wait for it. */
#define ARRIVED 2

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
		__uint(max_entries, ARRIVED);
		__type(key, __u32);
		__type(value, __u64);
	});
} far_end SEC(".maps");

/* How many frames may be under way. A call that sends frames takes 25 ms of its own, most of it waiting:
 * so it is kept within one call, and not by many. */
struct pace {
	__u64 window; /* 0: any number */
	__u64 begun;  /* what had arrived before the first */
	__u64 sent;
	__u64 arrived; /* of all, when it was last looked at */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pace);
} pace SEC(".maps");

#define CPUS 256

/* Looks at what has arrived, some milliseconds long: what is under way then is given up. */
#define LOOKS (1 << 18)

static __always_inline __u64 arrived_in(void *counters, __u32 which)
{
	__u64 sum = 0;

	for (__u32 cpu = 0; cpu < CPUS; cpu++) {
		const __u64 *count = bpf_map_lookup_percpu_elem(counters, &which, cpu);

		if (!count)
			break;
		sum += *count;
	}
	return sum;
}

static long is_let_go(__u32 look, struct pace **p)
{
	__u32 first = 0;
	void *counters = bpf_map_lookup_elem(&far_end, &first);
	struct pace *pace = *p;

	if (!counters)
		return 1;
	pace->arrived = arrived_in(counters, 0) + arrived_in(counters, 1) - pace->begun;
	return pace->sent < pace->arrived + pace->window;
}

static __always_inline void wait_for_room(void)
{
	__u32 zero = 0;
	struct pace *p = bpf_map_lookup_elem(&pace, &zero);

	if (!p || !p->window)
		return;
	if (p->sent >= p->arrived + p->window && bpf_loop(LOOKS, is_let_go, &p, 0) == LOOKS)
		p->sent = p->arrived;
	p->sent += 1;
}

SEC("xdp")
int generate(struct xdp_md *ctx)
{
	__u32 zero = 0;
	const struct config *c = bpf_map_lookup_elem(&config, &zero);

	wait_for_room();
	return c && craft(ctx, c) ? XDP_TX : XDP_ABORTED;
}

/* A veth transmits XDP frames only if it has a program of its own. */
SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
