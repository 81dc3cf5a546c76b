/* SPDX-License-Identifier: Apache-2.0 */
/*
 * desk - what is done with a tick: four deployments, and the same as plain functions.
 *
 *   tick --> Normalise --> Signal x 2 --> Risk --> Gateway --> an order, or none
 *              a quote       by symbol:     in batches: its
 *                            averages        books cost 1 us to open
 *
 * A quote goes from stage to stage; each says in it what it decided, and when it was done. Ticks of one symbol
 * go to one replica of each stage, and routed by key they keep their order.
 *
 * A tick that is canceled, or late, stops where it is: Risk may have moved a position for it, Gateway may have sent
 * its order, and its sender hears neither. So both count ("moves", "orders"), and a session says what it did not hear.
 */
#ifndef TRADING_DESK_H
#define TRADING_DESK_H

#include <pinion/pinion.h>

#include "feed.h"

enum stage {
	STAGE_NORMALISE,
	STAGE_SIGNAL,
	STAGE_RISK,
	STAGE_GATEWAY,
	STAGES
};
extern const char *const stage_names[STAGES]; /* of the deployments */

enum verdict {
	VERDICT_HOLD,  /* no reason to trade */
	VERDICT_ORDER, /* sent */
	VERDICT_REJECTED
};

struct quote {
	int64_t price;
	uint32_t symbol;
	int32_t quantity; /* to buy, or below 0 to sell */
	uint32_t verdict;
	uint32_t order;          /* its number; 0: none */
	int64_t done_ns[STAGES]; /* by desk_now */
};

/* What the stages remember. */
struct averages {
	int64_t fast[SYMBOLS_MAX], slow[SYMBOLS_MAX]; /* of prices, times 64; 0: no tick yet */
};
struct positions {
	int32_t held[SYMBOLS_MAX];
	int64_t moves; /* of all of them, ever */
};

/* ns, steady. */
int64_t desk_now(void);
/* The builder of all four. */
pinion_node *desk_build(pinion_app *app, const pinion_config *config);

/* All of it on the calling thread. */
struct plain_desk {
	struct averages averages;
	struct positions positions;
	uint32_t orders;
};
void desk_plain(struct plain_desk *desk, const struct tick *tick, struct quote *quote);

#endif
