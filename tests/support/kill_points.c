/* Kills the process before the n-th system call that changes a file below a folder.
 *
 * Preloaded (LD_PRELOAD). KILL_BELOW names the folder, KILL_LOG a file that gets one line per such call. Nothing is
 * counted before kill_points_arm(n) is called; 0 kills never. The C library's functions are replaced, through
 * which Python, HDF5 and protobuf all go.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static long left = -1;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void kill_points_arm(long count) { left = count; }

static void count(const char *call, const char *path) {
    pthread_mutex_lock(&mutex);
    const char *log = getenv("KILL_LOG");
    if (log) {
        int file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        char line[PATH_MAX + 64];
        int length = snprintf(line, sizeof line, "%s %s\n", call, path);
        syscall(SYS_write, file, line, length);
        syscall(SYS_close, file);
    }
    if (left > 0 && --left == 0) kill(getpid(), SIGKILL);
    pthread_mutex_unlock(&mutex);
}

static void full_path(char *out, int folder, const char *path) {
    char base[PATH_MAX] = "";
    if (path[0] != '/') {
        char link[64];
        if (folder == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t length = readlink(link, base, sizeof base - 2);
        base[length > 0 ? length : 0] = 0;
        strcat(base, "/");
    }
    snprintf(out, PATH_MAX, "%s%s", base, path);
}

static int below(const char *path) {
    const char *folder = getenv("KILL_BELOW");
    return folder && left >= 0 && strncmp(path, folder, strlen(folder)) == 0;
}

static void at(const char *call, int folder, const char *path) {
    char full[PATH_MAX];
    if (left < 0 || !path) return;
    full_path(full, folder, path);
    if (below(full)) count(call, full);
}

static void on(const char *call, int file) {
    char link[64], full[PATH_MAX];
    if (left < 0) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, full, sizeof full - 1);
    if (length <= 0) return;
    full[length] = 0;
    if (below(full)) count(call, full);
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define OPENS(name, args, call, folder)                                         \
    int name args {                                                              \
        mode_t mode = 0;                                                         \
        REAL(name);                                                              \
        if (flags & (O_CREAT | O_TMPFILE)) {                                     \
            va_list list; va_start(list, flags); mode = va_arg(list, mode_t); va_end(list); \
        }                                                                        \
        if (flags & (O_CREAT | O_TRUNC)) at("open", folder, path);              \
        return call;                                                             \
    }
OPENS(open, (const char *path, int flags, ...), real(path, flags, mode), AT_FDCWD)
OPENS(open64, (const char *path, int flags, ...), real(path, flags, mode), AT_FDCWD)
OPENS(openat, (int folder, const char *path, int flags, ...), real(folder, path, flags, mode), folder)
OPENS(openat64, (int folder, const char *path, int flags, ...), real(folder, path, flags, mode), folder)

FILE *fopen(const char *path, const char *mode) { REAL(fopen); if (mode[0] != 'r') at("open", AT_FDCWD, path); return real(path, mode); }
FILE *fopen64(const char *path, const char *mode) { REAL(fopen64); if (mode[0] != 'r') at("open", AT_FDCWD, path); return real(path, mode); }
ssize_t write(int file, const void *data, size_t size) { REAL(write); on("write", file); return real(file, data, size); }
ssize_t pwrite(int file, const void *data, size_t size, off_t start) { REAL(pwrite); on("write", file); return real(file, data, size, start); }
ssize_t pwrite64(int file, const void *data, size_t size, off64_t start) { REAL(pwrite64); on("write", file); return real(file, data, size, start); }
ssize_t writev(int file, const struct iovec *data, int parts) { REAL(writev); on("write", file); return real(file, data, parts); }
ssize_t sendfile(int file, int from, off_t *start, size_t size) { REAL(sendfile); on("sendfile", file); return real(file, from, start, size); }
ssize_t sendfile64(int file, int from, off64_t *start, size_t size) { REAL(sendfile64); on("sendfile", file); return real(file, from, start, size); }
ssize_t copy_file_range(int from, off64_t *a, int file, off64_t *b, size_t size, unsigned flags) { REAL(copy_file_range); on("copy", file); return real(from, a, file, b, size, flags); }
int ftruncate(int file, off_t size) { REAL(ftruncate); on("truncate", file); return real(file, size); }
int ftruncate64(int file, off64_t size) { REAL(ftruncate64); on("truncate", file); return real(file, size); }
int rename(const char *from, const char *to) { REAL(rename); at("rename", AT_FDCWD, to); return real(from, to); }
int renameat(int a, const char *from, int b, const char *to) { REAL(renameat); at("rename", b, to); return real(a, from, b, to); }
int link(const char *from, const char *to) { REAL(link); at("link", AT_FDCWD, to); return real(from, to); }
int linkat(int a, const char *from, int b, const char *to, int flags) { REAL(linkat); at("link", b, to); return real(a, from, b, to, flags); }
int symlink(const char *from, const char *to) { REAL(symlink); at("symlink", AT_FDCWD, to); return real(from, to); }
int symlinkat(const char *from, int folder, const char *to) { REAL(symlinkat); at("symlink", folder, to); return real(from, folder, to); }
int unlink(const char *path) { REAL(unlink); at("unlink", AT_FDCWD, path); return real(path); }
int unlinkat(int folder, const char *path, int flags) { REAL(unlinkat); at("unlink", folder, path); return real(folder, path, flags); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); at("mkdir", AT_FDCWD, path); return real(path, mode); }
int mkdirat(int folder, const char *path, mode_t mode) { REAL(mkdirat); at("mkdir", folder, path); return real(folder, path, mode); }
/* With KILL_NETWORK, what is sent to a server counts too: it may change what lies there. */
static void to_server(int file) { if (left >= 0 && getenv("KILL_NETWORK")) count("send", "server"); (void)file; }
ssize_t send(int file, const void *data, size_t size, int flags) { REAL(send); to_server(file); return real(file, data, size, flags); }
ssize_t sendto(int file, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length) { REAL(sendto); to_server(file); return real(file, data, size, flags, to, length); }
int rmdir(const char *path) { REAL(rmdir); at("rmdir", AT_FDCWD, path); return real(path); }
/* What a killed process has written stays, synchronized or not: only a power failure would lose it. So nobody waits
 * for the disk, which thousands of runs would do. */
int fsync(int file) { (void)file; return 0; }
int fdatasync(int file) { (void)file; return 0; }
