/* What a server may try against its tracer: `attack WHAT…` prints "WHAT ANSWER" for each. */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *answer(long result)
{
	return result < 0 ? strerrorname_np(errno) : "ok";
}

static long opened(const char *path, int flags)
{
	return open(path, flags);
}

static long entries(const char *path)
{
	DIR *folder = opendir(path);
	long count = -2;

	if (!folder)
		return -1;
	while (readdir(folder))
		count++;
	errno = ENOTEMPTY;
	return count ? -1 : 0;
}

static long descriptors(void)
{
	char path[32];
	long best = ENOENT;

	for (int number = 0; number < 16; number++) {
		snprintf(path, sizeof path, "/proc/1/fd/%d", number);
		if (open(path, O_WRONLY) >= 0 || open(path, O_RDONLY) >= 0)
			return 0;
		if (errno != ENOENT)
			best = errno;
	}
	errno = best;
	return -1;
}

static long vm_read(void)
{
	char byte;
	struct iovec ours = { &byte, 1 }, theirs = { (void *)0x400000, 1 };

	return process_vm_readv(1, &ours, 1, &theirs, 1, 0);
}

static long untraced(long flag)
{
	long child = syscall(SYS_clone, SIGCHLD | flag, 0, 0, 0, 0);

	if (!child)
		_exit(0);
	if (child > 0)
		waitpid(child, 0, 0);
	return child;
}

static long old_call(void)
{
#ifdef __x86_64__
	static char path[] = "/etc/debian_version";
	long result;

	/* openat of the 32-bit table; the program is linked below 4 GiB */
	__asm__ volatile("int $0x80" : "=a"(result)
			 : "a"(295L), "b"(-100L), "c"(path), "d"(0L), "S"(0L) : "memory");
	errno = result < 0 ? -result : 0;
	return result < 0 ? -1 : 0;
#else
	return opened("/etc/debian_version", O_RDONLY);
#endif
}

static long tried(const char *what)
{
	struct rlimit none = { 0, 0 };

	if (!strcmp(what, "fd")) return descriptors();
	if (!strcmp(what, "mem")) return opened("/proc/1/mem", O_RDWR);
	if (!strcmp(what, "environ")) return opened("/proc/1/environ", O_RDONLY);
	if (!strcmp(what, "root")) return opened("/proc/1/root/", O_RDONLY);
	if (!strcmp(what, "attach")) return ptrace(PTRACE_ATTACH, 1, 0, 0);
	if (!strcmp(what, "seize")) return ptrace(PTRACE_SEIZE, 1, 0, 0);
	if (!strcmp(what, "vm-read")) return vm_read();
	if (!strcmp(what, "limits")) return prlimit(1, RLIMIT_NOFILE, &none, 0);
	if (!strcmp(what, "limits-high"))
		return syscall(SYS_prlimit64, 1 | (1L << 32), RLIMIT_NOFILE, &none, 0);
	if (!strcmp(what, "own-limits")) return prlimit(getpid(), RLIMIT_CORE, &none, 0);
	if (!strcmp(what, "clone")) return untraced(0);
	if (!strcmp(what, "clone-untraced")) return untraced(0x00800000);
	if (!strcmp(what, "clone3")) return syscall(SYS_clone3, 0, 0);
	if (!strcmp(what, "dumpable")) return syscall(SYS_prctl, 4L, 0L, 0L, 0L, 0L);
	if (!strcmp(what, "dumpable-high")) return syscall(SYS_prctl, 4 | (1L << 32), 0L, 0L, 0L, 0L);
	if (!strcmp(what, "io-uring")) return syscall(SYS_io_uring_setup, 1, 0);
	if (!strcmp(what, "kill")) return kill(1, SIGKILL);
	if (!strcmp(what, "term")) return kill(1, SIGTERM);
	if (!strcmp(what, "stop")) return kill(1, SIGSTOP);
	if (!strcmp(what, "channel")) return entries("/.mcp-sandbox/channel");
	if (!strcmp(what, "bundle")) return opened("/.mcp-sandbox/tracer/x", O_WRONLY | O_CREAT);
	if (!strcmp(what, "loader")) return opened("/.mcp-sandbox/tracer/ld.so", O_RDONLY);
	if (!strcmp(what, "old-call")) return old_call();
	errno = EINVAL;
	return -1;
}

int main(int argc, char **argv)
{
	char byte;

	for (int number = 1; number < argc; number++) {
		errno = 0;
		printf("%s %s\n", argv[number], answer(tried(argv[number])));
	}
	puts("end");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
