/* SPDX-License-Identifier: MIT
 *
 * The operator table, and the choice of the fast version by what the CPU and the operating system offer.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/swage-layout.h"
#include "kernels/swage-view.h"
#include "swage-op-table.h" /* generated from the list in kernels/meson.build */

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define X(name) extern const SwageOp swage_op_##name;
SWAGE_OP_TABLE (X)
#undef X
#define X(name) &swage_op_##name,
const SwageOp *const swage_ops[] = { SWAGE_OP_TABLE (X) };
#undef X
const int swage_n_ops = sizeof swage_ops / sizeof *swage_ops;

/* Every file of kernels/cpu is compiled once for each level. */
#if defined(__x86_64__)
#define LEVELS(name)                                                                                         \
  void swage_cpu_##name##_portable (const SwageOpCall *, int64_t, int64_t);                                  \
  void swage_cpu_##name##_avx2 (const SwageOpCall *, int64_t, int64_t);                                      \
  void swage_cpu_##name##_avx512 (const SwageOpCall *, int64_t, int64_t);
#define FAST(name)                                                                                           \
  { #name, { swage_cpu_##name##_portable, swage_cpu_##name##_avx2, swage_cpu_##name##_avx512 } },
#else
#define LEVELS(name) void swage_cpu_##name##_portable (const SwageOpCall *, int64_t, int64_t);
#define FAST(name) { #name, { swage_cpu_##name##_portable, NULL, NULL } },
#endif

SWAGE_CPU_TABLE (LEVELS)
float swage_cpu_peak_portable (int64_t rounds, int *flops);
#if defined(__x86_64__)
float swage_cpu_peak_avx2 (int64_t rounds, int *flops);
float swage_cpu_peak_avx512 (int64_t rounds, int *flops);
#endif
static const struct
{
  const char *id;
  SwageOpFunc func[3];
} fast_table[] = { SWAGE_CPU_TABLE (FAST) };

enum
{
  HAS_SSE42 = 1 << 0,
  HAS_AVX = 1 << 1,
  HAS_AVX2 = 1 << 2,
  HAS_FMA = 1 << 3,
  HAS_F16C = 1 << 4,
  HAS_AVX512F = 1 << 5,
  HAS_AVX512BW = 1 << 6,
  HAS_AVX512DQ = 1 << 7,
  HAS_AVX512VL = 1 << 8,
  HAS_AVX512VNNI = 1 << 9,
  HAS_AVX512BF16 = 1 << 10,
  HAS_AVX512FP16 = 1 << 11,
  HAS_AMX_BF16 = 1 << 12,
  HAS_AMX_INT8 = 1 << 13,
  HAS_NEON = 1 << 14,
  HAS_KNOWN = 1 << 15, /* the CPU has been asked */
};
static const char *const feature_names[]
    = { "SSE4.2",   "AVX",        "AVX2",       "FMA",        "F16C",     "AVX512F",  "AVX512BW", "AVX512DQ",
        "AVX512VL", "AVX512VNNI", "AVX512BF16", "AVX512FP16", "AMX-BF16", "AMX-INT8", "NEON" };

#if defined(__x86_64__)
static int
ask_cpu (void)
{
  unsigned a, b, c, d, has = 0, os = 0, os_high = 0;

  if (!__get_cpuid (1, &a, &b, &c, &d))
    return 0;
  if (c & (1u << 20))
    has |= HAS_SSE42;
  if (!(c & (1u << 27))) /* OSXSAVE: without it XGETBV does not exist and the OS saves no wide registers */
    return (int)has;
  __asm__ volatile("xgetbv" : "=a"(os), "=d"(os_high) : "c"(0));
  bool ymm = (os & 0x06) == 0x06, zmm = (os & 0xe6) == 0xe6, tiles = (os & 0x60000) == 0x60000;
  if (!ymm)
    return (int)has;
  has |= (c & (1u << 28)) ? HAS_AVX : 0;
  has |= (c & (1u << 12)) ? HAS_FMA : 0;
  has |= (c & (1u << 29)) ? HAS_F16C : 0;
  if (!__get_cpuid_count (7, 0, &a, &b, &c, &d))
    return (int)has;
  unsigned subleaves = a;
  has |= (b & (1u << 5)) ? HAS_AVX2 : 0;
  if (zmm)
    {
      has |= (b & (1u << 16)) ? HAS_AVX512F : 0;
      has |= (b & (1u << 30)) ? HAS_AVX512BW : 0;
      has |= (b & (1u << 17)) ? HAS_AVX512DQ : 0;
      has |= (b & (1u << 31)) ? HAS_AVX512VL : 0;
      has |= (c & (1u << 11)) ? HAS_AVX512VNNI : 0;
      has |= (d & (1u << 23)) ? HAS_AVX512FP16 : 0;
    }
  if (tiles)
    {
      has |= (d & (1u << 22)) ? HAS_AMX_BF16 : 0;
      has |= (d & (1u << 25)) ? HAS_AMX_INT8 : 0;
    }
  if (zmm && subleaves >= 1 && __get_cpuid_count (7, 1, &a, &b, &c, &d))
    has |= (a & (1u << 5)) ? HAS_AVX512BF16 : 0;
  return (int)has;
}
#elif defined(__aarch64__)
static int
ask_cpu (void)
{
  return HAS_NEON;
}
#else
static int
ask_cpu (void)
{
  return 0;
}
#endif

/* Racing threads compute and store the same value. */
static int
get_features (void)
{
  static _Atomic int known;
  int has = atomic_load_explicit (&known, memory_order_relaxed);
  if (!has)
    {
      has = ask_cpu () | HAS_KNOWN;
      atomic_store_explicit (&known, has, memory_order_relaxed);
    }
  return has;
}

static SwageCpuLevel
get_hardware_level (void)
{
  int has = get_features ();
  int avx2 = HAS_AVX | HAS_AVX2 | HAS_FMA | HAS_F16C;
  int avx512 = avx2 | HAS_AVX512F | HAS_AVX512BW | HAS_AVX512DQ | HAS_AVX512VL;
  if ((has & avx512) == avx512)
    return (has & HAS_AVX512BF16) ? SWAGE_CPU_AVX512_BF16 : SWAGE_CPU_AVX512;
  return (has & avx2) == avx2 ? SWAGE_CPU_AVX2 : SWAGE_CPU_PORTABLE;
}

/* The level in use, or -1 for the references. */
static int
get_chosen (void)
{
  static _Atomic int known; /* level + 2 */
  int chosen = atomic_load_explicit (&known, memory_order_relaxed);
  if (!chosen)
    {
      const char *env = getenv ("SWAGE_CPU");
      int level = get_hardware_level (), asked = level;
      if (env && strcmp (env, "ref") == 0)
        asked = -1;
      else if (env && strcmp (env, "portable") == 0)
        asked = SWAGE_CPU_PORTABLE;
      else if (env && strcmp (env, "avx2") == 0)
        asked = SWAGE_CPU_AVX2;
      else if (env && strcmp (env, "avx512") == 0)
        asked = SWAGE_CPU_AVX512;
      chosen = (asked < level ? asked : level) + 2;
      atomic_store_explicit (&known, chosen, memory_order_relaxed);
    }
  return chosen - 2;
}

SwageCpuLevel
swage_cpu_get_level (void)
{
  int level = get_chosen ();
  return level < 0 ? SWAGE_CPU_PORTABLE : (SwageCpuLevel)level;
}

const char *
swage_cpu_get_features (void)
{
  static char text[256];
  static _Atomic int ready; /* 0: nobody wrote it, 1: somebody does, 2: it is there */
  int none = 0;

  if (atomic_compare_exchange_strong (&ready, &none, 1))
    {
      int has = get_features ();
      for (size_t i = 0; i < sizeof feature_names / sizeof *feature_names; i++)
        if (has & (1 << i))
          {
            if (text[0])
              strcat (text, " ");
            strcat (text, feature_names[i]);
          }
      atomic_store (&ready, 2);
    }
  while (atomic_load (&ready) != 2)
    ;
  return text;
}

const SwageOp *
swage_op_find (const char *id)
{
  for (int i = 0; i < swage_n_ops; i++)
    if (strcmp (swage_ops[i]->id, id) == 0)
      return swage_ops[i];
  return NULL;
}

static SwageOpFunc
find_func (const SwageOp *op, int level)
{
  if (level > SWAGE_CPU_AVX512)
    level = SWAGE_CPU_AVX512;
  for (size_t i = 0; i < sizeof fast_table / sizeof *fast_table; i++)
    if (strcmp (fast_table[i].id, op->id) == 0)
      return fast_table[i].func[level];
  return NULL;
}

SwageOpFunc
swage_op_get_func_at (const SwageOp *op, SwageCpuLevel level)
{
  return level <= get_hardware_level () ? find_func (op, (int)level) : NULL;
}

SwageOpFunc
swage_op_get_func (const SwageOp *op)
{
  int level = get_chosen ();
  SwageOpFunc func = level < 0 ? NULL : find_func (op, level);
  return func ? func : op->ref;
}

size_t
swage_op_scratch_bytes (const SwageOp *op, const SwageOpCall *call)
{
  return op->scratch_bytes ? op->scratch_bytes (call) : 0;
}

double
swage_cpu_run_peak (int64_t rounds)
{
  int flops = 0;
#if defined(__x86_64__)
  if (swage_cpu_get_level () >= SWAGE_CPU_AVX512)
    swage_cpu_peak_avx512 (rounds, &flops);
  else if (swage_cpu_get_level () == SWAGE_CPU_AVX2)
    swage_cpu_peak_avx2 (rounds, &flops);
  else
#endif
    swage_cpu_peak_portable (rounds, &flops);
  return (double)flops * (double)rounds;
}

SwageView
swage_view (SwageType type, const void *data, int64_t ne0, int64_t ne1, int64_t ne2, int64_t ne3)
{
  const SwageTypeInfo *info = swage_type_get_info (type);
  SwageView v = { .data = (void *)data, .type = type, .ne = { ne0, ne1, ne2, ne3 } };
  int block = info->block > 0 ? info->block : 1;

  v.nb[0] = info->bytes;
  v.nb[1] = ne0 / block * info->bytes;
  v.nb[2] = v.nb[1] * ne1;
  v.nb[3] = v.nb[2] * ne2;
  return v;
}

/* Codes of one row from element `from`, in groups that need not end at whole bytes. */
static void
decode_int (const SwageRows *w, int64_t r, int64_t from, int64_t n, float *out)
{
  const uint8_t *codes = swage_view_row (w->codes, r, 0, 0);
  const uint16_t *scales = swage_view_row (w->scales, r, 0, 0);
  const uint8_t *zeros = w->zeros->data ? swage_view_row (w->zeros, r, 0, 0) : NULL;
  int bits = w->bits;
  int64_t group = w->group;

  if (group % 8 == 0 && from % group == 0)
    {
      int64_t g = from / group;
      swage_int_to_f32 (codes + from * bits / 8, scales + g, zeros ? zeros + g : NULL, n, bits, w->group,
                        !zeros, out);
      return;
    }
  for (int64_t i = 0; i < n; i++)
    {
      int64_t bit = (from + i) * bits, g = (from + i) / group;
      unsigned two = codes[bit >> 3];
      if ((bit & 7) + bits > 8)
        two |= (unsigned)codes[(bit >> 3) + 1] << 8;
      int q = (int)((two >> (bit & 7)) & ((1u << bits) - 1));
      out[i] = swage_f16_to_f32 (scales[g]) * (float)(q - (zeros ? zeros[g] : 1 << (bits - 1)));
    }
}

const float *
swage_rows_decode (const SwageRows *w, int64_t r, int64_t from, int64_t n, float *out)
{
  if (w->codes->type == SWAGE_TYPE_INT)
    {
      decode_int (w, r, from, n, out);
      return out;
    }
  if (swage_type_is_layout (w->codes->type))
    {
      /* the offsets of binary codes show in the number of scales */
      int64_t k = w->codes->ne[0];
      bool symmetric
          = w->bits * swage_int_groups (k, w->group > 0 ? w->group : 1) == w->scales->ne[0];
      swage_layout_decode (w->codes->type, swage_view_row (w->codes, r, 0, 0),
                           w->scales->data ? swage_view_row (w->scales, r, 0, 0) : NULL, k, from, n, w->bits,
                           w->group, symmetric, out);
      return out;
    }
  return swage_row_decode (w->codes->type, swage_view_row (w->codes, r, 0, 0), from, n, out);
}
