/* SPDX-License-Identifier: MIT
 *
 * Every case of every operator on the Vulkan device, against the reference: within the operator's stated
 * error, twice the same bits, in place where the operator allows it, nothing written beside the result, and
 * no word from the validation layers (core and synchronization). What is not an element of a source is NaN,
 * in device memory too.
 */
#include "../ops/op-cases.h"
#include "core/engine/backend/vulkan/swage-vulkan-shaders.h"
#include "gpu-fixture.h"

#include <string.h>

static SwageBackend *backends[2]; /* memory that the host writes itself, and staging memory */

/* The case's memory on the device, block by block. */
typedef struct
{
  OpCase c;
  SwageBuffer *buffers[SWAGE_OP_MAX_SRC + 1];
} DeviceCase;

static void
upload_case (DeviceCase *dc, SwageBackend *backend)
{
  g_autoptr (GError) error = NULL;
  for (int i = 0; i < dc->c.n_blocks; i++)
    {
      dc->buffers[i] = swage_backend_alloc (backend, dc->c.blocks[i].size, &error);
      g_assert_no_error (error);
      g_assert_true (
          swage_buffer_upload (dc->buffers[i], 0, dc->c.blocks[i].base, dc->c.blocks[i].size, &error));
    }
}

static SwageArray
find_array (DeviceCase *dc, const SwageView *view)
{
  SwageArray a = { .view = *view };
  a.view.data = NULL;
  for (int i = 0; view->data != NULL && i < dc->c.n_blocks; i++)
    {
      const OpBlock *b = &dc->c.blocks[i];
      if ((char *)view->data >= b->base && (char *)view->data < b->base + b->size)
        {
          a.buffer = dc->buffers[i];
          a.offset = (size_t)((char *)view->data - b->base);
        }
    }
  return a;
}

static SwageDispatch
make_dispatch (DeviceCase *dc)
{
  SwageDispatch d = { .dst = find_array (dc, &dc->c.call.dst), .args = dc->c.call.args };
  d.args_bytes = dc->c.call.args != NULL ? sizeof dc->c.args : 0;
  for (int i = 0; i < SWAGE_OP_MAX_SRC; i++)
    d.src[i] = find_array (dc, &dc->c.call.src[i]);
  return d;
}

/* Runs case i; a new copy of the result. `imported`: the sources come from the host when they are read, from
 * an odd place. */
static void *
run_on_device (SwageBackend *backend, const SwageOp *op, int i, bool in_place, bool imported, size_t *n)
{
  g_autoptr (GError) error = NULL;
  DeviceCase dc = { 0 };
  SwageBuffer *imports[SWAGE_OP_MAX_SRC] = { NULL };

  op_case_build (&dc.c, op->id, i);
  g_autofree char *before = g_memdup2 (dc.c.blocks[0].base, dc.c.blocks[0].size);
  upload_case (&dc, backend);
  if (in_place)
    dc.c.call.dst = dc.c.call.src[0];
  SwageDispatch d = make_dispatch (&dc);
  for (int s = 0; imported && s < SWAGE_OP_MAX_SRC; s++)
    if (d.src[s].buffer != NULL && !(in_place && s == 0))
      {
        const size_t shift
            = s == 1 && strcmp (op->id, "matmul") == 0 ? 2 : 8; /* weights of files lie anywhere */
        const OpBlock *b = NULL;
        for (int k = 0; k < dc.c.n_blocks; k++)
          if (dc.buffers[k] == d.src[s].buffer)
            b = &dc.c.blocks[k];
        size_t skip = d.src[s].offset - shift;
        g_autoptr (GBytes) bytes = g_bytes_new (b->base + skip, b->size - skip);
        imports[s] = swage_backend_import (backend, bytes, &error);
        g_assert_no_error (error);
        d.src[s].buffer = imports[s];
        d.src[s].offset = shift;
      }
  g_assert_true (swage_backend_run (backend, op, &d, &error));
  g_assert_no_error (error);
  g_assert_true (swage_backend_sync (backend, &error));
  for (int b = 0; b < dc.c.n_blocks; b++)
    if (dc.buffers[b] == d.dst.buffer)
      g_assert_true (
          swage_buffer_download (dc.buffers[b], 0, dc.c.blocks[b].base, dc.c.blocks[b].size, &error));
  void *result = op_case_dup_result (&dc.c, n);
  if (!in_place && !op_case_guards_intact (&dc.c, before))
    {
      g_test_message ("%s case %d writes beside its result", op->id, i);
      g_test_fail ();
    }
  for (int b = 0; b < dc.c.n_blocks; b++)
    swage_buffer_unref (dc.buffers[b]);
  for (int s = 0; s < SWAGE_OP_MAX_SRC; s++)
    swage_buffer_unref (imports[s]);
  op_case_clear (&dc.c);
  return result;
}

static void
test_op (gconstpointer data)
{
  const SwageOp *op = data;
  int n_cases = op_cases_count (op->id), on_cpu = 0;

  if (backends[0] == NULL)
    {
      g_test_skip ("no Vulkan device");
      return;
    }
  for (int i = 0; i < n_cases; i++)
    {
      OpCase c;
      size_t n_want;
      op_case_build (&c, op->id, i);
      size_t need = swage_op_scratch_bytes (op, &c.call);
      c.call.scratch = need > 0 ? g_aligned_alloc (1, need, 64) : NULL;
      op->ref (&c.call, 0, op->slices (&c.call));
      g_aligned_free (c.call.scratch);
      g_autofree void *want = op_case_dup_result (&c, &n_want);
      g_autofree void *first = NULL;
      for (int way = 0; way < 3 + c.in_place; way++)
        {
          /* Staging memory is the same for all cases, and each device makes its own programs, which takes
           * long: a part. */
          if (way == 1 && i % 4 != 0)
            continue;
          SwageBackend *backend = backends[way == 1];
          SwageBackendCounters before, after;
          size_t n;
          swage_backend_get_counters (backend, &before);
          g_autofree void *got = run_on_device (backend, op, i, way == 3, way >= 1, &n);
          swage_backend_get_counters (backend, &after);
          on_cpu += way == 0 && after.cpu_fallback_ops > before.cpu_fallback_ops;
          g_assert_cmpuint (n, ==, n_want);
          double nmse = op_case_nmse (&c, got, want);
          if (!(nmse <= op->nmse))
            {
              g_test_message ("%s case %d, way %d: error %g, allowed %g", op->id, i, way, nmse, op->nmse);
              g_test_fail ();
            }
          if (first != NULL && memcmp (first, got, n) != 0)
            {
              g_test_message ("%s case %d, way %d: other bits than before", op->id, i, way);
              g_test_fail ();
            }
          if (first == NULL)
            first = g_steal_pointer (&got);
        }
      op_case_clear (&c);
    }
  if (swage_shader_has (op->id) && on_cpu > 0)
    g_test_message ("%s: %d of %d cases run on the CPU", op->id, on_cpu, n_cases);
  else if (on_cpu > 0)
    g_test_message ("%s has no shader", op->id);
  for (int i = 0; i < 2; i++)
    assert_valid (backends[i]);
}

/* Operators that follow each other on the same memory, without waiting in between: the barriers are where
 * they belong. */
static void
test_chain (void)
{
  enum
  {
    N = 1000,
    ROUNDS = 700 /* more than a batch holds */
  };
  const SwageOp *add = swage_op_find ("add");
  g_autofree float *ones = g_new (float, N), *back = g_new (float, N);

  for (int i = 0; i < N; i++)
    ones[i] = 1;
  for (int b = 0; b < 2; b++)
    {
      g_autoptr (GError) error = NULL;
      SwageBuffer *x, *y;
      if (backends[b] == NULL)
        {
          g_test_skip ("no Vulkan device");
          return;
        }
      x = swage_backend_alloc (backends[b], N * sizeof (float), &error);
      y = swage_backend_alloc (backends[b], N * sizeof (float), &error);
      g_assert_no_error (error);
      g_assert_true (swage_buffer_upload (x, 0, ones, N * sizeof (float), &error));
      g_assert_true (swage_buffer_upload (y, 0, ones, N * sizeof (float), &error));
      SwageView view = swage_view (SWAGE_TYPE_F32, NULL, N, 1, 1, 1);
      for (int i = 0; i < ROUNDS; i++)
        {
          /* x += y; y += an upload in between, every so often */
          SwageDispatch d = { .dst = { x, 0, view }, .src = { { x, 0, view }, { y, 0, view } } };
          g_assert_true (swage_backend_run (backends[b], add, &d, &error));
          if (i % 100 == 50)
            {
              for (int k = 0; k < N; k++)
                back[k] = (float)(i / 100 + 2);
              g_assert_true (swage_buffer_upload (y, 0, back, N * sizeof (float), &error));
            }
        }
      g_assert_true (swage_buffer_download (x, 0, back, N * sizeof (float), &error));
      float want = 1, step = 1;
      for (int i = 0; i < ROUNDS; i++)
        {
          want += step;
          if (i % 100 == 50)
            step = (float)(i / 100 + 2);
        }
      for (int k = 0; k < N; k++)
        g_assert_cmpfloat (back[k], ==, want);
      swage_buffer_unref (x);
      swage_buffer_unref (y);
      assert_valid (backends[b]);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (int i = 0; i < 2; i++)
    backends[i] = open_vulkan ((SwageVulkanOptions){ .staged = i == 1, .no_cache = true });
  g_test_add_func ("/vulkan/chain", test_chain);
  for (int i = 0; i < swage_n_ops; i++)
    {
      g_autofree char *path = g_strdup_printf ("/vulkan/ops/%s", swage_ops[i]->id);
      g_test_add_data_func (path, swage_ops[i], test_op);
    }
  int status = g_test_run ();
  for (int i = 0; i < 2; i++)
    swage_backend_unref (backends[i]);
  return status;
}
