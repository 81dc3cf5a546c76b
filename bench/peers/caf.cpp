// SPDX-License-Identifier: Apache-2.0
/*
 * caf - the C++ Actor Framework: requests of a scoped actor to an actor on the scheduler's one worker.
 *
 *   near  request --mailbox--> far worker runs the actor: its result --mailbox--> near  receive
 *
 * Method    Neither side sleeps. The scheduler polls for ever before it waits between polls (aggressive-poll-attempts):
 *           with the defaults a request takes 130 us, with a detached actor 46. The caller looks into its mailbox
 *           until there is something to receive: a receive that blocks takes 4 to 18 us more, one that times out at
 *           once (after(0)) as long. The worker goes to the far cpu with its first request. Requests have no limit
 *           of the framework's: that would wake its clock's thread. 8 bytes are a number, more are a structure.
 */
#include <array>
#include <cstring>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include <caf/all.hpp>
#include <sched.h>

#include "bench/kit/ticks.h"
#include "bench/peers/peer.h"

template <unsigned bytes> struct caf_payload {
	std::array<uint64_t, bytes / 8> words;
};

template <class Inspector, unsigned bytes>
typename Inspector::result_type
inspect(Inspector &f, caf_payload<bytes> &p)
{
	return f(p.words);
}

namespace
{

template <unsigned bytes>
using payload = std::conditional_t<bytes == 8, uint64_t, caf_payload<bytes>>;

using request_handle = decltype(std::declval<caf::scoped_actor &>()->request(
    std::declval<caf::actor &>(), caf::infinite, uint64_t()));

void
count_up(uint64_t &number)
{
	number++;
}

template <unsigned bytes>
void
count_up(caf_payload<bytes> &p)
{
	p.words[0]++;
}

struct place {
	bool taken = false;
};

template <unsigned bytes>
caf::behavior
answer(caf::stateful_actor<place> *self, int cpu)
{
	return { [self, cpu](payload<bytes> p) {
		if (!self->state.taken) {
			cpu_set_t set;

			CPU_ZERO(&set);
			CPU_SET(static_cast<size_t>(cpu), &set);
			self->state.taken = true;
			(void)sched_setaffinity(0, sizeof set, &set); /* else it is where it is */
		}
		count_up(p);
		return p;
	} };
}

struct config : caf::actor_system_config {
	config()
	{
		set("scheduler.max-threads", size_t(1));
		set("work-stealing.aggressive-poll-attempts", size_t(1000000000));
	}
};

/* Requests that are outstanding, oldest first. */
template <unsigned bytes> class session
{
      public:
	explicit session(const peer_setup &setup)
	    : system(settings), caller(system), actor(system.spawn(answer<bytes>, setup.far_cpu)),
	      limit(setup.limit)
	{
	}

	~session()
	{
		caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
	}

	void
	send(const uint64_t *request)
	{
		payload<bytes> p;

		memcpy(&p, request, sizeof p);
		requests[sent++ % PEER_WINDOW].emplace(caller->request(actor, caf::infinite, p));
	}

	bool
	receive(uint64_t *to)
	{
		bool right = true;
		uint64_t start = ticks_now();

		while (caller->mailbox().empty())
			if (ticks_now() - start > limit)
				return false;

		requests[received++ % PEER_WINDOW]->receive(
		    [&](const payload<bytes> &p) { memcpy(to, &p, sizeof p); },
		    [&](const caf::error &) { right = false; });
		return right;
	}

      private:
	config settings;
	caf::actor_system system;
	caf::scoped_actor caller;
	caf::actor actor;
	uint64_t limit, sent = 0, received = 0;
	std::optional<request_handle> requests[PEER_WINDOW];
};

template <unsigned bytes>
void *
start(const peer_setup *setup)
{
	return new (std::nothrow) session<bytes>(*setup);
}

template <unsigned bytes>
void
stop(void *started)
{
	delete static_cast<session<bytes> *>(started);
}

template <unsigned bytes>
bool
send(void *started, const uint64_t *request)
{
	static_cast<session<bytes> *>(started)->send(request);
	return true;
}

template <unsigned bytes>
bool
receive(void *started, uint64_t *to)
{
	return static_cast<session<bytes> *>(started)->receive(to);
}

template <unsigned bytes>
constexpr peer actors = { "C++ Actor Framework", bytes, PEER_WINDOW, true, CALLS_US, start<bytes>,
	stop<bytes>, send<bytes>, receive<bytes>, nullptr };

} // namespace

const peer pinioni_peers_caf[] = { actors<8>, actors<64>, actors<1024>, {} };
