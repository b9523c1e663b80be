"""Sinks of checkpoints: each kind against a counterpart, and what the database knows of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from coe.audit.checkpoint import Checkpoint
from coe.audit.history import LossFound
from coe.audit.lease import SealerLease
from coe.audit.queries import newest_checkpoint
from coe.audit.sealer import LogSealer
from coe.audit.sinks.configured import open_sinks
from coe.audit.sinks.file import FileSink
from coe.audit.sinks.http import HttpSink, WitnessSink
from coe.audit.sinks.keeper import SinkKeeper, SinkRefused
from coe.audit.sinks.object_store import Credentials, ObjectStoreSink, authorization
from coe.audit.sinks.sink import Sink
from coe.audit.sinks.state import SinkState, add_sink, note_kept, sink_states
from coe.audit.sinks.syslog import SyslogSink
from coe.db import utcnow
from coe.errors import CoeError
from tests.audit.test_losses import decide
from tests.factories.audit import Log, cut_to, event
from tests.factories.sinks import CREDENTIALS, Place, address, bucket, syslog, witness

KINDS = ("file", "https", "object-store", "witness", "syslog")
READABLE = KINDS[:3]
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


class World:
    """A log with one sink of a kind, and the place behind it."""

    def __init__(self, log: Log, sink: Sink, place: Place) -> None:
        self.log, self.sink, self.place = log, sink, place
        self.time = 0.0
        self._start([sink])

    def _start(self, sinks: Sequence[Sink]) -> None:
        log = self.log
        self.keeper = SinkKeeper(
            log.database, log.keyring.macs, log.signer.public, sinks, clock=lambda: self.time
        )
        self.sealer = LogSealer(
            log.database,
            log.signer,
            log.file,
            log.admission,
            lease=SealerLease("test"),
            sinks=self.keeper,
        )

    async def add(self) -> None:
        async with self.log.database.session() as session:
            await add_sink(session, self.log.keyring.macs, self.sink)
            await session.commit()

    async def seal(self, sinks: Sequence[Sink] | None = None) -> bool:
        """Seal what waits, as a process that has just started, and send the newest checkpoint."""
        self._start([self.sink] if sinks is None else sinks)
        return await self.go_on()

    async def go_on(self) -> bool:
        """Seal what waits, and send the newest checkpoint."""
        while await self.sealer.seal_once():
            pass
        return await self.keeper.keep(self.sink)

    async def grow(self, number: int = 1) -> bool:
        await self.log.write(*(event(each) for each in range(number)))
        return await self.seal()

    async def state(self) -> SinkState:
        async with self.log.database.session() as session:
            [found] = await sink_states(session)
        return found

    def empty(self) -> None:
        """Take away what the place keeps."""
        self.place.notes.clear()
        self.place.objects.clear()
        self.place.seen.clear()
        if isinstance(self.sink, FileSink):
            self.sink.path.unlink()


@pytest.fixture
async def world(request: pytest.FixtureRequest, log: Log, tmp_path: Path) -> AsyncIterator[World]:
    """The world of the kind that the test names."""
    async with AsyncExitStack() as stack:
        made = await open_world(request.param, stack, log, tmp_path)
        await made.add()
        yield made


async def open_world(kind: str, stack: AsyncExitStack, log: Log, folder: Path) -> World:
    (folder / "mounted").mkdir()
    match kind:
        case "https":
            place = await stack.enter_async_context(address())
            return World(log, HttpSink(kind, place.url, token="token"), place)
        case "object-store":
            place = await stack.enter_async_context(bucket())
            url = place.url
            store = ObjectStoreSink(kind, url, "log", "coe/", CREDENTIALS, lock_days=30)
            return World(log, store, place)
        case "witness":
            place = await stack.enter_async_context(witness(log.signer.public))
            return World(log, WitnessSink(kind, place.url), place)
        case "syslog":
            place = await stack.enter_async_context(syslog())
            return World(log, SyslogSink(kind, "127.0.0.1", int(place.url), None), place)
    return World(log, FileSink(kind, folder / "mounted" / "copy"), Place())


def of(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("world", kinds, indirect=True)


@of(*KINDS)
async def test_a_sink_keeps_each_newest_checkpoint(world: World) -> None:
    assert await world.grow()
    assert await world.grow(2)
    state = await world.state()
    assert (state.tree_size, state.error, state.behind_seconds) == (3, None, 0)
    note = await world.sink.newest()
    if world.sink.readable:
        assert Checkpoint.open(note or "", world.log.signer.public).tree_size == 3
    if world.sink.kind == "witness":
        assert [each.tree_size for each in world.place.seen.values()] == [3]
    if world.sink.kind == "syslog":
        assert "| 3 |" in world.place.notes[-1]
    if world.sink.kind == "object-store":
        put = next(each for each in world.place.asked if each.method == "PUT")
        assert put.headers["x-amz-object-lock-mode"] == "COMPLIANCE"
        assert put.headers["if-none-match"] == "*"


@of(*READABLE)
async def test_a_sink_that_was_emptied_is_refused(world: World) -> None:
    assert await world.grow(3)
    world.empty()
    await world.log.write(event(7))
    with pytest.raises(SinkRefused, match="had a checkpoint of 3 events, and is empty now"):
        await world.seal()
    await world.add()  # as `coe sink add --again`
    assert await world.seal()
    assert (await world.state()).tree_size == 4


@of(*READABLE)
async def test_a_sink_alone_proves_that_the_database_was_put_back(world: World) -> None:
    assert await world.grow(2)
    assert await world.grow(3)
    world.log.file.unlink()
    world.log.signed.unlink()
    await world.log.attack(*cut_to(2))
    await world.log.write(event(8))
    with pytest.raises(LossFound, match=r"the sink .* has a checkpoint of 5 events"):
        await world.seal()
    await decide(world.log)
    while await world.sealer.seal_once():
        pass
    assert (await world.state()).behind_seconds > 0, "it lacks the new epoch, which is shorter"
    assert await world.seal(), "the sink goes on with the new epoch"
    note = await world.sink.newest()
    assert Checkpoint.open(note or "", world.log.signer.public).place == (2, 3)


async def put_back(world: World, *, add: bool = True) -> None:
    """A log of five events, put back to two; the row of the sink is of the backup too."""
    assert await world.grow(2)
    assert await world.grow(3)
    await world.log.attack(*cut_to(2))
    if add:
        await world.add()
    await world.log.write(event(8))


def without_files(world: World) -> None:
    world.log.file.unlink()
    world.log.signed.unlink()


@of("witness")
async def test_a_witness_that_has_seen_more_stops_the_log(world: World) -> None:
    await put_back(world)
    without_files(world)
    for world.time in (0.0, 1.0, 60.0, 4000.0):
        with pytest.raises(SinkRefused, match="has seen a log of 5 events"):
            await world.go_on() if world.time else await world.seal()
    world.place.away = True
    world.time += 60.0
    with pytest.raises(SinkRefused, match="has seen a log of 5 events"):
        await world.go_on()
    assert await world.log.rows("SELECT max(position) FROM audit_events") == [(1,)]


@of("witness")
async def test_a_witness_goes_on_after_the_loss_that_it_proves_was_accepted(world: World) -> None:
    await put_back(world)
    with pytest.raises(LossFound):
        await world.seal()
    await decide(world.log)
    assert await world.go_on()
    assert (await world.state()).behind_seconds == 0


@of("witness")
@pytest.mark.parametrize("more", [2, 3], ids=["as-long", "longer"])
async def test_a_witness_that_has_seen_other_events_stops_the_log(world: World, more: int) -> None:
    await put_back(world, add=False)
    without_files(world)
    await world.log.attack("DELETE FROM audit_sinks")
    await world.log.write(*(event(each) for each in range(more)))
    await world.seal([])  # as a sealer of somebody who left out the sink
    await world.add()
    await world.log.write(event(9))
    for world.time in (0.0, 60.0):
        with pytest.raises(SinkRefused, match="has seen another log of 5 events"):
            await world.go_on() if world.time else await world.seal()


@of(*READABLE)
@pytest.mark.parametrize("later", [0.0, 301.0], ids=["was-away", "in-time"])
async def test_a_sink_is_compared_again(world: World, later: float) -> None:
    assert await world.grow(2)
    if not later:
        world.place.away = True
        folder = world.log.file.parent / "mounted"
        folder.rename(folder.with_name("unmounted"))
        await world.log.write(event(3))
        assert not await world.go_on(), "a sink that is away stops nothing"
        folder.with_name("unmounted").rename(folder)
        world.place.away = False
    world.time += later
    world.empty()
    if later:
        await world.log.write(event(3))
    assert not await world.go_on()
    await world.log.write(event(4))
    with pytest.raises(SinkRefused, match="and is empty now"):
        await world.go_on()
    assert await world.log.rows("SELECT max(position) FROM audit_events") == [(2,)]


@of("file")
async def test_a_file_whose_disk_is_not_mounted_stops_nothing(world: World) -> None:
    assert await world.grow(2)
    folder = world.log.file.parent / "mounted"
    folder.rename(folder.with_name("unmounted"))
    assert not await world.grow()
    assert "is missing" in ((await world.state()).error or "")
    folder.with_name("unmounted").rename(folder)
    assert await world.go_on()


@of("https")
async def test_a_sealer_sends_nothing_while_another_one_seals(world: World) -> None:
    assert await world.grow(2)
    old = await newest(world)
    await world.log.write(event(3))
    while await world.sealer.seal_once():
        pass
    await world.log.attack("UPDATE audit_sealer SET holder = 'another'")
    assert not await world.sealer.seal_once()
    assert await world.keeper.keep(world.sink), "there is nothing to be sent"
    assert len(world.place.notes) == 1
    await world.log.attack("UPDATE audit_sealer SET holder = 'test'")
    await world.log.write(event(4))
    assert await world.go_on()
    async with world.log.database.session() as session:
        await note_kept(session, world.log.keyring.macs, world.sink, old)
        await session.commit()
    assert (await world.state()).tree_size == 4


async def newest(world: World) -> Checkpoint:
    async with world.log.database.session() as session:
        found = await newest_checkpoint(session)
    assert found is not None
    return found


@of("https")
async def test_any_error_of_a_sink_is_noted_and_it_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await world.grow()
    await world.log.write(event(3))
    with monkeypatch.context() as patched:
        patched.setattr(HttpSink, "keep", lambda *_: {}["x"])
        patched.setattr(HttpSink, "newest", lambda *_: {}["x"])
        assert not await world.seal(), "it stops nothing"
        assert "KeyError" in ((await world.state()).error or "")
    assert await world.go_on()


@of("https", "object-store", "witness")
async def test_a_sink_that_is_away_stops_nothing_and_is_told(world: World) -> None:
    world.place.away = True
    assert not await world.grow(2)
    state = await world.state()
    assert state.tree_size == 0
    assert "503" in (state.error or "")
    assert await world.log.rows("SELECT max(position) FROM audit_events") == [(1,)]
    world.place.away = False
    assert await world.keeper.keep(world.sink)
    assert (await world.state()).error is None


@of("file")
async def test_a_sink_is_known_before_it_counts(world: World) -> None:
    await world.log.attack("DELETE FROM audit_sinks")
    await world.log.write(event(1))
    with pytest.raises(SinkRefused, match="coe sink add file"):
        await world.seal()
    await world.add()
    assert await world.seal()
    await world.log.write(event(2))
    with pytest.raises(SinkRefused, match="COE_CHECKPOINT_SINKS_FILE has none"):
        await world.seal([])


@of("file")
@pytest.mark.parametrize("change", ["tree_size = 0, note = NULL", "kind = 'syslog'", "code = NULL"])
async def test_what_the_database_knows_of_a_sink_is_not_changed_there(
    world: World, change: str
) -> None:
    assert await world.grow(2)
    await world.log.attack(f"UPDATE audit_sinks SET {change}")
    world.empty()
    await world.log.write(event(3))
    with pytest.raises(SinkRefused, match="was changed there"):
        await world.seal()


def test_requests_of_the_object_store_are_signed_as_amazon_does() -> None:
    """The examples of the AWS documentation, `Authenticating Requests` of Amazon S3."""
    credentials = Credentials(
        "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1"
    )
    headers = {"x-amz-content-sha256": EMPTY, "x-amz-date": "20130524T000000Z"}
    place = "https://examplebucket.s3.amazonaws.com"
    got = authorization(
        credentials, ("GET", f"{place}/test.txt"), {}, headers | {"Range": "bytes=0-9"}, EMPTY
    )
    assert got.endswith("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
    query = {"max-keys": "2", "prefix": "J"}
    listed = authorization(credentials, ("GET", f"{place}/"), query, headers, EMPTY)
    assert listed.endswith("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")


def test_the_file_of_sinks_names_each_kind(tmp_path: Path) -> None:
    file = tmp_path / "sinks.yaml"
    file.write_text(
        """
sinks:
  own: {kind: https, url: "https://audit.example.com", token: t}
  bucket: {kind: object-store, endpoint: "https://s3.example.com", region: r, bucket: b,
           access_key: a, secret_key: s, lock_days: 9}
  logs: {kind: syslog, host: logs.example.com}
  mounted: {kind: file, path: /mnt/elsewhere}
  witness: {kind: witness, url: "https://witness.example.com"}
"""
    )
    file.chmod(0o600)
    assert {each.kind for each in open_sinks(file)} == set(KINDS)
    assert open_sinks(None) == []
    file.write_text("sinks: {a: {kind: x}}")
    with pytest.raises(CoeError, match="COE_CHECKPOINT_SINKS_FILE"):
        open_sinks(file)


@pytest.mark.parametrize(
    "wrong",
    [
        "kind: https, url: 'http://x.example'",
        "kind: https, url: audit.example.com",
        "kind: https, url: 'ftp://audit.example.com'",
        "kind: witness, url: 'https://'",
        "kind: witness, url: 'https://a.example:port'",
        "kind: syslog, host: 'https://logs.example.com'",
        "kind: syslog, host: logs.example.com, port: 0",
    ],
)
def test_an_address_that_nobody_reaches_is_refused_with_its_place(
    wrong: str, tmp_path: Path
) -> None:
    file = tmp_path / "sinks.yaml"
    file.write_text("sinks: {a: {" + wrong + "}}")
    file.chmod(0o600)
    with pytest.raises(CoeError, match=r"sinks\.a\.\S+\.(url|host|port)"):
        open_sinks(file)


def test_a_key_of_the_bucket_sorts_the_newest_first(log: Log) -> None:
    sink = ObjectStoreSink("x", "", "", "", CREDENTIALS)
    first = Checkpoint.sign(log.signer, 9, bytes(32), utcnow())
    later = replace(first, tree_size=10)
    assert sink.key(later) < sink.key(first)
