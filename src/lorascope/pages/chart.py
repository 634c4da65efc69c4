"""Numbers -> charts. The one place to import them from; each kind has its own module."""

from lorascope.pages.bars import bar_chart, histogram
from lorascope.pages.heat import heat_strip
from lorascope.pages.lines import line_chart
from lorascope.pages.series import Marker, Series

__all__ = ["Marker", "Series", "bar_chart", "heat_strip", "histogram", "line_chart"]
