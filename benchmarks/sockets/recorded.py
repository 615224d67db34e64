"""Runs of fsim whose payloads are kept, so that they can be played over sockets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

import fsim
from fsim.compression import POLICIES, EncodingContext
from fsim.compression.coding.wire import pack, unpack
from fsim.compression.wrapper import Wrapper
from fsim.core.types import Layout, TrainingRequest, Update
from fsim.records import SERVER, Kind
from fsim.settings.loading import as_loaded
from fsim.simulation.build import build_population


@dataclass(frozen=True)
class Recorded(Wrapper):
    """A policy whose payloads are written to files.

    Attributes
    ----------
    folder
        Where they go; none are written if it is empty.
    """

    name: ClassVar[str] = "recorded"

    folder: str = ""

    @override
    def training_request(self) -> TrainingRequest:
        return self.policy.training_request()

    @override
    def trains(self, name: str, round_number: int) -> bool:
        return self.policy.trains(name, round_number)

    @override
    def encode(self, update: Update, context: EncodingContext) -> bytes:
        layout = Layout.of(update)
        inner = self.policy.encode(update, context)
        payload = pack(self.name, layout, unpack(inner, self.policy.name, layout))
        if self.folder and context.round_number:
            (Path(self.folder) / f"{context.seed:x}").write_bytes(payload)
        return payload

    @override
    def decode(self, payload: bytes, layout: Layout) -> Update:
        sections = unpack(payload, self.name, layout)
        return self.policy.decode(pack(self.policy.name, layout, sections), layout)


@dataclass(frozen=True)
class Upload:
    """One client's part in a round.

    Attributes
    ----------
    client
        Its number.
    payload
        The file of its payload.
    seconds
        From the round's beginning until its last byte arrived.
    late
        Whether the round was over by then.
    """

    client: int
    payload: Path
    seconds: float
    late: bool


@dataclass(frozen=True)
class Round:
    """One round as fsim has it.

    Attributes
    ----------
    number
        From 1.
    download
        Bytes of the adapter that each client fetches.
    uploads
        Of all clients that were asked.
    seconds
        From asking until the round closed.
    """

    number: int
    download: int
    uploads: tuple[Upload, ...]
    seconds: float


@dataclass(frozen=True)
class Way:
    """A client's links: bits/s up and down, and the seconds of a round trip."""

    up: float
    down: float
    round_trip: float


@dataclass(frozen=True)
class Recording:
    """One run.

    Attributes
    ----------
    ways
        Client -> its links.
    ingress, egress
        Bits/s of the server's door; None for no limit.
    needed, deadline
        Updates that close a round, and seconds after which it closes at the latest; None for none.
    rounds
        In their order.
    """

    ways: dict[int, Way]
    ingress: float | None
    egress: float | None
    needed: int
    deadline: float | None
    rounds: tuple[Round, ...]


def record(scenario: Mapping[str, Any], folder: Path) -> Recording:
    """Run a scenario of constant links, its policy ``recorded``, and keep what has to be played.

    Parameters
    ----------
    scenario
        As nested mappings; ``compression`` has the policy to be recorded.
    folder
        For the payloads.
    """
    if Recorded.name not in POLICIES:
        POLICIES.register(Recorded)
    folder.mkdir(parents=True)
    policy = scenario["compression"]["policy"]
    data = {**scenario, "compression": {
        "policy": "recorded", "inner": policy, "folder": str(folder),
    }}  # fmt: skip
    loaded = as_loaded(data)
    run = fsim.simulate(loaded, store="none")
    if run.failure:
        raise RuntimeError(run.failure)
    settings = loaded.scenario
    ways = {
        profile.client: Way(
            profile.uplink.capacity.mean * 8,
            profile.downlink.capacity.mean * 8,
            profile.uplink.round_trip,
        )
        for profile in build_population(loaded)[:]
    }
    rounds = tuple(_rounds(run.records, settings.seed, folder))
    doors = (
        None if rate is None else rate * 8
        for rate in (settings.server.ingress, settings.server.egress)
    )
    protocol = settings.protocol
    return Recording(
        ways, *doors, protocol.clients_per_round, getattr(protocol.make(), "after", None), rounds
    )


def _rounds(records: Any, seed: int, folder: Path) -> list[Round]:
    rounds = []
    for row in records[records["kind"] == Kind.ROUND].itertuples():
        number, began = int(row.round), float(row.time_s)
        of_round = records[(records["round"] == number) & (records["client"] != SERVER)]
        downloads = of_round[of_round["kind"] == Kind.DOWNLOAD]
        uploads = of_round[of_round["kind"] == Kind.UPLOAD]
        parts = []
        for upload in uploads.itertuples():
            client, end = int(upload.client), float(upload.time_s) + float(upload.duration_s)
            name = f"{EncodingContext.of(seed, client, number).seed:x}"
            late = end > began + float(row.duration_s) + 1e-9
            parts.append(Upload(client, folder / name, end - began, late))
        download = int(downloads["bytes"].max())
        rounds.append(Round(number, download, tuple(parts), float(row.duration_s)))
    return rounds
