/* SPDX-License-Identifier: MIT
 *
 * RPTQ: reorder-based quantization (Yuan, Niu, Liu, Liu, Wang, Shang, Sun, Wu, Wu, Wu 2023, arXiv
 * 2304.01089). The ranges of a layer's input channels differ, in width and in where they lie. Channels with
 * similar (max, min) are found by k-means, put side by side, and every cluster is quantized with parameters
 * of its own (section 4):
 *
 *   y = Q (P·x) · (W·Pᵀ)ᵀ
 *
 * The permutation P is part of the layer; reordering changes nothing by itself. Weights are quantized for
 * each output.
 */
#include <glib/gi18n-lib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/method/swage-act.h"

#define MAX_ROUNDS 100

typedef struct
{
  SWAGE_STORAGE_MEMBERS;
  SWAGE_ACT_MEMBERS;
  int clusters;
} RptqParams;

static const SwageParam params[] = {
  SWAGE_STORAGE_ROWS (RptqParams, 4, 65536, false),
  SWAGE_ACT_ROWS (RptqParams, SWAGE_ACT_CHOICE_STATIC, 8, false),
  SWAGE_INT (RptqParams, clusters, 32, 1, 1024, N_ ("Clusters"),
             N_ ("Groups that the input's channels are sorted into, each with its own range."), .soft_min = 4,
             .soft_max = 64, .when = "act=token|tensor|static"),
  { 0 },
};

static int
get_clusters (const RptqParams *p, int64_t n_in)
{
  return (int)MIN (p->clusters, n_in);
}

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const RptqParams *p = data;
  SwageStorage storage = SWAGE_STORAGE_OF (p);
  uint64_t n = (uint64_t)get_clusters (p, in->n_in);

  if (!swage_act_cost (&storage, true, false, p->act, in, out, error))
    return false;
  if (p->act != SWAGE_ACT_CHOICE_NONE)
    out->act_bytes
        = (n + 1) * sizeof (int32_t) + (p->act == SWAGE_ACT_CHOICE_STATIC ? n * 2 * sizeof (float) : 0);
  return true;
}

typedef struct
{
  double max, min;
  int32_t channel;
  int cluster;
} Point;

static int
compare_width (const void *a, const void *b)
{
  const Point *x = a, *y = b;
  double wx = x->max - x->min, wy = y->max - y->min;
  if (wx != wy)
    return wx < wy ? -1 : 1;
  return (x->channel > y->channel) - (x->channel < y->channel);
}

static int
compare_cluster (const void *a, const void *b)
{
  const Point *x = a, *y = b;
  if (x->cluster != y->cluster)
    return x->cluster < y->cluster ? -1 : 1;
  return (x->channel > y->channel) - (x->channel < y->channel);
}

/* Lloyd's iteration from centres at even steps through the channels by width: no chance in it. */
static void
find_clusters (Point *points, int64_t n, int k)
{
  g_autofree double *cx = g_new (double, (gsize)k);
  g_autofree double *cy = g_new (double, (gsize)k);
  g_autofree int64_t *count = g_new (int64_t, (gsize)k);

  qsort (points, (size_t)n, sizeof *points, compare_width);
  for (int i = 0; i < k; i++)
    {
      const Point *p = &points[(2 * i + 1) * n / (2 * k)];
      cx[i] = p->max;
      cy[i] = p->min;
    }
  for (int64_t c = 0; c < n; c++)
    points[c].cluster = -1;
  for (int round = 0; round < MAX_ROUNDS; round++)
    {
      bool moved = false;
      for (int64_t c = 0; c < n; c++)
        {
          double best = INFINITY;
          int nearest = 0;
          for (int i = 0; i < k; i++)
            {
              double dx = points[c].max - cx[i], dy = points[c].min - cy[i], d = dx * dx + dy * dy;
              if (d < best)
                {
                  best = d;
                  nearest = i;
                }
            }
          moved = moved || nearest != points[c].cluster;
          points[c].cluster = nearest;
        }
      if (!moved)
        break;
      g_autofree double *sx = g_new0 (double, (gsize)k);
      g_autofree double *sy = g_new0 (double, (gsize)k);
      memset (count, 0, (size_t)k * sizeof *count);
      for (int64_t c = 0; c < n; c++)
        {
          sx[points[c].cluster] += points[c].max;
          sy[points[c].cluster] += points[c].min;
          count[points[c].cluster]++;
        }
      for (int i = 0; i < k; i++)
        if (count[i] > 0)
          {
            cx[i] = sx[i] / (double)count[i];
            cy[i] = sy[i] / (double)count[i];
          }
    }
  qsort (points, (size_t)n, sizeof *points, compare_cluster);
}

/* The quantizer for channels in the order of `points`; clusters that came out empty hold no columns. */
static SwageActQuant *
make_quant (const RptqParams *p, const Point *points, int64_t n, int k)
{
  SwageActQuant *q = swage_act_make_quant (p->act, p->act_bits, p->act_symmetric, 0, 0);

  if (q == NULL)
    return NULL;
  q->n_clusters = k;
  q->cluster_start = g_new0 (int32_t, (gsize)k + 1);
  for (int64_t c = 0; c < n; c++)
    q->cluster_start[points[c].cluster + 1]++;
  for (int i = 0; i < k; i++)
    q->cluster_start[i + 1] += q->cluster_start[i];
  if (q->n_ranges == 0)
    return q;
  g_free (q->ranges);
  q->n_ranges = k;
  q->ranges = g_new0 (float, 2 * (gsize)k);
  for (int64_t c = 0; c < n; c++)
    {
      float *range = q->ranges + 2 * points[c].cluster;
      range[0] = MIN (range[0], (float)points[c].min);
      range[1] = MAX (range[1], (float)points[c].max);
    }
  return q;
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const RptqParams *p = data;
  int64_t n = in->n_in;
  int k = get_clusters (p, n);

  if (!swage_act_check_stats (context, "rptq", n, SWAGE_NEED_COL_RANGE, error))
    return NULL;
  g_autofree float *values = swage_act_decode (in->weight, context->layer, job, error);
  if (values == NULL)
    return NULL;
  g_autofree Point *points = g_new (Point, (gsize)n);
  for (int64_t c = 0; c < n; c++)
    points[c]
        = (Point){ (double)context->stats->col_max[c], (double)context->stats->col_min[c], (int32_t)c, 0 };
  find_clusters (points, n, k);
  if (!swage_job_step (job, 0.5, 1, error))
    return NULL;

  g_autoptr (SwageLinear) base = swage_linear_dup (in);
  base->transform = g_new0 (SwageTransform, 1);
  base->transform->permutation = g_new (int32_t, (gsize)n);
  for (int64_t c = 0; c < n; c++)
    base->transform->permutation[c] = points[c].channel;
  g_autofree float *row = g_new (float, (gsize)n);
  for (int64_t r = 0; r < in->n_out; r++)
    {
      for (int64_t c = 0; c < n; c++)
        row[c] = values[r * n + points[c].channel];
      memcpy (values + r * n, row, (size_t)n * sizeof *row);
    }
  SwageActResult result = { .storage = SWAGE_STORAGE_OF (p), .quant = make_quant (p, points, n, k) };
  return swage_act_finish (base, result, values, job, error);
}

const SwageMethod swage_method_rptq = {
  .id = "rptq",
  .version = 1,
  .family = SWAGE_FAMILY_ACTIVATION,
  .title = N_ ("RPTQ"),
  .summary
  = N_ ("Sorts the input's channels into clusters of similar range and quantizes each cluster with its own "
        "parameters, so that activations go down to 4 bits."),
  .paper = "Yuan et al. 2023, arXiv 2304.01089",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE | SWAGE_PART_PACKED,
  .emits = SWAGE_PART_DENSE | SWAGE_PART_PACKED | SWAGE_PART_TRANSFORM | SWAGE_PART_ACT_QUANT,
  .needs = SWAGE_NEED_COL_RANGE,
  .params = params,
  .params_size = sizeof (RptqParams),
  .cost = cost,
  .apply = apply,
};
