/* A plugin of qemu-user: how often each translated block ran. Lines of "executions address instructions".
 *
 *   gcc -shared -fPIC count.c -o libcount.so
 *   qemu-aarch64 -plugin file=./libcount.so,out=FILE PROGRAM
 *
 * Written against API 1 (QEMU 4.2 to 9.0), whose few declarations stand here: Debian installs no header. */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, void (*cb)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, enum qemu_plugin_op op, void *at, uint64_t by);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*cb)(qemu_plugin_id_t, void *), void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;

typedef struct block {
    uint64_t ran, address;
    size_t instructions;
    struct block *next;
} block;

#define BUCKETS 65536
static block *buckets[BUCKETS];
static char out[4096] = "blocks.txt";

/* A block may be translated again, after qemu has thrown its translations away: counts go on. */
static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    uint64_t address = qemu_plugin_tb_vaddr(tb);
    size_t instructions = qemu_plugin_tb_n_insns(tb);
    block **bucket = &buckets[address / 4 % BUCKETS], *b = *bucket;
    while (b && (b->address != address || b->instructions != instructions))
        b = b->next;
    if (!b) {
        b = calloc(1, sizeof *b);
        if (!b)
            abort();
        *b = (block){.address = address, .instructions = instructions, .next = *bucket};
        *bucket = b;
    }
    qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &b->ran, 1);
}

static void finished(qemu_plugin_id_t id, void *data)
{
    (void)id;
    (void)data;
    FILE *file = fopen(out, "w");
    if (!file) {
        perror(out);
        return;
    }
    for (int n = 0; n < BUCKETS; n++)
        for (const block *b = buckets[n]; b; b = b->next)
            if (b->ran)
                fprintf(file, "%" PRIu64 " %" PRIx64 " %zu\n", b->ran, b->address, b->instructions);
    fclose(file);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++)
        if (!strncmp(argv[i], "out=", 4))
            snprintf(out, sizeof out, "%s", argv[i] + 4);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, finished, NULL);
    return 0;
}
