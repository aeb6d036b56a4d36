"""Objects to JSON and back: the stored form follows from the model's declarations, by pydantic.

Nothing is read that is not understood: an unknown member or a wrong type is an error, never
dropped. Nothing is written that could not be read again. Members that have their default are
left out, which halves a task; so a changed default is a change of the stored form and needs a
migration. Documents (Mapping[str, Any]) must hold what JSON can: a tuple in one comes back as a list.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel, TypeAdapter

from miniecs.model.event import Event
from miniecs.model.frozen import replace
from miniecs.model.kinds import KINDS, Kind

EventRow = tuple[bytes, str | None, bytes | None]
"""An event's body without seq and state, the kind of its state, the state's body."""

_STATE_APART = {"seq", "state"}

_TEXT = ("str", "str | None")
"""How the model's dataclasses declare a text."""


class Form:
    """The stored form of one type."""

    def __init__(self, type_: type) -> None:
        self._adapter: TypeAdapter[Any] = TypeAdapter(type_)
        self._type = type_
        document = issubclass(type_, BaseModel)
        # A document is kept with the defaults that were filled in when it was made, as ECS answered it then:
        # a later version's defaults must not change it. It has no nulls, as the API has none.
        self._options: dict[str, Any] = {"exclude_none": True} if document else {"exclude_defaults": True}
        self._texts = (
            [field.name for field in fields(type_) if field.type in _TEXT] if is_dataclass(type_) else []
        )

    def encode(self, thing: Any, exclude: set[str] | None = None) -> bytes:
        """Raises ValueError for an object whose members are not what its type declares."""
        try:
            body = self._adapter.dump_json(
                thing, by_alias=True, exclude=exclude, warnings="error", **self._options
            )
            if b":null" in body:
                # Rare, since None is mostly the default; and the one wrong value that serialisation lets
                # pass, for a member that must have a value and for an infinite number.
                self.decode(body)
        except ValueError as error:
            raise ValueError(f"this {self._type.__name__} cannot be stored: {error}") from error
        return body

    def decode(self, body: bytes) -> Any:
        """Raises ValueError for anything that is not wholly understood."""
        return self._adapter.validate_json(body, extra="forbid")

    def share(self, thing: Any, known: dict[str, str]) -> None:
        """Let equal texts of a fresh object be one: thousands of tasks name the same few ARNs."""
        for name in self._texts:
            value = getattr(thing, name)
            if value is not None:
                kept = known.setdefault(value, value)
                if kept is not value:
                    object.__setattr__(thing, name, kept)


class Codec:
    """The stored forms of all kinds, each built at its first use (a type takes milliseconds)."""

    def __init__(self, kinds: Iterable[Kind] = KINDS) -> None:
        kinds = tuple(kinds)
        self._names = {kind.type: kind.name for kind in kinds}
        self._types = {kind.name: kind.type for kind in kinds}
        self._forms: dict[type, Form] = {}

    def encode(self, thing: Any) -> bytes:
        return self._form(type(thing)).encode(thing)

    def decode(self, name: str, body: bytes, known: dict[str, str]) -> Any:
        """The object; ``known`` gathers texts to be shared between the objects of one load."""
        if name not in self._types:
            raise ValueError(f"unknown kind {name!r}")
        form = self._form(self._types[name])
        thing = form.decode(body)
        form.share(thing, known)
        return thing

    def encode_event(self, event: Event, encoded: dict[int, bytes]) -> EventRow:
        """``encoded``: bodies of objects of the same commit, by identity; mostly the state is one of them."""
        body = self._form(Event).encode(event, exclude=_STATE_APART)
        state = event.state
        if state is None:
            return body, None, None
        name = self._names[type(state)]
        return body, name, encoded.get(id(state)) or self.encode(state)

    def decode_event(self, seq: int, row: EventRow, known: dict[str, str]) -> Event:
        body, name, state = row
        if (name is None) != (state is None):
            raise ValueError("its state is there by half")
        event = self._form(Event).decode(body)
        self._form(Event).share(event, known)
        assert isinstance(event, Event)
        return replace(
            event, seq=seq, state=None if name is None or state is None else self.decode(name, state, known)
        )

    def _form(self, type_: type) -> Form:
        form = self._forms.get(type_)
        if form is None:
            form = self._forms[type_] = Form(type_)
        return form
