/* SPDX-License-Identifier: MIT
 *
 * One small function for each operator with a shader: is this a call the shader can do, which variant does
 * it, with how many workgroups of which size. Everything that a shader takes for granted (alignment of
 * offsets and strides, types, lengths) is asked here; what every shader takes for granted (32-bit sizes,
 * bindings within the device's limits) is asked by the backend.
 */
#include "core/engine/backend/vulkan/swage-vulkan-shaders.h"

#include <string.h>

static uint64_t
ceil_div (uint64_t a, uint64_t b)
{
  return (a + b - 1) / b;
}

static uint64_t
view_rows (const SwageView *v)
{
  return (uint64_t)(v->ne[1] * v->ne[2] * v->ne[3]);
}

static uint64_t
view_elements (const SwageView *v)
{
  return (uint64_t)v->ne[0] * view_rows (v);
}

static bool
is_absent (const SwageArray *a)
{
  return a->buffer == NULL;
}

/* 32-bit (or with bytes = 8: 64-bit) elements where a shader's array finds them. */
static bool
is_words (const SwageArray *a, int bytes)
{
  const SwageView *v = &a->view;
  return v->nb[0] == bytes && a->offset % (size_t)bytes == 0 && v->nb[1] % bytes == 0 && v->nb[2] % bytes == 0
         && v->nb[3] % bytes == 0;
}

static bool
is_f32 (const SwageArray *a)
{
  return a->view.type == SWAGE_TYPE_F32 && is_words (a, 4);
}

static bool
is_f32_or_absent (const SwageArray *a)
{
  return is_absent (a) || is_f32 (a);
}

static bool
is_i32 (const SwageArray *a)
{
  return a->view.type == SWAGE_TYPE_I32 && is_words (a, 4);
}

static bool
is_f64 (const SwageArray *a)
{
  return a->view.type == SWAGE_TYPE_F64 && is_words (a, 8);
}

/* A thread for each of `n` things. */
static bool
threads (SwageShaderChoice *c, const char *variant, uint64_t n, uint32_t local_size)
{
  c->variant = variant;
  c->constants[0] = local_size;
  c->groups[0] = ceil_div (n, local_size);
  return true;
}

/* A workgroup for each of `n` things. */
static bool
groups (SwageShaderChoice *c, const char *variant, uint64_t n, uint32_t local_size)
{
  c->variant = variant;
  c->constants[0] = local_size;
  c->groups[0] = n;
  return true;
}

/* The workgroup that shares a row of `n` elements: about four to a thread. */
static uint32_t
row_threads (const SwageVulkanDevice *device, int64_t n)
{
  uint32_t size = 32;
  while (size < 256 && size * 2 <= device->max_workgroup_size && (int64_t)size * 4 < n)
    size *= 2;
  return size;
}

/* A weight at source `at`, its scales and zeros at 3 and 4. */
static bool
is_weight (const SwageDispatch *d, int at)
{
  const SwageArray *w = &d->src[at], *scales = &d->src[3];
  if (w->view.type == SWAGE_TYPE_INT)
    return !is_absent (scales) && scales->view.type == SWAGE_TYPE_F16 && scales->offset % 2 == 0
           && scales->view.nb[1] % 2 == 0 && d->args != NULL;
  return w->view.type < SWAGE_TYPE_INT && w->view.type != SWAGE_TYPE_I64; /* other layouts are the CPU's */
}

/* Rows at multiples of 16 bytes. */
static bool
is_at_vectors (const SwageArray *a)
{
  return a->offset % 16 == 0 && a->view.nb[1] % 16 == 0;
}

static bool
choose_matmul (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  const SwageView *y = &d->dst.view;
  uint64_t n = (uint64_t)y->ne[0], m = (uint64_t)y->ne[1], k = (uint64_t)d->src[0].view.ne[0];

  if (!is_f32 (&d->dst) || !is_f32 (&d->src[0]) || !is_f32_or_absent (&d->src[2]) || !is_weight (d, 1))
    return false;
  c->constants[1] = (uint32_t)d->src[1].view.type;
  enum
  {
    ARGS = 1,
    X_VECTORS = 2,
    W_VECTORS = 4
  }; /* as in shaders/include/matmul-bindings.glsl */
  c->constants[7] = d->args != NULL ? ARGS : 0;
  if (is_at_vectors (&d->src[0]) && k % 8 == 0)
    c->constants[7] |= X_VECTORS;
  if (d->src[1].view.type <= SWAGE_TYPE_BF16 && is_at_vectors (&d->src[1]))
    c->constants[7] |= W_VECTORS;
  if (m <= 8)
    {
      /* A group makes ROWS outputs for all rows of x, its threads share k eight elements at a time. */
      uint32_t size = 32, rows = 4;
      while (size < 128 && size * 8 < k)
        size *= 2;
      c->constants[2] = rows;
      c->constants[3] = m <= 1 ? 1 : m <= 2 ? 2 : m <= 4 ? 4 : 8;
      return groups (c, "matmul_vec", m > 0 ? ceil_div (n, rows) : 0, size);
    }
  /* Matrix units do three products for one, and want whole tiles to do. Only when asked for: no device that
   * has them has run the test cases yet. */
  if (device->cooperative_matrix_nv && device->float16 && device->subgroup_size == 32 && m >= 48 && n >= 48
      && g_strcmp0 (g_getenv ("SWAGE_VULKAN_MATRIX"), "1") == 0)
    return groups (c, "matmul_matrix", ceil_div (n, 64) * ceil_div (m, 64), 128);
  uint32_t bm = 64, bn = 64, tm = 8,
           tn = device->max_workgroup_size < 256 || device->kind == SWAGE_VULKAN_SOFTWARE ? 8 : 4;
  c->constants[2] = bm;
  c->constants[3] = bn;
  c->constants[4] = tm;
  c->constants[5] = tn;
  return groups (c, "matmul", ceil_div (n, bn) * ceil_div (m, bm), bm / tm * (bn / tn));
}

static bool
choose_embed (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  const SwageView *y = &d->dst.view;
  c->constants[1] = (uint32_t)d->src[0].view.type;
  return is_f32 (&d->dst) && is_weight (d, 0) && is_i32 (&d->src[1])
         && threads (c, "embed", ceil_div ((uint64_t)y->ne[0], 8) * (uint64_t)y->ne[1], 128);
}

static bool
choose_add (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  return is_f32 (&d->dst) && is_f32 (&d->src[0]) && is_f32 (&d->src[1])
         && threads (c, "add", view_elements (&d->dst.view), 128);
}

static bool
choose_rms_norm (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  return is_f32 (&d->dst) && is_f32 (&d->src[0]) && is_f32_or_absent (&d->src[1])
         && groups (c, "rms_norm", view_rows (&d->dst.view), row_threads (device, d->dst.view.ne[0]));
}

static bool
choose_layer_norm (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  return is_f32 (&d->dst) && is_f32 (&d->src[0]) && is_f32_or_absent (&d->src[1])
         && is_f32_or_absent (&d->src[2])
         && groups (c, "layer_norm", view_rows (&d->dst.view), row_threads (device, d->dst.view.ne[0]));
}

static bool
choose_rope (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  const SwageRopeArgs *args = d->args;
  const SwageView *y = &d->dst.view;
  uint64_t dim = (uint64_t)y->ne[0], heads = 4;

  if (args == NULL || !is_f32 (&d->dst) || !is_f32 (&d->src[0]) || !is_i32 (&d->src[1])
      || !is_f32 (&d->src[2]))
    return false;
  c->constants[1] = (uint32_t)heads;
  uint64_t each = dim - (args->rope_dim != 0 ? args->rope_dim : dim) / 2;
  return threads (c, "rope", (uint64_t)y->ne[2] * ceil_div ((uint64_t)y->ne[1], heads) * each, 128);
}

static bool
choose_silu_mul (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  return is_f32 (&d->dst) && is_f32 (&d->src[0]) && is_f32 (&d->src[1])
         && threads (c, "silu_mul", view_elements (&d->dst.view), 128);
}

static bool
choose_act (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  return is_f32 (&d->dst) && is_f32 (&d->src[0]) && threads (c, "act", view_elements (&d->dst.view), 128);
}

static bool
choose_transform (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  return is_f32 (&d->dst) && is_f32 (&d->src[0]) && is_f32_or_absent (&d->src[1])
         && is_f32_or_absent (&d->src[2]) && (is_absent (&d->src[3]) || is_i32 (&d->src[3]))
         && threads (c, "transform", view_elements (&d->dst.view), 128);
}

static bool
choose_attention (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  const SwageView *q = &d->src[0].view, *k = &d->src[1].view;
  if (d->args == NULL || !is_f32 (&d->dst) || !is_f32 (&d->src[0]) || !is_f32 (&d->src[1])
      || !is_f32 (&d->src[2]) || (!is_absent (&d->src[3]) && !is_i32 (&d->src[3])) || k->ne[1] == 0)
    return false;
  uint64_t rows = (uint64_t)(q->ne[2] * (q->ne[1] / k->ne[1]));
  return groups (c, "attention", ceil_div (rows, 32) * (uint64_t)(k->ne[1] * q->ne[3]), 128);
}

static bool
is_result (const SwageArray *a)
{
  return is_f32 (a) || is_f64 (a);
}

static bool
choose_softmax_nll (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  const SwageView *x = &d->src[0].view;
  return is_result (&d->dst) && is_f32 (&d->src[0]) && is_i32 (&d->src[1]) && x->ne[0] < 1 << 24
         && groups (c, "softmax_nll", (uint64_t)x->ne[1], row_threads (device, x->ne[0]));
}

static bool
choose_softmax_kld (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  const SwageView *x = &d->src[0].view;
  return is_result (&d->dst) && is_f32 (&d->src[0]) && is_f32 (&d->src[1]) && is_i32 (&d->src[2])
         && groups (c, "softmax_kld", (uint64_t)x->ne[1], row_threads (device, x->ne[0]));
}

static bool
choose_quant_act (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  const SwageQuantActArgs *args = d->args;
  const SwageView *y = &d->dst.view;
  uint64_t k = (uint64_t)y->ne[0], m = (uint64_t)y->ne[1];
  enum
  {
    GIVEN,
    ROW,
    GROUP,
    TENSOR
  };

  if (args == NULL || !is_f32 (&d->dst) || !is_f32 (&d->src[0]) || !is_f32_or_absent (&d->src[2])
      || (!is_absent (&d->src[1]) && !is_i32 (&d->src[1]))
      || args->kind > SWAGE_QUANT_E2M1) /* pairs are the CPU's */
    return false;
  c->constants[1] = !is_absent (&d->src[2])             ? GIVEN
                    : args->scope == SWAGE_SCOPE_GROUP  ? GROUP
                    : args->scope == SWAGE_SCOPE_TENSOR ? TENSOR
                                                        : ROW;
  c->constants[2] = 1;
  if (c->constants[1] == GROUP)
    return threads (c, "quant_act", ceil_div (k, MAX (1, args->group)) * m, 64);
  groups (c, "quant_act", m, row_threads (device, y->ne[0]));
  if (c->constants[1] == TENSOR && m > 0)
    {
      c->constants[2] = (uint32_t)MIN (m, 128);
      c->scratch_bytes = c->constants[2] * 2 * sizeof (float);
      c->passes = 2;
      c->groups[1] = m;
      c->groups[0] = c->constants[2];
    }
  return true;
}

static bool
choose_sparse_matmul (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  const SwageArray *start = &d->src[1], *value = &d->src[3];
  const SwageView *y = &d->dst.view;
  bool starts = is_i32 (start) || (start->view.type == SWAGE_TYPE_I64 && is_words (start, 8));

  c->constants[7] = d->args != NULL;
  return is_f32 (&d->dst) && is_f32 (&d->src[0]) && starts && is_i32 (&d->src[2])
         && (is_f32 (value) || (value->view.type == SWAGE_TYPE_F16 && value->offset % 2 == 0))
         && groups (c, "sparse_matmul", ceil_div ((uint64_t)y->ne[0], 64) * ceil_div ((uint64_t)y->ne[1], 8),
                    64);
}

static bool
choose_rotate (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  enum
  {
    ROOM = 4096,
    BATCH = 8
  };
  uint64_t a = (uint64_t)d->src[1].view.ne[0], b = (uint64_t)d->src[2].view.ne[0],
           m = (uint64_t)d->dst.view.ne[1];

  if (!is_f32 (&d->dst) || !is_f32 (&d->src[0]) || !is_f32 (&d->src[1]) || !is_f32 (&d->src[2]) || a == 0
      || b == 0 || a > ROOM || b > ROOM)
    return false;
  uint64_t rows = MIN (BATCH, ROOM / b), columns = MIN (64, ROOM / a);
  c->constants[1] = (uint32_t)rows;
  c->constants[2] = (uint32_t)columns;
  groups (c, "rotate", m * ceil_div (a, rows), 64);
  c->passes = 2;
  c->groups[1] = m * ceil_div (b, columns);
  return true;
}

/* Workgroups that share one part of a tensor: enough that all parts together fill a large device. */
static uint32_t
part_split (const SwageDispatch *d)
{
  const SwageView *x = &d->src[0].view;
  uint64_t parts = MAX (1, (uint64_t)d->dst.view.ne[1]), each = view_elements (x) / parts;
  return (uint32_t)CLAMP (MIN (each / 16384, 1024 / parts), 1, 256);
}

static bool
choose_histogram (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  const SwageHistogramArgs *args = d->args;
  uint64_t parts = (uint64_t)d->dst.view.ne[1];

  if (args == NULL || args->bins > 4096 || d->dst.view.type != SWAGE_TYPE_I64 || !is_words (&d->dst, 8)
      || !is_weight (d, 0) || d->src[0].view.type == SWAGE_TYPE_INT)
    return false;
  c->constants[1] = (uint32_t)d->src[0].view.type;
  c->constants[2] = part_split (d);
  c->constants[3] = 4096;
  groups (c, "histogram", parts, 128);
  c->passes = 2;
  c->groups[1] = parts * c->constants[2];
  return true;
}

static bool
choose_moments (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  enum
  {
    WORDS = 3 + SWAGE_MOMENT_MAX_THRESHOLDS + 2 + 2 * 4
  };
  uint64_t parts = (uint64_t)d->dst.view.ne[1];

  if (!is_f64 (&d->dst) || !is_weight (d, 0) || d->src[0].view.type == SWAGE_TYPE_INT
      || !is_f32_or_absent (&d->src[1]) || !is_f32_or_absent (&d->src[2]))
    return false;
  c->constants[1] = (uint32_t)d->src[0].view.type;
  c->constants[2] = part_split (d);
  c->scratch_bytes = parts * c->constants[2] * WORDS * sizeof (uint32_t);
  groups (c, "moments", parts * c->constants[2], 128);
  c->passes = 2;
  c->groups[1] = parts;
  return true;
}

static bool
choose_channel_stats (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  return is_f64 (&d->dst) && is_f32 (&d->src[0])
         && threads (c, "channel_stats", (uint64_t)d->src[0].view.ne[0], 64);
}

/* Rows of floats that are compressed, the importance of their columns. */
static bool
is_source (const SwageDispatch *d)
{
  SwageType type = d->src[0].view.type;
  return (type == SWAGE_TYPE_F32 || type == SWAGE_TYPE_F16 || type == SWAGE_TYPE_BF16)
         && is_f32_or_absent (&d->src[1]);
}

static bool
choose_quantize (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  enum
  {
    THREADS = 32
  };
  SwageType type = d->dst.view.type;
  const SwageView *x = &d->src[0].view;

  if (!is_source (d) || type < SWAGE_TYPE_Q4_0 || type > SWAGE_TYPE_IQ4_XS)
    return false;
  bool short_subs = type == SWAGE_TYPE_Q2_K || type == SWAGE_TYPE_Q3_K || type == SWAGE_TYPE_Q6_K;
  c->constants[1] = (uint32_t)type;
  c->constants[2] = (uint32_t)x->type;
  return groups (c, "quantize",
                 ceil_div ((uint64_t)x->ne[0], (short_subs ? 16 : 32) * THREADS) * (uint64_t)x->ne[1],
                 THREADS);
}

static bool
choose_quantize_int (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  enum
  {
    THREADS = 64,
    LANES = 16
  };
  const SwageQuantizeIntArgs *args = d->args;
  const SwageView *x = &d->src[0].view;
  uint64_t n = (uint64_t)x->ne[1];

  if (args == NULL || !is_source (d) || args->group == 0 || d->dst.offset % 2 != 0
      || d->dst.view.nb[1] % 2 != 0)
    return false;
  c->constants[1] = (uint32_t)x->type;
  groups (c, "quantize_int", n, THREADS);
  c->passes = 2;
  c->groups[1] = n * ceil_div (ceil_div ((uint64_t)x->ne[0], args->group), THREADS / LANES);
  return true;
}

static bool
choose_prune (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  const SwagePruneArgs *args = d->args;
  const SwageView *y = &d->dst.view;

  if (args == NULL || !is_f32 (&d->dst) || !is_source (d) || args->of > 32
      || (args->of > 0 && y->ne[0] % args->of != 0))
    return false;
  c->constants[1] = (uint32_t)d->src[0].view.type;
  c->constants[2] = args->of > 0;
  return args->of > 0 ? threads (c, "prune", (uint64_t)(y->ne[0] / args->of * y->ne[1]), 64)
                      : groups (c, "prune", (uint64_t)y->ne[1], row_threads (device, y->ne[0]));
}

/* The two ceilings of the bench: no operators, so there is nothing to ask of the call. */
static bool
choose_peak (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  return threads (c, "peak", (uint64_t)d->dst.view.ne[0], 128);
}

static bool
choose_copy (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c)
{
  return threads (c, "copy", (uint64_t)d->dst.view.ne[0] / 4, 128);
}

/* In the order of kernels/meson.build. */
static const struct
{
  const char *op;
  bool (*choose) (const SwageVulkanDevice *device, const SwageDispatch *d, SwageShaderChoice *c);
} choosers[] = {
  { "matmul", choose_matmul },
  { "embed", choose_embed },
  { "add", choose_add },
  { "rms_norm", choose_rms_norm },
  { "layer_norm", choose_layer_norm },
  { "rope", choose_rope },
  { "attention", choose_attention },
  { "silu_mul", choose_silu_mul },
  { "act", choose_act },
  { "softmax_nll", choose_softmax_nll },
  { "softmax_kld", choose_softmax_kld },
  { "transform", choose_transform },
  { "quant_act", choose_quant_act },
  { "sparse_matmul", choose_sparse_matmul },
  { "rotate", choose_rotate },
  { "histogram", choose_histogram },
  { "moments", choose_moments },
  { "channel_stats", choose_channel_stats },
  { "quantize", choose_quantize },
  { "quantize_int", choose_quantize_int },
  { "prune", choose_prune },
  { "peak", choose_peak },
  { "copy", choose_copy },
};

bool
swage_shader_has (const char *op)
{
  for (size_t i = 0; i < G_N_ELEMENTS (choosers); i++)
    if (strcmp (choosers[i].op, op) == 0)
      return true;
  return false;
}

bool
swage_shader_choose (const SwageVulkanDevice *device, const SwageOp *op, const SwageDispatch *dispatch,
                     SwageShaderChoice *choice)
{
  *choice = (SwageShaderChoice){ 0 };
  for (size_t i = 0; i < G_N_ELEMENTS (choosers); i++)
    if (strcmp (choosers[i].op, op->id) == 0)
      return choosers[i].choose (device, dispatch, choice)
             && choice->constants[0] <= device->max_workgroup_size;
  return false;
}
