"""The one door to a page: text becomes HTML here and nowhere else, and can be nothing but text in it.

`tag` makes elements from a short list, `page_text` makes text; both give `Html`, which only this module makes, and
whatever is no `Html` is text. So what a peer or a file says can neither be an element, nor an attribute, nor a formula.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any, Final

#: Elements that show something, and neither run, load nor link anything.
TAGS: Final = frozenset(
    (
        "b", "br", "caption", "code", "details", "div", "em", "i", "li", "ol", "p", "pre", "progress", "small", "span",
        "strong", "sub", "summary", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
    )
)  # fmt: skip
#: Attributes that are text for people, or numbers; none is a script or an address.
ATTRIBUTES: Final = frozenset(("class", "colspan", "max", "role", "rowspan", "scope", "style", "title", "value"))
LONGEST: Final = 200  # characters of one fact; text in a file may be of any length
_FORMULA: Final = re.compile(r"\$|\\(?=[(\[]|[a-z]+\{)")  # what begins a formula of MathJax
_PLAIN: Final = re.compile(r"[\w .,:;^=*/()+@#!?%|~-]*")
_STYLE: Final = re.compile(r"[\w\s:;#.,%()-]*")
_ODD: Final = re.compile(r"[^\t\n\r\f\x20-\x7e\xa0-\u200d\u2010-\u2029\u202f-\u2065\u206a-\ufefe\uff00-\U0010ffff]")
_KEY: Final = object()


class Html(str):
    """HTML that this module made, and that may go to a page as it is."""

    __slots__ = ()

    def __new__(cls, text: str, key: object = None) -> Html:
        if key is not _KEY:
            raise TypeError("Html is made by dicomlab.markup.tag and page_text alone")
        return super().__new__(cls, text)

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str(self),)  # what comes out of a pickle was not made here


def page_text(text: object) -> Html:
    """Any text as text of a page: no markup, no formula, control characters visible.

    Examples
    --------
    >>> page_text("<b>$x$")
    '&lt;b&gt;<span class="tex2jax_ignore mathjax_ignore">$</span>x<span class="tex2jax_ignore mathjax_ignore">$</span>'
    """
    if isinstance(text, Html):
        return text
    safe = escape(printable(str(text)))
    return Html(_FORMULA.sub(r'<span class="tex2jax_ignore mathjax_ignore">\g<0></span>', safe), _KEY)


def plain(text: str) -> bool:
    """Whether `page_text` is known to give the text back as it is: letters, digits and harmless signs of any script.

    Examples
    --------
    >>> plain("Müller^Jürgen 2024-01-31"), plain("a < b")
    (True, False)
    """
    return _PLAIN.fullmatch(text) is not None


def tag(name: str, *inside: object, **attributes: object) -> Html:
    """One element: its name from `TAGS`, its attributes from `ATTRIBUTES`; inside, what is no `Html` is text.

    Parameters
    ----------
    name
        Such as "td".
    inside
        Text, numbers, `Html`, or lists of these.
    attributes
        ``title``, ``class_`` and the like, ``data_...`` of our own scripts; one that is None is left out.

    Raises
    ------
    ValueError
        There is no such element or attribute here, or a style holds more than names, numbers and colours.

    Examples
    --------
    >>> tag("tr", tag("th", "name"), tag("td", "<img onerror=x>", title='a"b'))
    '<tr><th>name</th><td title="a&quot;b">&lt;img onerror=x&gt;</td></tr>'
    """
    if name not in TAGS:
        raise ValueError(f"{name!r} is no element that is shown; there are {', '.join(sorted(TAGS))}")
    said = ""
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if key not in ATTRIBUTES and not key.startswith("data-"):
            raise ValueError(f"{key!r} is no attribute that is shown; there are {', '.join(sorted(ATTRIBUTES))}")
        if value is None:
            continue
        if key == "style" and not (_STYLE.fullmatch(str(value)) and "url" not in str(value).lower()):
            raise ValueError(f"the style {value!r} holds more than names, numbers and colours")
        said += f' {key}="{escape(printable(str(value)))}"'
    if name == "br":
        return Html("<br>", _KEY)
    return Html(f"<{name}{said}>{joined(*inside)}</{name}>", _KEY)


def joined(*parts: object) -> Html:
    """Pieces one after the other; lists of them are taken apart."""
    made = [joined(*part) if isinstance(part, list | tuple) else page_text(part) for part in parts]
    return Html("".join(made), _KEY)


def rows(pairs: Any, caption: str | None = None) -> Html:
    """A table of two columns, names and what is said of them."""
    lines = [tag("tr", tag("th", name), tag("td", value)) for name, value in pairs]
    return tag("table", tag("caption", caption) if caption else (), lines)


def printable(text: str) -> str:
    """Text with its control, bidi and other characters that are not seen shown as escapes.

    Examples
    --------
    >>> printable("bad\\x1b[2Jkey")
    'bad\\\\x1b[2Jkey'
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def seen(text: str) -> str:
    """The same for text of several lines: line ends and tabs stay.

    Examples
    --------
    >>> seen("two\\nlines\\x07")
    'two\\nlines\\\\x07'
    """
    if text.isprintable():
        return text
    return "".join(char if char in "\n\t" else printable(char) for char in text)


def shown(text: object) -> str:
    """Text of a file or peer in one line: control characters visible, cut where it is long.

    Examples
    --------
    >>> shown("two\\nlines")
    'two\\\\nlines'
    """
    said = str(text)
    return printable(said if len(said) <= LONGEST else f"{said[: LONGEST - 1]}…")


def pictured(text: str) -> str:
    """Text of an attribute without characters that PS3.5 6.1.3 allows in none: a picture stands for each.

    pandas and xarray write the text that they hold as it is, so that an escape sequence in it would reach a terminal
    and a bidi override would turn round what is read.

    Examples
    --------
    >>> pictured("bad\\x1b[2Jkey")
    'bad␛[2Jkey'
    """
    return text if text.isprintable() else _ODD.sub(_picture, text)


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"
