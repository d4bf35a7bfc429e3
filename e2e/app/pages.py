"""What the shop shows: one page, as HTML for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

from msgspec import Struct

ITEMS: Final = ("coffee", "tea", "cake", "honey")

_STYLE: Final = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem}"
    "form{display:inline-block;margin:0 .4rem .4rem 0}small{color:#666}"
    "button,input{font:inherit;padding:.2rem .7rem}"
)


class Shopfront(Struct, frozen=True):
    """What one visitor sees.

    `pod` made the page, `worker` keeps the session, which has `version`; both are None for a
    visitor without one. `key` names the next click: it counts once, however often it is sent.
    """

    pod: str
    user: str | None
    cart: Mapping[str, int]
    worker: str | None
    version: int | None
    key: str


def shop_page(front: Shopfront) -> str:
    """The page as HTML."""
    who = f"Hello, {escape(front.user)}." if front.user else "Hello, stranger: you are logged out."
    cart = "".join(f"<li>{escape(item)} x {count}</li>" for item, count in front.cart.items())
    kept = (
        f"session version {front.version} from worker {escape(front.worker)}"
        if front.worker
        else "no session"
    )
    account = (
        '<form method="post" action="/logout"><button>Log out</button></form>'
        if front.user
        else f'<form method="post" action="/login">{_hidden(front.key)}<input name="user"'
        ' placeholder="your name" required maxlength="60"> <button>Log in</button></form>'
    )
    return _document(
        "Moorline shop",
        f"<p>{who}</p><p>{account}</p><h2>Your cart</h2><ul>{cart or '<li>empty</li>'}</ul>"
        f"<p>{''.join(_add_button(item, front.key) for item in ITEMS)}</p>"
        f"<p><small>page by pod {escape(front.pod)}, {kept}</small></p>",
    )


def trouble_page(title: str, sentence: str) -> str:
    """A page that says what went wrong, and what to do."""
    return _document(title, f'<p>{escape(sentence)}</p><p><a href="/">Back to the shop</a></p>')


def _add_button(item: str, key: str) -> str:
    return (
        f'<form method="post" action="/cart">{_hidden(key)}'
        f'<button name="item" value="{escape(item)}">Add {escape(item)}</button></form>'
    )


def _hidden(key: str) -> str:
    return f'<input type="hidden" name="key" value="{escape(key)}">'


def _document(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>{body}</html>"
    )
