"""Verify a bundle offline: each event, its proof, completeness, and the signature.

To trust the result, pass the log's verification key from another source than the bundle. A
checkpoint file proves in addition that the log only ever grew. One line is in memory at a time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coe.audit.bundle_format import (
    EVENT_KEYS,
    FORMAT,
    LEAVES_PER_LINE,
    end_text,
    line_object,
    parse_hash,
    parse_sealed,
)
from coe.audit.canonical import canonical_json, digest_of
from coe.audit.checkpoint import AcceptedLoss, Checkpoint, kept_roots
from coe.audit.checkpoint_file import CheckpointFile
from coe.audit.findings import (
    FindingCode,
    Findings,
    Verification,
    checkpoint_finding,
    later_checkpoint,
    loss_accepted,
    loss_changed,
    row_changed,
    rows_missing,
    tree_changed,
)
from coe.audit.merkle import EMPTY_ROOT, HASH_BYTES, Frontier, leaf_hash, root_from_inclusion
from coe.crypto.signing import KeyRefused, NoteRefused, VerifyKey
from coe.errors import CoeError, Problem

if TYPE_CHECKING:
    from coe.json_types import JSON

_MAX_LINE_BYTES: Final = 64 * 1024 * 1024
_SIGNED_EVENTS: Final = re.compile(r"/bundle\n(\d{1,18})\n")
_POSITION: Final = re.compile(rb'"position":(\d+)')
_ID: Final = re.compile(rb'"id":"([^"]*)"')


class BundleRefused(CoeError):
    """This file is not a bundle of an audit log."""

    code = "INVALID"
    status = 400


def verify_bundle(
    path: Path,
    *,
    vkey: str | None = None,
    checkpoint_file: Path | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Verification:
    """Verify the bundle with the given key, or else with the key that the bundle itself names.

    `advance` is told how many bytes are verified.

    Raises:
        BundleRefused: The file does not start as a bundle, or its own key is damaged.
        KeyRefused: The given key is malformed.
        FileNotFoundError: A file is missing.
    """
    with path.open("rb") as file:
        lines = iter(lambda: file.readline(_MAX_LINE_BYTES), b"")
        header = line_object(next(lines, b""))
        if header is None or header.get("format") != FORMAT:
            raise BundleRefused(f"{path} does not start as a bundle of the format {FORMAT}")
        verifier = _BundleVerifier(header, _key(header, vkey), checkpoint_file)
        for number, line in enumerate(lines, start=2):
            verifier.check_line(number, line)
            advance(file.tell())
        return verifier.finish()


def _key(header: dict[str, JSON], given: str | None) -> VerifyKey:
    if given is not None:
        return VerifyKey.parse(given)
    try:
        return VerifyKey.parse(str(header.get("vkey")))
    except KeyRefused:
        raise BundleRefused("the bundle's own key is damaged: pass the log's key") from None


class _BundleVerifier:
    """The state of the verification after the lines so far."""

    def __init__(
        self, header: dict[str, JSON], key: VerifyKey, checkpoint_file: Path | None
    ) -> None:
        self._findings = Findings()
        self._key = key
        self._complete = header.get("filter") is None
        self._digest = hashlib.sha256(canonical_json(header) + b"\n")
        self._checkpoint: Checkpoint | None = None
        self._kept: dict[int, AcceptedLoss] = {}
        self._frontier: Frontier | None = Frontier()
        self._size = 0
        self._leaves: list[bytes | None] | None = []
        self._events = 0
        self._next = 0
        self._ended = False
        self._checkpoints = self._file_checkpoints(checkpoint_file) if checkpoint_file else iter(())
        self._expected: Checkpoint | None = None
        if header.get("vkey") != key.text:
            self._add(1, "the bundle names another key than the given one")
        if set(header) != {"filter", "format", "type", "vkey"} or header["type"] != "header":
            self._add(1, "the header has other fields than a bundle's")

    def check_line(self, number: int, line: bytes) -> None:
        """Check the next line."""
        if self._ended:
            self._add(number, "there is something after the end")
            return
        content = line_object(line)
        if content is None:
            self._unreadable(number, line)
        kinds: dict[JSON, Callable[[int, dict[str, JSON]], None]] = {
            "checkpoint": self._check_checkpoint,
            "leaves": self._check_leaves,
            "event": self._check_event,
            "end": self._check_end,
        }
        if content is not None:
            kind = content.pop("type", None)
            check = kinds.get(kind) if isinstance(kind, str) else None
            if check is None:
                self._unreadable(number, line)
            else:
                check(number, content)
        self._digest.update(line)

    def finish(self) -> Verification:
        """The result over all lines."""
        checkpoint, size = self._checkpoint, self._size
        self._missing_up_to(size, None)
        if checkpoint is None:
            self._add(None, "the bundle has no checkpoint with a valid signature")
        elif size != checkpoint.tree_size:
            self._add(None, f"it has {size} leaf hashes, and {checkpoint.tree_size} were signed")
        elif self._frontier and self._frontier.root() != checkpoint.root_hash:
            how = "their leaf hashes do not lead to the signed root"
            self._findings.add(tree_changed(0, size - 1, how))
        if not self._ended:
            self._add(None, "the bundle has no end: it was cut off")
        self._findings.add(*map(loss_accepted, checkpoint.losses if checkpoint else ()))
        self._compare_later(checkpoint)
        return Verification(
            checked_events=self._events,
            tree_size=checkpoint.tree_size if checkpoint else 0,
            root_hash=checkpoint.root_hash if checkpoint else EMPTY_ROOT,
            key=self._key.text,
            problems=self._findings.list(),
        )

    def _check_checkpoint(self, number: int, content: dict[str, JSON]) -> None:
        try:
            self._checkpoint = Checkpoint.open(str(content.get("note")), self._key)
            self._kept = kept_roots(self._checkpoint.losses)
            self._expected = next(self._checkpoints, None)
        except NoteRefused as refused:
            self._add(number, f"the checkpoint: {refused.message}", FindingCode.CHECKPOINT_CHANGED)

    def _check_leaves(self, number: int, content: dict[str, JSON]) -> None:
        hashes = content.get("hashes")
        self._missing_up_to(self._size, number)
        follow = content.get("start") == self._size and self._size % LEAVES_PER_LINE == 0
        if not isinstance(hashes, list) or not follow or not 0 < len(hashes) <= LEAVES_PER_LINE:
            self._lose_leaves(number)
            return
        self._leaves = [parse_hash(value) for value in hashes]
        self._size += len(hashes)
        if self._frontier is not None:
            for leaf in self._leaves:
                self._frontier.append(leaf or bytes(HASH_BYTES))
                self._compare_with_loss(self._frontier)
                self._compare_with_file(self._frontier)

    def _lose_leaves(self, number: int) -> None:
        """Continue without the leaf hashes of a line; each event still has its own proof."""
        self._add(number, "the leaf hashes of this line are not as they were written")
        left = self._checkpoint.tree_size - self._size if self._checkpoint else 0
        self._size += min(LEAVES_PER_LINE, left)
        self._leaves = self._frontier = None

    def _check_event(self, number: int, content: dict[str, JSON]) -> None:
        event = content.get("event")
        if not isinstance(event, dict) or not isinstance(event.get("position"), int):
            self._unreadable(number, canonical_json(content))
            return
        position = int(str(event["position"]))
        self._events += 1
        self._missing_up_to(position, number)
        if position < self._next or not self._first <= position < self._size:
            self._row(number, position, event, "it is not at the place of its position")
            return
        self._next = position + 1
        for how in self._differences(position, event, content):
            self._row(number, position, event, how)

    def _differences(
        self, position: int, event: dict[str, JSON], content: dict[str, JSON]
    ) -> Iterator[str]:
        """How an event line differs from what was sealed."""
        if set(event) != EVENT_KEYS:
            yield "it has other fields than an event's"
        for column in ("reason", "detail"):
            sealed = parse_sealed(content.get(f"{column}_sealed"))
            digest = digest_of(sealed)
            if event.get(f"{column}_digest") != (digest and digest.hex()):
                yield f"its sealed {column} is not what its digest is of"
        if set(content) != {"detail_sealed", "event", "path", "reason_sealed"}:
            yield "its line has other fields than an event's"
        leaf = leaf_hash(canonical_json(event))
        path = content.get("path")
        nodes = [parse_hash(value) for value in path] if isinstance(path, list) else [None]
        listed = self._leaves is None or self._leaves[position - self._first] == leaf
        proved = self._proves(leaf, position, [node for node in nodes if node is not None])
        if not listed and not proved:
            yield "it is not the event that was sealed"
        elif not listed:
            yield "its leaf hash was changed: its own proof holds"
        elif not proved:
            yield "its proof does not lead from its leaf hash to the signed root"

    def _proves(self, leaf: bytes, position: int, path: list[bytes]) -> bool:
        if self._checkpoint is None:
            return True  # `finish` reports the missing checkpoint once
        root = root_from_inclusion(leaf, position, self._checkpoint.tree_size, path)
        return root == self._checkpoint.root_hash

    def _check_end(self, number: int, content: dict[str, JSON]) -> None:
        self._ended = True
        expected = end_text(self._key.name, self._events, self._digest.hexdigest())
        try:
            signed = self._key.open_note(str(content.get("note")))
        except NoteRefused as refused:
            self._add(number, f"the end: {refused.message}")
            return
        meant = _SIGNED_EVENTS.search(signed)
        if meant is not None and int(meant[1]) != self._events:
            how = f"it has {self._events} events, and {int(meant[1])} were signed at its end"
            self._add(number, how)
        if signed != expected or set(content) != {"note"}:
            self._add(number, "the bundle is not what was signed at its end")

    @property
    def _first(self) -> int:
        """The position of the first leaf hash in the last line of leaves."""
        return (self._size - 1) // LEAVES_PER_LINE * LEAVES_PER_LINE if self._size else 0

    def _missing_up_to(self, position: int, number: int | None) -> None:
        """Report missing events: a bundle without a filter has one at each position."""
        if self._complete and position > self._next and position <= self._size:
            self._findings.add(rows_missing(self._next, position - 1, line=number))
            self._next = position

    def _unreadable(self, number: int, line: bytes) -> None:
        """Report an unreadable line, with the event's position and id if they can be found."""
        position = _POSITION.search(line)
        name = _ID.search(line)
        if name is None and position is None:
            self._lose_leaves(number)
            return
        known = int(position[1]) if position else self._next
        shown_id = name[1].decode(errors="replace") if name else "?"
        how = "its line is not as it was written"
        self._findings.add(row_changed(known, shown_id, how, line=number))
        if known == self._next:
            self._events += 1
            self._next += 1

    def _row(self, number: int, position: int, event: dict[str, JSON], how: str) -> None:
        self._findings.add(row_changed(position, str(event.get("id")), how, line=number))

    def _add(
        self, number: int | None, how: str, fault: FindingCode = FindingCode.BUNDLE_CHANGED
    ) -> None:
        self._findings.add(Problem(fault, how, line=number))

    def _compare_with_loss(self, frontier: Frontier) -> None:
        """Check that the log went on, after a loss, from the events that it had kept."""
        loss = self._kept.get(frontier.size)
        if loss is not None and loss.kept_root != frontier.root():
            how = "the events before it are not those that the log had kept"
            self._findings.add(loss_changed(loss, how))

    def _compare_with_file(self, frontier: Frontier) -> None:
        size = frontier.size
        while self._expected and self._expected.place <= (self._epoch, size):
            forked = self._expected.root_hash != frontier.root()
            if self._expected.tree_size == size and forked:
                how = "the checkpoint file has another root for this size"
                self._findings.add(checkpoint_finding(FindingCode.TREE_CHANGED, size, how))
            self._expected = next(self._checkpoints, None)

    def _compare_later(self, checkpoint: Checkpoint | None) -> None:
        """Check that every later checkpoint of the file was signed after the bundle's.

        Losses that were accepted since are shown: what the bundle has beyond them is not in the log
        any more.
        """
        newest = None
        while self._expected and checkpoint:
            later = self._expected
            if later.place > checkpoint.place:
                newest = later
                if later.at <= checkpoint.at:
                    how = "the checkpoint file has it, signed before the smaller one of the bundle"
                    fault = FindingCode.CHECKPOINT_MISSING
                    self._findings.add(checkpoint_finding(fault, later.tree_size, how))
            self._expected = next(self._checkpoints, None)
        if newest and checkpoint:
            since = newest.losses[len(checkpoint.losses) :]
            where = " since, by the checkpoint file"
            self._findings.add(*(loss_accepted(each, where=where) for each in since))
            self._findings.add(later_checkpoint(newest.tree_size))

    @property
    def _epoch(self) -> int:
        return self._checkpoint.epoch if self._checkpoint else 1

    def _file_checkpoints(self, path: Path) -> Iterator[Checkpoint]:
        for number, note in enumerate(CheckpointFile(path).notes(), start=1):
            try:
                checkpoint = Checkpoint.open(note or "", self._key)
            except NoteRefused as refused:
                how = f"line {number} of the checkpoint file: {refused.message}"
                self._add(None, how, FindingCode.CHECKPOINT_CHANGED)
                continue
            losses = self._checkpoint.losses if self._checkpoint else ()
            if checkpoint.lost_by(losses) is None:
                yield checkpoint
