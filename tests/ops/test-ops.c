/* SPDX-License-Identifier: MIT
 *
 * Every operator, every case, every level of CPU that this machine has: the fast version agrees with the
 * reference within the operator's stated error, nothing beside the result is written, no scratch memory is
 * read before it is written or written beyond its stated size, and a call cut up at any slice boundaries
 * gives the same bits.
 */
#include "op-cases.h"

#include <string.h>

#define SCRATCH_GUARD 128

static guint64 random_state = 1;

static int64_t
random_below (int64_t n)
{
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return (int64_t)((random_state >> 33) % (guint64)n);
}

/* Run [begin, end) with scratch memory of exactly the stated size, full of NaN. */
static void
run_range (const SwageOp *op, SwageOpFunc func, OpCase *c, int64_t begin, int64_t end)
{
  size_t need = swage_op_scratch_bytes (op, &c->call), size = (need + SCRATCH_GUARD + 63) / 64 * 64;
  char *scratch = g_aligned_alloc (1, size, 64);

  memset (scratch, 0xff, size);
  c->call.scratch = need ? scratch : NULL;
  func (&c->call, begin, end);
  for (size_t i = need; i < size; i++)
    g_assert_cmphex ((guchar)scratch[i], ==, 0xff);
  c->call.scratch = NULL;
  g_aligned_free (scratch);
}

typedef enum
{
  WHOLE,
  CUT,     /* at random slices, ranges in random order */
  IN_PLACE /* the result in source 0 */
} How;

/* A copy of the result of case i. */
static void *
run_case (const SwageOp *op, SwageOpFunc func, int i, How how, OpCase *keep, size_t *n)
{
  OpCase c;
  op_case_build (&c, op->id, i);
  g_autofree char *before = g_memdup2 (c.blocks[0].base, c.blocks[0].size);
  SwageView dst = c.call.dst;
  int64_t slices = op->slices (&c.call);

  g_assert_cmpint (slices, >=, 0);
  if (op->grain)
    g_assert_cmpint (op->grain (&c.call), >=, 1);
  if (how == IN_PLACE)
    c.call.dst = c.call.src[0];
  if (how != CUT)
    run_range (op, func, &c, 0, slices);
  else
    {
      g_autofree char *first = g_new0 (char, slices + 1); /* 1 where a range begins */
      for (int64_t s = 0; s < slices; s++)
        first[s] = s == 0 || random_below (3) == 0;
      for (int back = 1; back >= 0; back--) /* odd ranges, then even ones */
        for (int64_t s = 0, e, nth = 0; s < slices; s = e, nth++)
          {
            for (e = s + 1; e < slices && !first[e]; e++)
              ;
            if (nth % 2 == back)
              run_range (op, func, &c, s, e);
          }
    }
  void *result = op_case_dup_result (&c, n);
  c.call.dst = dst;
  if (how != IN_PLACE)
    g_assert_true (op_case_guards_intact (&c, before));
  if (keep)
    *keep = c;
  else
    op_case_clear (&c);
  return result;
}

static void
compare_with_ref (const SwageOp *op, SwageOpFunc func, const char *name, int i)
{
  OpCase c;
  size_t n, n_want;
  g_autofree void *want = run_case (op, op->ref, i, WHOLE, &c, &n_want);
  g_autofree void *got = run_case (op, func, i, WHOLE, NULL, &n);
  g_autofree void *cut = run_case (op, func, i, CUT, NULL, &n);

  g_assert_cmpint (n, ==, n_want);
  double nmse = op_case_nmse (&c, got, want);
  if (!(nmse <= op->nmse))
    {
      g_test_message ("%s case %d, %s: error %g, allowed %g", op->id, i, name, nmse, op->nmse);
      g_test_fail ();
    }
  if (memcmp (got, cut, n) != 0)
    {
      g_test_message ("%s case %d, %s: cut up, the result differs", op->id, i, name);
      g_test_fail ();
    }
  if (c.in_place)
    {
      g_autofree void *inside = run_case (op, func, i, IN_PLACE, NULL, &n);
      if (memcmp (got, inside, n) != 0)
        {
          g_test_message ("%s case %d, %s: in place, the result differs", op->id, i, name);
          g_test_fail ();
        }
    }
  op_case_clear (&c);
}

static void
test_op (gconstpointer data)
{
  const SwageOp *op = data;
  static const char *const names[] = { "portable", "avx2", "avx512" };
  int n = op_cases_count (op->id);

  g_assert_cmpint (n, >, 0);
  g_assert_nonnull (op->ref);
  g_assert_nonnull (op->summary);
  g_assert_true (swage_op_find (op->id) == op);
  for (int i = 0; i < n; i++)
    compare_with_ref (op, op->ref, "ref", i);
  for (int level = SWAGE_CPU_PORTABLE; level <= SWAGE_CPU_AVX512; level++)
    {
      SwageOpFunc func = swage_op_get_func_at (op, level);
      for (int i = 0; func && i < n; i++)
        compare_with_ref (op, func, names[level], i);
    }
}

static void
test_lookup (void)
{
  g_assert_null (swage_op_find ("no such operator"));
  g_assert_cmpint (swage_cpu_get_level (), >=, SWAGE_CPU_PORTABLE);
  g_assert_nonnull (swage_cpu_get_features ());
  for (int i = 0; i < swage_n_ops; i++)
    {
      g_assert_nonnull (swage_op_get_func (swage_ops[i]));
      for (int j = 0; j < i; j++)
        g_assert_cmpstr (swage_ops[i]->id, !=, swage_ops[j]->id);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ops/lookup", test_lookup);
  for (int i = 0; i < swage_n_ops; i++)
    {
      g_autofree char *path = g_strdup_printf ("/ops/%s", swage_ops[i]->id);
      g_test_add_data_func (path, swage_ops[i], test_op);
    }
  return g_test_run ();
}
