/* SPDX-License-Identifier: MIT
 *
 * Specs mirror swage-linear.c part by part: what one counts from the data, the other counts from the
 * description.
 */
#include "core/linear/swage-linear-spec.h"

#include <glib/gi18n-lib.h>
#include "kernels/swage-layout.h"

static SwageStorage
storage_of (const SwageWeight *w)
{
  return (SwageStorage){ .type = w->type,
                         .bits = w->bits,
                         .group_size = w->group_size,
                         .symmetric = w->symmetric,
                         .stat_bits = w->stat_bits,
                         .stat_group = w->stat_group };
}

static bool
is_packed (SwageType type)
{
  return swage_type_is_layout (type) || swage_type_get_info (type)->quantized;
}

void
swage_linear_spec_init_from (SwageLinearSpec *spec, const SwageLinear *linear)
{
  *spec = (SwageLinearSpec){ .n_out = linear->n_out, .n_in = linear->n_in, .exact = true };
  if (linear->weight != NULL)
    {
      spec->weight = storage_of (linear->weight);
      spec->parts |= is_packed (linear->weight->type) ? SWAGE_PART_PACKED : SWAGE_PART_DENSE;
    }
  if (linear->a != NULL)
    {
      spec->parts |= SWAGE_PART_LOW_RANK;
      spec->rank = linear->a->rows;
      spec->a = storage_of (linear->a);
      spec->b = storage_of (linear->b);
    }
  if (linear->sparse != NULL)
    {
      spec->parts |= SWAGE_PART_SPARSE;
      spec->n_sparse = linear->sparse->n_values;
      spec->sparse_type = linear->sparse->type;
      spec->sparse_columns = linear->sparse->row_start != NULL ? 0 : swage_sparse_get_n_columns (linear->sparse);
    }
  if (linear->transform != NULL)
    {
      const SwageTransform *t = linear->transform;
      int n_vectors = (t->scale != NULL) + (t->shift != NULL) + (t->permutation != NULL);
      spec->parts |= SWAGE_PART_TRANSFORM;
      spec->shifts = t->shift != NULL;
      spec->transform_bytes = (uint64_t)n_vectors * (uint64_t)linear->n_in * 4;
      spec->transform_bytes += t->q1 != NULL ? (uint64_t)t->q1_n * (uint64_t)t->q1_n * 4 : 0;
      spec->transform_bytes += t->q2 != NULL ? (uint64_t)t->q2_n * (uint64_t)t->q2_n * 4 : 0;
      spec->transform_bytes += t->u1 != NULL ? (uint64_t)t->u1_n * (uint64_t)t->u1_n * 4 : 0;
      spec->transform_bytes += t->u2 != NULL ? (uint64_t)t->u2_n * (uint64_t)t->u2_n * 4 : 0;
    }
  if (linear->act_quant != NULL)
    {
      spec->parts |= SWAGE_PART_ACT_QUANT;
      spec->n_act_outliers = linear->act_quant->n_outliers;
    }
  if (linear->out_quant != NULL)
    spec->parts |= SWAGE_PART_OUT_QUANT;
  spec->act_bytes = swage_act_quant_get_bytes (linear->act_quant)
                    + swage_act_quant_get_bytes (linear->out_quant)
                    - (uint64_t)spec->n_act_outliers * sizeof (int32_t);
  if (linear->bias != NULL)
    spec->parts |= SWAGE_PART_BIAS;
}

static uint64_t
storage_bytes (const SwageStorage *s, int64_t rows, int64_t cols)
{
  if (s->stat_group > 0)
    return swage_weight_count_two_level_bytes (s->bits, s->group_size, s->stat_bits, s->stat_group, rows, cols);
  return swage_weight_count_bytes (s->type, s->bits, s->group_size, s->symmetric, rows, cols);
}

uint64_t
swage_linear_spec_get_bytes (const SwageLinearSpec *spec)
{
  uint64_t n = 0;

  if (spec->parts & (SWAGE_PART_DENSE | SWAGE_PART_PACKED))
    n += storage_bytes (&spec->weight, spec->n_out, spec->n_in);
  if (spec->parts & SWAGE_PART_LOW_RANK)
    n += storage_bytes (&spec->a, spec->rank, spec->n_in) + storage_bytes (&spec->b, spec->n_out, spec->rank);
  if (spec->parts & SWAGE_PART_SPARSE)
    n += (spec->sparse_columns > 0
              ? (uint64_t)spec->sparse_columns * sizeof (uint32_t)
              : (uint64_t)(spec->n_out + 1) * sizeof (int64_t) + (uint64_t)spec->n_sparse * sizeof (uint32_t))
         + (uint64_t)spec->n_sparse * (spec->sparse_type == SWAGE_TYPE_F16 ? 2 : 4);
  if (spec->parts & SWAGE_PART_TRANSFORM)
    n += spec->transform_bytes;
  if (spec->parts & SWAGE_PART_ACT_QUANT)
    n += (uint64_t)spec->n_act_outliers * sizeof (int32_t);
  if (spec->parts & (SWAGE_PART_ACT_QUANT | SWAGE_PART_OUT_QUANT))
    n += spec->act_bytes;
  if (spec->parts & SWAGE_PART_BIAS)
    n += (uint64_t)spec->n_out * sizeof (float);
  return n;
}

static void
append_storage (GString *out, const SwageStorage *s)
{
  if (s->type == SWAGE_TYPE_INT && s->stat_group > 0)
    g_string_append_printf (out, "INT%d g%d, s%d g%d", s->bits, s->group_size, s->stat_bits, s->stat_group);
  else if (s->type == SWAGE_TYPE_INT)
    g_string_append_printf (out, s->symmetric ? "INT%d g%d" : "INT%d g%d z", s->bits, s->group_size);
  else if (s->type == SWAGE_TYPE_LUT)
    g_string_append_printf (out, "LUT%d", s->bits);
  else if (s->type == SWAGE_TYPE_BCQ)
    g_string_append_printf (out, s->symmetric ? "BCQ%d g%d" : "BCQ%d g%d z", s->bits, s->group_size);
  else if (s->type == SWAGE_TYPE_TT)
    g_string_append_printf (out, "TT%d r%d", s->bits, s->group_size);
  else if (s->type == SWAGE_TYPE_OVP)
    g_string_append_printf (out, "OVP%d g%d", s->bits, s->group_size);
  else
    g_string_append (out, swage_type_get_info (s->type)->title);
}

char *
swage_linear_spec_describe (const SwageLinearSpec *spec)
{
  GString *out = g_string_new (NULL);

  if (spec->parts & (SWAGE_PART_DENSE | SWAGE_PART_PACKED))
    {
      append_storage (out, &spec->weight);
      if (spec->sparsity > 0)
        /* Translators: share of the weights that are zero, after the type: "BF16, 50 % zero" */
        g_string_append_printf (out, _ (", %.3g %% zero"), spec->sparsity * 100);
    }
  if (spec->parts & SWAGE_PART_LOW_RANK)
    {
      g_string_append (out, out->len > 0 ? " + " : "");
      /* Translators: a factorized matrix: "rank 64 (F16)" */
      g_string_append_printf (out, _ ("rank %d ("), (int)spec->rank);
      append_storage (out, &spec->a);
      if (spec->b.type != spec->a.type || spec->b.bits != spec->a.bits
          || spec->b.group_size != spec->a.group_size)
        {
          g_string_append (out, ", ");
          append_storage (out, &spec->b);
        }
      g_string_append_c (out, ')');
    }
  if (spec->parts & SWAGE_PART_SPARSE)
    {
      g_string_append (out, out->len > 0 ? " + " : "");
      /* Translators: separately kept values in percent of all: "0.5 % kept" */
      g_string_append_printf (out, _ ("%.3g %% kept"),
                              100.0 * (double)spec->n_sparse / ((double)spec->n_out * (double)spec->n_in));
    }
  if (spec->parts & SWAGE_PART_TRANSFORM)
    g_string_append (out, _ (", input transformed"));
  if (spec->parts & SWAGE_PART_ACT_QUANT)
    g_string_append (out, _ (", input quantized"));
  if (spec->parts & SWAGE_PART_OUT_QUANT)
    g_string_append (out, _ (", kept quantized"));
  return g_string_free (out, FALSE);
}
