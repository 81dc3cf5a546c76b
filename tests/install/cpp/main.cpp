/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A C++17 program that knows only the installed tree starts a runtime and calls a deployment.
 * Method  The functions behind the macros, with their structs filled by hand: C++ has neither
 *         compound literals nor _Generic.
 */
#include <pinion/pinion.h>
#include <pinion/pinion_http.h> /* compiles as C++17, too */

#include <cstdio>

namespace
{
int
increment(void *, pinion_request *req)
{
	pinion_value value{};

	value.kind = PINION_KIND_I64;
	value.as.i64 = pinion_arg_i64(req, 0) + 1;
	return pinion_reply_value(req, value);
}

pinion_deployment
deployment()
{
	static pinion_param param{};
	static pinion_method method{};
	pinion_deployment made{};

	param.name = "x";
	param.kind = PINION_KIND_I64;
	param.size = param.align = 8;
	method.name = "__call__";
	method.handler = increment;
	method.params = { &param, 1 };
	method.returns.kind = PINION_KIND_I64;
	made.name = "Incrementer";
	made.methods = { &method, 1 };
	return made;
}

pinion_node *
build_app(pinion_app *build, const pinion_config *)
{
	static const pinion_deployment incrementer = deployment();
	pinion_bind_options options{};

	options.size_ = sizeof options;
	return pinion_bind_with(build, &incrementer, &options);
}

int
run(pinion_runtime **rt, pinion_handle *handle, pinion_diag *diag)
{
	pinion_start_options start{};
	pinion_run_options run{};

	start.runtime = rt;
	start.size_ = sizeof start;
	start.workers = 1;
	start.diag = diag;
	run.handle = handle;
	run.size_ = sizeof run;
	run.diag = diag;
	int err = pinion_start_with(&start);

	return err != 0 ? err : pinion_run_with(*rt, build_app, &run);
}

int
call(pinion_handle handle, int64_t x, int64_t *value)
{
	pinion_value argument{};

	argument.kind = PINION_KIND_I64;
	argument.as.i64 = x;
	pinion_response response = pinion_call(handle, { &argument, PINION_KIND_I64, 1 });
	int err = pinion_result_into(response, { PINION_KIND_I64, sizeof *value, value });

	pinion_release(response);
	return err;
}
} // namespace

int
main()
{
	pinion_runtime *rt = nullptr;
	pinion_handle handle{};
	pinion_diag diag{};
	int64_t value = 0;
	int err = run(&rt, &handle, &diag);

	if (err != 0)
		std::fprintf(stderr, "%s\n", diag.text);
	else
		err = call(handle, 41, &value);
	pinion_stop(rt);
	std::printf("C++ %lld\n", static_cast<long long>(value));
	return err == 0 ? 0 : 1;
}
