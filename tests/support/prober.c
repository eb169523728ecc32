/* Calls every system call with arguments that do nothing and says which ones seccomp refused.
 *
 * All arguments are invalid (-1), so that what is let through fails by itself, and no pointer is
 * followed. Each call is made by a child of its own: some of them end the caller. A call counts as
 * refused when it answers EPERM or ENOSYS; the same program under another profile tells whether
 * that was the profile or the kernel. Prints "NUMBER ERRNO" for each, then "NAME ERRNO" for calls
 * with particular arguments.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int answer(long number, long a, long b, long c)
{
	int status;
	pid_t child = fork();

	if (!child) {
		alarm(2);
		errno = 0;
		syscall(number, a, b, c, -1L, -1L, -1L);
		_exit(errno);
	}
	if (waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

static void particular(const char *name, long number, long a, long b, long c)
{
	printf("%s %d\n", name, answer(number, a, b, c));
}

int main(void)
{
	long number;

	for (number = 0; number < 512; number++) {
		/* These would stop or signal something, or read what we print next. */
		if (number == SYS_kill || number == SYS_tkill || number == SYS_tgkill)
			continue;
		printf("%ld %d\n", number, answer(number, -1, -1, -1));
	}
	particular("clone", SYS_clone, SIGCHLD, 0, 0);
	particular("clone-untraced", SYS_clone, SIGCHLD | 0x00800000, 0, 0);
	particular("clone-newuser", SYS_clone, SIGCHLD | 0x10000000, 0, 0);
	particular("clone-newnet", SYS_clone, SIGCHLD | 0x40000000, 0, 0);
	particular("clone3", SYS_clone3, 0, 0, 0);
	particular("prctl-dumpable", SYS_prctl, 4, 0, 0);
	particular("prctl-dumpable-high", SYS_prctl, 4 | (1L << 32), 0, 0);
	particular("prctl-get-dumpable", SYS_prctl, 3, 0, 0);
	particular("prctl-name", SYS_prctl, 15, (long)"x", 0);
	particular("unshare-user", SYS_unshare, 0x10000000, 0, 0);
	particular("io-uring", SYS_io_uring_setup, 1, 0, 0);
	particular("socket-unix", SYS_socket, 1, 1, 0);
	particular("socket-inet", SYS_socket, 2, 1, 0);
	particular("socket-netlink", SYS_socket, 16, 3, 0);
	particular("socket-alg", SYS_socket, 38, 5, 0);
	particular("socket-vsock", SYS_socket, 40, 1, 0);
	return 0;
}
