"""Charts as SVG text for a page: pure functions of numbers, which know no run. No chart library: plotly's script is 4.7 MiB.

Across, every place is a share of the width; down, a pixel. So a chart is as wide as the place that it is put in, and its
text has one size everywhere. How it looks is said by the page's style sheet: `.c0` to `.c6` set the colour of an arm.
"""
