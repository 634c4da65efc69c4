"""Sections -> one HTML page that needs nothing else: no network, no font, no second file."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources

from lorascope.pages.markup import Html, escape, join, tag

__all__ = ["Html", "document", "escape", "fragment", "section"]


def document(
    title: str,
    *,
    body: Html | Sequence[Html],
    subtitle: str | Html | None = None,
    nav: Sequence[tuple[str, str]] | None = None,
    footer: str | Html | None = None,
    scripts: Sequence[str] = (),
    refresh_s: int | None = None,
) -> Html:
    """Build a whole page.

    A content security policy forbids every request and every script but the page's own, whose hashes it
    names: text from a dataset cannot run or phone home even where an escape were missed.

    Args:
        title: Heading and browser title.
        body: The page's pieces, usually from `section`.
        subtitle: One sentence below the title.
        nav: (id, name) of the sections to jump to.
        footer: Small print: versions, hashes, when.
        scripts: More inline JavaScript, which must not be needed to read the page.
        refresh_s: Seconds after which a browser loads the page again, for a run that is still going.

    Returns:
        The page, HTML5, UTF-8.
    """
    all_scripts = [_resource("read_out.js"), _resource("zoom.js"), *scripts]
    if any("</script" in script.lower() for script in scripts):
        raise ValueError("a script that holds </script would end early")
    head = join(
        [
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=_policy(all_scripts)),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"),
            tag("meta", http_equiv="refresh", content=refresh_s) if refresh_s else "",
            tag("link", rel="icon", href="data:,"),  # keeps browsers from asking a server for one
            tag("title", title),
            tag("style", Html(_resource("style.css"))),
        ]
    )
    links = [tag("a", name, href=f"#{target}") for target, name in nav or ()]
    main = join(
        [
            tag("a", "Skip to content", class_="ls-skip", href="#ls-main"),
            tag(
                "header",
                tag("h1", title),
                tag("p", subtitle, class_="ls-subtitle") if subtitle else "",
                class_="ls-head",
            ),
            tag("nav", join(links), class_="ls-nav", aria_label="Sections") if links else "",
            tag("main", _joined(body), id="ls-main"),
            tag("footer", footer, class_="ls-foot") if footer else "",
            join(tag("script", Html(script)) for script in all_scripts),
        ]
    )
    page = tag("html", tag("head", head), tag("body", main, class_="ls ls-page"), lang="en")
    return Html(f"<!doctype html>\n{page}\n")


def section(id: str, title: str, body: Html | Sequence[Html], lead: str | Html | None = None) -> Html:
    """Build one section of a page.

    Args:
        id: Anchor that `nav` jumps to.
        title: Heading.
        body: Its pieces.
        lead: One or two sentences that say what the section found, in larger type.

    Returns:
        The section.
    """
    opening = [tag("h2", title, id=f"{id}-title"), tag("p", lead, class_="ls-lead") if lead else ""]
    return tag("section", *opening, _joined(body), id=id, aria_labelledby=f"{id}-title", class_="ls-section")


def fragment(body: Html | Sequence[Html]) -> Html:
    """Wrap pieces for a notebook cell: the same look, with a stylesheet that touches nothing around it.

    Args:
        body: The pieces.

    Returns:
        Markup for `_repr_html_`.
    """
    return tag("div", tag("style", Html(_resource("style.css"))), _joined(body), class_="ls")


def _joined(body: Html | Sequence[Html]) -> Html:
    # A plain string is one piece of text, not a sequence of letters.
    return escape(body) if isinstance(body, str) else join(body)


def _policy(scripts: Sequence[str]) -> str:
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _resource(name: str) -> str:
    return resources.files("lorascope.pages").joinpath(name).read_text(encoding="utf-8")
