"""What each number means, in plain words, to stand beside the table that has it."""

from __future__ import annotations

from benchmarks.report.html.verdict import MAX_DROP_POINTS, MIN_AGREEMENT

Definition = tuple[str, str]

GLOSSARY: dict[str, str] = {
    "Object, photo, threshold": (
        "Each museum object is one class. A threshold is the data set of the objects of which the "
        "register holds at least so many photos."
    ),
    "Full precision": (
        "The trained model before export, in 32-bit numbers. Every exported variant is compared "
        "with it, on the same pixels."
    ),
    "Top-1, top-3, top-5, top-10": (
        "Share of test photos whose right object is the first answer, or among the first three, "
        "five or ten. Objects with equal probability are taken in the order of the label map."
    ),
    "95 % interval of top-1": (
        "Wilson's score interval: where the true share lies if other photos were taken at random. "
        "Photos of one object are alike, so with few objects the truth may lie somewhat outside."
    ),
    "Agreement": (
        "Share of test photos to which the variant gives the same first answer as full precision, "
        "whether right or wrong."
    ),
    "Drop": (
        "Top-1 of full precision minus top-1 of the variant, in percentage points; below zero the "
        "variant is better. Its 95 % interval is a paired bootstrap: photos are drawn again at "
        "random, the same ones for both."
    ),
    "Precision, recall, F1": (
        "Averaged over the objects that the test photos show, each object weighing the same. "
        "Precision: how often an answer with this object is right, 0 if it is never given. Recall: "
        "how many of its photos are found. F1: the harmonic mean of the two. In results.json."
    ),
    "Lost / won": "Photos that full precision has right and the variant wrong, and the reverse.",
    "Drift": (
        "Of each photo the largest difference between any probability of the variant and the one "
        "of full precision; then the mean over the photos, the value that 99 % of them keep below, "
        "and the largest."
    ),
    "No number": "Photos answered with a value that is not a finite number.",
    "Calibration error": (
        "Expected calibration error: photos are sorted into 15 ranges by the probability of the "
        "first answer; the mean distance between that probability and the share right, weighted "
        "by photos. 0 where every stated probability is kept."
    ),
    "Temperature": (
        "A number that the logarithms of the probabilities are divided by: above 1 the answers "
        "become less sure, below 1 surer; which object comes first stays. Fitted on validation "
        "photos, never on test photos."
    ),
    "Size": (
        "Bytes of the file that goes on the phone; 1 MB is a million bytes. For full precision, "
        "the weights of the run."
    ),
    "Needs attention": (
        f"A variant that drops more than {MAX_DROP_POINTS:g} point, agrees on less than "
        f"{100 * MIN_AGREEMENT:g} % of photos, or answers with values that are no numbers."
    ),
    "Latency": (
        "Time from pixels to probabilities of one photo, median of the timed runs in a fresh "
        "process; 90 % and 99 % of the runs were as fast as the other two or faster. A phone is "
        "faster or slower than this computer; the order of variants usually stays, the "
        "milliseconds do not."
    ),
    "× float32": (
        "The variant's time divided by the float32 file's. Both take turns in one process, so "
        "that a busy computer slows both; the median over the rounds."
    ),
    "End to end, from 12 MP": (
        "Decoding a photo file, resizing it and inference together: the median over real test "
        "photos, and from a 12-megapixel JPEG as a phone's camera makes it."
    ),
    "First answer": (
        "Time from opening the file in a fresh process to the first answer. The file is already "
        "in the system's cache."
    ),
    "Other work": (
        "Share of the computer's processors that other programs took while the times were "
        "measured. The more, the less the times are worth."
    ),
    "Memory": (
        "How much the peak resident memory of a fresh process grows by opening and running the "
        "model, the pages of its file included."
    ),
    "Resident, private memory": (
        "Resident: all pages in memory, also those of files, which the system can drop and read "
        "again. Private: pages that this process alone holds and no file backs; a phone cannot "
        "take them back."
    ),
    "XNNPACK": (
        "LiteRT's library of fast kernels for the CPU: how many of the graph's operations it "
        "executes. The others run in plain code, which is slow."
    ),
    "Points lost by the input": (
        "Top-1 with the toolkit's own way of making the input minus top-1 with another way, on "
        "the same photos. Its 95 % interval is a paired bootstrap."
    ),
    "Gate, requirement": (
        "What a variant must keep to be shipped, written down before it was measured. Each "
        "requirement is held against every row that it is about; one that fails, fails the whole."
    ),
}
"""Meaning by term."""


def definitions(*terms: str) -> tuple[Definition, ...]:
    """The terms with their meaning.

    Raises:
        KeyError: The glossary lacks one.
    """
    return tuple((term, GLOSSARY[term]) for term in terms)
