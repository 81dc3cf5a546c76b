// SPDX-License-Identifier: Apache-2.0
/*
 * tbb_flow - oneTBB's flow graph: a function node on a worker of the far cpu, answers in slots.
 *
 *   near  try_put --> node's queue --> far worker: slot[n] := message counted up, done := n + 1
 *   near  polls done, reads slot[n]
 *
 * Method    A graph answers nobody, so its body writes the answer where the caller polls for it. One worker, kept
 *           on the far cpu. The caller is not in the graph's arena: of one that is, TBB takes its time to help, and
 *           runs bodies on the near cpu when it waits for the graph.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   D  done   answer -> take   the slots before it
 */
#include <atomic>
#include <cstring>
#include <new>
#include <optional>

#include <oneapi/tbb/flow_graph.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_scheduler_observer.h>
#include <sched.h>

#include "bench/kit/ticks.h"
#include "bench/peers/queue.hpp"

namespace
{

/* Pins workers that come to the arena. */
class keeper : public tbb::task_scheduler_observer
{
      public:
	keeper(tbb::task_arena &arena, int to) : tbb::task_scheduler_observer(arena), cpu(to)
	{
		observe(true);
	}

	~keeper() override
	{
		observe(false);
	}

	void
	on_scheduler_entry(bool is_worker) override
	{
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(static_cast<size_t>(cpu), &set);
		if (is_worker)
			(void)sched_setaffinity(0, sizeof set, &set); /* else it is where it is */
	}

      private:
	int cpu;
};

template <unsigned bytes> class flow
{
      public:
	using message = queue_message<bytes>;
	using function = tbb::flow::function_node<message, tbb::flow::continue_msg>;

	explicit flow(const peer_setup &setup) : keep(arena, setup.far_cpu), limit(setup.limit)
	{
		arena.execute([this] {
			graph.emplace();
			node.emplace(*graph, tbb::flow::serial, [this](const message &m) {
				answer(m);
				return tbb::flow::continue_msg();
			});
		});
	}

	~flow()
	{
		arena.execute([this] { graph->wait_for_all(); });
	}

	bool
	put(const uint64_t *request)
	{
		return node->try_put(*reinterpret_cast<const message *>(request));
	}

	bool
	take(uint64_t *to)
	{
		uint64_t start = ticks_now();

		/* D */
		while (done.load(std::memory_order_acquire) == taken)
			if (ticks_now() - start > limit)
				return false;
		memcpy(to, &slots[taken++ % PEER_ROOM], bytes);
		return true;
	}

      private:
	void
	answer(const message &m)
	{
		/* relaxed: only this writes it, and the node is serial. */
		uint64_t n = done.load(std::memory_order_relaxed);

		slots[n % PEER_ROOM] = m;
		slots[n % PEER_ROOM].words[0]++;
		/* D */
		done.store(n + 1, std::memory_order_release);
	}

	tbb::global_control threads{ tbb::global_control::max_allowed_parallelism, 2 };
	tbb::task_arena arena{ 1, 0 }; /* no place for whoever is no worker */
	keeper keep;
	std::optional<tbb::flow::graph> graph;
	std::optional<function> node;
	alignas(128) std::atomic<uint64_t> done{ 0 }; /* W far  R near   edge D */
	alignas(128) message slots[PEER_ROOM];        /* W far  R near, before edge D */
	alignas(128) uint64_t taken = 0;              /* near's */
	uint64_t limit;
};

template <unsigned bytes>
void *
start(const peer_setup *setup)
{
	return new (std::nothrow) flow<bytes>(*setup);
}

template <unsigned bytes>
void
stop(void *started)
{
	delete static_cast<flow<bytes> *>(started);
}

template <unsigned bytes>
bool
send(void *started, const uint64_t *request)
{
	return static_cast<flow<bytes> *>(started)->put(request);
}

template <unsigned bytes>
bool
receive(void *started, uint64_t *answer)
{
	return static_cast<flow<bytes> *>(started)->take(answer);
}

template <unsigned bytes>
constexpr peer graphs = { "oneTBB flow graph", bytes, PEER_WINDOW, false, CALLS_US, start<bytes>,
	stop<bytes>, send<bytes>, receive<bytes>, nullptr };

} // namespace

const peer pinioni_peers_tbb_flow[] = { graphs<8>, graphs<64>, graphs<1024>, {} };
