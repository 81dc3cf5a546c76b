// SPDX-License-Identifier: Apache-2.0
/*
 * boost - Boost.Lockfree's spsc_queue and queue.
 *
 * Method    Capacity known when compiled, which its documentation recommends: neither allocates then.
 */
#include <boost/lockfree/queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>

#include "bench/peers/queue.hpp"

namespace
{

using boost::lockfree::capacity;

template <unsigned bytes>
struct spsc : boost::lockfree::spsc_queue<queue_message<bytes>, capacity<PEER_ROOM>> {
	using message = queue_message<bytes>;
	static constexpr queue_pace pace = QUEUE_PACED;
};

template <unsigned bytes>
struct mpmc : boost::lockfree::queue<queue_message<bytes>, capacity<PEER_ROOM>> {
	using message = queue_message<bytes>;
	static constexpr queue_pace pace = QUEUE_PACED;
};

} // namespace

const peer pinioni_peers_boost[] = {
	queue_peer<spsc<8>>::named("Boost spsc_queue"),
	queue_peer<spsc<64>>::named("Boost spsc_queue"),
	queue_peer<spsc<1024>>::named("Boost spsc_queue"),
	queue_peer<mpmc<8>>::named("Boost lockfree queue"),
	queue_peer<mpmc<64>>::named("Boost lockfree queue"),
	queue_peer<mpmc<1024>>::named("Boost lockfree queue"),
	{},
};
