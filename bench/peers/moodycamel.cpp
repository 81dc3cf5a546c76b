// SPDX-License-Identifier: Apache-2.0
/*
 * moodycamel - ConcurrentQueue with a producer token.
 *
 * Method    Tokens, and dequeue from the one producer that is known: what its documentation calls fastest.
 *           Room for the window from the start, so that it does not allocate.
 */
#include <concurrentqueue/concurrentqueue.h>

#include "bench/peers/queue.hpp"

namespace
{

template <unsigned bytes> class tokens
{
      public:
	using message = queue_message<bytes>;
	static constexpr queue_pace pace = QUEUE_PACED;

	bool
	push(const message &m)
	{
		return queue.try_enqueue(token, m);
	}

	bool
	pop(message &m)
	{
		return queue.try_dequeue_from_producer(token, m);
	}

      private:
	moodycamel::ConcurrentQueue<message> queue{ 8 * PEER_ROOM };
	moodycamel::ProducerToken token{ queue };
};

} // namespace

const peer pinioni_peers_moodycamel[] = {
	queue_peer<tokens<8>>::named("moodycamel ConcurrentQueue"),
	queue_peer<tokens<64>>::named("moodycamel ConcurrentQueue"),
	queue_peer<tokens<1024>>::named("moodycamel ConcurrentQueue"),
	{},
};
