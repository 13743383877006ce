/* SPDX-License-Identifier: MIT */
#include "ui/heatmap/swage-heat-map-private.h"
#include "ui/inspect/swage-plot-theme.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>
#include <string.h>

#define MAX_ASPECT                                                                                           \
  4 /* of an element's sides, so that thin matrices fill the plot without becoming stripes                   \
     */
#define MAX_QUADS 512

enum
{
  PROP_0,
  PROP_MODE,
  PROP_NOTE,
  PROP_RENDERER,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

G_DEFINE_FINAL_TYPE (SwageHeatMap, swage_heat_map, GTK_TYPE_WIDGET)

/* --- look
 * ---------------------------------------------------------------------------------------------------- */

static const SwageChartTheme *
get_theme (SwageHeatMap *map)
{
  swage_plot_theme_update (&map->theme, &map->layout, GTK_WIDGET (map));
  return &map->theme;
}

void
swage_heat_map_get_plot (SwageHeatMap *map, SwageChartRect *plot)
{
  swage_chart_heat_get_plot (gtk_widget_get_width (GTK_WIDGET (map)),
                             gtk_widget_get_height (GTK_WIDGET (map)), get_theme (map), plot);
}

static bool
is_share (SwageHeatMap *map)
{
  return map->mode == SWAGE_HEAT_ZEROS;
}

static double
get_limit (SwageHeatMap *map)
{
  double limit = map->tiles != NULL ? swage_heat_tiles_get_absmax (map->tiles) : 0;
  return is_share (map) ? 0 : limit > 0 ? limit : 1;
}

static void
fill_colors (SwageHeatMap *map)
{
  map->dark = adw_style_manager_get_dark (adw_style_manager_get_default ());
  for (int i = 0; i < 256; i++)
    {
      SwageChartColor color;
      double t = i / 255.0;
      swage_chart_heat_color (is_share (map) ? t : 2 * t - 1, !is_share (map), map->dark, &color);
      map->colors[4 * i] = (uint8_t)(255 * color.red + 0.5);
      map->colors[4 * i + 1] = (uint8_t)(255 * color.green + 0.5);
      map->colors[4 * i + 2] = (uint8_t)(255 * color.blue + 0.5);
      map->colors[4 * i + 3] = 255;
    }
  g_hash_table_remove_all (map->surfaces);
}

void
swage_heat_map_redraw (SwageHeatMap *map)
{
  if (map->area != NULL)
    gtk_gl_area_queue_render (GTK_GL_AREA (map->area));
  gtk_widget_queue_draw (GTK_WIDGET (map));
}

static void
restyle (SwageHeatMap *map)
{
  g_clear_object (&map->layout);
  fill_colors (map);
  swage_heat_map_redraw (map);
}

/* --- view
 * ---------------------------------------------------------------------------------------------------- */

void
swage_heat_map_fit (SwageHeatMap *map)
{
  SwageChartRect plot;
  if (map->tiles == NULL)
    return;
  swage_heat_map_get_plot (map, &plot);
  map->sx = plot.width / (double)swage_heat_tiles_get_cols (map->tiles);
  map->sy = plot.height / (double)swage_heat_tiles_get_rows (map->tiles);
  map->sx = fmin (fmin (map->sx, MAX_ASPECT * map->sy), MAX_SCALE);
  map->sy = fmin (fmin (map->sy, MAX_ASPECT * map->sx), MAX_SCALE);
  map->x = map->y = 0;
}

void
swage_heat_map_keep_inside (SwageHeatMap *map)
{
  SwageChartRect plot;
  swage_heat_map_get_plot (map, &plot);
  map->x = fmax (0, fmin (map->x, (double)swage_heat_tiles_get_cols (map->tiles) - plot.width / map->sx));
  map->y = fmax (0, fmin (map->y, (double)swage_heat_tiles_get_rows (map->tiles) - plot.height / map->sy));
}

/* --- what is painted
 * ------------------------------------------------------------------------------------------ */

/* Coarse tiles first, wherever a fine one is not there yet; then those of the level that fits. */
static int
collect (SwageHeatMap *map, SwageHeatQuad *quads)
{
  SwageChartRect plot;
  int n = 0, n_levels = swage_heat_tiles_get_n_levels (map->tiles);
  swage_heat_map_get_plot (map, &plot);
  /* a sample takes a pixel or more: none is skipped */
  int level = CLAMP ((int)ceil (-log2 (fmin (map->sx, map->sy))), 0, n_levels - 1);
  int64_t rows = swage_heat_tiles_get_rows (map->tiles), cols = swage_heat_tiles_get_cols (map->tiles);
  bool complete = false;
  SwageHeatQuad fine[MAX_QUADS / 2];
  int n_fine = 0;
  swage_heat_tiles_begin (map->tiles);
  for (int pass = level; pass < n_levels && !complete; pass++)
    {
      double side = ldexp (SWAGE_HEAT_TILE, pass);
      double right = fmin ((double)cols, map->x + plot.width / map->sx);
      double bottom = fmin ((double)rows, map->y + plot.height / map->sy);
      complete = true;
      n_fine = 0;
      for (int64_t r = (int64_t)(map->y / side); (double)r * side < bottom; r++)
        for (int64_t c = (int64_t)(map->x / side); (double)c * side < right; c++)
          {
            const SwageHeatTile *tile = swage_heat_tiles_get (map->tiles, pass, r, c);
            if (tile == NULL)
              {
                complete = false;
                continue;
              }
            if (n_fine == MAX_QUADS / 2)
              break;
            double scale = ldexp (1, pass);
            fine[n_fine++] = (SwageHeatQuad){ tile, ((double)c * side - map->x) * map->sx,
                                              ((double)r * side - map->y) * map->sy,
                                              tile->width * scale * map->sx, tile->height * scale * map->sy };
          }
      /* put before what is finer */
      int room = MAX_QUADS - n;
      int m = MIN (n_fine, room);
      memmove (quads + m, quads, (size_t)n * sizeof *quads);
      memcpy (quads, fine, (size_t)m * sizeof *quads);
      n += m;
    }
  swage_heat_tiles_end (map->tiles);
  return n;
}

static gboolean
on_render (GtkGLArea *area, GdkGLContext *context, SwageHeatMap *map)
{
  if (map->gl == NULL || map->tiles == NULL || !swage_heat_tiles_is_ready (map->tiles))
    return TRUE;
  SwageHeatQuad quads[MAX_QUADS];
  int n = collect (map, quads), scale = gtk_widget_get_scale_factor (GTK_WIDGET (area));
  const float background[4] = { 0, 0, 0, 0 };
  swage_heat_gl_draw (map->gl, quads, n, map->colors, get_limit (map), background,
                      gtk_widget_get_width (GTK_WIDGET (area)) * scale,
                      gtk_widget_get_height (GTK_WIDGET (area)) * scale, scale);
  return TRUE;
}

static void
use_cairo (SwageHeatMap *map)
{
  g_clear_pointer (&map->area, gtk_widget_unparent);
  map->renderer = "cairo";
  g_object_notify_by_pspec (G_OBJECT (map), props[PROP_RENDERER]);
  gtk_widget_queue_draw (GTK_WIDGET (map));
}

static gboolean
use_cairo_cb (gpointer data)
{
  if (SWAGE_HEAT_MAP (data)->area != NULL)
    use_cairo (data);
  return G_SOURCE_REMOVE;
}

static void
on_realize (GtkGLArea *area, SwageHeatMap *map)
{
  g_autoptr (GError) error = NULL;
  gtk_gl_area_make_current (area);
  if (gtk_gl_area_get_error (area) != NULL)
    error = g_error_copy (gtk_gl_area_get_error (area));
  else
    map->gl = swage_heat_gl_new (gdk_gl_context_get_use_es (gtk_gl_area_get_context (area)), &error);
  if (map->gl == NULL)
    {
      g_info ("heat map without OpenGL: %s", error->message);
      /* not from within its own realization */
      g_idle_add_full (G_PRIORITY_HIGH_IDLE, use_cairo_cb, g_object_ref (map), g_object_unref);
      return;
    }
  map->renderer = "gl";
  g_object_notify_by_pspec (G_OBJECT (map), props[PROP_RENDERER]);
}

static void
on_unrealize (GtkGLArea *area, SwageHeatMap *map)
{
  gtk_gl_area_make_current (area);
  if (gtk_gl_area_get_error (area) == NULL)
    g_clear_pointer (&map->gl, swage_heat_gl_free);
  map->gl = NULL;
}

static cairo_surface_t *
get_surface (SwageHeatMap *map, const SwageHeatTile *tile)
{
  cairo_surface_t *surface = g_hash_table_lookup (map->surfaces, &tile->serial);
  if (surface != NULL)
    return surface;
  if (g_hash_table_size (map->surfaces) > 200)
    g_hash_table_remove_all (map->surfaces);
  surface = cairo_image_surface_create (CAIRO_FORMAT_RGB24, tile->width, tile->height);
  unsigned char *data = cairo_image_surface_get_data (surface);
  int stride = cairo_image_surface_get_stride (surface);
  double limit = get_limit (map);
  for (int r = 0; r < tile->height; r++)
    {
      uint32_t *out = (uint32_t *)(void *)(data + r * stride);
      for (int c = 0; c < tile->width; c++)
        {
          double value = (double)tile->values[r * SWAGE_HEAT_TILE + c],
                 t = swage_chart_heat_place (value, limit);
          int i = (int)(CLAMP (limit > 0 ? 0.5 + 0.5 * t : t, 0, 1) * 255 + 0.5);
          const uint8_t *color = map->colors + 4 * i;
          out[c] = !isfinite (value)
                       ? 0xff00ff
                       : (uint32_t)color[0] << 16 | (uint32_t)color[1] << 8 | (uint32_t)color[2];
        }
    }
  cairo_surface_mark_dirty (surface);
  g_hash_table_insert (map->surfaces, g_memdup2 (&tile->serial, sizeof tile->serial), surface);
  return surface;
}

static void
draw_by_cairo (SwageHeatMap *map, cairo_t *cr, const SwageChartRect *plot)
{
  SwageHeatQuad quads[MAX_QUADS];
  int n = collect (map, quads);
  cairo_save (cr);
  cairo_rectangle (cr, plot->x, plot->y, plot->width, plot->height);
  cairo_clip (cr);
  for (int i = 0; i < n; i++)
    {
      cairo_save (cr);
      cairo_translate (cr, plot->x + quads[i].x, plot->y + quads[i].y);
      cairo_scale (cr, quads[i].width / quads[i].tile->width, quads[i].height / quads[i].tile->height);
      cairo_set_source_surface (cr, get_surface (map, quads[i].tile), 0, 0);
      cairo_pattern_set_filter (cairo_get_source (cr), CAIRO_FILTER_NEAREST);
      cairo_paint (cr);
      cairo_restore (cr);
    }
  cairo_restore (cr);
}

static const char *
get_title (SwageHeatMode mode)
{
  static const char *const titles[] = { N_ ("Original"), N_ ("Plan"), N_ ("Error"), N_ ("Zeros") };
  return _ (titles[mode]);
}

static void
fill_chart (SwageHeatMap *map, SwageChartHeat *chart)
{
  *chart = (SwageChartHeat){ .limit = get_limit (map),
                             .dark = map->dark,
                             .title = get_title (map->mode),
                             .x = map->x,
                             .y = map->y,
                             .sx = map->sx,
                             .sy = map->sy,
                             .row = map->row,
                             .col = map->col };
  if (map->tiles != NULL && swage_heat_tiles_is_ready (map->tiles))
    {
      chart->rows = swage_heat_tiles_get_rows (map->tiles);
      chart->cols = swage_heat_tiles_get_cols (map->tiles);
    }
}

static void
snapshot (GtkWidget *widget, GtkSnapshot *snapshot)
{
  SwageHeatMap *map = SWAGE_HEAT_MAP (widget);
  int w = gtk_widget_get_width (widget), h = gtk_widget_get_height (widget);
  SwageChartHeat chart;
  SwageChartRect plot;
  const SwageChartTheme *theme = get_theme (map);
  bool ready = map->tiles != NULL && swage_heat_tiles_is_ready (map->tiles);
  if (map->fit)
    swage_heat_map_fit (map);
  swage_heat_map_get_plot (map, &plot);
  fill_chart (map, &chart);
  cairo_t *cr = gtk_snapshot_append_cairo (snapshot, &GRAPHENE_RECT_INIT (0, 0, w, h));
  swage_chart_heat_draw_frame (cr, w, h, &chart, theme);
  if (ready && map->area == NULL)
    draw_by_cairo (map, cr, &plot);
  cairo_destroy (cr);
  if (map->area != NULL && ready)
    gtk_widget_snapshot_child (widget, map->area, snapshot);
  if (ready)
    {
      g_autofree char *place = NULL, *value = NULL, *after = NULL, *error = NULL;
      const char *lines[4];
      if (map->row >= 0 && map->row < chart.rows && map->col < chart.cols)
        {
          double original, plan;
          swage_heat_tiles_get_element (map->tiles, map->row, map->col, &original, &plan);
          place = g_strdup_printf (_ ("row %lld, column %lld"), (long long)map->row, (long long)map->col);
          value = g_strdup_printf (_ ("original %.6g"), original);
          lines[chart.n_lines++] = place;
          lines[chart.n_lines++] = value;
          if (!isnan (plan))
            {
              after = g_strdup_printf (_ ("plan %.6g"), plan);
              error = g_strdup_printf (_ ("error %.3g"), plan - original);
              lines[chart.n_lines++] = after;
              lines[chart.n_lines++] = error;
            }
          chart.lines = lines;
        }
      else
        chart.row = chart.col = -1;
      cr = gtk_snapshot_append_cairo (snapshot, &GRAPHENE_RECT_INIT (0, 0, w, h));
      swage_chart_heat_draw_mark (cr, w, h, &chart, theme);
      cairo_destroy (cr);
    }
  if (gtk_widget_has_visible_focus (widget))
    gtk_snapshot_render_focus (snapshot, gtk_widget_get_style_context (widget), 0, 0, w, h);
}

static void
size_allocate (GtkWidget *widget, int width, int height, int baseline)
{
  SwageHeatMap *map = SWAGE_HEAT_MAP (widget);
  SwageChartRect plot;
  swage_heat_map_get_plot (map, &plot);
  if (map->area != NULL)
    gtk_widget_size_allocate (
        map->area, &(GtkAllocation){ (int)plot.x, (int)plot.y, (int)plot.width, (int)plot.height }, -1);
  if (map->tiles == NULL)
    return;
  if (map->fit)
    swage_heat_map_fit (map);
  else
    swage_heat_map_keep_inside (map);
}

static void
measure (GtkWidget *widget, GtkOrientation orientation, int for_size, int *minimum, int *natural,
         int *minimum_baseline, int *natural_baseline)
{
  SwageHeatMap *map = SWAGE_HEAT_MAP (widget);
  if (map->area != NULL)
    gtk_widget_measure (map->area, orientation, -1, minimum, natural, NULL, NULL);
  *minimum = *natural = orientation == GTK_ORIENTATION_HORIZONTAL ? 240 : 160;
  *minimum_baseline = *natural_baseline = -1;
}

/* --- data
 * ---------------------------------------------------------------------------------------------------- */

void
swage_heat_map_describe (SwageHeatMap *map)
{
  g_autofree char *text = NULL;
  if (map->tiles == NULL || !swage_heat_tiles_is_ready (map->tiles))
    text = g_strdup (_ ("Heat map without data"));
  else if (map->row >= 0 && !map->pointed)
    {
      double original, plan;
      swage_heat_tiles_get_element (map->tiles, map->row, map->col, &original, &plan);
      text = isnan (plan) ? g_strdup_printf (_ ("Row %lld, column %lld: %.6g"), (long long)map->row,
                                             (long long)map->col, original)
                          : g_strdup_printf (_ ("Row %lld, column %lld: %.6g, with the plan %.6g"),
                                             (long long)map->row, (long long)map->col, original, plan);
    }
  else
    text = g_strdup_printf (_ ("Heat map of %lld rows and %lld columns, %s; largest magnitude %.4g. Arrow "
                               "keys move from element to element."),
                            (long long)swage_heat_tiles_get_rows (map->tiles),
                            (long long)swage_heat_tiles_get_cols (map->tiles), get_title (map->mode),
                            swage_heat_tiles_get_absmax (map->tiles));
  gtk_accessible_update_property (GTK_ACCESSIBLE (map), GTK_ACCESSIBLE_PROPERTY_LABEL, text, -1);
}

static void
set_note (SwageHeatMap *map, const char *note)
{
  if (g_strcmp0 (note, map->note) == 0)
    return;
  g_free (map->note);
  map->note = g_strdup (note);
  g_object_notify_by_pspec (G_OBJECT (map), props[PROP_NOTE]);
}

static void
on_tiles (gpointer user_data)
{
  SwageHeatMap *map = user_data;
  set_note (map, NULL);
  if (map->fit)
    swage_heat_map_fit (map);
  swage_heat_map_describe (map);
  swage_heat_map_redraw (map);
}

static void
clear_tiles (SwageHeatMap *map)
{
  g_clear_pointer (&map->tiles, swage_heat_tiles_free);
  g_clear_pointer (&map->weights[0], swage_weight_unref);
  g_clear_pointer (&map->weights[1], swage_weight_unref);
  g_hash_table_remove_all (map->surfaces);
}

static void
update (SwageHeatMap *map)
{
  SwageLayerItem *focus = map->session != NULL ? swage_session_get_focus (map->session) : NULL;
  bool other = focus != map->item;
  SwageWeight *weights[2] = { NULL, NULL };
  const char *problem = NULL;
  g_set_object (&map->item, focus);
  if (other)
    {
      clear_tiles (map);
      map->fit = true;
      map->row = map->col = -1;
    }
  if (!gtk_widget_get_mapped (GTK_WIDGET (map)))
    {
      clear_tiles (map);
      return;
    }
  bool there = swage_session_get_weights (map->session, focus, weights, &problem);
  if (there && map->mode != SWAGE_HEAT_ORIGINAL && map->mode != SWAGE_HEAT_ZEROS && weights[1] == NULL)
    {
      clear_tiles (map);
      set_note (map, _ ("The plan leaves this layer as it is."));
    }
  else if (there && (map->weights[0] != weights[0] || map->weights[1] != weights[1]))
    {
      clear_tiles (map);
      for (int i = 0; i < 2; i++)
        map->weights[i] = weights[i] != NULL ? swage_weight_ref (weights[i]) : NULL;
      map->tiles = swage_heat_tiles_new (weights[0], weights[1], map->mode, on_tiles, map);
      set_note (map, _ ("Reading the weights…"));
    }
  else if (focus == NULL)
    set_note (map, _ ("Select a layer in the list to see what is in it."));
  else if (!there && problem != NULL)
    {
      clear_tiles (map);
      set_note (map, problem);
    }
  else if (!there && map->tiles == NULL)
    set_note (map, _ ("Reading the weights…"));
  swage_heat_map_describe (map);
  swage_heat_map_redraw (map);
}

static void
on_statistics_changed (SwageHeatMap *map, SwageLayerItem *item)
{
  if (item == map->item && gtk_widget_get_mapped (GTK_WIDGET (map)))
    update (map);
}

void
swage_heat_map_set_session (SwageHeatMap *map, SwageSession *session)
{
  g_set_object (&map->session, session);
  g_signal_connect_object (session, "selection-changed", G_CALLBACK (update), map, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "model-changed", G_CALLBACK (update), map, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "plan-changed", G_CALLBACK (update), map, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "statistics-changed", G_CALLBACK (on_statistics_changed), map,
                           G_CONNECT_SWAPPED);
  update (map);
}

void
swage_heat_map_set_mode (SwageHeatMap *map, SwageHeatMode mode)
{
  if (map->mode == mode || mode >= SWAGE_HEAT_N_MODES)
    return;
  map->mode = mode;
  clear_tiles (map);
  fill_colors (map);
  if (map->session != NULL)
    update (map);
  g_object_notify_by_pspec (G_OBJECT (map), props[PROP_MODE]);
}

void
swage_heat_map_reset (SwageHeatMap *map)
{
  map->fit = true;
  swage_heat_map_fit (map);
  swage_heat_map_redraw (map);
}

void
swage_heat_map_copy (SwageHeatMap *map)
{
  double original, plan;
  if (map->tiles == NULL || map->row < 0)
    return;
  swage_heat_tiles_get_element (map->tiles, map->row, map->col, &original, &plan);
  char a[G_ASCII_DTOSTR_BUF_SIZE], b[G_ASCII_DTOSTR_BUF_SIZE] = "";
  g_ascii_formatd (a, sizeof a, "%.9g", original);
  if (!isnan (plan))
    g_ascii_formatd (b, sizeof b, "%.9g", plan);
  g_autofree char *text = g_strdup_printf ("layer\trow\tcolumn\toriginal\tplan\n%s\t%lld\t%lld\t%s\t%s\n",
                                           map->item->name, (long long)map->row, (long long)map->col, a, b);
  gdk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (map)), text);
}

/* --- object
 * -------------------------------------------------------------------------------------------------- */

static void
map_widget (GtkWidget *widget)
{
  GTK_WIDGET_CLASS (swage_heat_map_parent_class)->map (widget);
  if (SWAGE_HEAT_MAP (widget)->session != NULL)
    update (SWAGE_HEAT_MAP (widget));
}

static void
unmap_widget (GtkWidget *widget)
{
  GTK_WIDGET_CLASS (swage_heat_map_parent_class)->unmap (widget);
  clear_tiles (SWAGE_HEAT_MAP (widget));
}

static void
css_changed (GtkWidget *widget, GtkCssStyleChange *change)
{
  GTK_WIDGET_CLASS (swage_heat_map_parent_class)->css_changed (widget, change);
  g_clear_object (&SWAGE_HEAT_MAP (widget)->layout);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  SwageHeatMap *map = SWAGE_HEAT_MAP (object);
  if (id == PROP_MODE)
    g_value_set_uint (value, map->mode);
  else
    g_value_set_string (value, id == PROP_RENDERER ? map->renderer : map->note != NULL ? map->note : "");
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  swage_heat_map_set_mode (SWAGE_HEAT_MAP (object), (SwageHeatMode)g_value_get_uint (value));
}

static void
dispose (GObject *object)
{
  SwageHeatMap *map = SWAGE_HEAT_MAP (object);
  g_clear_pointer (&map->area, gtk_widget_unparent);
  if (map->surfaces != NULL)
    clear_tiles (map);
  g_clear_pointer (&map->surfaces, g_hash_table_unref);
  g_clear_object (&map->layout);
  g_clear_object (&map->item);
  g_clear_object (&map->session);
  g_clear_pointer (&map->note, g_free);
  G_OBJECT_CLASS (swage_heat_map_parent_class)->dispose (object);
}

static void
swage_heat_map_class_init (SwageHeatMapClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  object_class->dispose = dispose;
  object_class->get_property = get_property;
  object_class->set_property = set_property;
  widget_class->snapshot = snapshot;
  widget_class->size_allocate = size_allocate;
  widget_class->measure = measure;
  widget_class->map = map_widget;
  widget_class->unmap = unmap_widget;
  widget_class->css_changed = css_changed;
  props[PROP_MODE] = g_param_spec_uint ("mode", NULL, NULL, 0, SWAGE_HEAT_N_MODES - 1, 0,
                                        G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS);
  props[PROP_NOTE]
      = g_param_spec_string ("note", NULL, NULL, NULL, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  props[PROP_RENDERER]
      = g_param_spec_string ("renderer", NULL, NULL, NULL, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, props);
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_IMG);
  gtk_widget_class_set_css_name (widget_class, "plot");
}

static void
swage_heat_map_init (SwageHeatMap *map)
{
  map->fit = true;
  map->row = map->col = -1;
  map->sx = map->sy = 1;
  map->pointer_x = map->pointer_y = NAN;
  map->surfaces
      = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, (GDestroyNotify)cairo_surface_destroy);
  fill_colors (map);
  gtk_widget_set_focusable (GTK_WIDGET (map), TRUE);
  gtk_widget_set_hexpand (GTK_WIDGET (map), TRUE);
  gtk_widget_set_vexpand (GTK_WIDGET (map), TRUE);
  gtk_widget_set_overflow (GTK_WIDGET (map), GTK_OVERFLOW_HIDDEN);
  if (g_strcmp0 (g_getenv ("SWAGE_HEATMAP"), "cairo") == 0)
    map->renderer = "cairo";
  else
    {
      map->area = gtk_gl_area_new ();
      gtk_gl_area_set_auto_render (GTK_GL_AREA (map->area), FALSE);
      gtk_gl_area_set_required_version (GTK_GL_AREA (map->area), 3, 0);
      gtk_widget_set_can_target (map->area, FALSE);
      g_signal_connect (map->area, "realize", G_CALLBACK (on_realize), map);
      g_signal_connect (map->area, "unrealize", G_CALLBACK (on_unrealize), map);
      g_signal_connect (map->area, "render", G_CALLBACK (on_render), map);
      gtk_widget_set_parent (map->area, GTK_WIDGET (map));
    }
  g_signal_connect_object (adw_style_manager_get_default (), "notify::dark", G_CALLBACK (restyle), map,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (adw_style_manager_get_default (), "notify::high-contrast", G_CALLBACK (restyle),
                           map, G_CONNECT_SWAPPED);

  swage_heat_map_add_input (map);
  swage_heat_map_describe (map);
}
