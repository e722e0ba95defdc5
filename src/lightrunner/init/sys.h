/* Linux as this program knows it: numbers of system calls, layouts and flags, for x86-64 and arm64.
 *
 * There is no C library below. Each call returns what the kernel returns: a result, or a negated errno.
 * Numbers and layouts are the kernel's ABI (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi). */
#ifndef LIGHTRUNNER_SYS_H
#define LIGHTRUNNER_SYS_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long i64;
typedef int i32;

#if defined(__x86_64__)
enum {
    NR_read = 0, NR_write = 1, NR_close = 3, NR_fstat = 5, NR_mmap = 9, NR_munmap = 11, NR_rt_sigaction = 13,
    NR_rt_sigprocmask = 14, NR_ioctl = 16, NR_pread64 = 17, NR_writev = 20, NR_nanosleep = 35, NR_getpid = 39,
    NR_socket = 41, NR_connect = 42, NR_shutdown = 48, NR_getsockopt = 55, NR_clone = 56, NR_execve = 59,
    NR_wait4 = 61, NR_kill = 62, NR_fcntl = 72, NR_chdir = 80, NR_fchmod = 91, NR_fchown = 93, NR_setuid = 105,
    NR_setgid = 106, NR_setsid = 112, NR_setgroups = 116, NR_prctl = 157, NR_getdents64 = 217,
    NR_geteuid = 107, NR_fstatfs = 138, NR_clock_gettime = 228, NR_exit_group = 231, NR_openat = 257, NR_mkdirat = 258,
    NR_newfstatat = 262, NR_faccessat = 269,
    NR_unlinkat = 263, NR_readlinkat = 267, NR_fchmodat = 268, NR_ppoll = 271, NR_utimensat = 280, NR_dup3 = 292,
    NR_pipe2 = 293, NR_prlimit64 = 302, NR_close_range = 436,
};
enum { O_DIRECTORY = 0200000, O_NOFOLLOW = 0400000 };

struct stat {
    u64 st_dev, st_ino, st_nlink;
    u32 st_mode, st_uid, st_gid, pad0;
    u64 st_rdev;
    i64 st_size, st_blksize, st_blocks;
    i64 st_atime, st_atimensec, st_mtime, st_mtimensec, st_ctime, st_ctimensec;
    i64 unused[3];
};

static inline long syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
enum {
    NR_fcntl = 25, NR_dup3 = 24, NR_ioctl = 29, NR_mkdirat = 34, NR_unlinkat = 35, NR_chdir = 49, NR_fchmod = 52,
    NR_fchmodat = 53, NR_fchown = 55, NR_openat = 56, NR_close = 57, NR_pipe2 = 59, NR_getdents64 = 61, NR_read = 63,
    NR_write = 64, NR_writev = 66, NR_pread64 = 67, NR_ppoll = 73, NR_readlinkat = 78, NR_newfstatat = 79,
    NR_fstat = 80, NR_utimensat = 88, NR_exit_group = 94, NR_nanosleep = 101, NR_clock_gettime = 113, NR_kill = 129,
    NR_rt_sigaction = 134, NR_rt_sigprocmask = 135, NR_setgid = 144, NR_setuid = 146, NR_setsid = 157,
    NR_setgroups = 159, NR_prctl = 167, NR_getpid = 172, NR_socket = 198, NR_connect = 203, NR_getsockopt = 209,
    NR_shutdown = 210, NR_munmap = 215, NR_clone = 220, NR_execve = 221, NR_mmap = 222, NR_wait4 = 260,
    NR_prlimit64 = 261, NR_fstatfs = 44, NR_faccessat = 48, NR_geteuid = 175, NR_close_range = 436,
};
enum { O_DIRECTORY = 040000, O_NOFOLLOW = 0100000 };

struct stat {
    u64 st_dev, st_ino;
    u32 st_mode, st_nlink, st_uid, st_gid;
    u64 st_rdev, pad1;
    i64 st_size;
    i32 st_blksize, pad2;
    i64 st_blocks;
    i64 st_atime, st_atimensec, st_mtime, st_mtimensec, st_ctime, st_ctimensec;
    u32 unused[2];
};

static inline long syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}
#else
#error "x86-64 and arm64 only"
#endif

#define SYS_1(nr, a) syscall6(nr, (long)(a), 0, 0, 0, 0, 0)
#define SYS_2(nr, a, b) syscall6(nr, (long)(a), (long)(b), 0, 0, 0, 0)
#define SYS_3(nr, a, b, c) syscall6(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SYS_4(nr, a, b, c, d) syscall6(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SYS_5(nr, a, b, c, d, e) syscall6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

/* Flags and constants that both architectures share. */
enum {
    O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0100, O_EXCL = 0200, O_NOCTTY = 0400, O_TRUNC = 01000,
    O_NONBLOCK = 04000, O_CLOEXEC = 02000000, AT_FDCWD = -100, AT_REMOVEDIR = 0x200, AT_SYMLINK_NOFOLLOW = 0x100,
    AT_EMPTY_PATH = 0x1000, X_OK = 1, F_SETFD = 2, F_GETFL = 3, F_SETFL = 4,
    S_IFMT = 0170000, S_IFIFO = 0010000, S_IFCHR = 0020000, S_IFDIR = 0040000, S_IFBLK = 0060000, S_IFREG = 0100000,
    S_IFLNK = 0120000, S_IFSOCK = 0140000,
    POLLIN = 1, POLLOUT = 4, POLLERR = 8, POLLHUP = 16, POLLNVAL = 32,
    SIGKILL = 9, SIGPIPE = 13, SIGCHLD = 17, SIGCONT = 18, SIGSTOP = 19, SIG_SETMASK = 2,
    WNOHANG = 1, WALL = 0x40000000,
    PR_SET_DUMPABLE = 4, PR_SET_CHILD_SUBREAPER = 36,
    FIONREAD = 0x541B, TIOCSCTTY = 0x540E, TIOCSWINSZ = 0x5414, TIOCSPTLCK = 0x40045431, TIOCGPTPEER = 0x5441,
    TIOCGPTN = 0x80045430,
    AF_INET = 2, SOCK_STREAM = 1, SOCK_NONBLOCK = 04000, SOCK_CLOEXEC = 02000000, SHUT_WR = 1, SOL_SOCKET = 1,
    SO_ERROR = 4, CLOCK_MONOTONIC = 1,
    PROT_READ = 1, PROT_WRITE = 2, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20,
    EPERM = 1, ENOENT = 2, EINTR = 4, EIO = 5, E2BIG = 7, ENOEXEC = 8, ECHILD = 10, EAGAIN = 11, ENOMEM = 12,
    EACCES = 13, EEXIST = 17, ENOTDIR = 20, EISDIR = 21, EINVAL = 22, EFBIG = 27, EPIPE = 32, ENAMETOOLONG = 36,
    ENOTTY = 25, EINPROGRESS = 115,
};

struct timespec { i64 sec, nsec; };
struct iovec { const void *base; u64 length; };
struct pollfd { i32 fd; u16 events, revents; };
struct winsize { u16 rows, columns, x, y; };
struct sockaddr_in { u16 family, port; u32 address; u8 zero[8]; };
struct rusage { i64 utime_sec, utime_usec, stime_sec, stime_usec, maxrss, rest[13]; };
struct sigaction { void (*handler)(int); u64 flags; void (*restorer)(void); u64 mask; };

static inline long sys_read(int fd, void *data, u64 size) { return SYS_3(NR_read, fd, data, size); }
static inline long sys_write(int fd, const void *data, u64 size) { return SYS_3(NR_write, fd, data, size); }
static inline long sys_close(int fd) { return SYS_1(NR_close, fd); }
static inline long sys_open(const char *path, int flags, int mode) { return SYS_4(NR_openat, AT_FDCWD, path, flags, mode); }
static inline long sys_kill(int pid, int signal) { return SYS_2(NR_kill, pid, signal); }
static inline long sys_wait4(int pid, int *status, int options, struct rusage *usage) { return SYS_4(NR_wait4, pid, status, options, usage); }
static inline long sys_fork(void) { return SYS_5(NR_clone, SIGCHLD, 0, 0, 0, 0); }
static inline void sys_sleep_ns(i64 ns) { struct timespec t = {ns / 1000000000, ns % 1000000000}; SYS_2(NR_nanosleep, &t, 0); }
static inline i64 now_ms(void) { struct timespec t = {0, 0}; SYS_2(NR_clock_gettime, CLOCK_MONOTONIC, &t); return t.sec * 1000 + t.nsec / 1000000; }
static inline void __attribute__((noreturn)) sys_exit(int status) { for (;;) SYS_1(NR_exit_group, status); }

#endif
