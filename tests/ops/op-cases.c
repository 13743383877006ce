/* SPDX-License-Identifier: MIT */
#include "op-cases.h"

#include "kernels/swage-layout.h"

#include <math.h>
#include <string.h>

#include "kernels/swage-quantize.h"

#define GUARD 256

static guint64 seed;

static float
next_random (void)
{
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (float)(gint32)(seed >> 32) / 2147483648.0f;
}

static size_t
row_bytes (const SwageView *v, int bits)
{
  if (v->type != SWAGE_TYPE_INT && swage_type_is_layout (v->type))
    return 0; /* add_layout_weight() makes room itself */
  return v->type == SWAGE_TYPE_INT ? swage_int_row_bytes (v->ne[0], bits)
                                   : swage_type_row_bytes (v->type, v->ne[0]);
}

/* Memory for a tensor with `gap` bytes between its rows. */
static SwageView
add_tensor (OpCase *c, SwageType type, int64_t ne0, int64_t ne1, int64_t ne2, int64_t ne3, size_t gap,
            int bits)
{
  SwageView v = swage_view (type, NULL, ne0, ne1, ne2, ne3);
  OpBlock *block = &c->blocks[c->n_blocks++];

  v.nb[1] = (int64_t)(row_bytes (&v, bits) + gap);
  v.nb[2] = v.nb[1] * ne1;
  v.nb[3] = v.nb[2] * ne2;
  block->size = (size_t)(v.nb[3] * ne3) + 2 * GUARD;
  block->base = g_malloc (block->size);
  memset (block->base, 0xff, block->size);
  v.data = block->base + GUARD;
  return v;
}

static void *
nth_row (const SwageView *v, int64_t r)
{
  return (char *)v->data + r % v->ne[1] * v->nb[1] + r / v->ne[1] % v->ne[2] * v->nb[2]
         + r / v->ne[1] / v->ne[2] * v->nb[3];
}

static int64_t
count_rows (const SwageView *v)
{
  return v->ne[1] * v->ne[2] * v->ne[3];
}

/* Normal-ish numbers times `scale` around `centre`, encoded in the view's type. */
static void
fill (const SwageView *v, float scale, float centre)
{
  g_autofree float *row = g_new (float, v->ne[0]);
  for (int64_t r = 0; r < count_rows (v); r++)
    {
      for (int64_t i = 0; i < v->ne[0]; i++)
        row[i] = centre + scale * (next_random () + next_random () + next_random ());
      swage_type_from_f32 (v->type, row, NULL, nth_row (v, r), v->ne[0]);
    }
}

static SwageView
add_floats (OpCase *c, SwageType type, int64_t ne0, int64_t ne1, int64_t ne2, int64_t ne3, size_t gap,
            float scale, float centre)
{
  SwageView v = add_tensor (c, type, ne0, ne1, ne2, ne3, gap, 0);
  fill (&v, scale, centre);
  return v;
}

static SwageView
add_ints (OpCase *c, int64_t n, int64_t below)
{
  SwageView v = add_tensor (c, SWAGE_TYPE_I32, n, 1, 1, 1, 0, 0);
  for (int64_t i = 0; i < n; i++)
    ((gint32 *)v.data)[i] = (gint32)((next_random () + 1) / 2.0001f * (float)below);
  return v;
}

/* The result: what it holds before is the same at every build of the case. */
static void
set_result (OpCase *c, SwageType type, int64_t ne0, int64_t ne1, int64_t ne2, int64_t ne3, size_t gap)
{
  c->call.dst = add_tensor (c, type, ne0, ne1, ne2, ne3, gap, 0);
  memset (c->blocks[0].base, 0x3d, c->blocks[0].size);
  if (type == SWAGE_TYPE_F32)
    fill (&c->call.dst, 1, 0);
}

/* m, n, k, type, bias, accumulate, alpha · 4, gap in floats, bits, group (bits: of SWAGE_TYPE_INT, negative:
 * asymmetric) */
static const int matmul_shapes[][10] = {
  { 1, 1, 1, SWAGE_TYPE_F32, 0, 0, 4, 0 },
  { 1, 7, 3, SWAGE_TYPE_F32, 1, 0, 4, 3 },
  { 1, 600, 1031, SWAGE_TYPE_BF16, 1, 0, 4, 0 },
  { 3, 257, 515, SWAGE_TYPE_F16, 0, 1, 4, 1 },
  { 8, 33, 2048, SWAGE_TYPE_F32, 1, 1, 2, 0 },
  { 9, 1, 1, SWAGE_TYPE_F32, 0, 0, 4, 0 },
  { 9, 31, 17, SWAGE_TYPE_F32, 1, 0, 4, 5 },
  { 13, 33, 16, SWAGE_TYPE_BF16, 0, 0, 4, 0 },
  { 14, 32, 512, SWAGE_TYPE_F16, 0, 0, 4, 0 },
  { 29, 48, 513, SWAGE_TYPE_F32, 1, 1, 4, 2 },
  { 97, 301, 1100, SWAGE_TYPE_BF16, 1, 0, -3, 0 },
  { 530, 40, 67, SWAGE_TYPE_F32, 0, 0, 4, 0 },
  { 15, 5000, 31, SWAGE_TYPE_F16, 0, 0, 4, 0 },
  { 17, 19, 5120, SWAGE_TYPE_F32, 0, 0, 4, 0 },
  { 1, 65, 512, SWAGE_TYPE_Q4_K, 0, 0, 4, 0 },
  { 20, 65, 768, SWAGE_TYPE_Q4_K, 1, 0, 4, 0 },
  { 20, 37, 256, SWAGE_TYPE_Q6_K, 0, 0, 4, 0 },
  { 20, 37, 1280, SWAGE_TYPE_Q2_K, 0, 0, 4, 1 },
  { 20, 37, 512, SWAGE_TYPE_Q3_K, 0, 0, 4, 0 },
  { 20, 37, 512, SWAGE_TYPE_Q5_K, 0, 0, 4, 0 },
  { 20, 37, 544, SWAGE_TYPE_Q8_0, 0, 1, 4, 0 },
  { 11, 37, 96, SWAGE_TYPE_Q4_0, 0, 0, 4, 0 },
  { 11, 37, 96, SWAGE_TYPE_Q4_1, 0, 0, 4, 0 },
  { 11, 37, 672, SWAGE_TYPE_Q5_0, 0, 0, 4, 0 },
  { 11, 37, 672, SWAGE_TYPE_Q5_1, 0, 0, 4, 0 },
  { 11, 37, 672, SWAGE_TYPE_IQ4_NL, 0, 0, 4, 0 },
  { 11, 37, 1024, SWAGE_TYPE_IQ4_XS, 0, 0, 4, 0 },
  { 2, 37, 1024, SWAGE_TYPE_INT, 0, 0, 4, 0, 4, 128 },
  { 12, 37, 1100, SWAGE_TYPE_INT, 1, 0, 4, 0, -3, 64 },
  { 12, 37, 1003, SWAGE_TYPE_INT, 0, 0, 4, 0, 5, 1003 },
  { 12, 20, 700, SWAGE_TYPE_INT, 0, 0, 4, 0, -7, 37 },
  { 12, 20, 700, SWAGE_TYPE_INT, 0, 0, 4, 0, 8, 24 },
  { 1, 37, 1024, SWAGE_TYPE_LUT, 1, 0, 4, 0, 4, 0 },
  { 12, 20, 1003, SWAGE_TYPE_LUT, 0, 0, 4, 0, 3, 0 },
  { 9, 20, 300, SWAGE_TYPE_LUT, 0, 1, 4, 0, 8, 0 },
  { 2, 37, 1100, SWAGE_TYPE_BCQ, 0, 0, 4, 0, 3, 128 },
  { 12, 20, 515, SWAGE_TYPE_BCQ, 1, 0, 4, 0, -2, 24 },
  { 1, 37, 768, SWAGE_TYPE_TT, 0, 0, 4, 0, 3, 4 },
  { 12, 20, 530, SWAGE_TYPE_TT, 0, 0, 4, 0, 4, 3 },
  { 1, 37, 1101, SWAGE_TYPE_OVP, 1, 0, 4, 0, 4, 128 },
  { 12, 20, 515, SWAGE_TYPE_OVP, 0, 0, 4, 0, 8, 24 },
};

/* Codes and scales of a weight in a layout, all bits of the codes random. */
static void
add_layout_weight (OpCase *c, int at, SwageType type, int64_t k, int64_t n, int bits, int group)
{
  bool symmetric = bits > 0;
  int64_t n_scales;

  bits = ABS (bits);
  n_scales = swage_layout_scales (type, k, bits, group, symmetric);
  c->call.src[at]
      = add_tensor (c, type, k, n, 1, 1, swage_layout_code_bytes (type, k, bits, group) + 2, bits);
  if (n_scales > 0)
    c->call.src[3] = add_floats (c, SWAGE_TYPE_F16, n_scales, n, 1, 1, 2, 0.3f, 0.1f);
  for (int64_t r = 0; r < n; r++)
    {
      guint8 *codes = nth_row (&c->call.src[at], r);
      for (size_t i = 0; i < swage_layout_code_bytes (type, k, bits, group); i += 2)
        {
          guint16 two = swage_f32_to_f16 (next_random ());
          codes[i] = (guint8)two;
          if (i + 1 < swage_layout_code_bytes (type, k, bits, group))
            codes[i + 1] = (guint8)(two >> 8);
        }
    }
}

/* Codes, scales and zeros of a random weight at sources `at`, 3 and 4. */
static void
add_int_weight (OpCase *c, int at, int64_t k, int64_t n, int bits, int group)
{
  bool symmetric = bits > 0;
  int64_t groups = swage_int_groups (k, group);
  g_autofree float *row = g_new (float, k);

  bits = ABS (bits);
  c->call.src[at] = add_tensor (c, SWAGE_TYPE_INT, k, n, 1, 1, 3, bits);
  c->call.src[3] = add_tensor (c, SWAGE_TYPE_F16, groups, n, 1, 1, 0, 0);
  if (!symmetric)
    c->call.src[4] = add_tensor (c, SWAGE_TYPE_U8, groups, n, 1, 1, 0, 0);
  for (int64_t r = 0; r < n; r++)
    {
      for (int64_t i = 0; i < k; i++)
        row[i] = next_random () + 0.3f;
      swage_int_from_f32 (row, NULL, k, bits, group, symmetric, nth_row (&c->call.src[at], r),
                          nth_row (&c->call.src[3], r), symmetric ? NULL : nth_row (&c->call.src[4], r));
    }
}

static void
build_matmul (OpCase *c, int i)
{
  const int *s = matmul_shapes[i];
  size_t gap = (size_t)s[7] * sizeof (float);

  set_result (c, SWAGE_TYPE_F32, s[1], s[0], 1, 1, gap);
  c->call.src[0] = add_floats (c, SWAGE_TYPE_F32, s[2], s[0], 1, 1, gap, 1, 0);
  if (s[3] == SWAGE_TYPE_INT)
    add_int_weight (c, 1, s[2], s[1], s[8], s[9]);
  else if (swage_type_is_layout (s[3]))
    add_layout_weight (c, 1, s[3], s[2], s[1], s[8], s[9]);
  else
    c->call.src[1] = add_floats (c, s[3], s[2], s[1], 1, 1, s[3] <= SWAGE_TYPE_BF16 ? gap : 0, 1, 0);
  if (s[4])
    c->call.src[2] = add_floats (c, SWAGE_TYPE_F32, s[1], 1, 1, 1, 0, 5, 0);
  c->args.matmul = (SwageMatmulArgs){ (float)s[6] / 4, (guint)s[5], (guint)ABS (s[8]), (guint)s[9] };
}

/* m, n, k, bias, accumulate, bits (negative: with offsets), group */
static const int bcq_matmul_shapes[][7] = {
  { 1, 1, 1, 0, 0, 1, 8 },         { 1, 37, 1100, 0, 0, 3, 128 },  { 3, 600, 1031, 1, 0, 4, 64 },
  { 2, 513, 2048, 0, 1, 2, 128 },  { 1, 20, 515, 1, 0, -2, 24 },   { 8, 5, 1500, 0, 1, -3, 1504 },
  { 1, 511, 96, 0, 0, 8, 32 },     { 2, 1, 7, 1, 0, -1, 8 },       { 1, 1025, 1025, 0, 0, 4, 1000 },
};

static void
build_bcq_matmul (OpCase *c, int i)
{
  const int *s = bcq_matmul_shapes[i];

  set_result (c, SWAGE_TYPE_F32, s[1], s[0], 1, 1, 8);
  c->call.src[0] = add_floats (c, SWAGE_TYPE_F32, s[2], s[0], 1, 1, 4, 1, 0);
  add_layout_weight (c, 1, SWAGE_TYPE_BCQ, s[2], s[1], s[5], s[6]);
  if (s[3])
    c->call.src[2] = add_floats (c, SWAGE_TYPE_F32, s[1], 1, 1, 1, 0, 5, 0);
  c->args.matmul = (SwageMatmulArgs){ i % 2 ? -0.5f : 1, (guint)s[4], (guint)ABS (s[5]), (guint)s[6] };
}

/* k, rows, m, type, accumulate, bits, group */
static const int embed_shapes[][7] = {
  { 1, 1, 1, SWAGE_TYPE_F32 },
  { 257, 5, 9, SWAGE_TYPE_BF16 },
  { 1000, 7, 3, SWAGE_TYPE_F16, 1 },
  { 512, 11, 20, SWAGE_TYPE_Q4_K },
  { 352, 11, 20, SWAGE_TYPE_Q8_0 },
  { 7, 3, 40, SWAGE_TYPE_F32, 1 },
  { 300, 5, 9, SWAGE_TYPE_INT, 0, 4, 128 },
  { 300, 5, 9, SWAGE_TYPE_LUT, 0, 5, 0 },
  { 300, 5, 9, SWAGE_TYPE_BCQ, 0, -4, 56 },
  { 600, 5, 9, SWAGE_TYPE_TT, 1, 3, 4 },
};

static void
build_embed (OpCase *c, int i)
{
  const int *s = embed_shapes[i];

  set_result (c, SWAGE_TYPE_F32, s[0], s[2], 1, 1, 12);
  if (s[3] == SWAGE_TYPE_INT)
    add_int_weight (c, 0, s[0], s[1], s[5], s[6]);
  else if (swage_type_is_layout (s[3]))
    add_layout_weight (c, 0, s[3], s[0], s[1], s[5], s[6]);
  else
    c->call.src[0] = add_floats (c, s[3], s[0], s[1], 1, 1, 0, 1, 0);
  c->call.src[1] = add_ints (c, s[2], s[1]);
  if (s[2] > 2)
    ((gint32 *)c->call.src[1].data)[1] = -1, ((gint32 *)c->call.src[1].data)[2] = s[1];
  c->args.embed = (SwageEmbedArgs){ (guint)s[4], (guint)ABS (s[5]), (guint)s[6] };
}

/* ne0..ne3, variant */
static const int row_shapes[][5] = {
  { 1, 1, 1, 1, 0 },   { 3, 5, 1, 1, 1 },   { 16, 4, 1, 1, 2 },   { 17, 2, 3, 2, 3 },   { 31, 7, 1, 1, 0 },
  { 256, 9, 1, 1, 1 }, { 768, 3, 2, 1, 2 }, { 1000, 2, 1, 1, 3 }, { 4097, 2, 1, 1, 0 },
};

static void
add_rows (OpCase *c, int i, float scale, float centre)
{
  const int *s = row_shapes[i];
  set_result (c, SWAGE_TYPE_F32, s[0], s[1], s[2], s[3], 20);
  c->call.src[0] = add_floats (c, SWAGE_TYPE_F32, s[0], s[1], s[2], s[3], 4, scale, centre);
  c->in_place = true;
}

static void
build_add (OpCase *c, int i)
{
  const int *s = row_shapes[i];
  add_rows (c, i, 1, 0);
  c->call.src[1]
      = add_floats (c, SWAGE_TYPE_F32, s[0], s[4] & 1 ? 1 : s[1], s[4] & 2 ? 1 : s[2], s[3], 8, 1, 0);
}

static void
build_rms_norm (OpCase *c, int i)
{
  const int *s = row_shapes[i];
  add_rows (c, i, 2, 0.5f);
  if (s[4] != 1)
    c->call.src[1] = add_floats (c, SWAGE_TYPE_F32, s[0], 1, 1, 1, 0, 1, 1);
  c->args.norm.eps = 1e-5f;
}

static void
build_layer_norm (OpCase *c, int i)
{
  const int *s = row_shapes[i];
  add_rows (c, i, 2, 3);
  if (s[4] != 1)
    c->call.src[1] = add_floats (c, SWAGE_TYPE_F32, s[0], 1, 1, 1, 0, 1, 1);
  if (s[4] != 2)
    c->call.src[2] = add_floats (c, SWAGE_TYPE_F32, s[0], 1, 1, 1, 0, 1, 0);
  c->args.norm.eps = 1e-5f;
}

static void
build_silu_mul (OpCase *c, int i)
{
  const int *s = row_shapes[i];
  add_rows (c, i, 6, 0);
  c->call.src[1] = add_floats (c, SWAGE_TYPE_F32, s[0], s[1], s[2], s[3], 0, 1, 0);
}

static void
build_act (OpCase *c, int i)
{
  int kind = i % 4;
  add_rows (c, i / 4, 5, 0);
  c->args.act.kind = (guint)kind;
  if (c->call.dst.ne[0] > 9) /* far out, where exponentials leave the range */
    {
      float *x = c->call.src[0].data;
      x[0] = -200, x[1] = 200, x[2] = -88.5f, x[3] = 88.5f, x[4] = -0.0f, x[5] = 1e-20f;
    }
}

/* head_dim, heads, tokens, rope_dim, greatest position */
static const int rope_shapes[][5] = {
  { 2, 1, 1, 0, 3 },     { 32, 8, 9, 0, 512 },      { 64, 3, 5, 16, 2000 },
  { 30, 2, 7, 20, 100 }, { 128, 2, 4, 0, 1000000 },
};

static void
build_rope (OpCase *c, int i)
{
  const int *s = rope_shapes[i];
  int half = (s[3] ? s[3] : s[0]) / 2;

  set_result (c, SWAGE_TYPE_F32, s[0], s[1], s[2], 1, 8);
  c->call.src[0] = add_floats (c, SWAGE_TYPE_F32, s[0], s[1], s[2], 1, 16, 1, 0);
  c->call.src[1] = add_ints (c, s[2], s[4]);
  c->call.src[2] = add_tensor (c, SWAGE_TYPE_F32, half, 1, 1, 1, 0, 0);
  for (int j = 0; j < half; j++)
    ((float *)c->call.src[2].data)[j] = powf (10000, -(float)j / (float)half);
  c->args.rope = (SwageRopeArgs){ (guint)s[3], 1.25f };
  c->in_place = true;
}

/* head_dim, value_dim, heads, kv_heads, n_tok, n_seq, capacity, window, lengths given */
static const int attention_shapes[][9] = {
  { 1, 1, 1, 1, 1, 1, 1, 0, 0 },        { 32, 32, 8, 4, 130, 2, 130, 0, 0 },
  { 64, 64, 3, 3, 70, 1, 99, 0, 1 },    { 16, 24, 6, 2, 5, 3, 200, 0, 1 },
  { 33, 7, 2, 1, 19, 2, 65, 0, 1 },     { 128, 128, 2, 1, 1, 2, 300, 0, 1 },
  { 32, 32, 2, 2, 200, 1, 200, 17, 0 }, { 64, 64, 4, 1, 3, 1, 150, 64, 0 },
  { 80, 80, 5, 1, 65, 1, 129, 70, 0 },
};

static void
build_attention (OpCase *c, int i)
{
  const int *s = attention_shapes[i];

  set_result (c, SWAGE_TYPE_F32, s[1], s[2], s[4], s[5], 4);
  c->call.src[0] = add_floats (c, SWAGE_TYPE_F32, s[0], s[2], s[4], s[5], 4, 1.5f, 0);
  c->call.src[1] = add_floats (c, SWAGE_TYPE_F32, s[0], s[3], s[6], s[5], 0, 1.5f, 0);
  c->call.src[2] = add_floats (c, SWAGE_TYPE_F32, s[1], s[3], s[6], s[5], 8, 1, 0);
  if (s[8])
    {
      c->call.src[3] = add_ints (c, s[5], s[6] - s[4] + 1);
      for (int j = 0; j < s[5]; j++)
        ((gint32 *)c->call.src[3].data)[j] += s[4];
    }
  c->args.attention = (SwageAttentionArgs){ 1 / sqrtf ((float)s[0]), (guint)s[7] };
}

/* vocab, m, result F32 */
static const int logits_shapes[][3] = {
  { 1, 1, 0 }, { 2, 3, 1 }, { 31, 4, 0 }, { 4096, 5, 0 }, { 5001, 3, 1 }, { 32000, 2, 0 },
};

static void
add_logits (OpCase *c, int i, int rows)
{
  const int *s = logits_shapes[i];
  set_result (c, s[2] ? SWAGE_TYPE_F32 : SWAGE_TYPE_F64, rows, s[1], 1, 1, 16);
  c->call.src[0] = add_floats (c, SWAGE_TYPE_F32, s[0], s[1], 1, 1, 4, 7, 10);
  c->quantities = 1;
}

static void
build_softmax_nll (OpCase *c, int i)
{
  const int *s = logits_shapes[i];
  add_logits (c, i, SWAGE_NLL_ROWS);
  c->call.src[1] = add_ints (c, s[1], s[0]);
  if (s[1] > 2)
    ((gint32 *)c->call.src[1].data)[1] = -1;
}

static void
build_softmax_kld (OpCase *c, int i)
{
  const int *s = logits_shapes[i];
  add_logits (c, i, SWAGE_KLD_ROWS);
  c->call.src[1] = add_floats (c, SWAGE_TYPE_F32, s[0], s[1], 1, 1, 0, 0.3f, 0);
  for (int64_t r = 0; r < s[1]; r++) /* the other model is near the base */
    for (int64_t j = 0; j < s[0]; j++)
      ((float *)nth_row (&c->call.src[1], r))[j] += ((float *)nth_row (&c->call.src[0], r))[j];
  c->call.src[2] = add_ints (c, s[1], s[0]);
  if (s[1] > 2)
    ((gint32 *)c->call.src[2].data)[0] = s[0];
}

/* k, n (0: no permutation), m, scale, shift */
static const int transform_shapes[][5] = { { 1, 0, 1, 1, 1 },    { 7, 0, 3, 0, 1 },    { 256, 0, 9, 1, 0 },
                                           { 100, 33, 5, 1, 1 }, { 64, 70, 17, 0, 0 }, { 1001, 0, 4, 1, 1 } };

static void
build_transform (OpCase *c, int i)
{
  const int *s = transform_shapes[i];
  int n = s[1] ? s[1] : s[0];

  set_result (c, SWAGE_TYPE_F32, n, s[2], 1, 1, 8);
  c->call.src[0] = add_floats (c, SWAGE_TYPE_F32, s[0], s[2], 1, 1, 4, 1, 0);
  if (s[3])
    c->call.src[1] = add_floats (c, SWAGE_TYPE_F32, n, 1, 1, 1, 0, 1, 2);
  if (s[4])
    c->call.src[2] = add_floats (c, SWAGE_TYPE_F32, n, 1, 1, 1, 0, 1, 0);
  if (s[1])
    {
      c->call.src[3] = add_ints (c, n, s[0]);
      ((gint32 *)c->call.src[3].data)[0] = -1;
    }
  c->in_place = !s[1];
}

/* k, m, kind, scope, bits, symmetric, group, outliers, static ranges */
static const int quant_act_shapes[][9] = {
  { 1, 1, SWAGE_QUANT_INT, SWAGE_SCOPE_TOKEN, 8, 1, 0, 0, 0 },
  { 100, 7, SWAGE_QUANT_INT, SWAGE_SCOPE_TOKEN, 8, 1, 0, 5, 0 },
  { 100, 7, SWAGE_QUANT_INT, SWAGE_SCOPE_TOKEN, 4, 0, 0, 3, 0 },
  { 257, 5, SWAGE_QUANT_INT, SWAGE_SCOPE_GROUP, 8, 0, 64, 0, 0 },
  { 257, 5, SWAGE_QUANT_INT, SWAGE_SCOPE_GROUP, 6, 1, 100, 9, 1 },
  { 64, 9, SWAGE_QUANT_INT, SWAGE_SCOPE_TENSOR, 8, 1, 0, 2, 0 },
  { 64, 9, SWAGE_QUANT_INT, SWAGE_SCOPE_TENSOR, 8, 0, 0, 0, 1 },
  { 333, 4, SWAGE_QUANT_E4M3, SWAGE_SCOPE_TOKEN, 8, 1, 0, 4, 0 },
  { 333, 4, SWAGE_QUANT_E5M2, SWAGE_SCOPE_TENSOR, 8, 1, 0, 0, 0 },
  { 333, 4, SWAGE_QUANT_E4M3, SWAGE_SCOPE_GROUP, 8, 1, 16, 0, 0 },
  { 333, 4, SWAGE_QUANT_E2M1, SWAGE_SCOPE_TOKEN, 4, 1, 0, 3, 0 },
  { 100, 6, SWAGE_QUANT_E2M1, SWAGE_SCOPE_GROUP, 4, 1, 32, 0, 1 },
  { 101, 6, SWAGE_QUANT_OVP, SWAGE_SCOPE_GROUP, 4, 1, 34, 0, 1 },
  { 257, 5, SWAGE_QUANT_OVP, SWAGE_SCOPE_TENSOR, 8, 1, 0, 9, 1 },
};

static void
build_quant_act (OpCase *c, int i)
{
  const int *s = quant_act_shapes[i];

  set_result (c, SWAGE_TYPE_F32, s[0], s[1], 1, 1, 8);
  c->call.src[0] = add_floats (c, SWAGE_TYPE_F32, s[0], s[1], 1, 1, 4, 2, 0.5f);
  memset (nth_row (&c->call.src[0], s[1] / 2), 0, (size_t)s[0] * sizeof (float)); /* a row of zeros */
  if (s[7])
    {
      c->call.src[1] = add_tensor (c, SWAGE_TYPE_I32, s[7], 1, 1, 1, 0, 0);
      for (int j = 0; j < s[7]; j++) /* neighbours, and the first column */
        ((gint32 *)c->call.src[1].data)[j] = j < 2 ? j : 3 + j * 7;
    }
  if (s[8])
    {
      c->call.src[2] = add_tensor (c, SWAGE_TYPE_F32, 2, s[6] ? (s[0] + s[6] - 1) / s[6] : 1, 1, 1, 0, 0);
      for (int64_t r = 0; r < c->call.src[2].ne[1]; r++)
        {
          float *range = nth_row (&c->call.src[2], r);
          range[0] = -1 - (float)r;
          range[1] = 2;
        }
    }
  c->args.quant_act = (SwageQuantActArgs){ (guint)s[2], (guint)s[3], (guint)s[4], (guint)s[5], (guint)s[6] };
  c->in_place = true;
}

/* k, n, m, entries a row, F16 values, I64 starts, accumulate */
static const int sparse_shapes[][7] = {
  { 1, 1, 1, 1, 0, 0, 0 },       { 50, 20, 1, 5, 1, 0, 1 },    { 50, 20, 2, 0, 0, 1, 0 },
  { 300, 1030, 33, 7, 0, 1, 0 }, { 300, 70, 65, 21, 1, 0, 1 },
};

static void
build_sparse_matmul (OpCase *c, int i)
{
  const int *s = sparse_shapes[i];
  int64_t entries = 0;

  set_result (c, SWAGE_TYPE_F32, s[1], s[2], 1, 1, 4);
  c->call.src[0] = add_floats (c, SWAGE_TYPE_F32, s[0], s[2], 1, 1, 8, 1, 0);
  c->call.src[1] = add_tensor (c, s[5] ? SWAGE_TYPE_I64 : SWAGE_TYPE_I32, s[1] + 1, 1, 1, 1, 0, 0);
  for (int64_t o = 0; o <= s[1]; o++)
    {
      if (s[5])
        ((gint64 *)c->call.src[1].data)[o] = entries;
      else
        ((gint32 *)c->call.src[1].data)[o] = (gint32)entries;
      if (o < s[1])
        entries += o % 3 == 1 ? 0 : s[3];
    }
  c->call.src[2] = add_ints (c, MAX (1, entries), s[0]);
  c->call.src[2].ne[0] = entries;
  c->call.src[3] = add_floats (c, s[4] ? SWAGE_TYPE_F16 : SWAGE_TYPE_F32, MAX (1, entries), 1, 1, 1, 0, 1, 0);
  c->args.sparse = (SwageSparseArgs){ 0.5f, (guint)s[6] };
}

/* a, b, m, inverse */
static const int rotate_shapes[][4]
    = { { 1, 1, 1, 0 }, { 3, 5, 4, 0 }, { 16, 16, 40, 0 }, { 12, 43, 5, 1 }, { 40, 33, 3, 1 } };

static void
build_rotate (OpCase *c, int i)
{
  const int *s = rotate_shapes[i];
  set_result (c, SWAGE_TYPE_F32, s[0] * s[1], s[2], 1, 1, 4);
  c->call.src[0] = add_floats (c, SWAGE_TYPE_F32, s[0] * s[1], s[2], 1, 1, 4, 1, 0);
  c->call.src[1] = add_floats (c, SWAGE_TYPE_F32, s[0], s[0], 1, 1, 4, 1, 0);
  c->call.src[2] = add_floats (c, SWAGE_TYPE_F32, s[1], s[1], 1, 1, 8, 1, 0);
  c->args.rotate.inverse = (guint)s[3];
  c->in_place = true;
}

/* n, rows, parts, type, bins, zeros */
static const int histogram_shapes[][6] = {
  { 1, 1, 1, SWAGE_TYPE_F32, 1, 0 },        { 100, 3, 2, SWAGE_TYPE_F32, 7, 0 },
  { 1000, 7, 7, SWAGE_TYPE_BF16, 64, 0 },   { 4097, 5, 2, SWAGE_TYPE_F16, 512, 0 },
  { 4099, 70, 1, SWAGE_TYPE_BF16, 300, 1 }, { 1030, 600, 2, SWAGE_TYPE_F16, 4096, 1 },
  { 512, 3, 1, SWAGE_TYPE_Q4_K, 100, 0 },
};

static void
build_histogram (OpCase *c, int i)
{
  const int *s = histogram_shapes[i];

  set_result (c, SWAGE_TYPE_I64, s[4] + 3, s[2], 1, 1, 16);
  c->call.src[0] = add_floats (c, s[3], s[0], s[1], 1, 1, s[3] == SWAGE_TYPE_Q4_K ? 0 : 6, 1, 0);
  if (s[5])
    memset (c->call.src[0].data, 0, (size_t)c->call.src[0].nb[1]);
  if (s[3] == SWAGE_TYPE_F32 && s[0] > 50)
    {
      float *x = c->call.src[0].data;
      x[0] = NAN, x[1] = INFINITY, x[2] = -INFINITY, x[3] = -1.5f, x[4] = 2, x[5] = 3e38f, x[6] = -0.0f,
      x[7] = 2.000001f;
    }
  c->args.histogram = (SwageHistogramArgs){ -1.5f, 2, (guint)s[4] };
}

/* n, rows, parts, type, thresholds, centre: 0 none, 1 one, 2 for each part */
static const int moments_shapes[][6] = {
  { 1, 1, 1, SWAGE_TYPE_F32, 0, 0 },     { 100, 3, 3, SWAGE_TYPE_F32, 2, 2 },
  { 5000, 4, 2, SWAGE_TYPE_BF16, 8, 1 }, { 768, 9, 9, SWAGE_TYPE_F16, 3, 0 },
  { 512, 4, 1, SWAGE_TYPE_Q6_K, 1, 1 },  { 17, 5, 3, SWAGE_TYPE_F32, 1, 1 },
};

static void
build_moments (OpCase *c, int i)
{
  const int *s = moments_shapes[i];

  set_result (c, SWAGE_TYPE_F64, SWAGE_MOMENT_COUNTS + s[4], s[2], 1, 1, 16);
  c->call.src[0] = add_floats (c, s[3], s[0], s[1], 1, 1, 0, 1, 0.2f);
  if (s[3] == SWAGE_TYPE_F32 && s[0] > 50)
    {
      float *x = c->call.src[0].data;
      x[0] = NAN, x[1] = INFINITY, x[2] = 0, x[40] = -0.0f, x[99] = -INFINITY;
    }
  if (s[5])
    c->call.src[1] = add_floats (c, SWAGE_TYPE_F32, 1, s[5] == 2 ? s[2] : 1, 1, 1, 0, 0.1f, 0.2f);
  if (s[4])
    c->call.src[2] = add_floats (c, SWAGE_TYPE_F32, s[4], 1, 1, 1, 0, 0.3f, 1);
  c->quantities = 1;
}

/* k, m, accumulate */
static const int channel_shapes[][3]
    = { { 1, 1, 0 }, { 100, 0, 0 }, { 17, 5, 0 }, { 300, 33, 1 }, { 256, 100, 0 } };

static void
build_channel_stats (OpCase *c, int i)
{
  const int *s = channel_shapes[i];

  set_result (c, SWAGE_TYPE_F64, s[0], SWAGE_CHANNEL_ROWS, 1, 1, 8);
  c->call.src[0] = add_floats (c, SWAGE_TYPE_F32, s[0], s[1], 1, 1, 4, 1, 0.2f);
  c->args.channel_stats.accumulate = (guint)s[2];
  c->quantities = 2;
}

/* k, n, type, type of x, importance */
static const int quantize_shapes[][5] = {
  { 32, 1, SWAGE_TYPE_Q4_0, SWAGE_TYPE_F32, 0 },     { 1184, 9, SWAGE_TYPE_Q4_0, SWAGE_TYPE_BF16, 1 },
  { 1184, 9, SWAGE_TYPE_Q4_1, SWAGE_TYPE_F32, 0 },   { 96, 9, SWAGE_TYPE_Q4_1, SWAGE_TYPE_F16, 1 },
  { 96, 40, SWAGE_TYPE_Q5_0, SWAGE_TYPE_F32, 0 },    { 2080, 3, SWAGE_TYPE_Q5_0, SWAGE_TYPE_F32, 1 },
  { 2080, 5, SWAGE_TYPE_Q5_1, SWAGE_TYPE_BF16, 0 },  { 64, 5, SWAGE_TYPE_Q5_1, SWAGE_TYPE_F32, 1 },
  { 544, 20, SWAGE_TYPE_Q8_0, SWAGE_TYPE_F32, 0 },   { 544, 3, SWAGE_TYPE_Q8_0, SWAGE_TYPE_F32, 1 },
  { 256, 1, SWAGE_TYPE_Q2_K, SWAGE_TYPE_F32, 0 },    { 2304, 7, SWAGE_TYPE_Q2_K, SWAGE_TYPE_F32, 1 },
  { 768, 11, SWAGE_TYPE_Q3_K, SWAGE_TYPE_BF16, 0 },  { 2304, 5, SWAGE_TYPE_Q3_K, SWAGE_TYPE_F32, 1 },
  { 1280, 11, SWAGE_TYPE_Q4_K, SWAGE_TYPE_BF16, 0 }, { 1280, 11, SWAGE_TYPE_Q4_K, SWAGE_TYPE_F32, 1 },
  { 1280, 7, SWAGE_TYPE_Q5_K, SWAGE_TYPE_F32, 0 },   { 768, 11, SWAGE_TYPE_Q5_K, SWAGE_TYPE_F16, 1 },
  { 512, 21, SWAGE_TYPE_Q6_K, SWAGE_TYPE_F32, 0 },   { 768, 9, SWAGE_TYPE_Q6_K, SWAGE_TYPE_F32, 1 },
  { 672, 13, SWAGE_TYPE_IQ4_NL, SWAGE_TYPE_F32, 0 }, { 64, 31, SWAGE_TYPE_IQ4_NL, SWAGE_TYPE_BF16, 1 },
  { 1024, 7, SWAGE_TYPE_IQ4_XS, SWAGE_TYPE_F32, 0 }, { 1280, 7, SWAGE_TYPE_IQ4_XS, SWAGE_TYPE_F32, 1 },
};

/* Rows to compress, among them what files sometimes hold: zeros, NaN, infinities, one large value. */
static void
add_rows_to_compress (OpCase *c, SwageType type, int64_t k, int64_t n, bool importance)
{
  c->call.src[0] = add_floats (c, type, k, n, 1, 1, 8, 0.02f, 0.001f);
  if (type == SWAGE_TYPE_F32 && n > 2)
    {
      float *row = nth_row (&c->call.src[0], 1);
      memset (row, 0, (size_t)MIN (k, 300) * sizeof (float));
      row = nth_row (&c->call.src[0], 2);
      row[0] = NAN, row[1] = INFINITY, row[2] = -INFINITY, row[3] = 1e-30f, row[k - 1] = 3;
      row = nth_row (&c->call.src[0], n - 1);
      for (int64_t i = 0; i < k; i++)
        row[i] = fabsf (row[i]) + (i >= k / 2 ? 0.5f : 0); /* of one sign, far from zero */
    }
  if (importance)
    {
      c->call.src[1] = add_floats (c, SWAGE_TYPE_F32, k, 1, 1, 1, 0, 0.3f, 1);
      float *w = c->call.src[1].data;
      for (int64_t i = 0; i < k; i++)
        w[i] = i % 37 == 5 ? 0 : w[i] * w[i] * (i % 11 == 3 ? 1e3f : 1);
    }
}

static void
build_quantize (OpCase *c, int i)
{
  const int *s = quantize_shapes[i];
  set_result (c, s[2], s[0], s[1], 1, 1, i % 3 == 0 ? 0 : 6);
  add_rows_to_compress (c, s[3], s[0], s[1], s[4]);
}

/* k, n, bits, group, symmetric, type of x, importance */
static const int quantize_int_shapes[][7] = {
  { 1, 1, 4, 1, 1, SWAGE_TYPE_F32, 0 },      { 512, 5, 4, 128, 1, SWAGE_TYPE_F32, 0 },
  { 512, 5, 4, 128, 0, SWAGE_TYPE_BF16, 1 }, { 100, 7, 3, 37, 0, SWAGE_TYPE_F32, 0 },
  { 333, 4, 2, 333, 1, SWAGE_TYPE_F32, 1 },  { 333, 4, 2, 64, 0, SWAGE_TYPE_F16, 0 },
  { 250, 4, 8, 1000, 0, SWAGE_TYPE_F32, 0 }, { 250, 4, 8, 50, 1, SWAGE_TYPE_F32, 1 },
  { 1001, 3, 5, 13, 1, SWAGE_TYPE_F32, 0 },  { 1001, 3, 6, 100, 0, SWAGE_TYPE_F32, 1 },
};

static void
build_quantize_int (OpCase *c, int i)
{
  const int *s = quantize_int_shapes[i];
  int64_t bytes = swage_quantize_row_bytes (s[0], s[2], s[3], s[4]);
  size_t gap = i % 2 ? 5 : 0;

  gap += ((size_t)bytes + gap) % 2; /* scales stand at even places */
  set_result (c, SWAGE_TYPE_U8, bytes, s[1], 1, 1, gap);
  add_rows_to_compress (c, s[5], s[0], s[1], s[6]);
  c->args.quantize_int = (SwageQuantizeIntArgs){ (guint)s[2], (guint)s[3], (guint)s[4] };
}

/* k, n, type, norm, count, keep, of */
static const int prune_shapes[][7] = {
  { 1, 1, SWAGE_TYPE_F32, 0, 1, 0, 0 },      { 100, 7, SWAGE_TYPE_F32, 0, 0, 0, 0 },
  { 300, 7, SWAGE_TYPE_F32, 0, 150, 0, 0 },  { 1031, 5, SWAGE_TYPE_BF16, 0, 700, 0, 0 },
  { 1031, 5, SWAGE_TYPE_F16, 1, 300, 0, 0 }, { 2048, 5, SWAGE_TYPE_F32, 1, 1024, 0, 0 },
  { 64, 3, SWAGE_TYPE_F32, 1, 64, 0, 0 },    { 512, 9, SWAGE_TYPE_F32, 0, 0, 2, 4 },
  { 512, 9, SWAGE_TYPE_BF16, 1, 0, 4, 8 },   { 96, 9, SWAGE_TYPE_F32, 1, 0, 8, 16 },
  { 70, 4, SWAGE_TYPE_F32, 0, 0, 1, 2 },
};

static void
build_prune (OpCase *c, int i)
{
  const int *s = prune_shapes[i];

  set_result (c, SWAGE_TYPE_F32, s[0], s[1], 1, 1, 8);
  c->call.src[0] = add_floats (c, s[2], s[0], s[1], 1, 1, 4, 1, 0);
  if (s[2] == SWAGE_TYPE_F32 && s[0] > 50) /* equal scores, zeros of both signs, tiny ones */
    for (int64_t r = 0; r < s[1]; r += 2)
      {
        float *row = nth_row (&c->call.src[0], r);
        for (int64_t j = 0; j < s[0]; j++)
          row[j] = j % 5 == 1 ? -0.0f : j % 5 == 3 ? 0.25f : j % 17 == 4 ? 1e-41f * (float)j : row[j];
      }
  if (s[3])
    {
      c->call.src[1] = add_floats (c, SWAGE_TYPE_F32, s[0], 1, 1, 1, 0, 0.3f, 1);
      ((float *)c->call.src[1].data)[s[0] / 2] = 0;
    }
  c->args.prune = (SwagePruneArgs){ (guint)s[4], (guint)s[5], (guint)s[6] };
  c->in_place = s[2] == SWAGE_TYPE_F32;
}

static const struct
{
  const char *id;
  int n;
  void (*build) (OpCase *c, int i);
} table[] = {
  { "matmul", G_N_ELEMENTS (matmul_shapes), build_matmul },
  { "bcq_matmul", G_N_ELEMENTS (bcq_matmul_shapes), build_bcq_matmul },
  { "embed", G_N_ELEMENTS (embed_shapes), build_embed },
  { "add", G_N_ELEMENTS (row_shapes), build_add },
  { "rms_norm", G_N_ELEMENTS (row_shapes), build_rms_norm },
  { "layer_norm", G_N_ELEMENTS (row_shapes), build_layer_norm },
  { "rope", G_N_ELEMENTS (rope_shapes), build_rope },
  { "attention", G_N_ELEMENTS (attention_shapes), build_attention },
  { "silu_mul", G_N_ELEMENTS (row_shapes), build_silu_mul },
  { "act", 4 * G_N_ELEMENTS (row_shapes), build_act },
  { "softmax_nll", G_N_ELEMENTS (logits_shapes), build_softmax_nll },
  { "softmax_kld", G_N_ELEMENTS (logits_shapes), build_softmax_kld },
  { "transform", G_N_ELEMENTS (transform_shapes), build_transform },
  { "quant_act", G_N_ELEMENTS (quant_act_shapes), build_quant_act },
  { "sparse_matmul", G_N_ELEMENTS (sparse_shapes), build_sparse_matmul },
  { "rotate", G_N_ELEMENTS (rotate_shapes), build_rotate },
  { "histogram", G_N_ELEMENTS (histogram_shapes), build_histogram },
  { "moments", G_N_ELEMENTS (moments_shapes), build_moments },
  { "channel_stats", G_N_ELEMENTS (channel_shapes), build_channel_stats },
  { "quantize", G_N_ELEMENTS (quantize_shapes), build_quantize },
  { "quantize_int", G_N_ELEMENTS (quantize_int_shapes), build_quantize_int },
  { "prune", G_N_ELEMENTS (prune_shapes), build_prune },
};

int
op_cases_count (const char *id)
{
  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    if (g_str_equal (table[i].id, id))
      return table[i].n;
  return 0;
}

void
op_case_build (OpCase *c, const char *id, int i)
{
  memset (c, 0, sizeof *c);
  seed = g_str_hash (id) + (guint64)i;
  for (guint t = 0; t < G_N_ELEMENTS (table); t++)
    if (g_str_equal (table[t].id, id))
      table[t].build (c, i);
  c->call.args = &c->args;
}

void
op_case_clear (OpCase *c)
{
  for (int i = 0; i < c->n_blocks; i++)
    g_free (c->blocks[i].base);
  memset (c, 0, sizeof *c);
}

void *
op_case_dup_result (const OpCase *c, size_t *n)
{
  const SwageView *v = &c->call.dst;
  size_t row = swage_type_row_bytes (v->type, v->ne[0]);
  char *copy = g_malloc (row * (size_t)count_rows (v) + 1);

  for (int64_t r = 0; r < count_rows (v); r++)
    memcpy (copy + (size_t)r * row, nth_row (v, r), row);
  *n = row * (size_t)count_rows (v);
  return copy;
}

bool
op_case_guards_intact (const OpCase *c, const char *before)
{
  const SwageView *v = &c->call.dst;
  const OpBlock *block = &c->blocks[0];
  g_autofree char *now = g_memdup2 (block->base, block->size);
  size_t row = swage_type_row_bytes (v->type, v->ne[0]);

  for (int64_t r = 0; r < count_rows (v); r++)
    {
      size_t at = (size_t)((char *)nth_row (v, r) - block->base);
      memcpy (now + at, before + at, row);
    }
  return memcmp (now, before, block->size) == 0;
}

static double
get_value (const OpCase *c, const void *values, int64_t i)
{
  switch (c->call.dst.type)
    {
    case SWAGE_TYPE_F64:
      return ((const double *)values)[i];
    case SWAGE_TYPE_I64:
      return (double)((const gint64 *)values)[i];
    case SWAGE_TYPE_U8:
      return ((const guint8 *)values)[i];
    default:
      return ((const float *)values)[i];
    }
}

/* The result as floats where it is of a block type. */
static float *
dup_decoded (const SwageView *v, const void *values)
{
  size_t row = swage_type_row_bytes (v->type, v->ne[0]);
  float *out = g_new (float, v->ne[0] * count_rows (v));
  for (int64_t r = 0; r < count_rows (v); r++)
    swage_type_to_f32 (v->type, (const char *)values + (size_t)r * row, out + r * v->ne[0], v->ne[0]);
  return out;
}

double
op_case_nmse (const OpCase *c, const void *got, const void *want)
{
  const SwageView *v = &c->call.dst;
  g_autofree float *got_floats = NULL, *want_floats = NULL;
  if (swage_type_get_info (v->type)->block > 1)
    {
      got = got_floats = dup_decoded (v, got);
      want = want_floats = dup_decoded (v, want);
    }
  int64_t rows = count_rows (v), things = c->quantities == 1 ? v->ne[0] : c->quantities == 2 ? rows : 1;
  double worst = 0;

  for (int64_t q = 0; q < things; q++)
    {
      double error = 0, size = 0;
      for (int64_t i = 0; i < rows * v->ne[0]; i++)
        {
          if (c->quantities == 1 ? i % v->ne[0] != q : c->quantities == 2 && i / v->ne[0] != q)
            continue;
          double a = get_value (c, got, i), b = get_value (c, want, i);
          if (a == b || (isnan (a) && isnan (b)))
            a = b = isfinite (b) ? b : 0;
          if (isnan (a) || isnan (b))
            return INFINITY;
          error += (a - b) * (a - b);
          size += b * b;
        }
      worst = MAX (worst, error > 0 ? error / (size > 0 ? size : 1e-30) : 0);
    }
  return worst;
}
