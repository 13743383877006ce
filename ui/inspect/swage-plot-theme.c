/* SPDX-License-Identifier: MIT */
#include "ui/inspect/swage-plot-theme.h"

#include <adwaita.h>

static void
pango_text (cairo_t *cr, const char *text, double x, double y, double *width, double *height, void *user_data)
{
  PangoLayout *layout = user_data;
  PangoRectangle logical;
  pango_layout_set_text (layout, text, -1);
  pango_layout_get_pixel_extents (layout, NULL, &logical);
  *width = logical.width;
  *height = logical.height;
  if (cr == NULL)
    return;
  cairo_move_to (cr, x, y);
  pango_cairo_show_layout (cr, layout);
}

void
swage_plot_theme_update (SwageChartTheme *theme, PangoLayout **layout, GtkWidget *widget)
{
  AdwStyleManager *manager = adw_style_manager_get_default ();
  swage_chart_theme_init (theme, adw_style_manager_get_dark (manager));
  if (*layout == NULL)
    {
      *layout = gtk_widget_create_pango_layout (widget, NULL);
      /* tabular figures do not dance under the pointer; somewhat smaller than the text around */
      g_autoptr (PangoAttrList) attributes = pango_attr_list_new ();
      pango_attr_list_insert (attributes, pango_attr_font_features_new ("tnum=1"));
      pango_attr_list_insert (attributes, pango_attr_scale_new (0.86));
      pango_layout_set_attributes (*layout, attributes);
    }
  theme->background.alpha = 0;
  if (adw_style_manager_get_high_contrast (manager))
    theme->muted = theme->foreground;
  theme->text = pango_text;
  theme->text_data = *layout;
  double width, height;
  pango_text (NULL, "0", 0, 0, &width, &height, *layout);
  theme->font_size = height * 0.75;
}
