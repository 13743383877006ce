/* SPDX-License-Identifier: MIT */
#include "app/cli/cli.h"
#include "core/pipeline/swage-pipeline.h"
#include "core/stats/swage-stats-json.h"
#include "ui/chart/swage-chart-channels.h"
#include "ui/chart/swage-chart-histogram.h"

#include <inttypes.h>
#include <errno.h>
#include <cairo-svg.h>
#include <cairo.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#define PLOT_WIDTH 960
#define PLOT_HEIGHT 480
#define TOP_CHANNELS 8
#define CHANNEL_SIGMA 6.0 /* a channel this far above the mean of all is marked */

typedef struct
{
  char *layers, *text, *plot, *plot_format;
  int bins, samples, context;
  double sigma;
  gboolean as_json;
} InspectOptions;

static bool
wanted (const char *layer, gpointer user_data)
{
  const InspectOptions *options = user_data;
  return options->layers == NULL || fnmatch (options->layers, layer, 0) == 0;
}

static bool
make_folder (const char *path, GError **error)
{
  if (g_mkdir_with_parents (path, 0777) == 0)
    return true;
  swage_error_set_errno (error, errno, _ ("create the folder"), path);
  return false;
}

typedef void (*PaintFunc) (cairo_t *cr, const void *data, const SwageChartTheme *theme);

static void
paint_histogram (cairo_t *cr, const void *data, const SwageChartTheme *theme)
{
  swage_chart_histogram_draw (cr, PLOT_WIDTH, PLOT_HEIGHT, data, theme);
}

static void
paint_channels (cairo_t *cr, const void *data, const SwageChartTheme *theme)
{
  swage_chart_channels_draw (cr, PLOT_WIDTH, PLOT_HEIGHT, data, theme);
}

static bool
write_plot (const InspectOptions *options, const char *layer, const char *what, PaintFunc paint,
            const void *data, GError **error)
{
  bool svg = g_strcmp0 (options->plot_format, "svg") == 0;
  g_autofree char *name = g_strdup_printf ("%s.%s.%s", layer, what, svg ? "svg" : "png");
  g_autofree char *path = g_build_filename (options->plot, name, NULL);
  SwageChartTheme theme;
  swage_chart_theme_init (&theme, false);
  cairo_surface_t *surface = svg ? cairo_svg_surface_create (path, PLOT_WIDTH, PLOT_HEIGHT)
                                 : cairo_image_surface_create (CAIRO_FORMAT_RGB24, PLOT_WIDTH, PLOT_HEIGHT);
  cairo_t *cr = cairo_create (surface);
  paint (cr, data, &theme);
  cairo_status_t status = cairo_status (cr);
  cairo_destroy (cr);
  if (status == CAIRO_STATUS_SUCCESS && !svg)
    status = cairo_surface_write_to_png (surface, path);
  cairo_surface_finish (surface);
  if (status == CAIRO_STATUS_SUCCESS)
    status = cairo_surface_status (surface);
  cairo_surface_destroy (surface);
  if (status != CAIRO_STATUS_SUCCESS)
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_IO, _ ("Cannot write the plot “%s”: %s."), path,
                 cairo_status_to_string (status));
  return status == CAIRO_STATUS_SUCCESS;
}

static bool
plot_histogram (const InspectOptions *options, const char *layer, const char *what,
                const SwageSummary *summary, GError **error)
{
  g_autofree char *title = g_strdup_printf ("%s · %s", layer, what);
  SwageChartHistogram chart = SWAGE_CHART_HISTOGRAM_INIT;
  chart.before = summary;
  chart.title = title;
  chart.x_label = what;
  return write_plot (options, layer, what, paint_histogram, &chart, error);
}

static bool
plot_channels (const InspectOptions *options, const char *layer, const float *absmax, int64_t n,
               GError **error)
{
  g_autofree char *title = g_strdup_printf (_ ("%s · largest magnitude of each input channel"), layer);
  SwageChartChannels chart = SWAGE_CHART_CHANNELS_INIT;
  chart.before = absmax;
  chart.n = n;
  chart.title = title;
  chart.x_label = _ ("channel");
  chart.threshold = swage_chart_channels_threshold (absmax, n, CHANNEL_SIGMA);
  return write_plot (options, layer, "channels", paint_channels, &chart, error);
}

static void
print_summary (const char *layer, const char *what, const SwageSummary *s)
{
  printf ("%-24s %-10s %9.4f %9.4f %10.3g %9.4f %9.2f %11.5f%%", layer, what, s->min, s->max, s->mean, s->std,
          s->kurtosis, 100 * s->outlier_share);
  if (s->n_nonfinite > 0)
    printf (_ ("  %" PRId64 " NOT FINITE"), s->n_nonfinite);
  putchar ('\n');
}

static void
print_top_channels (const SwageActStats *stats)
{
  g_autoptr (json_t) json = swage_act_stats_to_json (stats, 3);
  size_t i;
  json_t *channel;
  json_array_foreach (json_object_get (json, "top_channels"), i, channel) printf (
      "%s%" JSON_INTEGER_FORMAT " (%.3g)", i == 0 ? _ ("                         largest channels: ") : ", ",
      json_integer_value (json_object_get (channel, "channel")),
      json_number_value (json_object_get (channel, "absmax")));
  putchar ('\n');
}

/* One layer: statistics of its weight, and what has been collected of its input. */
static bool
inspect_layer (SwageModel *model, const SwageTensor *layer, const SwageActStats *activation,
               const InspectOptions *options, json_t *list, GError **error)
{
  g_autoptr (SwageWeight) weight = swage_model_load_weight (model, layer, error);
  g_autoptr (SwageWeightStats) stats
      = weight != NULL ? swage_weight_stats_new (weight, options->bins, options->sigma, NULL, error) : NULL;
  if (stats == NULL)
    return false;
  if (options->as_json)
    {
      json_t *json = json_pack (
          "{s:s, s:[I, I], s:s, s:I, s:o}", "name", layer->name, "shape", (json_int_t)layer->shape[0],
          (json_int_t)(layer->n_dims > 1 ? layer->shape[1] : 1), "dtype", layer->dtype, "bytes",
          (json_int_t)layer->bytes, "weight", swage_weight_stats_to_json (stats, TOP_CHANNELS));
      if (activation != NULL)
        json_object_set_new (json, "activation", swage_act_stats_to_json (activation, TOP_CHANNELS));
      json_array_append_new (list, json);
    }
  else
    {
      print_summary (layer->name, _ ("weight"), &stats->summary);
      if (activation != NULL)
        {
          print_summary ("", _ ("activation"), &activation->summary);
          print_top_channels (activation);
        }
    }
  if (options->plot == NULL)
    return true;
  return plot_histogram (options, layer->name, "weight", &stats->summary, error)
         && (activation == NULL
             || (plot_histogram (options, layer->name, "activation", &activation->summary, error)
                 && plot_channels (options, layer->name, activation->col_absmax, activation->n_in, error)));
}

static bool
collect (SwageModel *model, InspectOptions *options, SwageActStats **stats, GError **error)
{
  SwageTokenizer *tokenizer = swage_model_get_tokenizer (model, error);
  g_autoptr (SwageCorpus) corpus
      = tokenizer != NULL ? swage_corpus_open (tokenizer, options->text, error) : NULL;
  if (corpus == NULL)
    return false;
  g_autoptr (SwageWindows) windows = swage_windows_new_calibration (
      corpus, options->samples, options->context, swage_model_get_config (model)->max_context, 0, error);
  g_autoptr (SwagePipeline) pipeline = windows != NULL ? swage_pipeline_new (model, NULL, 0, error) : NULL;
  return pipeline != NULL
         && swage_pipeline_collect (pipeline, NULL, windows,
                                    SWAGE_NEED_SUMMARY | SWAGE_NEED_COL_ABSMAX | SWAGE_NEED_COL_SQUARES,
                                    options->bins, options->sigma, wanted, options, stats, cli_job (), error);
}

static int
inspect (SwageModel *model, InspectOptions *options)
{
  GError *error = NULL;
  int n = swage_model_get_n_layers (model), shown = 0;
  if (options->plot != NULL && !make_folder (options->plot, &error))
    return cli_fail (error);
  for (int i = 0; i < n; i++)
    shown += wanted (swage_model_get_layer (model, i)->name, options);
  if (shown == 0)
    return cli_fail (g_error_new (SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND,
                                  _ ("No layer of this model matches “%s”; “swage-cli info” lists them."),
                                  options->layers));
  g_autofree SwageActStats **activations = g_new0 (SwageActStats *, n);
  if (options->text != NULL && !collect (model, options, activations, &error))
    return cli_fail (error);
  cli_progress_end ();
  if (!options->as_json)
    printf ("%-24s %-10s %9s %9s %10s %9s %9s %12s\n", _ ("layer"), "", _ ("min"), _ ("max"), _ ("mean"),
            _ ("std"), _ ("kurtosis"), _ ("outliers"));
  json_t *list = json_array ();
  bool good = true;
  for (int i = 0, done = 0; i < n && good; i++)
    {
      const SwageTensor *layer = swage_model_get_layer (model, i);
      if (!wanted (layer->name, options))
        continue;
      good = inspect_layer (model, layer, activations[i], options, list, &error)
             && (options->as_json || options->plot != NULL
                     ? swage_job_step (cli_job (), ++done, shown, &error)
                     : !cli_interrupted () || swage_job_step (cli_job (), 0, 1, &error));
    }
  for (int i = 0; i < n; i++)
    swage_act_stats_free (activations[i]);
  if (!good)
    {
      json_decref (list);
      return cli_fail (error);
    }
  if (options->as_json)
    return cli_print_json (json_pack ("{s:s, s:o}", "name", swage_model_get_name (model), "layers", list));
  json_decref (list);
  if (options->plot != NULL)
    printf (_ ("Plots are in %s.\n"), options->plot);
  return CLI_DONE;
}

static int
run_inspect (int argc, char **argv)
{
  InspectOptions options = { .bins = 256, .sigma = 6, .samples = 64, .context = 512 };
  const GOptionEntry entries[] = {
    { "layers", 'l', 0, G_OPTION_ARG_STRING, &options.layers,
      N_ ("Only layers that match, such as 'blk.*.ffn_down'"), N_ ("GLOB") },
    { "text", 't', 0, G_OPTION_ARG_FILENAME, &options.text,
      N_ ("Measure the inputs of every layer on this text too"), N_ ("FILE") },
    { "plot", 0, 0, G_OPTION_ARG_FILENAME, &options.plot, N_ ("Draw histograms into FOLDER"), N_ ("FOLDER") },
    { "plot-format", 0, 0, G_OPTION_ARG_STRING, &options.plot_format, N_ ("png (default) or svg"),
      N_ ("NAME") },
    { "bins", 0, 0, G_OPTION_ARG_INT, &options.bins, N_ ("Bins of a histogram, 16 to 4096 (256)"), "N" },
    { "sigma", 0, 0, G_OPTION_ARG_DOUBLE, &options.sigma,
      N_ ("Values further than K deviations from the mean are outliers (6)"), "K" },
    { "samples", 0, 0, G_OPTION_ARG_INT, &options.samples, N_ ("Windows of the text (64)"), "N" },
    { "context", 'c', 0, G_OPTION_ARG_INT, &options.context, N_ ("Tokens a window (512)"), "N" },
    { "json", 0, 0, G_OPTION_ARG_NONE, &options.as_json, N_ ("Print one JSON object"), NULL },
    G_OPTION_ENTRY_NULL,
  };
  int status;
  GError *error = NULL;
  g_autoptr (SwageModel) model = NULL;
  if (!cli_parse (&cli_inspect, entries, &argc, &argv, 1, 1, &status))
    ;
  else if (options.bins < 16 || options.bins > 4096 || !(options.sigma > 0) || options.samples < 1
           || options.context < 1)
    status
        = cli_misuse_text (_ ("--bins is from 16 to 4096; --sigma, --samples and --context are positive."));
  else if (options.plot_format != NULL && strcmp (options.plot_format, "png") != 0
           && strcmp (options.plot_format, "svg") != 0)
    status = cli_misuse_text (_ ("“%s” is not a plot format; there are png and svg."), options.plot_format);
  else if ((model = swage_model_open (argv[1], &error)) == NULL)
    status = cli_fail (error);
  else
    status = inspect (model, &options);
  g_free (options.layers);
  g_free (options.text);
  g_free (options.plot);
  g_free (options.plot_format);
  return status;
}

const CliCommand cli_inspect
    = { "inspect", N_ ("MODEL"), N_ ("Statistics and histograms of weights and activations"),
        N_ ("Outliers are values further than six standard deviations from the mean of their layer. With "
            "--text the inputs of every linear layer are measured "
            "in one pass."),
        run_inspect };
