/* Holds a server back until all that watches it is in place, then becomes it.
 *
 *   gate FIFO PROGRAM [ARGUMENT]...
 *
 * Waits for one byte from FIFO, closes it, and executes PROGRAM, found as the container runtime
 * (runc, Go's exec.LookPath) would have found it. No byte, no server: when the writer goes away
 * without one, the gate exits. Exit codes: 125 not released, 127 no such program, 126 not
 * executable, 255 the kernel refused to execute it (which is what runc answers then).
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOT_RELEASED = 125, NOT_EXECUTABLE = 126, NOT_FOUND = 127, REFUSED = 255 };

extern char **environ;

static char path[PATH_MAX];

/* 0 when a process of ours may execute it, else an errno. */
static int executable(const char *name)
{
	struct stat found;

	if (stat(name, &found))
		return errno;
	if (S_ISDIR(found.st_mode))
		return EISDIR;
	return faccessat(AT_FDCWD, name, X_OK, AT_EACCESS) ? errno : 0;
}

/* The path of a program named without a slash, in `path`; 0 when the search path has none. */
static int search(const char *name)
{
	const char *folder = getenv("PATH");

	while (folder && *folder) {
		size_t length = strcspn(folder, ":");
		int size = length ? snprintf(path, sizeof path, "%.*s/%s", (int)length, folder, name)
				  : snprintf(path, sizeof path, "./%s", name);

		/* Go refuses what it finds in the current folder, and so do we. */
		if (size < (int)sizeof path && !executable(path))
			return path[0] == '/';
		folder += length + (folder[length] == ':');
	}
	return 0;
}

static int released(const char *fifo)
{
	char byte;
	ssize_t count;
	int from;

	do
		from = open(fifo, O_RDONLY | O_CLOEXEC);
	while (from < 0 && errno == EINTR);
	if (from < 0)
		return 0;
	do
		count = read(from, &byte, 1);
	while (count < 0 && errno == EINTR);
	close(from);
	return count == 1;
}

int main(int argc, char **argv)
{
	const char *name;
	int trouble;

	if (argc < 3 || !released(argv[1])) {
		dprintf(2, "the gate was not opened\n");
		return NOT_RELEASED;
	}
	name = argv[2];
	if (strchr(name, '/')) {
		trouble = executable(name);
		if (trouble == EACCES || trouble == EISDIR) {
			dprintf(2, "exec: \"%s\": %s\n", name,
				trouble == EACCES ? "permission denied" : "is a directory");
			return NOT_EXECUTABLE;
		}
		if (trouble) {
			dprintf(2, "exec: \"%s\": stat %s: %s\n", name, name,
				trouble == ENOENT ? "no such file or directory" : strerror(trouble));
			return NOT_FOUND;
		}
	} else if (search(name)) {
		name = path;
	} else {
		dprintf(2, "exec: \"%s\": executable file not found in $PATH\n", name);
		return NOT_FOUND;
	}
	execve(name, argv + 2, environ);
	trouble = errno;
	dprintf(2, "exec %s: %s\n", name,
		trouble == ENOEXEC ? "exec format error"
		: trouble == ENOENT ? "no such file or directory"
		: trouble == EACCES ? "permission denied" : strerror(trouble));
	return REFUSED;
}
