/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/replay.c - a main for a target without libFuzzer: gives it each file of the folders and files that it is told.
 *
 * Memory   Each input in a block of its size, so that a sanitizer sees what is read behind it.
 */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static void
end(const char *path)
{
	perror(path);
	exit(EXIT_FAILURE);
}

static void
replay_file(const char *path, size_t size)
{
	uint8_t *data = malloc(size);
	FILE *file = fopen(path, "rbe");

	if ((data == NULL && size != 0) || file == NULL || fread(data, 1, size, file) != size)
		end(path);
	(void)fclose(file);
	(void)fprintf(stderr, "%s\n", path); /* the last one seen is the one that broke it */
	(void)LLVMFuzzerTestOneInput(data, size);
	free(data);
}

/* How many files there were. */
static unsigned
replay(const char *path)
{
	struct stat status;
	struct dirent **names;
	unsigned files = 0;
	int count;

	if (stat(path, &status) != 0)
		end(path);
	if (!S_ISDIR(status.st_mode)) {
		replay_file(path, (size_t)status.st_size);
		return 1;
	}
	count = scandir(path, &names, NULL, alphasort);
	if (count < 0)
		end(path);
	for (int i = 0; i < count; i++) {
		char *inner;

		if (asprintf(&inner, "%s/%s", path, names[i]->d_name) < 0)
			end(path);
		files += names[i]->d_name[0] == '.' ? 0 : replay(inner);
		free(inner);
		free(names[i]);
	}
	free(names);
	return files;
}

int
main(int argc, char **argv)
{
	unsigned files = 0;

	for (int i = 1; i < argc; i++)
		files += replay(argv[i]);
	(void)fprintf(stderr, "%u inputs\n", files);
	return files == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
