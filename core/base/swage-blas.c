/* SPDX-License-Identifier: MIT
 *
 * The functions handed out are wrappers that append the lengths of character arguments, which gfortran passes
 * behind the visible ones: compiled LAPACK may count on them (GCC PR 90329).
 */
#include "core/base/swage-blas.h"

#include <dlfcn.h>
#include <glib.h>
#include "kernels/swage-op.h"

typedef size_t Len;

/* The function NAME_ of the library, and a wrapper NAME that hands on. */
#define GEMM(name, real)                                                                                     \
  static void (*name##_) (const char *, const char *, const int *, const int *, const int *, const real *,   \
                          const real *, const int *, const real *, const int *, const real *, real *,        \
                          const int *, Len, Len);                                                            \
  static void name SWAGE_BLAS_GEMM (real)                                                                    \
  {                                                                                                          \
    name##_ (transa, transb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, 1, 1);                            \
  }
#define SYRK(name, real)                                                                                     \
  static void (*name##_) (const char *, const char *, const int *, const int *, const real *, const real *,  \
                          const int *, const real *, real *, const int *, Len, Len);                         \
  static void name SWAGE_BLAS_SYRK (real) { name##_ (uplo, trans, n, k, alpha, a, lda, beta, c, ldc, 1, 1); }
#define POTR(name, real)                                                                                     \
  static void (*name##_) (const char *, const int *, real *, const int *, int *, Len);                       \
  static void name SWAGE_BLAS_POTR (real) { name##_ (uplo, n, a, lda, info, 1); }
#define SYEVD(name, real)                                                                                    \
  static void (*name##_) (const char *, const char *, const int *, real *, const int *, real *, real *,      \
                          const int *, int *, const int *, int *, Len, Len);                                 \
  static void name SWAGE_BLAS_SYEVD (real)                                                                   \
  {                                                                                                          \
    name##_ (jobz, uplo, n, a, lda, w, work, lwork, iwork, liwork, info, 1, 1);                              \
  }
#define GESDD(name, real)                                                                                    \
  static void (*name##_) (const char *, const int *, const int *, real *, const int *, real *, real *,       \
                          const int *, real *, const int *, real *, const int *, int *, int *, Len);         \
  static void name SWAGE_BLAS_GESDD (real)                                                                   \
  {                                                                                                          \
    name##_ (jobz, m, n, a, lda, s, u, ldu, vt, ldvt, work, lwork, iwork, info, 1);                          \
  }
#define GEQRF(name, real)                                                                                    \
  static void (*name##_) (const int *, const int *, real *, const int *, real *, real *, const int *,        \
                          int *);                                                                            \
  static void name SWAGE_BLAS_GEQRF (real) { name##_ (m, n, a, lda, tau, work, lwork, info); }
#define ORGQR(name, real)                                                                                    \
  static void (*name##_) (const int *, const int *, const int *, real *, const int *, const real *, real *,  \
                          const int *, int *);                                                               \
  static void name SWAGE_BLAS_ORGQR (real) { name##_ (m, n, k, a, lda, tau, work, lwork, info); }

/* clang-format off */
#define ALL(X)                                                                                    \
  X (GEMM, sgemm, float) X (GEMM, dgemm, double) X (SYRK, ssyrk, float) X (SYRK, dsyrk, double)   \
  X (POTR, dpotrf, double) X (POTR, dpotri, double)                                               \
  X (SYEVD, ssyevd, float) X (SYEVD, dsyevd, double)                                              \
  X (GESDD, sgesdd, float) X (GESDD, dgesdd, double)                                              \
  X (GEQRF, sgeqrf, float) X (GEQRF, dgeqrf, double)                                              \
  X (ORGQR, sorgqr, float) X (ORGQR, dorgqr, double)
/* clang-format on */

#define DEFINE(KIND, name, real) KIND (name, real)
ALL (DEFINE)
#define MEMBER(KIND, name, real) .name = name,
static const SwageBlas functions = { ALL (MEMBER) };

static char *(*get_corename) (void);
static void (*set_num_threads) (int n);

/* What OpenBLAS (0.3.21 and later) calls the kernels for what the CPU has. */
static const char *
choose_core (void)
{
  switch (swage_cpu_get_level ())
    {
    case SWAGE_CPU_AVX512_BF16:
      return "Cooperlake";
    case SWAGE_CPU_AVX512:
      return "SkylakeX";
    case SWAGE_CPU_AVX2:
      return "Haswell";
    default:
      return NULL; /* what it takes by itself is right for old CPUs, and for other architectures */
    }
}

void
swage_blas_prepare (void)
{
  const char *core = choose_core ();
  if (core != NULL)
    g_setenv ("OPENBLAS_CORETYPE", core, FALSE);
  g_setenv ("OPENBLAS_NUM_THREADS", "1", FALSE); /* no threads of its own when it is loaded */
}

static const SwageBlas *
load (void)
{
  static const char *const names[] = { "libopenblas.so.0", "libopenblas.so" };
  void *library = NULL;
  bool complete = true;

  swage_blas_prepare (); /* changes nothing in a program that has done so; tests and libraries have not */
  for (guint i = 0; library == NULL && i < G_N_ELEMENTS (names); i++)
    library = dlopen (names[i], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL)
    return NULL;
#define FIND(KIND, name, real)                                                                               \
  *(void **)&name##_ = dlsym (library, #name "_");                                                           \
  complete = complete && name##_ != NULL;
  ALL (FIND)
  *(void **)&get_corename = dlsym (library, "openblas_get_corename");
  *(void **)&set_num_threads = dlsym (library, "openblas_set_num_threads");
  if (!complete || get_corename == NULL || set_num_threads == NULL)
    {
      dlclose (library);
      return NULL;
    }
  set_num_threads (1);
  return &functions;
}

const SwageBlas *
swage_blas_get (void)
{
  static gsize loaded; /* the address, or 1 for none */
  if (g_once_init_enter (&loaded))
    {
      const SwageBlas *blas = load ();
      g_once_init_leave (&loaded, blas != NULL ? (gsize)blas : 1);
    }
  return loaded == 1 ? NULL : (const SwageBlas *)loaded;
}

const char *
swage_blas_get_corename (void)
{
  return swage_blas_get () != NULL ? get_corename () : NULL;
}

void
swage_blas_set_threads (int n)
{
  if (swage_blas_get () != NULL)
    set_num_threads (MAX (n, 1));
}
