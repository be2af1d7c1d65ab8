/* Stands between a process and the C library: counts what it does to files below one folder, stops before each
 * operation for somebody to look, or lets the disk be full from one operation on. Loaded with LD_PRELOAD, so that
 * libraries in C, C++ and Rust are seen as well as Python. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OFF, COUNT, LOOK, FULL };
static int mode = OFF, to_parent = -1, from_parent = -1;
static long at, operations, spaces;
static char folder[PATH_MAX];
static size_t folder_length;
static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;

void faults_arm(const char *below, int new_mode, long new_at, int out, int in) {
    snprintf(folder, sizeof folder, "%s/", below);
    folder_length = strlen(folder);
    at = new_at, to_parent = out, from_parent = in, operations = spaces = 0;
    mode = new_mode;
}
void faults_disarm(void) { mode = OFF; }
long faults_operations(void) { return operations; }
long faults_spaces(void) { return spaces; }

static int below(const char *path) { return path && !strncmp(path, folder, folder_length); }

static int path_is_ours(int at_folder, const char *path) {
    if (mode == OFF || !path) return 0;
    if (path[0] == '/') return below(path);
    char whole[2 * PATH_MAX], base[PATH_MAX];
    if (at_folder == AT_FDCWD) {
        if (!getcwd(base, sizeof base)) return 0;
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", at_folder);
        ssize_t length = readlink(link, base, sizeof base - 1);
        if (length < 0) return 0;
        base[length] = 0;
    }
    snprintf(whole, sizeof whole, "%s/%s", base, path);
    return below(whole);
}
static int file_is_ours(int file) {
    if (mode == OFF) return 0;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

/* Before an operation. Returns 1 where the disk is full and it must fail. */
static int before(int needs_space) {
    int full = 0;
    pthread_mutex_lock(&one);
    operations++;
    if (needs_space) {
        spaces++;
        full = mode == FULL && spaces >= at;
    }
    if (mode == LOOK) {
        char byte = 'x';
        ssize_t (*real_write)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
        if (real_write(to_parent, &byte, 1) != 1 || read(from_parent, &byte, 1) != 1) _exit(99);
    }
    pthread_mutex_unlock(&one);
    if (full) errno = ENOSPC;
    return full;
}

#define REAL(type, name, ...) static type (*real)(__VA_ARGS__); if (!real) real = dlsym(RTLD_NEXT, name)

#define OPENS(name)                                                                          \
    int name(const char *path, int flags, ...) {                                             \
        REAL(int, #name, const char *, int, ...);                                            \
        va_list list; va_start(list, flags); mode_t bits = va_arg(list, int); va_end(list);  \
        int writes = (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) != 0;                 \
        if (writes && path_is_ours(AT_FDCWD, path)) {                                        \
            struct stat seen;                                                                \
            int makes = (flags & O_CREAT) && stat(path, &seen);                              \
            if (((flags & O_TRUNC) || makes) && before(makes)) return -1;                    \
        }                                                                                    \
        return real(path, flags, bits);                                                      \
    }
OPENS(open)
OPENS(open64)
#define OPENS_AT(name)                                                                       \
    int name(int base, const char *path, int flags, ...) {                                   \
        REAL(int, #name, int, const char *, int, ...);                                       \
        va_list list; va_start(list, flags); mode_t bits = va_arg(list, int); va_end(list);  \
        int writes = (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) != 0;                 \
        if (writes && path_is_ours(base, path)) {                                            \
            struct stat seen;                                                                \
            int makes = (flags & O_CREAT) && fstatat(base, path, &seen, 0);                  \
            if (((flags & O_TRUNC) || makes) && before(makes)) return -1;                    \
        }                                                                                    \
        return real(base, path, flags, bits);                                                \
    }
OPENS_AT(openat)
OPENS_AT(openat64)
FILE *fopen(const char *path, const char *how) {
    REAL(FILE *, "fopen", const char *, const char *);
    if (how[0] != 'r' && path_is_ours(AT_FDCWD, path) && before(1)) return NULL;
    return real(path, how);
}
FILE *fopen64(const char *path, const char *how) {
    REAL(FILE *, "fopen64", const char *, const char *);
    if (how[0] != 'r' && path_is_ours(AT_FDCWD, path) && before(1)) return NULL;
    return real(path, how);
}
size_t fwrite(const void *data, size_t size, size_t count, FILE *file) {
    REAL(size_t, "fwrite", const void *, size_t, size_t, FILE *);
    if (file_is_ours(fileno(file)) && before(1)) return 0;
    return real(data, size, count, file);
}

/* A disk that becomes full takes the first half of what is written. */
ssize_t write(int file, const void *data, size_t count) {
    REAL(ssize_t, "write", int, const void *, size_t);
    if (!file_is_ours(file)) return real(file, data, count);
    if (!before(1)) return real(file, data, count);
    return spaces == at && count > 1 ? real(file, data, count / 2) : -1;
}
#define WRITES_AT(name, offset_type)                                                         \
    ssize_t name(int file, const void *data, size_t count, offset_type offset) {             \
        REAL(ssize_t, #name, int, const void *, size_t, offset_type);                        \
        if (!file_is_ours(file) || !before(1)) return real(file, data, count, offset);       \
        return spaces == at && count > 1 ? real(file, data, count / 2, offset) : -1;         \
    }
WRITES_AT(pwrite, off_t)
WRITES_AT(pwrite64, off64_t)
ssize_t writev(int file, const struct iovec *parts, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    return file_is_ours(file) && before(1) ? -1 : real(file, parts, count);
}
#define ON_FILE(type, name, needs, given, ...)                                               \
    type name(int file, __VA_ARGS__) {                                                       \
        REAL(type, #name, int, __VA_ARGS__);                                                 \
        return file_is_ours(file) && before(needs) ? -1 : real given;                        \
    }
ON_FILE(int, ftruncate, 1, (file, length), off_t length)
ON_FILE(int, ftruncate64, 1, (file, length), off64_t length)
ON_FILE(int, fallocate, 1, (file, how, start, length), int how, off_t start, off_t length)
ON_FILE(int, fallocate64, 1, (file, how, start, length), int how, off64_t start, off64_t length)
int posix_fallocate(int file, off_t start, off_t length) {
    REAL(int, "posix_fallocate", int, off_t, off_t);
    return file_is_ours(file) && before(1) ? ENOSPC : real(file, start, length);
}
int posix_fallocate64(int file, off64_t start, off64_t length) {
    REAL(int, "posix_fallocate64", int, off64_t, off64_t);
    return file_is_ours(file) && before(1) ? ENOSPC : real(file, start, length);
}
ssize_t copy_file_range(int from, off64_t *first, int to, off64_t *second, size_t count, unsigned flags) {
    REAL(ssize_t, "copy_file_range", int, off64_t *, int, off64_t *, size_t, unsigned);
    return file_is_ours(to) && before(1) ? -1 : real(from, first, to, second, count, flags);
}
ssize_t sendfile(int to, int from, off_t *offset, size_t count) {
    REAL(ssize_t, "sendfile", int, int, off_t *, size_t);
    return file_is_ours(to) && before(1) ? -1 : real(to, from, offset, count);
}
ssize_t sendfile64(int to, int from, off64_t *offset, size_t count) {
    REAL(ssize_t, "sendfile64", int, int, off64_t *, size_t);
    return file_is_ours(to) && before(1) ? -1 : real(to, from, offset, count);
}

#define ON_PATH(name, needs, given, path, ...)                                               \
    int name(__VA_ARGS__) {                                                                  \
        REAL(int, #name, __VA_ARGS__);                                                       \
        return path_is_ours(AT_FDCWD, path) && before(needs) ? -1 : real given;              \
    }
ON_PATH(mkdir, 1, (path, bits), path, const char *path, mode_t bits)
ON_PATH(rmdir, 0, (path), path, const char *path)
ON_PATH(unlink, 0, (path), path, const char *path)
ON_PATH(remove, 0, (path), path, const char *path)
ON_PATH(truncate, 1, (path, length), path, const char *path, off_t length)
ON_PATH(rename, 0, (old, path), path, const char *old, const char *path)
ON_PATH(link, 1, (old, path), path, const char *old, const char *path)
ON_PATH(symlink, 1, (old, path), path, const char *old, const char *path)
ON_PATH(chmod, 0, (path, bits), path, const char *path, mode_t bits)
#define ON_PATH_AT(name, needs, given, base, path, ...)                                      \
    int name(__VA_ARGS__) {                                                                  \
        REAL(int, #name, __VA_ARGS__);                                                       \
        return path_is_ours(base, path) && before(needs) ? -1 : real given;                  \
    }
ON_PATH_AT(mkdirat, 1, (base, path, bits), base, path, int base, const char *path, mode_t bits)
ON_PATH_AT(unlinkat, 0, (base, path, flags), base, path, int base, const char *path, int flags)
ON_PATH_AT(renameat, 0, (from, old, base, path), base, path, int from, const char *old, int base, const char *path)
ON_PATH_AT(renameat2, 0, (from, old, base, path, flags), base, path, int from, const char *old, int base,
           const char *path, unsigned flags)
ON_PATH_AT(linkat, 1, (from, old, base, path, flags), base, path, int from, const char *old, int base,
           const char *path, int flags)
ON_PATH_AT(symlinkat, 1, (old, base, path), base, path, const char *old, int base, const char *path)
