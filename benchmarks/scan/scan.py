"""A scan from start to end: list, embed what is new, answer, write the results."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.pipeline.bundle_scores import check_rate, choose_variant, open_search
from benchmarks.pipeline.callbacks import Callbacks
from benchmarks.scan.executors import in_processes, on_ray
from benchmarks.scan.photo_list import list_photos, root_of
from benchmarks.scan.photo_store import STORE_FILE, ListedPhoto, PhotoStore
from benchmarks.scan.results import CSV_FILE, PAGE_FILE, write_csv, write_page
from benchmarks.scan.search import answer_photos
from benchmarks.scan.shards import SHARD_PHOTOS, Network, embed_shard, shards_of
from mobile_assets.bundle import Bundle, read_bundle
from mobile_assets.errors import InputError
from mobile_assets.identification.decision import VariantDecision, judged_model, read_decision
from mobile_assets.identification.gallery import read_gallery
from mobile_assets.identification.references import References, read_references
from mobile_assets.identification.scores import GallerySearch
from mobile_assets.output_lock import claimed
from train.decode_pool import available_cores

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


@dataclass(frozen=True)
class ScanOptions:
    """How a scan is done.

    Attributes:
        processes: Of this machine; None for one of each core.
        ray: Address of a Ray cluster; None for this machine.
        variant: A TFLite variant, whose embedding model answers; None for the recommended one.
        false_match_rate: One of those that the bundle promises; None for its default.
        page_photos: Photos on the page.
        trusted: The key that must have signed the bundle; None for any or none.
    """

    processes: int | None = None
    ray: str | None = None
    variant: str | None = None
    false_match_rate: float | None = None
    page_photos: int = 200
    trusted: Ed25519PublicKey | None = None


@dataclass(frozen=True)
class ScanSummary:
    """What a scan came to.

    Attributes:
        counts: Photos by answer, `unreadable` among them.
        decoded: Photos that were decoded this time; the others were known.
        table: All answers, CSV.
        page: The best ones beside their candidates, HTML.
    """

    counts: dict[str, int]
    decoded: int
    table: Path
    page: Path

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "photos": sum(self.counts.values()),
            "answers": self.counts,
            "decoded": self.decoded,
            "table": str(self.table),
            "page": str(self.page),
        }


def scan(
    source: Path,
    bundle_folder: Path,
    out: Path,
    options: ScanOptions,
    callbacks: Callbacks,
) -> ScanSummary:
    """Goes through photos and says what of the register is among them.

    Given again, it goes on where it ended: photos that are known are not decoded, unless they or
    the bundle's network changed. A changed register alone is searched again.

    Args:
        source: A folder of photos, or a table with a column of paths.
        out: Folder of the results and of what is remembered.

    Raises:
        InputError: There are no photos, the bundle cannot search, or `out` cannot be written.
        DamagedError: The bundle or what `out` remembers is damaged.
        CheckFailedError: The bundle's signature does not hold.
    """
    bundle = read_bundle(bundle_folder, trusted=options.trusted)
    register = _Register.of(bundle, options)
    with claimed(out):
        _make_folder(out)
        with PhotoStore(out / STORE_FILE) as store:
            _check_network(store, register.network, bundle)
            if not _list(store, source):
                raise InputError(f"{source} holds no photos.")
            decoded = _embed(store, root_of(source), register.network, options, callbacks)
            _answer(store, register, options, callbacks)
            counts = store.counts()
            _write(store, source, out, register, options, counts)
    return ScanSummary(counts, decoded, out / CSV_FILE, out / PAGE_FILE)


@dataclass(frozen=True)
class _Register:
    """What photos are compared with, and the network that does it."""

    bundle: Bundle
    network: Network
    decision: VariantDecision
    search: GallerySearch

    @classmethod
    def of(cls, bundle: Bundle, options: ScanOptions) -> _Register:
        variant = choose_variant(bundle, options.variant)
        gallery, decision = read_gallery(bundle), read_decision(bundle)
        model = decision and judged_model(bundle, decision, variant.name)
        if not (gallery and decision and model):
            raise InputError(
                f"{bundle.folder} has no gallery, so photos cannot be searched in it. "
                "Export it again with --photos."
            )
        judged = decision.variants[model.name]
        check_rate(judged, options.false_match_rate)
        network = Network(
            bundle=str(bundle.folder.resolve()),
            model=model.name,
            sha256=model.sha256,
            fitness=decision.fitness,
        )
        return cls(bundle, network, judged, open_search(bundle, gallery, judged))


def _make_folder(out: Path) -> None:
    """Makes the folder, or takes one that a scan made before."""
    if (
        out.exists()
        and not (out / STORE_FILE).is_file()
        and (not out.is_dir() or any(out.iterdir()))
    ):
        raise InputError(
            f"{out} is there already and holds no scan. Give another --out, or an empty folder."
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out} cannot be created ({error.strerror or error}).") from None


def _check_network(store: PhotoStore, network: Network, bundle: Bundle) -> None:
    """Embeddings of one network say nothing to another: then every photo is embedded again."""
    limits = network.fitness and network.fitness.model_dump(mode="json")
    contract = bundle.info.preprocessing.model_dump(mode="json")
    facts = json.dumps([network.sha256, contract, limits], sort_keys=True)
    if store.fact("network") not in (None, facts):
        store.forget_embeddings()
    store.remember("network", facts)


def _list(store: PhotoStore, source: Path) -> int:
    columns: dict[str, None] = {}

    def noted() -> Iterator[ListedPhoto]:
        for photo in list_photos(source):
            columns.update(dict.fromkeys(photo.columns))
            yield photo

    count = store.list_photos(noted())
    store.remember("columns", json.dumps(list(columns)))
    return count


def _embed(
    store: PhotoStore, root: Path, network: Network, options: ScanOptions, callbacks: Callbacks
) -> int:
    """Embeds what waits; gives the number of photos."""
    waiting = store.waiting()
    if not waiting:
        return 0
    shards = shards_of(root.resolve(), waiting)
    embed = functools.partial(embed_shard, network)
    if options.ray is not None:
        finished = on_ray(embed, shards, options.ray)
    else:
        needed = -(-len(waiting) // SHARD_PHOTOS)
        finished = in_processes(embed, shards, min(options.processes or available_cores(), needed))
    done, step = 0, callbacks.steps("embedding photos")
    with contextlib.closing(finished):
        for photos in finished:
            store.keep(photos)
            done += len(photos)
            step(done, len(waiting))
    return done


def _answer(
    store: PhotoStore, register: _Register, options: ScanOptions, callbacks: Callbacks
) -> None:
    total, done, step = store.embedded_photos(), 0, callbacks.steps("searching the register")

    def moved(photos: int) -> None:
        nonlocal done
        done += photos
        step(done, total)

    answer_photos(
        store,
        register.search,
        register.bundle.labels,
        register.decision,
        false_match_rate=options.false_match_rate,
        on_photos=moved,
    )


def _write(
    store: PhotoStore,
    source: Path,
    out: Path,
    register: _Register,
    options: ScanOptions,
    counts: Mapping[str, int],
) -> None:
    columns = json.loads(store.fact("columns") or "[]")
    write_csv(out, store.results(), columns)
    write_page(
        out,
        store.results(),
        root=root_of(source),
        labels=register.bundle.labels,
        reference=functools.partial(_first_reference, read_references(register.bundle)),
        most=options.page_photos,
        counts=counts,
        source=str(source),
        bundle=register.bundle.info.name,
    )


def _first_reference(references: References | None, object_id: str) -> bytes | None:
    """The best reference picture of an object as WebP; None where the bundle has none."""
    pictures = references.by_object.get(object_id, ()) if references else ()
    return references.content(pictures[0]) if references and pictures else None
