/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/request.h - one request in a worker's custody: request.c sends it to where it belongs, complete.c ends it.
 *
 *   accept -> WAITING (for an argument) -> QUEUED -> RUNNING -> answered -> gone
 *                  \                        |  \        \ \---> DEFERRED (a token) or RELAYING (another call)
 *                   '-- to another worker --'   '-- surplus      '---> handed on (forward)
 *
 * Threads   The worker's only, but for `token`: whoever exchanges it away may answer.
 * Memory    From the worker's pool, which is never given back before stop, so that a token may look at a
 *           request that is long over.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   T  token  defer -> claim   the request's place for a result may be written
 */
#ifndef PINION_CORE_REQUEST_H
#define PINION_CORE_REQUEST_H

#include "core/port.h"
#include "core/timer.h"

struct view {
	union {
		uint64_t word;
		const void *at;
	};
	uint32_t length;
	uint32_t kind;
};

enum request_state {
	REQUEST_FREE,
	REQUEST_NEW,         /* taken from the pool: its message may be that of another still */
	REQUEST_PLACEHOLDER, /* only dependents, that came first */
	REQUEST_WAITING,
	REQUEST_REWRITTEN, /* of a host: its message is being changed where it lies; `before` is whole */
	REQUEST_QUEUED,
	REQUEST_RUNNING,
	REQUEST_MISREAD, /* running still; its handler read an argument that is not there, or another */
	REQUEST_GATHERED, /* core/batch.h */
	REQUEST_RELAYING,
	REQUEST_DEFERRED,
	REQUEST_ANSWERED,  /* its handler may still be inside */
	REQUEST_FAILED,    /* the same, with an error */
	REQUEST_HANDED_ON, /* the same; sent_to and sent_ticket say where, as of the next: */
	REQUEST_SENT,      /* it has not started, and goes to another worker */
	REQUEST_REPLACED,  /* another request of this worker stands for the call */
};

/* In request.depth, above what is in messages: whatever it calls then does not go the short way. */
enum {
	REQUEST_DEPTH = 0xff,
	REQUEST_CANCELED = 0x100,
	REQUEST_OVERDUE = 0x200,
	REQUEST_ENDING = REQUEST_CANCELED | REQUEST_OVERDUE,
	REQUEST_BOUND = 0x400, /* it has a deadline, which what it calls inherits */
	REQUEST_TERMS =
	    0x800, /* it came with more than its arguments, of which all but a model is inherited */
	REQUEST_URGENT = 0x1000,
	REQUEST_COPIED = 0x2000, /* its terms, which another process may write: `terms` is set */
};

enum parked {
	PARKED_NOT,
	PARKED,      /* in replica->waiting */
	PARKED_ENDED /* there still, and counted in waiting_ended */
};

struct request_memory {
	struct request_memory *next;
	size_t size;
	struct model *model; /* that the request uses: core/model.h; NULL: none */
};

struct custody_entry;

struct pinion_request {
	struct message message;
	struct worker *worker;
	pinion_port *port; /* whose slot; NULL: a post */
	const struct method *method;
	struct replica *replica;
	struct lane_rx *lane;          /* it came from */
	struct custody_entry *custody; /* that stands for it; NULL: none */
	struct pinion_request *next;
	struct pinion_request *dependents;
	struct pinion_request **dependents_end;
	struct request_memory *memory;
	const unsigned char *record;
	uint32_t
	    buffer; /* bytes that pinion_result_buffer gave; 0: none. Of a stream, 1: `out` is set */
	uint32_t index; /* in the worker's pool */
	uint16_t owned; /* list of the worker's port's slots */
	uint8_t arg_count;
	/* Set together when it is taken from the pool. */
	uint8_t state;
	bool counted;       /* in replica->ongoing */
	bool is_admitted;   /* in replica->queued */
	uint8_t parked;     /* enum parked */
	bool leads;         /* a batch, and has no caller */
	bool inside;        /* its handler has not returned */
	bool is_plain;      /* its arguments lie in the message: core/arguments.c */
	uint8_t misread_at; /* an argument that was read as misread_as, and is not */
	uint8_t misread_as;
	uint32_t depth; /* calls that wait for it; and marks */
	_Atomic uint64_t token;
	struct view args[PINION_ARGS_MAX];
	union {
		struct ring_tx out; /* of a stream that has yielded */
		struct {
			uint64_t gathered_at; /* ns */
			uint32_t batch_size;
		}; /* REQUEST_GATHERED */
		struct {
			struct pinion_request *const *members;
			uint32_t member_count;
		}; /* of a batch's leader */
	};
	struct fiber *fiber;            /* its handler's, while that is suspended */
	const struct terms_copy *terms; /* REQUEST_COPIED; core/terms.c */
	struct timer deadline;          /* REQUEST_BOUND */
	struct timer stale;             /* is_admitted: when it is to have started */
	struct pinion_request *leader;  /* of the batch that runs with it; NULL: none */
	uint64_t
	    sent_ticket;  /* REQUEST_SENT, REQUEST_HANDED_ON: in the lane, if that was not full, */
	uint16_t sent_to; /* to this worker */
	struct message before; /* REQUEST_REWRITTEN */
};

/* The record of a MESSAGE_ANSWERED. */
struct answered {
	int32_t status;
	uint32_t length;
	uint32_t index; /* in the worker's pool */
};

enum {
	REQUEST_CHUNK = 64,       /* requests that a pool grows by, */
	REQUEST_CHUNKS_MAX = 4096 /* so often: a quarter of a million in one worker's custody */
};

/* Why a request failed. */
struct failing {
	enum pinion_origin origin;
	uint16_t deployment; /* where it arose */
	uint8_t method;
	const char *text;
};

struct outcome {
	const void *bytes;
	uint32_t length;
	int status;
	pinion_kind kind;
	bool in_place;             /* result or text lie where they belong */
	const struct failing *why; /* of a status that is not 0 and a text not in place */
};

/* What was stored before is there before what follows, for whoever reads it when this process has died (core/inherit.h): the
 * kernel tells of a death when all of it can be seen, so that it takes no more than the compiler's order. */
static inline void
request_stored(void)
{
	__asm__("" ::: "memory");
}

static inline uint64_t
request_generation(const struct pinion_request *r)
{
	return r->message.call >> 16;
}

/* Takes the lane's next message into custody; starts nothing. False: it stays there, for want of memory. */
bool pinioni_request_take(struct worker *w, struct lane_rx *lane);
/* The same of a lane that another process writes, or of a host's, where it may be taken (core/serve.h). */
bool pinioni_request_take_careful(struct worker *w, struct lane_rx *lane) __attribute__((noinline));
/* The same as the first if it is a call, whoever writes the lane. An answer would complete a request, which looks at its lane again: they would nest. */
bool pinioni_request_take_call(struct worker *w, struct lane_rx *lane);
/* The same of a message that lies elsewhere; for want of memory the call fails. */
void pinioni_request_accept(struct worker *w, const struct message *m);
/* Ends the call with -ENOMEM. False: it is none, but an answer. */
bool pinioni_request_reject(struct worker *w, const struct message *m);
/* The same of a call, with another reason. */
void pinioni_request_reject_for(
    struct worker *w, const struct message *m, int code, const char *text);
/* The same of the lane's next message. */
bool pinioni_request_reject_next(struct worker *w, struct lane_rx *lane);
/* What waits behind calls that ended elsewhere, for want of memory there, goes on. */
void pinioni_request_look_at_placeholders(struct worker *w);
/* Starts a queued request on this stack. False: lanes are to be looked at before the next. */
bool pinioni_request_run(struct pinion_request *r);
/* The one place where a request ends: result, dependents, slot, who is told. Frees it unless its handler is
 * still inside. */
void pinioni_request_complete(struct pinion_request *r, const struct outcome *o);
/* The same for a handler's scalar that nothing waits behind: what most end with. False: nothing was done. */
bool pinioni_request_complete_scalar(struct pinion_request *r, pinion_kind kind, uint64_t bits);
void pinioni_request_fail(struct pinion_request *r, int code, enum pinion_origin origin,
    const char *format, ...) __attribute__((format(printf, 4, 5), cold));
/* Sends it to whoever is next to have it: an argument's worker, its target, itself. */
void pinioni_request_route(struct pinion_request *r);
/* Each of a list that was somebody's dependents: at once, or by whoever routes others already. */
void pinioni_request_route_all(struct worker *w, struct pinion_request *list);
/* Each that was added since reroute_begin said true: core/custody.h. */
void pinioni_request_reroute(struct worker *w);
/* Hands it to another worker, with all that waits for it behind. */
void pinioni_request_hand_over(
    struct pinion_request *r, const struct message *m, unsigned worker, unsigned target_worker);
/* For want of memory to take it into custody. */
void pinioni_request_fail_custody(struct pinion_request *r) __attribute__((cold));
/* Ends one that is MISREAD: when it answers or returns, so that its arguments stay till then. -EINVAL. */
int pinioni_request_fail_misread(struct pinion_request *r);
/* Its handler returned: what that means, when it did not answer. */
void pinioni_request_returned(struct pinion_request *r, int err);
/* Answered or handed on: gives back what it holds, unless its handler is still inside. */
void pinioni_request_end(struct pinion_request *r);
/* The value as declared: kind, bytes, length; most: of those. returns NULL: anything. Of a scalar, bits hold the bytes.
 * 0, -EINVAL, -ERANGE, -EMSGSIZE. */
int pinioni_reply_shape(const pinion_returns *returns, uint32_t most, const pinion_value *v,
    uint64_t *bits, struct outcome *o) __attribute__((warn_unused_result));
/* Whoever asked, by these flags of that slot's word, is told. */
void pinioni_request_tell(struct worker *w, pinion_port *port, uint16_t slot, unsigned flags);
/* Whoever took a token: writes the result or the fault where they belong; the worker completes. */
void pinioni_request_put(struct pinion_request *r, const struct outcome *o, const char *text);
/* A failure that arose in this request. */
struct failing pinioni_request_failing(
    const struct pinion_request *r, enum pinion_origin origin, const char *text);
/* Where a result longer than a slot goes. NULL: the caller reserved less. */
void *pinioni_request_place(const struct pinion_request *r, uint32_t length);
/* A message that another process sent, and that makes no sense: -EBADMSG. */
void pinioni_request_refuse(struct worker *w, pinion_port *port, const struct message *m)
    __attribute__((cold));
/* A relayed call is there. */
void pinioni_request_relay(struct pinion_request *r, uint16_t slot);

#endif
