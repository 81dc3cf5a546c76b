/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host - runs `serve`'s deployment Risk, in this process: what crashes here is not there. `serve` calls it as any other.
 *
 *   host [NAME]        of what it is for (prices); until that ends, or Ctrl-C
 */
#include <stdio.h>
#include <stdlib.h>

#include "risk.h"

static pinion_node *
app(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return risk_bind(build);
}

int
main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "prices";
	pinion_runtime *rt = NULL;
	pinion_diag diag = { "" };
	int err;

	if (pinion_host(&rt, name, app, .deployment = "Risk", .diag = &diag) != 0) {
		(void)fprintf(stderr, "host: %s\n", diag.text);
		return EXIT_FAILURE;
	}
	printf("host: Risk of '%s' runs here\n", name);
	(void)fflush(stdout);
	err = pinion_host_wait(rt);
	pinion_stop(rt);
	return err == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
