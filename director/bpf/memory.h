// SPDX-License-Identifier: MIT
//
// Memory of a fixed size that programs and director share: a variable in a section of its own, which
// libbpf makes a map of. The program knows where it is; to look an entry of an array map up takes the
// kernel three times as many instructions as to reckon its address.

#pragma once

// With a dot in front and behind `bss`, the kernel takes ten letters of a name.
#define MEMORY(name) SEC(".bss." #name)
