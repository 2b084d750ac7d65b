"""A shard of photos, and the one function that embeds it, here or on another machine."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scan.photo_store import EmbeddedPhoto, WaitingPhoto
from mobile_assets.errors import DamagedError
from mobile_assets.files import sha256_file
from mobile_assets.fitness import FitnessLimits, judge
from mobile_assets.photos import PhotoError

SHARD_PHOTOS = 64
"""Photos that are written together: a kill loses the work of a few seconds."""


@dataclass(frozen=True)
class Shard:
    """Photos that one process embeds in one go.

    Attributes:
        root: Folder to which the paths are relative.
        isolated: Whether every photo is decoded in a process of its own, as after a crash.
    """

    root: str
    photos: tuple[WaitingPhoto, ...]
    isolated: bool = False


@dataclass(frozen=True)
class Network:
    """The embedding network that all shards are embedded with.

    Attributes:
        bundle: The bundle's folder.
        model: Which of its embedding models.
        sha256: Of the model's file: another machine must have the same.
        fitness: What a photo must be like to be judged; None for no limits.
    """

    bundle: str
    model: str
    sha256: str
    fitness: FitnessLimits | None


def shards_of(root: Path, photos: Sequence[WaitingPhoto]) -> Iterator[Shard]:
    """Divides photos into shards, in their order."""
    for start in range(0, len(photos), SHARD_PHOTOS):
        yield Shard(str(root), tuple(photos[start : start + SHARD_PHOTOS]))


def embed_shard(network: Network, shard: Shard) -> list[EmbeddedPhoto]:
    """Decodes and embeds a shard's photos; one that cannot be read has an error instead.

    Raises:
        DamagedError: The bundle is not the one that the scan began with.
    """
    worker = _worker(network)
    return [worker.embed(Path(shard.root), photo, shard.isolated) for photo in shard.photos]


@functools.lru_cache(maxsize=1)
def _worker(network: Network) -> _Worker:
    return _Worker(network)


class _Worker:
    """What a process keeps from shard to shard: the opened network, and a decoder."""

    def __init__(self, network: Network) -> None:
        from benchmarks.runtimes.litert_embedding import LitertEmbedding
        from mobile_assets.bundle import read_bundle
        from train.decode_pool import DecoderPool
        from train.heic import register_heif

        register_heif()
        bundle = read_bundle(Path(network.bundle))
        models = {model.name: model for model in bundle.info.companions}
        model = models.get(network.model)
        if model is None or model.sha256 != network.sha256:
            raise DamagedError(
                f"{network.bundle} here holds another network than where the scan was started. "
                "Put the same bundle on every machine."
            )
        self._session = LitertEmbedding(bundle, model)
        self._contract = bundle.info.preprocessing
        self._decoders = DecoderPool(1)
        self._limits = network.fitness

    def embed(self, root: Path, photo: WaitingPhoto, isolated: bool) -> EmbeddedPhoto:
        path = root / photo.path
        try:
            pixels = self._decoders.load(path, self._contract, isolated=isolated)
            sha256 = sha256_file(path)
        except PhotoError as error:
            return EmbeddedPhoto(photo.id, "", error.reason, None, None)
        except OSError as error:
            reason = f"cannot be read ({error.strerror or error})"
            return EmbeddedPhoto(photo.id, "", reason, None, None)
        unfit = None if self._limits is None else judge(pixels, self._limits).kind
        return EmbeddedPhoto(photo.id, sha256, None, unfit, self._session.embed(pixels))
