"""What a scan remembers: every photo with its embedding, in one SQLite file.

A shard's photos are written in one transaction, so a kill at any moment loses the shards that were
under way and nothing else. A changed register is searched again from the embeddings alone.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mobile_assets.errors import DamagedError, InputError

STORE_FILE = "scan.sqlite"
UNREADABLE = "unreadable"
"""Said of a photo with an error, in place of an answer."""
_LAYOUT = 1

_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE photos (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    columns TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    listed_now INTEGER NOT NULL,
    sha256 TEXT,
    error TEXT,
    fitness TEXT,
    embedding BLOB
);
CREATE INDEX waiting ON photos (id) WHERE embedding IS NULL AND error IS NULL;
CREATE TABLE answers (
    photo INTEGER PRIMARY KEY,
    answer TEXT NOT NULL,
    rank INTEGER NOT NULL,
    score REAL NOT NULL,
    listed INTEGER NOT NULL,
    candidates TEXT NOT NULL
);
CREATE INDEX best ON answers (rank, score DESC);
"""

_AGAIN = "Delete it, and give the same command again."


@dataclass(frozen=True)
class ListedPhoto:
    """A photo as it was found.

    Attributes:
        path: As it is shown and opened: relative to the scanned folder or table, or absolute.
        columns: What a table says of it beside its path, by column.
        bytes: Size of the file; -1 where there is none.
        modified: Time of its last change, nanoseconds.
        error: Why it cannot be read, where that is known beforehand.
    """

    path: str
    columns: Mapping[str, str]
    bytes: int
    modified: int
    error: str | None = None


@dataclass(frozen=True)
class WaitingPhoto:
    """A photo without an embedding yet."""

    id: int
    path: str


@dataclass(frozen=True)
class EmbeddedPhoto:
    """What was found out about a photo.

    Attributes:
        sha256: Of the file; empty where it cannot be read.
        error: Why there is no embedding; None where there is one.
        fitness: Which way the photo is unfit, such as `blurred`; None where it is fit.
        embedding: `[dimensions]` float32 of length 1; None with an error.
    """

    id: int
    sha256: str
    error: str | None
    fitness: str | None
    embedding: NDArray[np.float32] | None


@dataclass(frozen=True)
class Answer:
    """What a photo was answered.

    Attributes:
        answer: In words.
        rank: 0 for a match, rising with how little it says.
        listed: How many of the candidates belong to the answer.
        candidates: Objects and scores, best first.
    """

    photo: int
    answer: str
    rank: int
    score: float
    listed: int
    candidates: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class AnsweredPhoto:
    """One row of the result.

    Attributes:
        answer: `unreadable` with an error.
        shortlist: The objects of the answer.
        candidates: These or more, with their scores, best first.
    """

    path: str
    columns: Mapping[str, str]
    sha256: str
    answer: str
    score: float | None
    shortlist: tuple[str, ...]
    candidates: tuple[tuple[str, float], ...]
    error: str | None


class PhotoStore:
    """The SQLite file of a scan; one process writes it."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or creates it.

        Raises:
            DamagedError: The file is not one that a scan wrote.
            InputError: It cannot be written.
        """
        self._path = path
        with self._errors():
            self._database = sqlite3.connect(path, isolation_level=None)
            # A transaction is on disk before the next one begins.
            self._database.execute("PRAGMA synchronous = FULL")
            if self._value("PRAGMA user_version") == 0:
                with self._transaction():
                    for statement in filter(str.strip, _TABLES.split(";")):
                        self._database.execute(statement)
                    self._database.execute(f"PRAGMA user_version = {_LAYOUT}")
            if self._value("PRAGMA user_version") != _LAYOUT:
                raise DamagedError(f"{path} was written by another version. {_AGAIN}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    # --- facts of the scan ------------------------------------------------------------------

    def fact(self, name: str) -> str | None:
        """What is remembered under a name; None for nothing."""
        with self._errors():
            row = self._database.execute(
                "SELECT value FROM facts WHERE name = ?", (name,)
            ).fetchone()
        return None if row is None else str(row[0])

    def remember(self, name: str, value: str) -> None:
        """Remembers a value under a name."""
        with self._errors():
            self._database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    # --- photos -----------------------------------------------------------------------------

    def list_photos(self, photos: Iterable[ListedPhoto]) -> int:
        """Takes a listing in: new photos wait, changed ones wait again, missing ones are left out.

        Returns:
            The number of listed photos.
        """
        statement = """
            INSERT INTO photos (path, columns, bytes, modified, listed_now, error)
            VALUES (?, ?, ?, ?, 1, ?)
            ON CONFLICT (path) DO UPDATE SET listed_now = 1, columns = excluded.columns,
                sha256 = iif(bytes = excluded.bytes AND modified = excluded.modified, sha256, NULL),
                fitness = iif(bytes = excluded.bytes AND modified = excluded.modified,
                              fitness, NULL),
                embedding = iif(bytes = excluded.bytes AND modified = excluded.modified,
                                embedding, NULL),
                error = iif(bytes = excluded.bytes AND modified = excluded.modified
                            AND excluded.error IS NULL, error, excluded.error),
                bytes = excluded.bytes, modified = excluded.modified
        """
        with self._errors(), self._transaction():
            self._database.execute("UPDATE photos SET listed_now = 0")
            self._database.executemany(
                statement,
                (
                    (
                        photo.path,
                        json.dumps(dict(photo.columns), ensure_ascii=False),
                        photo.bytes,
                        photo.modified,
                        photo.error,
                    )
                    for photo in photos
                ),
            )
            return int(self._value("SELECT count(*) FROM photos WHERE listed_now"))

    def forget_embeddings(self) -> None:
        """Lets every photo wait again, as for another network."""
        with self._errors(), self._transaction():
            self._database.execute(
                "UPDATE photos SET sha256 = NULL, error = NULL, fitness = NULL, embedding = NULL"
            )

    def waiting(self) -> tuple[WaitingPhoto, ...]:
        """Listed photos without an embedding and without an error, in the order of the listing."""
        with self._errors():
            rows = self._database.execute(
                "SELECT id, path FROM photos "
                "WHERE embedding IS NULL AND error IS NULL AND listed_now ORDER BY id"
            ).fetchall()
        return tuple(WaitingPhoto(*row) for row in rows)

    def keep(self, photos: Iterable[EmbeddedPhoto]) -> None:
        """Keeps a shard's photos, all of them or none."""
        with self._errors(), self._transaction():
            self._database.executemany(
                "UPDATE photos SET sha256 = ?, error = ?, fitness = ?, embedding = ? WHERE id = ?",
                (
                    (
                        photo.sha256,
                        photo.error,
                        photo.fitness,
                        None
                        if photo.embedding is None
                        else np.ascontiguousarray(photo.embedding, "<f4").tobytes(),
                        photo.id,
                    )
                    for photo in photos
                ),
            )

    def embedded_photos(self) -> int:
        """Number of listed photos with an embedding."""
        with self._errors():
            return int(
                self._value(
                    "SELECT count(*) FROM photos WHERE listed_now AND embedding IS NOT NULL"
                )
            )

    def embedded(self, size: int) -> Iterator[tuple[list[EmbeddedPhoto], NDArray[np.float32]]]:
        """Yields listed photos with an embedding, `size` at a time, with the embeddings' rows."""
        last = 0
        while True:
            with self._errors():
                rows = self._database.execute(
                    "SELECT id, sha256, fitness, embedding FROM photos "
                    "WHERE id > ? AND listed_now AND embedding IS NOT NULL ORDER BY id LIMIT ?",
                    (last, size),
                ).fetchall()
            if not rows:
                return
            vectors = np.stack([np.frombuffer(row[3], "<f4") for row in rows]).astype(np.float32)
            photos = [
                EmbeddedPhoto(row[0], row[1], None, row[2], vector)
                for row, vector in zip(rows, vectors, strict=True)
            ]
            last = photos[-1].id
            yield photos, vectors

    # --- answers ----------------------------------------------------------------------------

    def answer(self, batches: Iterable[list[Answer]]) -> None:
        """Replaces all answers, or, where the work is broken off, none."""
        with self._errors(), self._transaction():
            self._database.execute("DELETE FROM answers")
            for batch in batches:
                self._database.executemany(
                    "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        (a.photo, a.answer, a.rank, a.score, a.listed, json.dumps(a.candidates))
                        for a in batch
                    ),
                )

    def results(self) -> Iterator[AnsweredPhoto]:
        """Yields all listed photos, the best answers first and those with an error last."""
        with self._errors():
            yield from map(
                _result,
                self._database.execute(
                    "SELECT path, columns, sha256, error, answer, score, listed, candidates "
                    "FROM photos LEFT JOIN answers ON photo = id WHERE listed_now AND "
                    "(answer IS NOT NULL OR error IS NOT NULL) "
                    "ORDER BY answer IS NULL, rank, score DESC, id"
                ),
            )

    def counts(self) -> dict[str, int]:
        """How many listed photos have which answer; `unreadable` where there is an error."""
        with self._errors():
            rows = self._database.execute(
                "SELECT ifnull(answer, ?), count(*) FROM photos LEFT JOIN answers ON photo = id "
                "WHERE listed_now AND (answer IS NOT NULL OR error IS NOT NULL) "
                "GROUP BY 1 ORDER BY rank IS NULL, rank",
                (UNREADABLE,),
            ).fetchall()
        return {str(answer): int(count) for answer, count in rows}

    # --- the file ---------------------------------------------------------------------------

    def _value(self, statement: str) -> Any:
        return self._database.execute(statement).fetchone()[0]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise InputError(
                f"{self._path} cannot be written ({error}). Make room, or give another --out."
            ) from None
        except sqlite3.DatabaseError as error:
            raise DamagedError(f"{self._path} is damaged ({error}). {_AGAIN}") from None


def _result(row: tuple[Any, ...]) -> AnsweredPhoto:
    path, columns, sha256, error, answer, score, listed, candidates = row
    objects = tuple((str(name), float(value)) for name, value in json.loads(candidates or "[]"))
    return AnsweredPhoto(
        path=path,
        columns=json.loads(columns),
        sha256=sha256 or "",
        answer=answer or UNREADABLE,
        score=score,
        shortlist=tuple(name for name, _ in objects[: listed or 0]),
        candidates=objects,
        error=error,
    )
