// SPDX-License-Identifier: MIT
//
// Lanes: whether an interface delivers what is sent through it. The director asks, and tells the gate.

#pragma once

#include "memory.h"

#define PORTS 16
#define NO_PORT PORTS // of an interface that is none any more: nothing is sent through it
#define LANES 32      // with that one, up to a power of two

struct lane {
	__u32 on; // whether the gate may send through it
	__s32 error; // why it is not
	__u32 ifindex;
	__u32 direct; // whether what is sent back by XDP_TX gets there
	__u64 sent; // of what was redirected to it, while it is probed
	__u64 lost;
};

struct lane lanes[LANES] MEMORY(lanes);

// By port.
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, PORTS);
	__type(key, __u32);
	__type(value, __u32);
} exits SEC(".maps");
