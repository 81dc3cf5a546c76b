// SPDX-License-Identifier: Apache-2.0
/*
 * iceoryx - request and response through shared memory, both sides polling.
 *
 *   near  loan, write, send --> far  take, loan, write, send --> near  take
 *
 * Method    Chunks are written where they are read: nothing is copied but what a message starts with. take is
 *           polled; the alternative, a wait set, sleeps. Client and server are threads of one process with the
 *           broker (RouDi) in it, which its documentation offers for threads: the way of a chunk is the same.
 *           The broker's threads, which no message passes, are not pinned: it takes no cpus for them.
 * Window    16: as many as a client's response queue holds.
 */
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <iostream>
#include <new>
#include <unistd.h>

#include <iceoryx_posh/iceoryx_posh_config.hpp>
#include <iceoryx_posh/internal/roudi/roudi.hpp>
#include <iceoryx_posh/popo/untyped_client.hpp>
#include <iceoryx_posh/popo/untyped_server.hpp>
#include <iceoryx_posh/roudi/iceoryx_roudi_components.hpp>
#include <iceoryx_posh/runtime/posh_runtime_single_process.hpp>

#include "bench/kit/ticks.h"
#include "bench/peers/peer.h"

namespace
{

constexpr unsigned window = 16;
constexpr uint32_t align = 8;
constexpr uint32_t chunk_bytes = PEER_BYTES_MAX + 256; /* and their headers */
constexpr uint32_t chunk_count = 256;                  /* more than queues and loans can hold */

/* One pool, of what is needed: the defaults are 150 MiB. */
iox::RouDiConfig_t
config()
{
	const auto group = iox::posix::PosixGroup::getGroupOfCurrentProcess().getName();
	iox::mepoo::MePooConfig pools;
	iox::RouDiConfig_t c;

	pools.addMemPool({ chunk_bytes, chunk_count });
	c.m_sharedMemorySegments.push_back({ group, group, pools });
	return c;
}

iox::popo::ClientOptions
client_options()
{
	iox::popo::ClientOptions o;

	o.responseQueueCapacity = window;
	return o;
}

iox::popo::ServerOptions
server_options()
{
	iox::popo::ServerOptions o;

	o.requestQueueCapacity = window;
	return o;
}

/* Each needs those above it. */
struct session {
	explicit session(const peer_setup &setup) : bytes(setup.bytes), limit(setup.limit)
	{
	}

	iox::roudi::IceOryxRouDiComponents components{ config() };
	iox::roudi::RouDi roudi{ components.rouDiMemoryManager, components.portManager,
		iox::roudi::RouDi::RoudiStartupParameters{
		    iox::roudi::MonitoringMode::OFF, false } };
	iox::runtime::PoshRuntimeSingleProcess runtime{ "peers" };
	iox::popo::UntypedServer server{ { "pinion", "peers", "echo" }, server_options() };
	iox::popo::UntypedClient client{ { "pinion", "peers", "echo" }, client_options() };
	uint32_t bytes;
	uint64_t limit;
};

/* The broker prints, also to where the report goes. */
class silence
{
      public:
	silence()
	{
		int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

		for (int fd : { STDOUT_FILENO, STDERR_FILENO }) {
			kept[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
			(void)dup2(nowhere, fd); /* else it is heard */
		}
		(void)close(nowhere); /* nothing was written */
	}

	~silence()
	{
		std::cout.flush();
		for (int fd : { STDOUT_FILENO, STDERR_FILENO }) {
			(void)dup2(kept[fd], fd); /* was open */
			(void)close(kept[fd]);    /* as above */
		}
	}

      private:
	int kept[STDERR_FILENO + 1];
};

void *
start(const peer_setup *setup)
{
	fflush(stdout);
	silence until_started;

	iox::log::LogManager::GetLogManager().SetDefaultLogLevel(
	    iox::log::LogLevel::kError, iox::log::LogLevelOutput::kHideLogLevel);
	return new (std::nothrow) session(*setup);
}

void
stop(void *started)
{
	silence until_stopped;

	delete static_cast<session *>(started);
}

bool
send(void *started, const uint64_t *request)
{
	auto &s = *static_cast<session *>(started);
	bool sent = false;

	s.client.loan(s.bytes, align).and_then([&](void *chunk) {
		memcpy(chunk, request, s.bytes);
		sent = !s.client.send(chunk).has_error();
	});
	return sent;
}

bool
take(session &s, uint64_t *answer)
{
	bool taken = false;

	s.client.take().and_then([&](const void *chunk) {
		memcpy(answer, chunk, s.bytes);
		s.client.releaseResponse(chunk);
		taken = true;
	});
	return taken;
}

bool
receive(void *started, uint64_t *answer)
{
	auto &s = *static_cast<session *>(started);
	uint64_t start = ticks_now();

	while (!take(s, answer))
		if (ticks_now() - start > s.limit)
			return false;
	return true;
}

bool
answer_one(session &s)
{
	bool answered = false;

	s.server.take().and_then([&](const void *request) {
		auto *header = iox::popo::RequestHeader::fromPayload(request);

		s.server.loan(header, s.bytes, align).and_then([&](void *response) {
			memcpy(response, request, s.bytes);
			++*static_cast<uint64_t *>(response);
			answered = !s.server.send(response).has_error();
		});
		s.server.releaseRequest(request);
	});
	return answered;
}

void
serve(void *started, uint64_t count)
{
	auto &s = *static_cast<session *>(started);
	uint64_t start = ticks_now();

	while (count != 0 && ticks_now() - start <= s.limit)
		if (answer_one(s)) {
			count--;
			start = ticks_now();
		}
}

} // namespace

const peer pinioni_peers_iceoryx[] = {
	{ "iceoryx request/response", 0, window, true, CALLS_US, start, stop, send, receive,
	    serve },
	{},
};
