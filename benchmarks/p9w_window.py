"""P9w: a change of the window in the viewer."""

from .p9_view import row

ROW = row("P9w", "a change of the window in the viewer", lambda page: page.window())
