/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Reading a raw request never believes its bytes: what is cut off, longer than it says, or changed in
 *         any byte is refused or read within its bounds.
 * Method  Frames written here, byte by byte after ingress/http/frame_priv.h, in memory of exactly their size,
 *         so that AddressSanitizer sees a read behind them. No runtime.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <pinion/pinion_http.h>

#include "tests/scale.h"

enum {
	FRAME_ROOM = 512,
	PATH_BEHIND_PREFIX = 4
};

struct frame {
	unsigned char bytes[FRAME_ROOM];
	size_t length;
};

static void
put_u32(struct frame *frame, uint32_t number)
{
	memcpy(frame->bytes + frame->length, &number, sizeof number);
	frame->length += sizeof number;
}

static void
put_text(struct frame *frame, const char *text)
{
	put_u32(frame, (uint32_t)strlen(text));
	memcpy(frame->bytes + frame->length, text, strlen(text));
	frame->length += strlen(text);
}

static void
set_u32(struct frame *frame, size_t at, uint32_t number)
{
	memcpy(frame->bytes + at, &number, sizeof number);
}

static struct frame
good_frame(void)
{
	static const char *const texts[] = { "PUT", "/app/x y", "a=1&b", "id-1", "Host", "test",
		"X-Empty", "", "host", "second", "a", "1", "b", "" };
	struct frame frame = { .length = 0 };

	put_u32(&frame, 0x31515250);
	put_u32(&frame, 0);
	put_u32(&frame, PATH_BEHIND_PREFIX);
	put_u32(&frame, 3);
	put_u32(&frame, 2);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		put_text(&frame, texts[i]);
	memcpy(frame.bytes + frame.length, "body", 4);
	frame.length += 4;
	set_u32(&frame, 4, (uint32_t)frame.length);
	return frame;
}

/* Walks everything that a handler can reach. */
static uint64_t
touch(const void *data, size_t length)
{
	const unsigned char *bytes = data;
	uint64_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum += bytes[i];
	return sum;
}

static uint64_t
touch_all(const pinion_http_request *request)
{
	pinion_str name, value;
	uint64_t sum = touch(request->verb.data, request->verb.len) +
	    touch(request->path.data, request->path.len) +
	    touch(request->rest.data, request->rest.len) +
	    touch(request->query.data, request->query.len) +
	    touch(request->id.data, request->id.len) + touch(request->body.data, request->body.len);

	for (uint32_t i = 0; pinion_http_header_at(request, i, &name, &value); i++)
		sum += touch(name.data, name.len) + touch(value.data, value.len);
	for (uint32_t i = 0; pinion_http_query_at(request, i, &name, &value); i++)
		sum += touch(name.data, name.len) + touch(value.data, value.len);
	return sum + pinion_http_header(request, "host").len + pinion_http_query(request, "b").len;
}

/* In memory of its own size. */
static int
read_exactly(const struct frame *frame, size_t length, uint64_t *sum)
{
	unsigned char *bytes = malloc(length == 0 ? 1 : length);
	pinion_http_request request;
	int err;

	assert_non_null(bytes);
	memcpy(bytes, frame->bytes, length);
	err = pinion_http_request_read((pinion_bytes){ bytes, length }, &request);
	*sum = touch_all(&request);
	free(bytes);
	return err;
}

static void
a_good_frame_gives_all_its_parts(void **state)
{
	struct frame frame = good_frame();
	pinion_http_request request;
	pinion_str name, value;

	(void)state;
	assert_int_equal(
	    pinion_http_request_read((pinion_bytes){ frame.bytes, frame.length }, &request), 0);
	assert_true(pinion_str_is(request.verb, "PUT"));
	assert_true(pinion_str_is(request.path, "/app/x y"));
	assert_true(pinion_str_is(request.rest, "/x y"));
	assert_true(pinion_str_is(request.query, "a=1&b"));
	assert_true(pinion_str_is(request.id, "id-1"));
	assert_int_equal(request.body.len, 4);
	assert_memory_equal(request.body.data, "body", 4);
	assert_int_equal(request.header_count, 3);
	assert_int_equal(request.query_count, 2);
	assert_true(pinion_http_header_at(&request, 2, &name, &value));
	assert_true(pinion_str_is(name, "host"));
	assert_true(pinion_str_is(value, "second"));
	assert_false(pinion_http_header_at(&request, 3, &name, &value));
	assert_true(pinion_http_query_at(&request, 1, &name, &value));
	assert_true(pinion_str_is(name, "b"));
	assert_false(pinion_http_query_at(&request, 2, &name, &value));
}

static void
headers_are_found_in_any_case_and_the_first_counts(void **state)
{
	struct frame frame = good_frame();
	pinion_http_request request;

	(void)state;
	assert_int_equal(
	    pinion_http_request_read((pinion_bytes){ frame.bytes, frame.length }, &request), 0);
	assert_true(pinion_str_is(pinion_http_header(&request, "HOST"), "test"));
	assert_true(pinion_str_is(pinion_http_header(&request, "x-empty"), ""));
	assert_non_null(pinion_http_header(&request, "x-empty").data);
	assert_null(pinion_http_header(&request, "Hos").data);
	assert_null(pinion_http_header(&request, "Hostname").data);
	assert_true(pinion_str_is(pinion_http_query(&request, "a"), "1"));
	assert_non_null(pinion_http_query(&request, "b").data);
	assert_null(pinion_http_query(&request, "A").data);
}

static void
whatever_is_cut_off_is_refused(void **state)
{
	struct frame frame = good_frame();
	uint64_t sum;

	(void)state;
	for (size_t length = 0; length < frame.length; length++)
		assert_int_equal(read_exactly(&frame, length, &sum), -EBADMSG);
}

static void
a_cut_frame_that_says_its_new_size_ends_where_a_text_does(void **state)
{
	struct frame frame = good_frame();
	size_t body_at = frame.length - 4;
	uint64_t sum;

	(void)state;
	for (size_t length = 0; length < frame.length; length++) {
		set_u32(&frame, 4, (uint32_t)length);
		assert_int_equal(
		    read_exactly(&frame, length, &sum), length < body_at ? -EBADMSG : 0);
	}
}

static void
a_frame_longer_than_it_says_is_refused(void **state)
{
	struct frame frame = good_frame();
	uint64_t sum;

	(void)state;
	assert_int_equal(read_exactly(&frame, frame.length + 1, &sum), -EBADMSG);
}

static void
no_length_and_no_count_is_believed(void **state)
{
	static const uint32_t numbers[] = { 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff };
	struct frame good = good_frame();
	uint64_t sum;

	(void)state;
	/* Every four bytes, as if they were a length or a count. */
	for (size_t at = 0; at + 4 <= good.length - 4; at++)
		for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
			struct frame frame = good;

			set_u32(&frame, at, numbers[i]);
			if (read_exactly(&frame, frame.length, &sum) != 0)
				continue;
			assert_true(at >= 20); /* a text's content; nothing of the head */
		}
}

static void
a_prefix_longer_than_the_path_is_refused(void **state)
{
	struct frame frame = good_frame();
	uint64_t sum;

	(void)state;
	set_u32(&frame, 8, 8);
	assert_int_equal(read_exactly(&frame, frame.length, &sum), 0);
	set_u32(&frame, 8, 9);
	assert_int_equal(read_exactly(&frame, frame.length, &sum), -EBADMSG);
}

static void
a_refused_frame_leaves_an_empty_request(void **state)
{
	pinion_http_request request = { .header_count = 7 };
	pinion_str name, value;

	(void)state;
	assert_int_equal(pinion_http_request_read((pinion_bytes){ "x", 1 }, &request), -EBADMSG);
	assert_int_equal(request.header_count, 0);
	assert_false(pinion_http_header_at(&request, 0, &name, &value));
	assert_null(pinion_http_header(&request, "Host").data);
	assert_null(pinion_http_query(&request, "a").data);
}

static void
random_changes_are_read_within_bounds(void **state)
{
	struct frame good = good_frame();
	uint64_t random = seed() | 1, sum, all = 0;

	(void)state;
	for (uint64_t i = scaled(200000); i > 0; i--) {
		struct frame frame = good;

		for (uint64_t changes = 1 + next_random(&random) % 4; changes > 0; changes--)
			frame.bytes[next_random(&random) % frame.length] =
			    (unsigned char)next_random(&random);
		(void)read_exactly(&frame, frame.length, &sum); /* either is fine */
		all += sum;
	}
	assert_true(all != 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_frame_gives_all_its_parts),
		cmocka_unit_test(headers_are_found_in_any_case_and_the_first_counts),
		cmocka_unit_test(whatever_is_cut_off_is_refused),
		cmocka_unit_test(a_cut_frame_that_says_its_new_size_ends_where_a_text_does),
		cmocka_unit_test(a_frame_longer_than_it_says_is_refused),
		cmocka_unit_test(no_length_and_no_count_is_believed),
		cmocka_unit_test(a_prefix_longer_than_the_path_is_refused),
		cmocka_unit_test(a_refused_frame_leaves_an_empty_request),
		cmocka_unit_test(random_changes_are_read_within_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
