// SPDX-License-Identifier: Apache-2.0
/*
 * tbb - oneTBB's concurrent_queue and concurrent_bounded_queue.
 *
 * Method    try_pop, polled, and push to a queue without a bound, try_push to one with: the waiting forms of the
 *           bounded one sleep.
 */
#include <oneapi/tbb/concurrent_queue.h>

#include "bench/peers/queue.hpp"

namespace
{

template <unsigned bytes> class unbounded
{
      public:
	using message = queue_message<bytes>;
	static constexpr queue_pace pace = QUEUE_TIGHT;

	bool
	push(const message &m)
	{
		queue.push(m);
		return true;
	}

	bool
	pop(message &m)
	{
		return queue.try_pop(m);
	}

      private:
	tbb::concurrent_queue<message> queue;
};

template <unsigned bytes> class bounded
{
      public:
	using message = queue_message<bytes>;
	static constexpr queue_pace pace = QUEUE_TIGHT;

	bounded()
	{
		queue.set_capacity(PEER_ROOM);
	}

	bool
	push(const message &m)
	{
		return queue.try_push(m);
	}

	bool
	pop(message &m)
	{
		return queue.try_pop(m);
	}

      private:
	tbb::concurrent_bounded_queue<message> queue;
};

} // namespace

const peer pinioni_peers_tbb[] = {
	queue_peer<unbounded<8>>::named("oneTBB concurrent_queue"),
	queue_peer<unbounded<64>>::named("oneTBB concurrent_queue"),
	queue_peer<unbounded<1024>>::named("oneTBB concurrent_queue"),
	queue_peer<bounded<8>>::named("oneTBB bounded_queue"),
	queue_peer<bounded<64>>::named("oneTBB bounded_queue"),
	queue_peer<bounded<1024>>::named("oneTBB bounded_queue"),
	{},
};
