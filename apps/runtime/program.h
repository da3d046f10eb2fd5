#pragma once
#include <cstdio>
#include <string_view>

// What every program of ours does first.
namespace siglane::runtime {

// Of this build: "0.1.0".
const char* version();

// Who starts us may have closed standard input, output or error. The next socket would get its
// number, and then what is meant for the terminal would go to a peer. So a descriptor is put there
// on which every read or write fails, as on a closed one. Before anything is opened.
void occupy_standard_descriptors();

// As many descriptors as the hard limit allows: the soft one is low for programs that use select().
void raise_descriptor_limit();

// All threads allocate from one heap. glibc gives each its own, and what a shard gave back when its
// traffic moved to another shard would not serve there. They seldom meet at its lock: what messages
// need is kept in pools. Large blocks (queues that are full, whole buffers of a read) have pages of
// their own, and stay no longer than they are needed: glibc would put them into the heap after the
// first was freed, and what comes to lie beyond one keeps it there. Small blocks that are freed are
// joined with free neighbours then and there. glibc would do that for all of them at once, when the
// next large block is wanted, which takes milliseconds after a long answer to an operator.
// Before a second thread.
void tune_heap();

// To standard output or error; false: not all of it got there, because it is closed or its disk is
// full.
bool print(std::FILE* to, std::string_view text);

}  // namespace siglane::runtime
