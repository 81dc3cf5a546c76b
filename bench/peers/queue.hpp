// SPDX-License-Identifier: Apache-2.0
/*
 * bench/peers/queue.hpp - a C++ queue of messages of one size, as a peer.
 *
 * Queue     Has push(message) and pop(message), which say false when it is full or empty; `message` is the type
 *           of its elements, `pace` how it is polled.
 */
#ifndef PINION_BENCH_PEERS_QUEUE_HPP
#define PINION_BENCH_PEERS_QUEUE_HPP

#include <new>

#include "bench/peers/queue.h"

/* Words and nothing else: any message of that size may be looked at as one. */
template <unsigned bytes> struct queue_message {
	uint64_t words[bytes / 8];
};

template <class Queue> struct queue_peer : queue_pair {
	alignas(128) Queue request_queue;
	alignas(128) Queue answer_queue;

	static bool
	push_message(void *queue, const uint64_t *message, uint32_t)
	{
		return static_cast<Queue *>(queue)->push(
		    *reinterpret_cast<const typename Queue::message *>(message));
	}

	static bool
	pop_message(void *queue, uint64_t *message, uint32_t)
	{
		return static_cast<Queue *>(queue)->pop(
		    *reinterpret_cast<typename Queue::message *>(message));
	}

	static void *
	start(const peer_setup *setup)
	{
		auto *p = new (std::nothrow) queue_peer;

		if (p != nullptr)
			*static_cast<queue_pair *>(p) = { &p->request_queue, &p->answer_queue,
				push_message, pop_message, setup->bytes, Queue::pace, setup->steps,
				setup->limit };
		return p;
	}

	static void
	stop(void *started)
	{
		delete static_cast<queue_peer *>(started);
	}

	static void
	serve(void *started, uint64_t count)
	{
		queue_serve(static_cast<queue_peer *>(started), count, push_message, pop_message);
	}

	static constexpr peer
	named(const char *name)
	{
		return { name, sizeof(typename Queue::message), PEER_WINDOW, false, CALLS_NS, start,
			stop, queue_send, queue_receive, serve };
	}
};

#endif
