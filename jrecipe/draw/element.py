"""Turns an SVG file of matplotlib into an element that shares a page with others."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from jrecipe.draw.style import FONT, GRID, INK, SERIES


def for_pages(text: str, prefix: str, label: str) -> str:
    """Turns matplotlib's SVG file into an element that shares a page with others."""
    root = ElementTree.fromstring(text)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        for name in list(element.attrib):
            if name.endswith("}href"):
                element.set("href", element.attrib.pop(name))
    for parent in list(root.iter()):
        for child in list(parent):
            # The style element would reach the whole page.
            if child.tag in ("metadata", "style"):
                parent.remove(child)
    used = set(re.findall(r"(?:url\(|href=\")#([\w.:-]+)", ElementTree.tostring(root, "unicode")))
    names = {name: f"{prefix}-{i}" for i, name in enumerate(sorted(used))}
    for element in root.iter():
        identity = element.attrib.pop("id", None)
        if identity in names:
            element.set("id", names[identity])
        for attribute, value in element.attrib.items():
            if attribute == "href" and value.startswith("#"):
                element.set("href", "#" + names[value[1:]])
            elif attribute == "clip-path":
                element.set("clip-path", f"url(#{names[value[5:-1]]})")
            elif attribute in ("style", "fill", "stroke"):
                element.set(attribute, _css(value))
    box = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib.update(
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": box,
            "role": "img",
            "aria-label": label,
            "style": f"stroke-linejoin:round;font-family:{FONT}",
        }
    )
    for element in root.iter():
        element.tail = None
        if element.text is not None and not element.text.strip():
            element.text = None
    return ElementTree.tostring(root, "unicode")


def _css(style: str) -> str:
    # The page chooses the font; older and newer matplotlib name theirs in different ways.
    style = re.sub(r"font: [^;]*?([\d.]+px) [^;]*", r"font-size: \1", style)
    style = re.sub(r"font-family: [^;]*;?\s*", "", style)
    style = style.replace(INK, "currentColor").replace(GRID, "var(--jr-grid, #8884)")
    for i, color in enumerate(SERIES):
        style = style.replace(color, f"var(--jr-{i + 1}, {color})")
    return style
