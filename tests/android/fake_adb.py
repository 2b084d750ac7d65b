"""Stands in for adb: answers the commands of `conversation.json` beside it and fails on others.

An entry of the conversation holds `say`, the arguments; `stdout` or `file` (its text in a file),
`exit` (of the program on the phone), `stderr`, `code` (of adb), `seconds` to wait, and `make`
(files to write: path below the last argument, and a source). The first entry not yet used
answers; the last one with these arguments answers again. What was said is appended to `said.jsonl`,
and what was pushed is kept under `phone`.
"""

import json
import shutil
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    said = sys.argv[1:]
    log = HERE / "said.jsonl"
    before = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    with log.open("a") as file:
        file.write(json.dumps(said) + "\n")
    matching = [
        entry
        for entry in json.loads((HERE / "conversation.json").read_text())
        if answers(entry["say"], said)
    ]
    if not matching:
        print(f"not in the conversation: {said}", file=sys.stderr)
        return 99
    entry = matching[min(before.count(said), len(matching) - 1)]
    time.sleep(entry.get("seconds", 0))
    if "push" in said:
        keep(Path(said[-2]), HERE / "phone" / said[-1].lstrip("/"))
    for name, source in entry.get("make", {}).items():
        keep(Path(source), Path(said[-1]) / name)
    sys.stdout.write(entry.get("stdout", ""))
    if "file" in entry:
        sys.stdout.write(Path(entry["file"]).read_text())
    if "exit" in entry:
        print(f"artefact-id-exit:{entry['exit']}")
    sys.stderr.write(entry.get("stderr", ""))
    return int(entry.get("code", 0))


def answers(say: list[str], said: list[str]) -> bool:
    """Whether the commands are the same; `*/NAME` stands for NAME in a temporary folder."""
    return len(say) == len(said) and all(
        there == here or (there.startswith("*/") and here.endswith(there[1:]))
        for there, here in zip(say, said, strict=True)
    )


def keep(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


sys.exit(main())
