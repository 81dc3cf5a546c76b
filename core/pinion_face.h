/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/pinion_face.h - the C face of pinion.h: macros that make typed values, arguments and options.
 *
 * One trick carries all options: the last fixed argument swallows them. pinion_bind(b, &d,
 * PINION_ARGS(1), .num_replicas = 3) becomes { .args = PINION_ARGS(1), .num_replicas = 3 }: no empty
 * __VA_ARGS__ (C17 has no __VA_OPT__), every initialiser designated, none set twice. Price: 0 means
 * "default".
 */
#ifndef PINION_PINION_FACE_H
#define PINION_PINION_FACE_H

#include "pinion.h"

static inline pinion_value
pinion_value_bool(bool x)
{
	return (pinion_value){ .kind = PINION_KIND_BOOL, .as.boolean = x };
}
static inline pinion_value
pinion_value_i64(int64_t x)
{
	return (pinion_value){ .kind = PINION_KIND_I64, .as.i64 = x };
}
static inline pinion_value
pinion_value_u64(uint64_t x)
{
	return (pinion_value){ .kind = PINION_KIND_U64, .as.u64 = x };
}
static inline pinion_value
pinion_value_f64(double x)
{
	return (pinion_value){ .kind = PINION_KIND_F64, .as.f64 = x };
}
static inline pinion_value
pinion_value_str(pinion_str x)
{
	return (pinion_value){ .kind = PINION_KIND_STR, .as.str = x };
}
static inline pinion_value
pinion_value_cstr(const char *x)
{
	return pinion_value_str((pinion_str){ x, x == NULL ? 0 : __builtin_strlen(x) });
}
static inline pinion_value
pinion_value_bytes(pinion_bytes x)
{
	return (pinion_value){ .kind = PINION_KIND_BYTES, .as.bytes = x };
}
static inline pinion_value
pinion_value_handle(pinion_handle x)
{
	return (pinion_value){ .kind = PINION_KIND_HANDLE, .as.handle = x };
}
static inline pinion_value
pinion_value_response(pinion_response x)
{
	return (pinion_value){ .kind = PINION_KIND_RESPONSE, .as.response = x };
}
static inline pinion_value
pinion_value_stream(pinion_stream x)
{
	return (pinion_value){ .kind = PINION_KIND_STREAM, .as.stream = x };
}
static inline pinion_value
pinion_value_ref(pinion_ref x)
{
	return (pinion_value){ .kind = PINION_KIND_REF, .as.ref = x };
}
static inline pinion_value
pinion_value_node(pinion_node *x)
{
	return (pinion_value){ .kind = PINION_KIND_NODE, .as.node = x };
}
static inline pinion_value
pinion_value_self(pinion_value x)
{
	return x;
}
static inline pinion_value
pinion_value_named(const char *name, pinion_value x)
{
	x.name = name;
	return x;
}
static inline pinion_value
pinion_value_struct(const void *at, size_t size)
{
	return (pinion_value){ .kind = PINION_KIND_STRUCT, .as.bytes = { at, size } };
}

static inline pinion_into
pinion_into_bool(void *at, size_t size)
{
	return (pinion_into){ PINION_KIND_BOOL, (uint32_t)size, at };
}
static inline pinion_into
pinion_into_i64(void *at, size_t size)
{
	return (pinion_into){ PINION_KIND_I64, (uint32_t)size, at };
}
static inline pinion_into
pinion_into_u64(void *at, size_t size)
{
	return (pinion_into){ PINION_KIND_U64, (uint32_t)size, at };
}
static inline pinion_into
pinion_into_f64(void *at, size_t size)
{
	return (pinion_into){ PINION_KIND_F64, (uint32_t)size, at };
}
static inline pinion_into
pinion_into_str(void *at, size_t size)
{
	return (pinion_into){ PINION_KIND_STR, (uint32_t)size, at };
}
static inline pinion_into
pinion_into_bytes(void *at, size_t size)
{
	return (pinion_into){ PINION_KIND_BYTES, (uint32_t)size, at };
}
static inline pinion_into
pinion_into_handle(void *at, size_t size)
{
	return (pinion_into){ PINION_KIND_HANDLE, (uint32_t)size, at };
}
static inline pinion_into
pinion_into_ref(void *at, size_t size)
{
	return (pinion_into){ PINION_KIND_REF, (uint32_t)size, at };
}
static inline pinion_into
pinion_into_struct(void *at, size_t size)
{
	return (pinion_into){ PINION_KIND_STRUCT, (uint32_t)size, at };
}

static inline pinion_args
pinion_args_of(const pinion_value *values, uint64_t signature, uint32_t count)
{
	return (pinion_args){ values, signature, count };
}

/* pinion_attach(&rt, "name", .diag = &diag) */
#define pinion_attach(runtime_, ...) \
	pinion_attach_with(&(const pinion_attach_options){ \
	    .size_ = sizeof(pinion_attach_options), .runtime = (runtime_), .name = __VA_ARGS__ })
/* pinion_host(&rt, "name", builder, .deployment = "Adder", .diag = &diag) */
#define pinion_host(runtime_, name_, ...) \
	pinion_host_with(&(const pinion_host_options){ .size_ = sizeof(pinion_host_options), \
	    .runtime = (runtime_), \
	    .name = (name_), \
	    .builder = __VA_ARGS__ })
#define pinion_start(...) \
	pinion_start_with(&(const pinion_start_options){ \
	    .size_ = sizeof(pinion_start_options), .runtime = __VA_ARGS__ })
#define pinion_run(rt, builder, ...) \
	pinion_run_with((rt), (builder), \
	    &(const pinion_run_options){ \
		.size_ = sizeof(pinion_run_options), .handle = __VA_ARGS__ })
#define pinion_bind(build, deployment, ...) \
	pinion_bind_with((build), (deployment), \
	    &(const pinion_bind_options){ \
		.size_ = sizeof(pinion_bind_options), .args = __VA_ARGS__ })
#define pinion_reconfigure(rt, name, ...) \
	pinion_reconfigure_with((rt), \
	    &(const pinion_change_options){ \
		.size_ = sizeof(pinion_change_options), .deployment = (name), __VA_ARGS__ })
#define pinion_task(from, fn, args) \
	_Generic((from), pinion_runtime * \
		 : pinion_task_on, pinion_request * \
		 : pinion_task_of)((from), (fn), (args))

#define pinion_reply(req, x) pinion_reply_from((req), (const pinion_value[]){ PINION_VALUE(x) })
#define pinion_call_with(handle, ...) \
	pinion_call_with_options((handle), \
	    &(const pinion_call_options){ \
		.size_ = sizeof(pinion_call_options), .args = __VA_ARGS__ })
#define pinion_handle_with(from, ...) \
	pinion_handle_with_options((from), \
	    &(const pinion_handle_options){ \
		.size_ = sizeof(pinion_handle_options), .handle = __VA_ARGS__ })
#define pinion_call_stream(handle, ...) \
	pinion_call_stream_with((handle), \
	    &(const pinion_stream_options){ \
		.size_ = sizeof(pinion_stream_options), .args = __VA_ARGS__ })
#define pinion_next(stream, out) pinion_next_into((stream), PINION_INTO(out))
#define pinion_next_within(stream, timeout_ns, out) \
	pinion_next_within_into((stream), (timeout_ns), PINION_INTO(out))
#define pinion_yield(req, x) pinion_yield_from((req), (const pinion_value[]){ PINION_VALUE(x) })
#define pinion_token_reply(token, x) pinion_token_reply_value((token), PINION_VALUE(x))
#define pinion_result(response, out) pinion_result_into((response), PINION_INTO(out))
#define pinion_result_within(response, timeout_ns, out) \
	pinion_result_within_into((response), (timeout_ns), PINION_INTO(out))
#define pinion_result_on(port, response, out) \
	pinion_result_on_into((port), (response), PINION_INTO(out))
#define pinion_ref_get(ref, out) pinion_ref_get_into((ref), PINION_INTO(out))
#define pinion_arg_struct(req, index, type) \
	((const type *)pinion_arg_struct_at((req), (index), sizeof(type), _Alignof(type)))

/* Evaluates its argument twice: give it a variable. */
#define PINION_STR_FMT(str) (int)(str).len, (str).data

/* Declarations: address constants at file scope. */
#define PINION_METHOD(method_name, ...) \
	{ \
		.name = (method_name), .handler = __VA_ARGS__ \
	}
#define PINION_BATCH_METHOD(method_name, ...) \
	{ \
		.name = (method_name), .batch = __VA_ARGS__ \
	}
#define PINION_METHODS(...) \
	{ \
		.list = (const pinion_method[]){ __VA_ARGS__ }, \
		.count = sizeof((const pinion_method[]){ __VA_ARGS__ }) / sizeof(pinion_method) \
	}
#define PINION_PARAMS(...) \
	{ \
		.list = (const pinion_param[]){ __VA_ARGS__ }, \
		.count = sizeof((const pinion_param[]){ __VA_ARGS__ }) / sizeof(pinion_param) \
	}
#define PINION_PARAM_(param_name, k, s, a) \
	{ \
		.name = (param_name), .kind = (k), .size = (s), .align = (a) \
	}
#define PINION_BOOL(name) PINION_PARAM_(name, PINION_KIND_BOOL, 8, 8)
#define PINION_I64(name) PINION_PARAM_(name, PINION_KIND_I64, 8, 8)
#define PINION_U64(name) PINION_PARAM_(name, PINION_KIND_U64, 8, 8)
#define PINION_F64(name) PINION_PARAM_(name, PINION_KIND_F64, 8, 8)
#define PINION_BYTES(name) PINION_PARAM_(name, PINION_KIND_BYTES, 0, 8)
#define PINION_REF(name) PINION_PARAM_(name, PINION_KIND_REF, 16, 8)
#define PINION_STREAM(name) PINION_PARAM_(name, PINION_KIND_STREAM, 16, 8)
#define PINION_STR(name) PINION_PARAM_(name, PINION_KIND_STR, 0, 1)
#define PINION_HANDLE(name) PINION_PARAM_(name, PINION_KIND_HANDLE, 8, 8)
#define PINION_STRUCT(name, type) \
	PINION_PARAM_(name, PINION_KIND_STRUCT, sizeof(type), _Alignof(type))
#define PINION_RETURNS_STR \
	{ \
		.kind = PINION_KIND_STR \
	}
#define PINION_RETURNS_I64 \
	{ \
		.kind = PINION_KIND_I64 \
	}
#define PINION_RETURNS_BOOL \
	{ \
		.kind = PINION_KIND_BOOL \
	}
#define PINION_RETURNS_U64 \
	{ \
		.kind = PINION_KIND_U64 \
	}
#define PINION_RETURNS_F64 \
	{ \
		.kind = PINION_KIND_F64 \
	}
#define PINION_RETURNS_BYTES \
	{ \
		.kind = PINION_KIND_BYTES \
	}
#define PINION_RETURNS_HANDLE \
	{ \
		.kind = PINION_KIND_HANDLE \
	}
#define PINION_RETURNS_REF \
	{ \
		.kind = PINION_KIND_REF \
	}
#define PINION_RETURNS_STRUCT(type) \
	{ \
		.kind = PINION_KIND_STRUCT, .size = sizeof(type), .align = _Alignof(type) \
	}

/* Parameters that may be left out, with what they are then. */
#define PINION_OPTIONAL_(n, k, member, x) \
	{ \
		.name = (n), .kind = (k), .size = 8, .align = 8, .optional = true, .otherwise = { \
			.member = (x) \
		} \
	}
#define PINION_BOOL_OR(name, x) PINION_OPTIONAL_(name, PINION_KIND_BOOL, boolean, x)
#define PINION_I64_OR(name, x) PINION_OPTIONAL_(name, PINION_KIND_I64, i64, x)
#define PINION_U64_OR(name, x) PINION_OPTIONAL_(name, PINION_KIND_U64, u64, x)
#define PINION_F64_OR(name, x) PINION_OPTIONAL_(name, PINION_KIND_F64, f64, x)
/* text: a string literal. */
#define PINION_STR_OR(n, text) \
	{ \
		.name = (n), .kind = PINION_KIND_STR, .align = 1, .optional = true, .otherwise = { \
			.str = { (text), sizeof(text) - 1 } \
		} \
	}

/* The builder `pinion run` looks for: a prototype (-Wmissing-prototypes), exported, with the ABI it was compiled against. */
#define PINION_APP(symbol) \
	PINION_EXPORT pinion_builder symbol; \
	PINION_EXPORT extern const uint32_t symbol##_pinion_abi; \
	const uint32_t symbol##_pinion_abi = PINION_ABI

/* One value. No default: an unsupported type does not compile. The argument is evaluated once. */
#define PINION_BY_KIND_(x, b, i, u, f, cs, s, by, h, r, st, rf, n, self) \
	_Generic((x), bool: b, char: i, signed char: i, short: i, int: i, long: i, long long: i, unsigned char: u, \
	    unsigned short: u, unsigned int: u, unsigned long: u, unsigned long long: u, float: f, double: f, char *: cs, \
	    const char *: cs, pinion_str: s, pinion_bytes: by, pinion_handle: h, pinion_response: r, pinion_stream: st, \
	    pinion_ref: rf, pinion_node *: n, pinion_value: self)
#define PINION_VALUE(x) \
	PINION_BY_KIND_(x, pinion_value_bool, pinion_value_i64, pinion_value_u64, \
	    pinion_value_f64, pinion_value_cstr, pinion_value_str, pinion_value_bytes, \
	    pinion_value_handle, pinion_value_response, pinion_value_stream, pinion_value_ref, \
	    pinion_value_node, pinion_value_self) \
	(x)
#define PINION_KIND(x) \
	PINION_BY_KIND_(x, PINION_KIND_BOOL, PINION_KIND_I64, PINION_KIND_U64, PINION_KIND_F64, \
	    PINION_KIND_STR, PINION_KIND_STR, PINION_KIND_BYTES, PINION_KIND_HANDLE, \
	    PINION_KIND_RESPONSE, PINION_KIND_STREAM, PINION_KIND_REF, PINION_KIND_NODE, \
	    PINION_KIND_LATE)
/* Any lvalue or compound literal, commas and all; &5 does not compile. A struct cannot be a plain argument: &(x) of an
 * int literal is a constraint violation even in a branch that _Generic does not take. */
#define PINION_STRUCT_OF(...) pinion_value_struct(&(__VA_ARGS__), sizeof(__VA_ARGS__))
#define PINION_NAMED(name, x) pinion_value_named((name), PINION_VALUE(x))

/* Where a result goes. The default is a struct of that size, checked against the declaration at run time. */
#define PINION_INTO(out) \
	_Generic((out), bool *: pinion_into_bool, int *: pinion_into_i64, long *: pinion_into_i64, long long *: pinion_into_i64, \
	    unsigned int *: pinion_into_u64, unsigned long *: pinion_into_u64, unsigned long long *: pinion_into_u64, \
	    double *: pinion_into_f64, pinion_str *: pinion_into_str, pinion_bytes *: pinion_into_bytes, \
	    pinion_handle *: pinion_into_handle, pinion_ref *: pinion_into_ref, default: pinion_into_struct)((out), sizeof *(out))

/* 0 to 16 arguments. The result is a call, so that its commas are protected when it is itself a macro argument. The array
 * is a compound literal: it lives as long as the enclosing block, so use PINION_ARGS only inside the call. */
#define PINION_ARGS(...) PINION_CAT_(PINION_ARGS_EMPTY_, PINION_IS_EMPTY_(__VA_ARGS__))(__VA_ARGS__)
#define PINION_ARGS_EMPTY_1(...) pinion_args_of(NULL, 0, 0)
#define PINION_ARGS_EMPTY_0(...) \
	pinion_args_of((const pinion_value[]){ PINION_EACH_( \
			   PINION_VALUE_I_, PINION_LIST_SEP_, __VA_ARGS__) }, \
	    PINION_EACH_(PINION_SIG_I_, PINION_OR_SEP_, __VA_ARGS__), PINION_COUNT_(__VA_ARGS__))
#define PINION_VALUE_I_(i, x) PINION_VALUE(x)
#define PINION_SIG_I_(i, x) (uint64_t) PINION_KIND(x) << (4 * (i))
#define PINION_LIST_SEP_() ,
#define PINION_OR_SEP_() |

#define PINION_CAT_(a, b) PINION_CAT2_(a, b)
#define PINION_CAT2_(a, b) a##b
#define PINION_PICK_( \
    a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, n, ...) \
	n
#define PINION_COUNT_(...) \
	PINION_PICK_(__VA_ARGS__, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define PINION_HAS_COMMA_(...) \
	PINION_PICK_(__VA_ARGS__, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0)
#define PINION_COMMA_(...) ,
#define PINION_IS_EMPTY_(...) \
	PINION_IS_EMPTY4_(PINION_HAS_COMMA_(__VA_ARGS__), \
	    PINION_HAS_COMMA_(PINION_COMMA_ __VA_ARGS__), PINION_HAS_COMMA_(__VA_ARGS__()), \
	    PINION_HAS_COMMA_(PINION_COMMA_ __VA_ARGS__()))
#define PINION_IS_EMPTY4_(a, b, c, d) PINION_IS_EMPTY5_(a, b, c, d)
#define PINION_IS_EMPTY5_(a, b, c, d) PINION_HAS_COMMA_(PINION_IS_EMPTY_##a##b##c##d)
#define PINION_IS_EMPTY_0001 ,
#define PINION_EACH_(m, sep, ...) \
	PINION_CAT_(PINION_EACH_, PINION_COUNT_(__VA_ARGS__))(m, sep, __VA_ARGS__)
#define PINION_EACH_1(m, s, a) m(0, a)
#define PINION_EACH_2(m, s, a0, a1) m(0, a0) s() m(1, a1)
#define PINION_EACH_3(m, s, a0, a1, a2) m(0, a0) s() m(1, a1) s() m(2, a2)
#define PINION_EACH_4(m, s, a0, a1, a2, a3) m(0, a0) s() m(1, a1) s() m(2, a2) s() m(3, a3)
#define PINION_EACH_5(m, s, a0, a1, a2, a3, a4) \
	m(0, a0) s() m(1, a1) s() m(2, a2) s() m(3, a3) s() m(4, a4)
#define PINION_EACH_6(m, s, a0, a1, a2, a3, a4, a5) \
	m(0, a0) s() m(1, a1) s() m(2, a2) s() m(3, a3) s() m(4, a4) s() m(5, a5)
#define PINION_EACH_7(m, s, a0, a1, a2, a3, a4, a5, a6) \
	m(0, a0) s() m(1, a1) s() m(2, a2) s() m(3, a3) s() m(4, a4) s() m(5, a5) s() m(6, a6)
#define PINION_EACH_8(m, s, a0, a1, a2, a3, a4, a5, a6, a7) \
	m(0, a0) s() m(1, a1) s() m(2, a2) s() m(3, a3) s() m(4, a4) s() m(5, a5) s() m(6, a6) s() \
	    m(7, a7)
#define PINION_EACH_9(m, s, a0, a1, a2, a3, a4, a5, a6, a7, a8) \
	m(0, a0) s() m(1, a1) s() m(2, a2) s() m(3, a3) s() m(4, a4) s() m(5, a5) s() m(6, a6) s() \
	    m(7, a7) s() m(8, a8)
#define PINION_EACH_10(m, s, a0, a1, a2, a3, a4, a5, a6, a7, a8, a9) \
	m(0, a0) s() m(1, a1) s() m(2, a2) s() m(3, a3) s() m(4, a4) s() m(5, a5) s() m(6, a6) s() \
	    m(7, a7) s() m(8, a8) s() m(9, a9)
#define PINION_EACH_11(m, s, a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10) \
	m(0, a0) s() m(1, a1) s() m(2, a2) s() m(3, a3) s() m(4, a4) s() m(5, a5) s() m(6, a6) s() \
	    m(7, a7) s() m(8, a8) s() m(9, a9) s() m(10, a10)
#define PINION_EACH_12(m, s, a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11) \
	m(0, a0) s() m(1, a1) s() m(2, a2) s() m(3, a3) s() m(4, a4) s() m(5, a5) s() m(6, a6) s() \
	    m(7, a7) s() m(8, a8) s() m(9, a9) s() m(10, a10) s() m(11, a11)
#define PINION_EACH_13(m, s, a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12) \
	m(0, a0) s() m(1, a1) s() m(2, a2) s() m(3, a3) s() m(4, a4) s() m(5, a5) s() m(6, a6) s() \
	    m(7, a7) s() m(8, a8) s() m(9, a9) s() m(10, a10) s() m(11, a11) s() m(12, a12)
#define PINION_EACH_14(m, s, a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13) \
	m(0, a0) s() m(1, a1) s() m(2, a2) s() m(3, a3) s() m(4, a4) s() m(5, a5) s() m(6, a6) s() \
	    m(7, a7) s() m(8, a8) s() m(9, a9) s() m(10, a10) s() m(11, a11) s() m(12, a12) s() \
		m(13, a13)
#define PINION_EACH_15(m, s, a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14) \
	m(0, a0) s() m(1, a1) s() m(2, a2) s() m(3, a3) s() m(4, a4) s() m(5, a5) s() m(6, a6) s() \
	    m(7, a7) s() m(8, a8) s() m(9, a9) s() m(10, a10) s() m(11, a11) s() m(12, a12) s() \
		m(13, a13) s() m(14, a14)
#define PINION_EACH_16(m, s, a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15) \
	m(0, a0) s() m(1, a1) s() m(2, a2) s() m(3, a3) s() m(4, a4) s() m(5, a5) s() m(6, a6) s() \
	    m(7, a7) s() m(8, a8) s() m(9, a9) s() m(10, a10) s() m(11, a11) s() m(12, a12) s() \
		m(13, a13) s() m(14, a14) s() m(15, a15)

#endif
