/*
 * Makes selected I/O calls of a program fail. Loaded with LD_PRELOAD; Linux with 64-bit files only.
 *
 * FAULT_FOLDER  Only calls on files below this folder count. An absolute path without symbolic links.
 * FAULT_KIND    write, sync, rename, truncate or mmap; any other value only counts calls.
 * FAULT_AT      The ordinal of the failing call of that kind, from 1.
 * FAULT_ERROR   An errno; `short`: half of the bytes are written and the next call succeeds; or `torn`: half of the
 *               bytes are written and the next call fails with ENOSPC, as on a disk that becomes full.
 * FAULT_LASTS   `once`, or `always`: from that call on until `lifted` is set.
 * FAULT_RECORD  A file of at least the size of `struct record`, shared with the test. Because it is mapped, the counts
 *               survive any end of the program.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { WRITE, SYNC, RENAME, TRUNCATE, MMAP, KINDS };

static const char *const names[KINDS] = {"write", "sync", "rename", "truncate", "mmap"};

struct record {
    uint64_t calls[KINDS];
    /* Calls that failed or were shortened. */
    uint64_t struck;
    /* Set by the test to stop all faults. */
    uint64_t lifted;
    /* The file of the first of these calls. */
    char file[200];
};

static struct record *record;
static char folder[PATH_MAX];
static size_t folder_length;
static int kind = KINDS;
static uint64_t at;
static int lasts;
static int error;
static enum { FAILS, SHORT, TORN } manner;

__attribute__((constructor)) static void prepare(void) {
    const char *text = getenv("FAULT_RECORD");
    int fd = text ? (int)syscall(SYS_openat, AT_FDCWD, text, O_RDWR | O_CLOEXEC, 0) : -1;
    if (fd < 0)
        return;
    void *mapped = (void *)syscall(SYS_mmap, 0L, sizeof *record, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0L);
    syscall(SYS_close, fd);
    text = getenv("FAULT_FOLDER");
    if (mapped == MAP_FAILED || !text)
        return;
    strncpy(folder, text, sizeof folder - 1);
    folder_length = strlen(folder);
    text = getenv("FAULT_KIND");
    for (int one = 0; text && one < KINDS; one++)
        if (!strcmp(text, names[one]))
            kind = one;
    text = getenv("FAULT_AT");
    at = text ? strtoull(text, NULL, 10) : 0;
    text = getenv("FAULT_LASTS");
    lasts = text && !strcmp(text, "always");
    text = getenv("FAULT_ERROR");
    manner = text && !strcmp(text, "short") ? SHORT : text && !strcmp(text, "torn") ? TORN : FAILS;
    error = manner == FAILS && text ? atoi(text) : ENOSPC;
    /* No other threads exist yet, so this needs no barrier. */
    record = mapped;
}

static int is_below(const char *path) {
    return !strncmp(path, folder, folder_length) && (path[folder_length] == '/' || !path[folder_length]);
}

static int path_of(int fd, char *path) {
    char link[32] = "/proc/self/fd/";
    char digits[16];
    int length = 0, end = (int)strlen(link);
    do
        digits[length++] = (char)('0' + fd % 10);
    while ((fd /= 10) > 0);
    while (length > 0)
        link[end++] = digits[--length];
    link[end] = 0;
    int before = errno;
    long size = syscall(SYS_readlinkat, AT_FDCWD, link, path, (long)PATH_MAX - 1);
    errno = before;
    path[size < 0 ? 0 : size] = 0;
    return size > 0;
}

enum verdict { PASS, FAIL, HALF };

/* Decides the result of a call on a file. */
static enum verdict judge(enum kind of, const char *path) {
    if (!is_below(path))
        return PASS;
    uint64_t n = __atomic_add_fetch(&record->calls[of], 1, __ATOMIC_SEQ_CST);
    if ((int)of != kind || n < at || __atomic_load_n(&record->lifted, __ATOMIC_SEQ_CST))
        return PASS;
    /* A torn write affects two calls: a short one, and the next, which fails. */
    if (!lasts && n > at + (manner == TORN))
        return PASS;
    if (!__atomic_fetch_add(&record->struck, 1, __ATOMIC_SEQ_CST))
        strncpy(record->file, path, sizeof record->file - 1);
    if (manner == SHORT || (manner == TORN && n == at))
        return HALF;
    errno = error;
    return FAIL;
}

static enum verdict judge_fd(enum kind of, int fd) {
    char path[PATH_MAX];
    if (!record || fd < 0 || !path_of(fd, path))
        return PASS;
    return judge(of, path);
}

static size_t half(size_t length) {
    return length > 1 ? length / 2 : length;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    enum verdict verdict = judge_fd(WRITE, fd);
    return verdict == FAIL ? -1 : syscall(SYS_write, fd, bytes, verdict == HALF ? half(length) : length);
}

ssize_t writev(int fd, const struct iovec *parts, int many) {
    enum verdict verdict = judge_fd(WRITE, fd);
    if (verdict == HALF && many > 0)
        return syscall(SYS_write, fd, parts[0].iov_base, half(parts[0].iov_len));
    return verdict == FAIL ? -1 : syscall(SYS_writev, fd, parts, many);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    enum verdict verdict = judge_fd(WRITE, fd);
    return verdict == FAIL ? -1 : syscall(SYS_pwrite64, fd, bytes, verdict == HALF ? half(length) : length, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    return pwrite64(fd, bytes, length, offset);
}

int fsync(int fd) {
    return judge_fd(SYNC, fd) == FAIL ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
    return judge_fd(SYNC, fd) == FAIL ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int ftruncate64(int fd, off64_t length) {
    return judge_fd(TRUNCATE, fd) == FAIL ? -1 : (int)syscall(SYS_ftruncate, fd, length);
}

int ftruncate(int fd, off_t length) {
    return ftruncate64(fd, length);
}

int rename(const char *from, const char *to) {
    if (record && judge(RENAME, to) == FAIL)
        return -1;
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

void *mmap64(void *place, size_t length, int protection, int flags, int fd, off64_t offset) {
    if (judge_fd(MMAP, fd) == FAIL)
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, place, length, protection, flags, fd, offset);
}

void *mmap(void *place, size_t length, int protection, int flags, int fd, off_t offset) {
    return mmap64(place, length, protection, flags, fd, offset);
}
