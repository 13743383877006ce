/* SPDX-License-Identifier: MIT
 *
 * BLAS and LAPACK, from OpenBLAS if that is installed. It is loaded when it is first asked for, with the
 * kernels that this CPU can run: OpenBLAS decides only while it is being loaded, and old versions choose
 * badly for CPUs newer than they are (0.3.21 takes SSE3 kernels on an Emerald Rapids, six times slower than
 * its AVX-512 ones).
 *
 * Every function is the Fortran one without its underscore: column-major matrices, all arguments by pointer.
 * They run on one thread, ours call them from the pool; swage_blas_set_threads() is for single whole-matrix
 * calls.
 */
#pragma once

/* c = alpha · op (a) · op (b) + beta · c;  c = alpha · a · aᵀ + beta · c, one triangle */
#define SWAGE_BLAS_GEMM(real)                                                                                \
  (const char *transa, const char *transb, const int *m, const int *n, const int *k, const real *alpha,      \
   const real *a, const int *lda, const real *b, const int *ldb, const real *beta, real *c, const int *ldc)
#define SWAGE_BLAS_SYRK(real)                                                                                \
  (const char *uplo, const char *trans, const int *n, const int *k, const real *alpha, const real *a,        \
   const int *lda, const real *beta, real *c, const int *ldc)
/* a = l · lᵀ; inverse from that */
#define SWAGE_BLAS_POTR(real) (const char *uplo, const int *n, real *a, const int *lda, int *info)
/* eigenvalues and vectors of a symmetric matrix */
#define SWAGE_BLAS_SYEVD(real)                                                                               \
  (const char *jobz, const char *uplo, const int *n, real *a, const int *lda, real *w, real *work,           \
   const int *lwork, int *iwork, const int *liwork, int *info)
/* singular values and vectors */
#define SWAGE_BLAS_GESDD(real)                                                                               \
  (const char *jobz, const int *m, const int *n, real *a, const int *lda, real *s, real *u, const int *ldu,  \
   real *vt, const int *ldvt, real *work, const int *lwork, int *iwork, int *info)
/* a = q · r; q from that */
#define SWAGE_BLAS_GEQRF(real)                                                                               \
  (const int *m, const int *n, real *a, const int *lda, real *tau, real *work, const int *lwork, int *info)
#define SWAGE_BLAS_ORGQR(real)                                                                               \
  (const int *m, const int *n, const int *k, real *a, const int *lda, const real *tau, real *work,           \
   const int *lwork, int *info)

typedef struct
{
  void (*sgemm) SWAGE_BLAS_GEMM (float);
  void (*dgemm) SWAGE_BLAS_GEMM (double);
  void (*ssyrk) SWAGE_BLAS_SYRK (float);
  void (*dsyrk) SWAGE_BLAS_SYRK (double);
  void (*dpotrf) SWAGE_BLAS_POTR (double);
  void (*dpotri) SWAGE_BLAS_POTR (double);
  void (*ssyevd) SWAGE_BLAS_SYEVD (float);
  void (*dsyevd) SWAGE_BLAS_SYEVD (double);
  void (*sgesdd) SWAGE_BLAS_GESDD (float);
  void (*dgesdd) SWAGE_BLAS_GESDD (double);
  void (*sgeqrf) SWAGE_BLAS_GEQRF (float);
  void (*dgeqrf) SWAGE_BLAS_GEQRF (double);
  void (*sorgqr) SWAGE_BLAS_ORGQR (float);
  void (*dorgqr) SWAGE_BLAS_ORGQR (double);
} SwageBlas;

/* Tell OpenBLAS through the environment (OPENBLAS_CORETYPE, unless the user has set it) which kernels to take.
 * First thing in a program: the environment may change only while there is one thread. */
void swage_blas_prepare (void);
/* The functions, or NULL where OpenBLAS cannot be loaded. Loads it the first time; any thread. */
const SwageBlas *swage_blas_get (void);
/* Which kernels it runs: "SkylakeX", "Haswell" …; NULL where it is not loaded. Static storage. */
const char *swage_blas_get_corename (void);
/* Threads that one call may use from now on (1 after loading). Not while a call is running. */
void swage_blas_set_threads (int n);
