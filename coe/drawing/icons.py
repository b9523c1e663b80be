"""Icons of 16 by 16 pixels, drawn as paths so that no font is needed."""

from __future__ import annotations

from typing import Final

# By the icon of a step (`coe.drawing.step_labels.icon_of`), the name of a mark, or a state.
PATHS: Final = {
    "human": "M8 7.6a2.9 2.9 0 1 0 0-5.8 2.9 2.9 0 0 0 0 5.8zM2.5 14.4c.4-3 2.6-4.6 5.5-4.6s5.1 1.6 5.5 4.6z",  # noqa: E501  # one path
    "flow": "M2 3.2h5.2v4H2zM8.8 8.8H14v4H8.8zM4.6 7.2v3.6h4.2M11.4 8.8V5.2H7.2",
    "call": "M8 5.4a2.6 2.6 0 1 0 0 5.2 2.6 2.6 0 0 0 0-5.2zM8 1.6v2M8 12.4v2M1.6 8h2M12.4 8h2M3.5 3.5l1.4 1.4M11.1 11.1l1.4 1.4M3.5 12.5l1.4-1.4M11.1 4.9l1.4-1.4",  # noqa: E501  # one path
    "set": "M6 2.4c-2 0-2.2.8-2.2 2v1.8c0 1-.5 1.8-1.8 1.8 1.3 0 1.8.8 1.8 1.8v1.8c0 1.200.2 2 2.2 2M10 2.4c2 0 2.2.8 2.2 2v1.8c0 1 .5 1.8 1.8 1.8-1.3 0-1.8.8-1.8 1.8v1.8c0 1.200-.2 2-2.2 2",  # noqa: E501  # one path
    "notify": "M3 11.500c1.200-1 1.200-2.300 1.200-4.300C4.200 4.800 5.800 3 8 3s3.800 1.800 3.800 4.200c0 2 0 3.300 1.200 4.300zM6.600 13.800h2.800M8 1.600V3",  # noqa: E501  # one path
    "table": "M2 3h12v10.400H2zM2 6.400h12M2 9.900h12M6.400 3v10.400",
    "switch": "M8 1.600 14.400 8 8 14.400 1.600 8zM6 6l4 4M10 6l-4 4",
    "timer": "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 4.800V8l2.400 1.800",
    "listen": "M1.800 4h12.400v8.400H1.800zM1.800 4.400 8 9l6.200-4.600",
    "emit": "M1.800 8 14 2.400 11 13.600 7.400 9.200zM14 2.400 7.400 9.200",
    "raise": "M9.200 1.600 3.600 9h4L6.600 14.400 12.400 6.800h-4z",
    "unsupported": "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM3.800 3.800l8.400 8.400",
    "loop": "M13 8a5 5 0 1 1-1.600-3.700M11.600 1.600v2.900H8.700",
    "again": "M13 8a5 5 0 1 1-1.600-3.700M11.600 1.600v2.900H8.700",
    "parallel": "M4 2.500v11M8 2.500v11M12 2.500v11",
    "fork": "M8 2v4M3 14V9h10v5M8 6v3M8 9v5",
    "try": "M8 1.800 13.200 4v4c0 3.200-2.200 5.400-5.200 6.300C5 13.400 2.800 11.200 2.800 8V4z",
    "do": "M3 3h10v10H3zM5.500 6.200h5M5.500 9.800h5",
    "running": "M5 3.200 12.400 8 5 12.800z",
    "waiting": "M4 2.400h8M4 13.600h8M4.800 2.400c0 3 6.400 3.600 6.400 5.600s-6.400 2.600-6.400 5.600M11.200 2.400c0 3-6.400 3.600-6.400 5.600s6.400 2.600 6.400 5.600",  # noqa: E501  # one path
    "retrying": "M13 8a5 5 0 1 1-1.600-3.700M11.600 1.600v2.900H8.700",
    "completed": "M2.800 8.600 6.400 12.200 13.200 4.400",
    "faulted": "M3.600 3.600l8.800 8.800M12.400 3.600l-8.800 8.800",
    "cancelled": "M4 4h8v8H4z",
    "skipped": "M3 3.600 8 8l-5 4.400zM8.600 3.600 13.600 8l-5 4.400z",
}


def icon_path(name: str, x: float, y: float, attributes: str, size: float = 16.0) -> str:
    """The SVG path of an icon whose upper left corner is at (x, y)."""
    scale = "" if size == 16.0 else f" scale({size / 16:.3g})"  # noqa: PLR2004  # the size of the paths
    place = f"translate({x:.1f} {y:.1f}){scale}"
    rest = 'stroke-width="1.5" stroke-linejoin="round" stroke-linecap="round"'
    return f'<path d="{PATHS[name]}" transform="{place}" {attributes} {rest}/>'
