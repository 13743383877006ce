/* SPDX-License-Identifier: MIT
 *
 * A plot as a picture for a report: always on a light, opaque ground, whatever the window's style is.
 */
#include "core/base/swage-output.h"
#include "ui/inspect/swage-plot.h"

#include <cairo-svg.h>
#include <math.h>
#include <string.h>

typedef struct
{
  char *path;
  GByteArray *bytes;
  SwagePlotSaved done;
  gpointer user_data;
} Save;

static void
save_free (Save *save)
{
  g_byte_array_unref (save->bytes);
  g_free (save->path);
  g_free (save);
}

static cairo_status_t
append (void *closure, const unsigned char *data, unsigned int length)
{
  g_byte_array_append (closure, data, length);
  return CAIRO_STATUS_SUCCESS;
}

static void
write_in_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Save *save = data;
  GError *error = NULL;
  if (swage_output_write_file (save->path, save->bytes->data, save->bytes->len, true, NULL, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

static void
on_written (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Save *save = g_task_get_task_data (G_TASK (result));
  g_autoptr (GError) error = NULL;
  g_task_propagate_boolean (G_TASK (result), &error);
  if (save->done != NULL)
    save->done (save->path, error, save->user_data);
}

void
swage_plot_save (SwagePlot *plot, const char *path, SwagePlotSaved done, gpointer user_data)
{
  double w = fmax (320, gtk_widget_get_width (GTK_WIDGET (plot)));
  double h = fmax (240, gtk_widget_get_height (GTK_WIDGET (plot)));
  Save *save = g_new0 (Save, 1);
  save->path = g_strdup (path);
  save->bytes = g_byte_array_new ();
  save->done = done;
  save->user_data = user_data;
  bool svg = g_str_has_suffix (path, ".svg");
  cairo_surface_t *surface
      = svg ? cairo_svg_surface_create_for_stream (append, save->bytes, w, h)
            : cairo_image_surface_create (CAIRO_FORMAT_RGB24, (int)(2 * w), (int)(2 * h));
  cairo_t *cr = cairo_create (surface);
  if (!svg)
    cairo_scale (cr, 2, 2);
  /* the widget's fonts, another ground */
  SwageChartTheme theme, shown = *swage_plot_get_theme (plot);
  swage_chart_theme_init (&theme, false);
  theme.text = shown.text;
  theme.text_data = shown.text_data;
  theme.font_size = shown.font_size;
  SWAGE_PLOT_GET_CLASS (plot)->draw (plot, cr, w, h, &theme);
  cairo_destroy (cr);
  if (!svg)
    cairo_surface_write_to_png_stream (surface, append, save->bytes);
  cairo_surface_finish (surface);
  cairo_surface_destroy (surface);
  g_autoptr (GTask) task = g_task_new (plot, NULL, on_written, NULL);
  g_task_set_source_tag (task, swage_plot_save);
  g_task_set_task_data (task, save, (GDestroyNotify)save_free);
  g_task_run_in_thread (task, write_in_thread);
}
