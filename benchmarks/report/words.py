"""What each number means, in plain words."""

from __future__ import annotations

from benchmarks.report.verdict import MAX_DROP_POINTS, MIN_AGREEMENT

DEFINITIONS: tuple[tuple[str, str], ...] = (
    (
        "Object, photo, threshold",
        "Each museum object is one class. A threshold is the data set of the objects of which the "
        "register holds at least so many photos.",
    ),
    (
        "Full precision",
        "The trained model before export, in 32-bit numbers. Every exported variant is compared "
        "with it, on the same pixels.",
    ),
    (
        "Top-1, top-3, top-5, top-10",
        "Share of test photos whose right object is the first answer, or among the first three, "
        "five or ten. Objects with equal probability are taken in the order of the label map.",
    ),
    (
        "95 % interval of top-1",
        "Wilson's score interval: where the true share lies if other photos were taken at random. "
        "Photos of one object are alike, so with few objects the truth may lie somewhat outside.",
    ),
    (
        "Agreement",
        "Share of test photos to which the variant gives the same first answer as full precision, "
        "whether right or wrong.",
    ),
    (
        "Drop",
        "Top-1 of full precision minus top-1 of the variant, in percentage points; below zero the "
        "variant is better. Its 95 % interval is a paired bootstrap: photos are drawn again at "
        "random, the same ones for both.",
    ),
    (
        "Precision, recall, F1",
        "Averaged over the objects that the test photos show, each object weighing the same. "
        "Precision: how often an answer with this object is right, 0 if it is never given. Recall: "
        "how many of its photos are found. F1: the harmonic mean of the two. In results.json.",
    ),
    (
        "Lost / won",
        "Photos that full precision has right and the variant wrong, and the reverse.",
    ),
    (
        "Largest drift",
        "The largest difference between any probability of the variant and the one of full "
        "precision, over all photos and objects.",
    ),
    (
        "Size",
        "Bytes of the file that goes on the phone; 1 MB is a million bytes. For full precision, "
        "the weights of the run.",
    ),
    (
        "Latency",
        "Time from pixels to probabilities of one photo, median of the timed runs in a fresh "
        "process. A phone is faster or slower than this computer; the order of variants usually "
        "stays, the milliseconds do not.",
    ),
    (
        "× float32",
        "The variant's time divided by the float32 file's. Both take turns in one process, so "
        "that a busy computer slows both; the median over the rounds.",
    ),
    (
        "End to end",
        "Decoding a photo file, resizing it and inference together, median over real test photos.",
    ),
    (
        "Memory",
        "How much the peak resident memory of a fresh process grows by opening and running the "
        "model, the pages of its file included.",
    ),
    (
        "First answer",
        "Time from opening the file in a fresh process to the first answer. The file is already "
        "in the system's cache.",
    ),
    (
        "XNNPACK",
        "How many of the graph's operations the fast library took over. What it leaves runs in "
        "plain code, which is slow.",
    ),
    (
        "Needs attention",
        f"A variant that drops more than {MAX_DROP_POINTS:g} point, agrees on less than "
        f"{100 * MIN_AGREEMENT:g} % of photos, or answers with values that are no numbers.",
    ),
)
