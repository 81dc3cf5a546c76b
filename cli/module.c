/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/module.c - cli/module.h by dlopen.
 */
#include "module.h"

#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct names {
	char *path, *symbol, *stamp;
};

static int PINION_PRINTF(2, 3) refuse(pinion_diag *diag, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	(void)vsnprintf(diag->text, sizeof diag->text, format, values);
	va_end(values);
	return -1;
}

size_t
pinioni_module_path_length(const char *spec)
{
	const char *colon = strrchr(spec, ':');

	return colon != NULL && strchr(colon, '/') == NULL ? (size_t)(colon - spec) : strlen(spec);
}

/* A name without a slash would be looked for among the system's libraries. */
static int
names_init(struct names *names, const char *spec)
{
	size_t length = pinioni_module_path_length(spec);
	const char *symbol = spec[length] == '\0' ? "app" : spec + length + 1;
	const char *folder = memchr(spec, '/', length) == NULL ? "./" : "";

	*names = (struct names){ NULL, NULL, NULL };
	if (asprintf(&names->path, "%s%.*s", folder, (int)length, spec) < 0)
		names->path = NULL;
	if (asprintf(&names->stamp, "%s_pinion_abi", symbol) < 0)
		names->stamp = NULL;
	names->symbol = strdup(symbol);
	return names->path != NULL && names->stamp != NULL && names->symbol != NULL ? 0 : -1;
}

static void
names_deinit(struct names *names)
{
	free(names->path);
	free(names->symbol);
	free(names->stamp);
}

/* dlopen would say "invalid ELF header", which tells few what they did. */
static int
check_magic(const char *path, pinion_diag *diag)
{
	char magic[SELFMAG];
	FILE *file = fopen(path, "rbe");
	size_t count;
	int err;

	if (file == NULL)
		return refuse(diag, "%s: %s", path, strerror(errno));
	count = fread(magic, 1, sizeof magic, file);
	err = ferror(file) ? errno : 0;
	(void)fclose(file);
	if (err != 0)
		return refuse(diag, "%s: %s", path, strerror(err));
	if (count != sizeof magic || memcmp(magic, ELFMAG, sizeof magic) != 0)
		return refuse(diag, "%s: not a shared object", path);
	return 0;
}

static int
open_named(const struct names *names, pinion_builder **builder, pinion_diag *diag)
{
	if (check_magic(names->path, diag) != 0)
		return -1;
	void *library = dlopen(names->path, RTLD_NOW | RTLD_LOCAL);

	if (library == NULL)
		return refuse(diag, "%s", dlerror()); /* it names the file itself */
	void *symbol = dlsym(library, names->symbol);

	if (symbol == NULL)
		return refuse(diag, "%s has no symbol '%s'", names->path, names->symbol);
	const uint32_t *abi = dlsym(library, names->stamp);

	if (abi == NULL)
		return refuse(diag, "%s: '%s' has no ABI stamp; declare it with PINION_APP(%s)",
		    names->path, names->symbol, names->symbol);
	if (*abi != PINION_ABI)
		return refuse(diag, "%s: '%s' was compiled for ABI %u and this is ABI %u",
		    names->path, names->symbol, *abi, PINION_ABI);
	memcpy(builder, &symbol, sizeof *builder); /* ISO C has no cast from void * to a function */
	return 0;
}

int
pinioni_module_open(const char *spec, pinion_builder **builder, pinion_diag *diag)
{
	struct names names;
	int err;

	if (names_init(&names, spec) != 0)
		err = refuse(diag, "out of memory");
	else
		err = open_named(&names, builder, diag);
	names_deinit(&names);
	return err;
}
