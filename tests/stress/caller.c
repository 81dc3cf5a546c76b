/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/stress/caller.c - sending a graph, waiting for it in some way, checking it.
 */
#include "caller.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

struct caller callers[CALLERS_MAX];

/* ---- the lender: another thread reads --------------------------------------------------------- */

struct job {
	pinion_ref ref;
	const struct node *node;
	int err;
	int64_t value;
	bool calls; /* passes it on as an argument, instead of reading */
	bool done;
	struct job *next;
};

static pthread_mutex_t job_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t job_cond = PTHREAD_COND_INITIALIZER, done_cond = PTHREAD_COND_INITIALIZER;
static struct job *jobs; /* W under job_lock */

static void
do_job(struct job *j)
{
	pinion_response r;

	if (!j->calls) {
		j->err = pinion_ref_get(j->ref, &j->value);
		return;
	}
	r = pinion_call(service.stage, PINION_ARGS(j->ref, 3));
	j->err = pinion_result(r, &j->value);
	pinion_release(r);
}

void *
lender_main(void *unused)
{
	(void)unused;
	(void)pthread_mutex_lock(&job_lock);
	while (!is_set(&helpers_over) || jobs != NULL) {
		struct timespec soon;
		struct job *j = jobs;

		if (j == NULL) {
			(void)clock_gettime(CLOCK_REALTIME, &soon); /* cannot fail */
			soon.tv_nsec += 5000000;
			soon.tv_sec += soon.tv_nsec / 1000000000;
			soon.tv_nsec %= 1000000000;
			(void)pthread_cond_timedwait(&job_cond, &job_lock, &soon);
			continue;
		}
		jobs = j->next;
		(void)pthread_mutex_unlock(&job_lock);
		do_job(j);
		(void)pthread_mutex_lock(&job_lock);
		j->done = true;
		(void)pthread_cond_broadcast(&done_cond);
	}
	(void)pthread_mutex_unlock(&job_lock);
	return NULL;
}

static void
lend(struct job *j)
{
	(void)pthread_mutex_lock(&job_lock);
	j->next = jobs;
	jobs = j;
	(void)pthread_cond_signal(&job_cond);
	while (!j->done)
		(void)pthread_cond_wait(&done_cond, &job_lock);
	(void)pthread_mutex_unlock(&job_lock);
}

/* ---- checking -------------------------------------------------------------------------------- */

static bool
is_of_stop(int err)
{
	return (err == -ECANCELED || err == -ESTALE) && is_set(&stopping);
}

static _Noreturn void
wrong(const struct caller *c, const struct flight *f, unsigned i, const char *when, int err,
    int64_t value, const pinion_error *e)
{
	graph_print(&f->g, stderr);
	if (e != NULL)
		(void)fprintf(stderr, "error: origin %d, deployment \"%.*s\", text \"%.*s\"\n",
		    (int)e->origin, PINION_STR_FMT(e->deployment), PINION_STR_FMT(e->text));
	give_up("caller %u: node %u of graph 0x%llx, %s: %lld, error %d", c->index, i,
	    (unsigned long long)f->g.seed, when, (long long)value, err);
}

/* False: not there for want of room, or because of the stop. */
static bool
is_answer(struct flight *f, int err)
{
	if (err == -ENOBUFS) {
		f->is_refused = true;
		return false;
	}
	return !is_of_stop(err);
}

static void
check(const struct caller *c, struct flight *f, unsigned i, int err, int64_t value)
{
	const struct node *n = &f->g.nodes[i];
	pinion_error e;

	if (!is_answer(f, err))
		return;
	count(&results_read);
	if (err == 0 && n->code == 0 && value == n->value)
		return;
	e = pinion_response_error(f->r[i]);
	if (is_of_stop(e.code) || is_set(&stopping))
		return;
	if (err == 0 || n->code != err || e.code != err || e.origin != n->origin ||
	    e.deployment.len != strlen(n->deployment) ||
	    memcmp(e.deployment.data, n->deployment, e.deployment.len) != 0)
		wrong(c, f, i, "result", err, value, &e);
}

/* ---- sending --------------------------------------------------------------------------------- */

static pinion_handle
handle_of(enum op op)
{
	static const char *const methods[OP_COUNT] = { [OP_NAP] = "nap",
		[OP_LATER] = "later",
		[OP_FAN] = "fan",
		[OP_FORWARD] = "forward",
		[OP_LATE] = "late",
		[OP_RESPONSE] = "response",
		[OP_DIAMOND] = "diamond",
		[OP_RELAY_TASK] = "task",
		[OP_UPPER_RESPONSE] = "response",
		[OP_UPPER_FORWARD] = "forward",
		[OP_FAULT] = "fault",
		[OP_DEEP] = "deep",
		[OP_JOIN] = "join",
		[OP_FILL] = "fill",
		[OP_REFILL] = "refill",
		[OP_LOAN] = "digest",
		[OP_DIGEST] = "digest",
		[OP_PASS] = "pass",
		[OP_SAY] = "say",
		[OP_PARSE] = "parse",
		[OP_KEEP] = "keep" };
	pinion_handle h = service.stage;

	if (op == OP_SINGLE)
		h = service.single;
	else if ((op >= OP_WAIT && op <= OP_RELAY_TASK) || op == OP_DEEP || op == OP_REFILL ||
	    op == OP_PASS || op == OP_KEEP)
		h = service.relay;
	else if (op >= OP_UPPER && op <= OP_UPPER_FORWARD)
		h = service.upper;
	else if (op == OP_READ)
		h = service.reader;
	return methods[op] == NULL ? h : pinion_method_of(h, methods[op]);
}

static bool
takes_k(enum op op)
{
	return op != OP_JOIN && op != OP_LOAN && op != OP_DIGEST && op != OP_PASS &&
	    op != OP_TASK_DIGEST && op != OP_PARSE;
}

/* Returns their number. loan: what the argument of OP_LOAN is. */
static unsigned
arguments(struct caller *c, const struct flight *f, const struct node *n, pinion_value *v,
    pinion_bytes loan)
{
	unsigned count = 0;

	if (n->op == OP_DEEP)
		v[count++] = pinion_value_handle(service.relay);
	if (n->op == OP_LOAN)
		v[count++] = pinion_value_bytes(loan);
	else if (n->inputs == 0)
		v[count++] = pinion_value_i64(n->x);
	for (unsigned i = 0; i < n->inputs; i++) {
		pinion_response r = f->r[n->in[i]];

		if (n->op == OP_READ || one_in(&c->state, 8))
			v[count++] = pinion_value_ref(pinion_response_ref(r));
		else
			v[count++] = pinion_value_response(r);
	}
	if (takes_k(n->op)) {
		v[count++] = pinion_value_i64(n->k);
		if (one_in(&c->state, 8))
			v[count - 1].name = "k";
		if (n->op == OP_TASK)
			v[count - 1].name = NULL;
	}
	return count;
}

static pinion_response
send(struct caller *c, struct flight *f, unsigned i, pinion_args args)
{
	const struct node *n = &f->g.nodes[i];
	pinion_handle h;

	if (n->op == OP_TASK)
		return pinion_task(runtime, service_task_step, args);
	if (n->op == OP_TASK_DIGEST)
		return pinion_task(runtime, service_task_digest, args);
	h = handle_of(n->op);
	f->is_tagged[i] = one_in(&c->state, 8);
	if (f->is_tagged[i])
		return pinion_call_tagged(c->port, h, args, f->number << 8 | i);
	return one_in(&c->state, 4) ? pinion_call_on(c->port, h, args) : pinion_call(h, args);
}

/* No room now: what runs ends some time, and gives back. */
static void
let_others(void)
{
	if (settings.driven) {
		(void)service_answer();     /* when the next is due does not matter */
		(void)pinion_work(runtime); /* nor how much was done */
	} else {
		(void)sched_yield(); /* cannot fail on Linux */
	}
}

static int
send_node(struct caller *c, struct flight *f, unsigned i, pinion_bytes loan)
{
	pinion_value v[PINION_ARGS_MAX];
	int err;

	do {
		unsigned count = arguments(c, f, &f->g.nodes[i], v, loan);

		f->r[i] = send(c, f, i, pinion_args_of(v, PINION_KIND_LATE, count));
		err = f->r[i].slot >= 0xffff0000u ? pinion_response_error(f->r[i]).code : 0;
		if (err == -ENOBUFS)
			let_others();
	} while (err == -ENOBUFS);
	return err;
}

static int
send_loan(struct caller *c, struct flight *f, unsigned i)
{
	const struct node *n = &f->g.nodes[i];
	pinion_bytes b = { NULL, service_size(n->k) };
	void *loan;
	int err;

	while ((loan = pinion_loan(c->port, b.len)) == NULL) {
		if (is_set(&stopping))
			return -ECANCELED;
		let_others();
	}
	service_pattern(loan, b.len, n->x);
	b.data = loan;
	err = send_node(c, f, i, b);
	pinion_loan_end(c->port, loan);
	return err;
}

/* Nodes that others depend on may be given back at once; the last are always looked at. */
static void
choose_wanted(struct caller *c, struct flight *f)
{
	bool is_last[NODES_MAX];

	for (unsigned i = 0; i < f->g.count; i++) {
		is_last[i] = true;
		for (unsigned k = 0; k < f->g.nodes[i].inputs; k++)
			is_last[f->g.nodes[i].in[k]] = false;
	}
	for (unsigned i = 0; i < f->g.count; i++)
		f->is_wanted[i] = is_last[i] || one_in(&c->state, 3);
}

static bool
feeds_reader(const struct flight *f, unsigned i)
{
	for (unsigned k = i + 1; k < f->g.count; k++)
		if (f->g.nodes[k].op == OP_READ && f->g.nodes[k].in[0] == i)
			return true;
	return false;
}

static void
start(struct caller *c, struct flight *f)
{
	pinion_error e;

	*f = (struct flight){ .number = ++c->number };
	graph_make(&f->g, draw(&c->state), settings.stop_every != 0, !c->may_leave);
	choose_wanted(c, f);
	for (unsigned i = 0; i < f->g.count; i++) {
		int err = f->g.nodes[i].op == OP_LOAN ? send_loan(c, f, i)
						      : send_node(c, f, i, (pinion_bytes){ 0 });

		if (err != 0 && !is_of_stop(err))
			e = pinion_response_error(f->r[i]);
		if (err != 0 && !is_of_stop(err))
			wrong(c, f, i, "sent", err, 0, &e);
		f->is_dead |= err != 0;
		if (err != 0)
			break;
		count(&calls_made);
		f->is_open[i] = true;
	}
	for (unsigned i = 0; i < f->g.count; i++)
		/* A reference is good only while its response is held. */
		if (f->is_open[i] && !f->is_wanted[i] && !feeds_reader(f, i) &&
		    one_in(&c->state, 2)) {
			pinion_release(f->r[i]);
			f->is_open[i] = false;
		}
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* Each finished call is reported once, with its tag, and not after it was given back. */
static void
harvest(struct caller *c)
{
	pinion_finished done[8];
	unsigned n = pinion_harvest(c->port, done, 8);

	for (unsigned i = 0; i < n; i++) {
		struct flight *f = NULL;
		unsigned at = (unsigned)(done[i].tag & 255);

		for (unsigned k = 0; k < c->count; k++)
			if (c->flights[k].number == done[i].tag >> 8)
				f = &c->flights[k];
		if (f == NULL || at >= f->g.count || !f->is_open[at] || !f->is_tagged[at] ||
		    memcmp(&f->r[at], &done[i].response, sizeof f->r[at]) != 0)
			give_up(
			    "caller %u: harvested a tag it does not wait for: graph %llu node %u",
			    c->index, (unsigned long long)(done[i].tag >> 8), at);
		f->is_tagged[at] = false;
	}
}

static void
wait_tagged(struct caller *c, struct flight *f, unsigned i)
{
	int fd = one_in(&c->state, 2) && !settings.driven ? pinion_port_fd(c->port) : -1;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		harvest(c);
		if (!f->is_tagged[i] || is_set(&stopping))
			return;
		if (fd < 0)
			let_others();
		else if (!pinion_port_arm(c->port) && poll(&p, 1, 1000) == 0 && !is_set(&stopping))
			give_up("caller %u: an armed port's descriptor told nothing for a second",
			    c->index);
	}
}

static int
wait_into(struct caller *c, pinion_response r, pinion_into into)
{
	unsigned how = below(&c->state, 4);
	int err = -EAGAIN;

	if (!settings.driven && how < 2)
		return pinion_result_into(r, into);
	while (err == -EAGAIN) {
		err = pinion_result_within_into(r, settings.driven || how == 2 ? 0 : 20000, into);
		if (err == -EAGAIN && (settings.driven || how == 2))
			let_others();
	}
	return err;
}

static void
read_kept(struct caller *c, struct flight *f, unsigned i)
{
	pinion_ref ref;
	int64_t value = 0;
	int err = wait_into(c, f->r[i], pinion_into_ref(&ref, sizeof ref));

	if (err != 0) {
		check(c, f, i, err, 0);
		return;
	}
	err = pinion_ref_get(ref, &value);
	pinion_ref_release(ref);
	if (is_answer(f, err) && (err != 0 || value != f->g.nodes[i].value))
		wrong(c, f, i, "kept", err, value, NULL);
}

static void
read_view(struct caller *c, struct flight *f, unsigned i)
{
	char text[160] = "";
	pinion_bytes b = { NULL, 0 };
	pinion_str s = { NULL, 0 };
	bool is_text = f->g.nodes[i].op == OP_SAY;
	int err;

	/* A stop takes the view away while it is read. */
	if (settings.stop_every != 0) {
		err = wait_into(c, f->r[i], (pinion_into){ .kind = PINION_KIND_NONE });
		check(c, f, i, err, err != 0 ? 0 : f->g.nodes[i].value);
		return;
	}
	err = wait_into(
	    c, f->r[i], is_text ? pinion_into_str(&s, sizeof s) : pinion_into_bytes(&b, sizeof b));

	if (err == 0 && s.len < sizeof text && s.data != NULL)
		memcpy(text, s.data, s.len);
	check(c, f, i, err,
	    err != 0      ? 0
		: is_text ? strtoll(text, NULL, 10)
			  : service_digest(b.data, b.len));
}

static void
read_abroad(struct caller *c, struct flight *f, unsigned i)
{
	const struct node *n = &f->g.nodes[i];
	struct job j = { .ref = pinion_response_ref(f->r[i]), .node = n };

	j.calls = one_in(&c->state, 2);
	lend(&j);
	if (!is_answer(f, j.err))
		return;
	count(&results_read);
	if (j.err != n->code ||
	    (j.err == 0 && j.value != (j.calls ? service_step(n->value, 3) : n->value)))
		wrong(c, f, i, j.calls ? "a call with its reference" : "reference", j.err, j.value,
		    NULL);
}

static void
collect(struct caller *c, struct flight *f, unsigned i)
{
	enum op op = f->g.nodes[i].op;
	int64_t value = 0;
	int err;

	/* relaxed: for the watchdog's report. */
	atomic_store_explicit(&c->at, (int)i, memory_order_relaxed);
	if (f->is_tagged[i] && one_in(&c->state, 2))
		wait_tagged(c, f, i);
	if (op == OP_KEEP) {
		read_kept(c, f, i);
	} else if (op == OP_SAY || op == OP_FILL || op == OP_REFILL) {
		read_view(c, f, i);
	} else if (!settings.driven && one_in(&c->state, 8)) {
		read_abroad(c, f, i);
	} else {
		err = wait_into(c, f->r[i], pinion_into_i64(&value, sizeof value));
		check(c, f, i, err, value);
	}
}

/* The open ones of those wanted; the count. */
static unsigned
list_wanted(const struct flight *f, unsigned *nodes)
{
	unsigned count = 0;

	for (unsigned i = 0; i < f->g.count; i++)
		if (f->is_open[i] && f->is_wanted[i])
			nodes[count++] = i;
	return count;
}

static unsigned
choose_next(struct caller *c, struct flight *f, const unsigned *nodes, unsigned count)
{
	pinion_response r[NODES_MAX];
	int at;

	if (settings.driven || !one_in(&c->state, 3))
		return below(&c->state, count);
	for (unsigned i = 0; i < count; i++)
		r[i] = f->r[nodes[i]];
	at = pinion_wait_any(r, count, one_in(&c->state, 2) ? -1 : 50000);
	if (at < 0 && at != -EAGAIN && !is_of_stop(at))
		wrong(c, f, nodes[0], "wait_any", at, 0, NULL);
	return at < 0 ? 0 : (unsigned)at;
}

static void
finish(struct caller *c, struct flight *f)
{
	unsigned nodes[NODES_MAX], count_left;

	while (!f->is_dead && (count_left = list_wanted(f, nodes)) != 0) {
		unsigned i = nodes[choose_next(c, f, nodes, count_left)];

		collect(c, f, i);
		f->is_wanted[i] = false;
		/* A READ may still have to read it. */
		if (!feeds_reader(f, i)) {
			f->is_open[i] = false;
			pinion_release(f->r[i]);
		}
	}
	for (unsigned i = 0; i < f->g.count; i++)
		if (f->is_open[i]) {
			f->is_open[i] = false;
			pinion_release(f->r[i]);
		}
	count(f->is_refused ? &graphs_refused : &graphs_done);
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void
show_shapes(struct caller *c)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < c->count; i++)
		bits |= 1u << c->flights[i].g.shape;
	/* relaxed: for the watchdog's report. */
	atomic_store_explicit(&c->shapes, bits, memory_order_relaxed);
}

static void
drop(struct caller *c, unsigned at)
{
	c->flights[at] = c->flights[--c->count];
	show_shapes(c);
}

void
caller_run(struct caller *c, uint64_t limit)
{
	uint64_t started = 0;
	bool goes_on = true;

	while (goes_on || c->count != 0) {
		unsigned window = 1 + below(&c->state, WINDOW_MAX);

		goes_on = !is_set(&over) && !is_set(&stopping) && (limit == 0 || started < limit);
		if (goes_on && c->count < window) {
			start(c, &c->flights[c->count++]);
			started++;
			show_shapes(c);
		} else if (c->count != 0) {
			unsigned at = below(&c->state, c->count);

			if (c->may_leave && !goes_on)
				return;
			finish(c, &c->flights[at]);
			drop(c, at);
		}
		if (goes_on && one_in(&c->state, 4) &&
		    pinion_post(pinion_method_of(service.stage, "posted"),
			PINION_ARGS((int64_t)started, 1)) == 0)
			count(&posts_sent);
	}
}

void *
caller_main(void *caller)
{
	struct caller *c = caller;

	c->port = pinion_port_mine(runtime);
	if (c->port == NULL)
		give_up("caller %u: no port", c->index);
	c->count = 0;
	caller_run(c, 0);
	return NULL;
}

/* ---- others ---------------------------------------------------------------------------------- */

static void *
visit(void *caller)
{
	struct caller *c = caller;

	c->port = pinion_port_mine(runtime);
	c->count = 0;
	if (c->port != NULL)
		caller_run(c, 1 + below(&c->state, 8));
	return NULL;
}

/* Only when nothing stops before the end: a thread may not begin to call while its runtime goes. */
void *
churn_main(void *caller)
{
	while (!is_set(&over)) {
		pthread_t t;

		if (pthread_create(&t, NULL, visit, caller) != 0)
			give_up("no thread");
		(void)pthread_join(t, NULL); /* made above */
	}
	return NULL;
}

void *
answerer_main(void *unused)
{
	(void)unused;
	while (!is_set(&helpers_over)) {
		uint64_t next = service_answer();
		struct timespec nap = { .tv_nsec = next < 200000 ? (long)next : 200000 };

		if (next != 0)
			(void)nanosleep(&nap, NULL); /* early is fine */
	}
	return NULL;
}
